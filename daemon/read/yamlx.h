/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as the collector needs it, over libyaml's events: hostile text in, one JSON value out.
 *
 * Scalars are typed as PyYAML's safe_load types them (YAML 1.1 booleans, integers in base 2, 8, 10
 * and 16 with underscores, floats, null), so that a record says what the 2010 server would have
 * said, but for what JSON does not have or what only looks like a number: timestamps, sexagesimals,
 * .inf and .nan stay strings, integers beyond 64 bits become strings of their digits, numbers
 * beyond a double stay as they were written. What is kept in another form is counted. A scalar with
 * a tag that is not one of YAML's own (!ruby/sym) is text, a collection (!ruby/object:...) is what
 * it is without; !!binary stays text. Keys are strings: any other scalar is taken as it was
 * written, a list or a map as its JSON; of several that are the same the last one counts. An alias
 * that names nothing, or what it is in, is text. Merges ("<<") are carried out where there are maps
 * to merge, aliases expanded. A byte order mark is passed over. Escapes of surrogates are the
 * character, or U+FFFD for a half.
 *
 * Every limit is on events, before anything is built: libyaml is quadratic in depth. */
#ifndef VOGELER_YAMLX_H
#define VOGELER_YAMLX_H

#include "shared/wire/jsonx.h"
#include <jansson.h>
#include <stddef.h>

#define YAMLX_DEPTH_MAX JSONX_DEPTH_MAX
#define YAMLX_TAG_LINES 32 /* %TAG directives: libyaml compares each with all before it */

struct yamlx_limits {
	unsigned int depth; /* levels; at most YAMLX_DEPTH_MAX */
	size_t nodes;       /* values and keys, after aliases are expanded */
	size_t keys;        /* of one map, merged ones included; 0 = as many as it likes */
	size_t bytes;       /* of input */
	size_t expanded;    /* of scalars, after aliases are expanded; 0 = 4 times the input's */
};
/* depth 64, 100000 nodes, 20000 keys, 1 MiB. */
extern const struct yamlx_limits yamlx_limits_default;

/* One document (none at all is null, as safe_load has it). NULL: err says why and on which line.
 * limits and note may be NULL. Aliases share their value with what they name. Caller
 * json_decref()s. */
json_t *yamlx_parse(const char *text, size_t len, const struct yamlx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size);

#endif
