/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Vogeler needs it: hostile text in, a tree of jansson's or canonical text out.
 *
 * In: strict but for a byte order mark, which is passed over, and what Python's json writes for
 * numbers that are none (NaN). Depth is capped, NUL in strings is allowed. What our values cannot
 * hold as it is, or would hold in two places, is kept in another form and counted (enum jsonx_odd):
 * one odd value is no reason to lose all the others. Out: object keys sorted, no white space,
 * UTF-8, reals in the shortest form that reads back as the same double ("0.1", "1.0", "1e+300").
 * Equal values give equal text, so its hash tells change. */
#ifndef VOGELER_JSONX_H
#define VOGELER_JSONX_H

#include "shared/base/buf.h"
#include "shared/wire/jsonx_note.h"
#include <jansson.h>

/* Makes memory that jansson asks for and does not get end the program from now on (xalloc.h), but
 * in jsonx_parse() and yamlx_parse(), which look at each failure. Before anything is asked for. */
void jsonx_init(void);
/* Says whether this thread looks at jansson's failures itself; returns whether it did. */
bool jsonx_may_fail(bool may_fail);

/* Appends the canonical text of a text that is JSON; what it takes beside out is less than the
 * text. limits may be NULL. false: err says why and where, out holds a part of it. note may be
 * NULL. */
bool jsonx_rewrite(struct buf *out, const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size) __attribute__((warn_unused_result));
/* Returns a tree, which may be a hundred times the size of its text ("[],[],[]"): for what is small
 * or our own. Any JSON value, scalars too. NULL: err says why and where. note may be NULL. Caller
 * json_decref()s. */
json_t *jsonx_parse(
    const char *text, size_t len, struct jsonx_note *note, char *err, size_t err_size);
/* Does the same for what a store gives back: records, and its answers with records in them. Without
 * memory it ends the program: what is stored is not to look damaged for that. */
json_t *jsonx_parse_stored(const char *text, size_t len, char *err, size_t err_size);
/* Appends the canonical text. false: over the buf's cap, out of memory, or deeper than
 * JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND; then out may hold a part of it. */
bool jsonx_write(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* Appends a text that is UTF-8 as one string so; the second ends with a NUL. */
bool jsonx_write_string(struct buf *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
bool jsonx_write_text(struct buf *out, const char *text) __attribute__((warn_unused_result));
/* Returns how many bytes jsonx_write_string() writes. */
size_t jsonx_string_length(const char *text, size_t len);
/* Appends it for people: indented by two, keys in their order. */
bool jsonx_write_pretty(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* Appends a double as the canonical text has it. */
bool jsonx_write_real(struct buf *out, double real) __attribute__((warn_unused_result));
/* Returns bytes as a JSON string value: what is not UTF-8 becomes U+FFFD, one for each bad byte;
 * *replaced counts them (may be NULL). NULL only when memory is out. */
json_t *jsonx_string_lossy(const char *bytes, size_t len, size_t *replaced);
/* Sets a member; a NULL text is left out, a text that is not UTF-8 is set as jsonx_string_lossy
 * has it. For small objects of our own: without memory it ends the program. */
void jsonx_set_str(json_t *obj, const char *key, const char *value);
void jsonx_set_int(json_t *obj, const char *key, json_int_t value);
/* Returns a member that is a text; NULL if it is none. Borrowed. */
const char *jsonx_get_str(const json_t *obj, const char *key);
/* A time is text, as wallclock_format() has it. Of 0 nothing is set; absent is 0, and false is
 * another thing than a time. */
void jsonx_set_time(json_t *obj, const char *key, int64_t ms);
bool jsonx_get_time(const json_t *obj, const char *key, int64_t *ms);

#endif
