/* JSON as Vogeler needs it, over jansson: hostile text in, canonical text out.
 *
 * In: depth is capped before jansson sees the text, duplicate keys are refused, NUL in strings is
 * allowed, integers beyond 64 bits become strings of their digits (and are counted). Out: object
 * keys sorted, no white space, UTF-8, reals in the shortest form that reads back as the same double
 * ("0.1", "1.0", "1e+300"). Equal values give equal text, so its hash tells change. */
#ifndef VOGELER_JSONX_H
#define VOGELER_JSONX_H

#include "shared/buf.h"
#include <jansson.h>

#define JSONX_DEPTH_MAX 64 /* levels of objects and arrays in what comes from outside */
/* Levels that we put around a value: a record has it one level down, a database's answer has the
 * record some levels down. Writing and reading back allow so many more. */
#define JSONX_DEPTH_AROUND 8

/* Why a text was not read: JSONX_SYNTAX, or the limit that it is over. */
enum jsonx_refusal {
	JSONX_READ,
	JSONX_SYNTAX,
	JSONX_DEPTH,
	JSONX_KEYS,   /* of one object */
	JSONX_VALUES, /* YAML alone, as JSONX_BYTES */
	JSONX_BYTES,
};
#define JSONX_N_REFUSALS (JSONX_BYTES + 1)
const char *jsonx_refusal_name(enum jsonx_refusal refusal); /* "syntax", ... */

struct jsonx_note {
	unsigned int big_integers; /* kept as text */
	enum jsonx_refusal refusal;
};

/* Any JSON value, scalars too. NULL: err says why and where. note may be NULL. Caller
 * json_decref()s. */
json_t *jsonx_parse(
    const char *text, size_t len, struct jsonx_note *note, char *err, size_t err_size);
struct jsonx_limits {
	unsigned int depth; /* levels; at most JSONX_DEPTH_MAX */
	size_t keys;        /* of one object; 0 = as many as it likes */
};
json_t *jsonx_parse_within(const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size);
/* The same for what a store gives back: records, and its answers with records in them. */
json_t *jsonx_parse_stored(const char *text, size_t len, char *err, size_t err_size);
/* Appends the canonical text. false: over the buf's cap, out of memory, or deeper than
 * JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND; then out may hold a part of it. */
bool jsonx_write(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* The same of a text that is UTF-8, as one string; the second ends with a NUL. */
bool jsonx_write_string(struct buf *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
bool jsonx_write_text(struct buf *out, const char *text) __attribute__((warn_unused_result));
/* Indented by two, keys in their order: for people. */
bool jsonx_write_pretty(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* Bytes as a JSON string value: what is not UTF-8 becomes U+FFFD, one for each bad byte; *replaced
 * counts them (may be NULL). NULL only when memory is out. */
json_t *jsonx_string_lossy(const char *bytes, size_t len, size_t *replaced);
/* Sets a member; a NULL text is left out, a text that is not UTF-8 is set as jsonx_string_lossy
 * has it. For small objects of our own: aborts when memory is out. */
void jsonx_set_str(json_t *obj, const char *key, const char *value);
void jsonx_set_int(json_t *obj, const char *key, json_int_t value);

#endif
