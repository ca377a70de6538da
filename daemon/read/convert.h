/* SPDX-License-Identifier: Apache-2.0 */
/* This makes results of a response: what a plugin printed becomes native JSON by its format (README
 * 2010). One value that does not parse spoils only itself: its raw text is kept, with the reason.
 * Pure. */
#ifndef VOGELER_CONVERT_H
#define VOGELER_CONVERT_H

#include "daemon/read/yamlx.h"
#include "shared/store/record.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of one value's canonical text; a message of the largest size fits. Over it: unparsed. */
#define CONVERT_TEXT_MAX (48 * 1024 * 1024)

#define CONVERT_JSON_VALUES 300000 /* the default of [limits] json_nodes */

/* NULL where it may be given means the defaults. */
struct convert_limits {
	struct yamlx_limits yaml;
	struct jsonx_limits json;
};

struct options;
void convert_limits_of(struct convert_limits *limits, const struct options *o);

/* Sets r's value and hash, or unparsed and error, and note, from what the body has under the
 * plugin's name, a JSON text that was looked through; r->format says how a text in it is to be
 * read. What is no text is JSON already. false: memory is out, nothing is set. */
bool convert_value(struct result *r, const char *json, size_t len,
    const struct convert_limits *limits) __attribute__((warn_unused_result));

/* A result for each key of the response, in order; for the greeting, and for a failure without
 * last_error, the one that says so. Never 0 of them, unless memory is out: then *results is NULL.
 * *results and what it points to are the caller's: convert_free(). */
size_t convert_response(const struct response *resp, const struct convert_limits *limits,
    int64_t received_at, struct result ***results);
/* Says in the place of a response that is not taken that its plugin failed, for that reason. Only
 * the headers of m count; freed as an array of one by convert_free(), or by result_finish() and
 * free(). */
struct message;
struct result *convert_failure(const struct message *m, const char *why, int64_t received_at);
void convert_free(struct result **results, size_t n);

#endif
