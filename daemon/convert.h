/* From a response to results: what a plugin printed becomes native JSON by its format (README 2010,
 * DESIGN 3). One value that does not parse spoils only itself: its raw text is kept, with the
 * reason. Pure. */
#ifndef VOGELER_CONVERT_H
#define VOGELER_CONVERT_H

#include "daemon/yamlx.h"
#include "shared/store/record.h"
#include "shared/wire.h"
#include <stddef.h>
#include <stdint.h>

/* Bytes of one value's canonical text; a message of the largest size fits. Over it: unparsed. */
#define CONVERT_TEXT_MAX (48 * 1024 * 1024)

/* Of values that are still text; NULL where it may be given means the defaults. */
struct convert_limits {
	struct yamlx_limits yaml;
	unsigned int json_depth; /* at most JSONX_DEPTH_MAX, the default */
	size_t json_keys;        /* of one object; 0 = as many as it likes */
};

/* Sets r's value and hash, or unparsed and error, and note, from what the body has under the
 * plugin's name; r->format says how to read it. A value that is JSON already is taken as it is. */
void convert_value(struct result *r, const json_t *value, const struct convert_limits *limits);

/* A result for each key of the response, in order; for the greeting, and for a failure without
 * last_error, the one that says so. Never 0 of them. *results and what it points to are the
 * caller's: convert_free(). */
size_t convert_response(const struct response *resp, const struct convert_limits *limits,
    int64_t received_at, struct result ***results);
void convert_free(struct result **results, size_t n);

#endif
