/* SPDX-License-Identifier: Apache-2.0 */
/* A program in jq's language over records, by libjq in child processes (jq_child.h): one for a few
 * records, one a processor for many, while more are still being read. Records are put aside in a
 * file, a line each. A child that dies over a record, or does not end in a tenth of the time that
 * all have, fails that record alone: another goes on behind it. */
#ifndef VOGELER_JQ_FILTER_H
#define VOGELER_JQ_FILTER_H

#include "shared/query/jq_child.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jq_filter;
struct loop;

#define JQ_PROGRAM_MAX ((size_t)64 * 1024)

/* Called on the loop, never from inside a jq_filter_ function. */
struct jq_filter_handlers {
	/* Once: the program is one. */
	void (*on_compiled)(void *arg);
	/* Once for each record, in the order of jq_filter_add(). word: TRUE, FALSE, VALUES or
	 * ERROR; text: of those that have one, NUL-terminated, else NULL. Borrowed. */
	void (*on_answer)(
	    const char *host, enum jq_word word, const char *text, size_t len, void *arg);
	/* Once, and nothing after it. why: NULL, after jq_filter_close(), when each record has its
	 * answer; else why there are no more: of what does not compile in jq's own words. It may
	 * be destroyed from in here. */
	void (*on_end)(const char *why, void *arg);
};

/* timeout_ms: how long jq may take, over all records; while it waits for records is not counted.
 * option: that gives it more, for the texts; may be NULL. Returns NULL: *why, which the caller
 * frees. Reports begin when the loop runs; records may be added at once. */
struct jq_filter *jq_filter_create(struct loop *loop, const char *program, enum jq_mode mode,
    int64_t timeout_ms, const char *option, const struct jq_filter_handlers *handlers, void *arg,
    char **why);
void jq_filter_destroy(struct jq_filter *f); /* ends the children; NULL is fine */

/* rec is borrowed during the call. false: the file cannot be written, errno says why. */
bool jq_filter_add(struct jq_filter *f, const char *host, const json_t *rec)
    __attribute__((warn_unused_result));
void jq_filter_close(struct jq_filter *f); /* no more are added */

size_t jq_filter_answered(const struct jq_filter *f);
/* jq has doubles: what is said when an integer was beyond them, of a record or of the program;
 * NULL: none was. Borrowed. */
const char *jq_filter_rounded(struct jq_filter *f);

#endif
