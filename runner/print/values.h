/* SPDX-License-Identifier: Apache-2.0 */
/* This shows what the hosts of a job answered, read from their records as each is stored (--show).
 *
 * A record has the newest answer of a plugin, whoever asked for it. So a value is shown only where
 * the record says that this job brought it; where it does not, why is told at the end, when nothing
 * can come any more that would change it. */
#ifndef VOGELER_RUNNER_VALUES_H
#define VOGELER_RUNNER_VALUES_H

#include "runner/print/output.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct fold;
struct job;
struct loop;
struct outcome;
struct store;
struct values;

#define VALUES_JSON_MAX ((size_t)64 * 1024 * 1024) /* bytes of values in one object of --json */

struct values_request {
	struct loop *loop;
	struct store *store;
	const struct job *job;               /* borrowed until values_destroy, as is output */
	const struct output_options *output; /* its show_path leads to a part of each value */
	/* Called on the loop, from inside values_cut() alone. on_print: before something is
	 * printed; it clears the line of progress. on_say: a line for stderr, who has no value and
	 * why. on_gone: nobody reads stdout any more. on_end: all that there is was printed. */
	void (*on_print)(void *arg);
	void (*on_say)(const char *text, void *arg);
	void (*on_gone)(void *arg);
	void (*on_end)(void *arg);
	void *arg;
};

struct values *values_create(const struct values_request *req);
/* After store_close(): what was asked of the store is forgotten. NULL is fine. */
void values_destroy(struct values *v);

/* Takes a change in how a host stands. */
void values_take(struct values *v, const struct outcome *o);
/* Ends it when nothing changes any more. Who is ok in fold and was not shown is looked at once
 * more; then all is printed that was not yet. */
void values_end(struct values *v, const struct fold *fold, int64_t now_ms);
/* Prints at once what has been read, and who failed; on_end is not called any more. */
void values_cut(struct values *v);
/* Was this failure printed, as answers were? Of those that come last the summary is told. */
bool values_told(const struct values *v, const struct outcome *o);
/* Some host's record could not be read. */
bool values_have_trouble(const struct values *v);
/* There are answers, and what show_path leads to is in none of them. */
bool values_lack_part(const struct values *v);
/* Returns the array of OUTPUT_JSON, of {"host", "plugin", "value" or "error"}; borrowed. */
json_t *values_json(const struct values *v);

#endif
