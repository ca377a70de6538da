/* SPDX-License-Identifier: Apache-2.0 */
/* A program in jq's language over the records of a store: those plugins alone are read that it
 * names, if that can be told, and jq begins while they are. On a terminal a line says how far it
 * is. What does not compile is told before anything is read. */
#ifndef VOGELER_RECORD_QUERY_H
#define VOGELER_RECORD_QUERY_H

#include "shared/query/jq_child.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct record_query;
struct store;

enum record_query_end {
	RECORD_QUERY_DONE,
	RECORD_QUERY_BAD,      /* the program, or jq */
	RECORD_QUERY_NO_STORE, /* it cannot be read */
};

struct record_query_request { /* borrowed until record_query_destroy, but for itself */
	struct loop *loop;
	struct store *store;
	const char *program;
	enum jq_mode mode;
	int64_t timeout_ms; /* of jq; reading is not counted */
	const char *option; /* by which there is more of it */
	bool quiet;         /* no line of progress */
	/* Called on the loop, never from inside a record_query_ function.
	 * on_begin: it compiles; false: nothing is read after all, and on_end is not called. May be
	 * NULL, as may wants: whether the record of that host is asked for. on_answer: as of struct
	 * jq_filter_handlers, in order of host. on_end: once, and nothing after it; it may be
	 * destroyed from in here. */
	bool (*on_begin)(void *arg);
	bool (*wants)(const char *host, void *arg);
	void (*on_answer)(
	    const char *host, enum jq_word word, const char *text, size_t len, void *arg);
	void (*on_end)(enum record_query_end end, const char *why, void *arg);
	void *arg;
};

/* NULL: *why, which the caller frees. */
struct record_query *record_query_create(const struct record_query_request *req, char **why);
/* Frees it after store_close(), or after on_end: what was asked of the store is forgotten. NULL is
 * fine. */
void record_query_destroy(struct record_query *q);
/* Says, after the end, whether it takes a path from the record that no record has. */
bool record_query_is_mistyped(const struct record_query *q);
/* Sentences for whoever asked, of the end: a plugin or a part of one that no record has, and what
 * there is in its place; how many have not what others have; integers that were rounded. */
typedef void record_query_note_fn(const char *text, void *arg);
void record_query_notes(struct record_query *q, record_query_note_fn *fn, void *arg);

#endif
