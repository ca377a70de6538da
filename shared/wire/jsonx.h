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
	JSONX_KEYS, /* of one object */
	JSONX_VALUES,
	JSONX_BYTES,
	JSONX_MEMORY, /* there was none: it may be read at another time */
};
#define JSONX_N_REFUSALS (JSONX_BYTES + 1)                  /* that can be said of a value */
const char *jsonx_refusal_name(enum jsonx_refusal refusal); /* "syntax", ... */

/* What is in a text, JSON or YAML, and is kept in another form. */
enum jsonx_odd {
	JSONX_BIG_INTEGER,  /* beyond 64 bits: text */
	JSONX_BIG_REAL,     /* beyond a double, or too near 0 for one: text */
	JSONX_NOT_A_NUMBER, /* NaN, Infinity, -Infinity: text */
	JSONX_SURROGATE,    /* half of a pair without the other: U+FFFD */
	JSONX_KEY_TWICE,    /* again in its object: the last one counts, as in Python, Ruby, jq */
	JSONX_KEY_NUL,      /* holds NULs, which our keys end at: U+2400 */
	JSONX_KEY_NO_TEXT,  /* YAML: a list or a map: its JSON */
	JSONX_ALIAS,        /* YAML: names nothing, or what it is in: text */
};
#define JSONX_N_ODD     (JSONX_ALIAS + 1)
#define JSONX_KEY_SHOWN 60 /* bytes of a key, for a sentence */

struct jsonx_place {
	size_t line, column; /* from 1; columns are characters */
};

struct jsonx_note {
	struct {
		unsigned int count;
		struct jsonx_place first;
	} odd[JSONX_N_ODD];
	char twice[JSONX_KEY_SHOWN + 1]; /* the first key that is, in whole characters */
	enum jsonx_refusal refusal;
};

/* A sentence that goes on behind the count: "keys hold a NUL, ...". */
const char *jsonx_odd_text(enum jsonx_odd odd);
/* Was anything kept in another form? */
bool jsonx_is_odd(const struct jsonx_note *note);
/* One more, at that place, which is behind those before it. */
void jsonx_odd(struct jsonx_note *note, enum jsonx_odd odd, struct jsonx_place at);
/* A copy in which each NUL is shown by its symbol: our keys end at one. NULL: no memory. */
char *jsonx_key_new(const char *text, size_t len);
/* Of text: its length when it is cut, in whole characters, to be shown as a key. */
size_t jsonx_key_shown(const char *text, size_t len);

/* Of a text that is somebody else's. */
struct jsonx_limits {
	unsigned int depth; /* levels; at most JSONX_DEPTH_MAX */
	size_t keys;        /* of one object; 0 = as many as it likes */
	size_t values;      /* and keys, in all; 0 = as many as it likes */
};

/* From now on memory that jansson asks for and does not get ends the program (xalloc.h), but in
 * jsonx_parse() and yamlx_parse(), which look at each failure. Before anything is asked for. */
void jsonx_init(void);
/* Whether this thread looks at jansson's failures itself; returns whether it did. */
bool jsonx_may_fail(bool may_fail);

/* Appends the canonical text of a text that is JSON; what it takes beside out is less than the
 * text. limits may be NULL. false: err says why and where, out holds a part of it. note may be
 * NULL. */
bool jsonx_rewrite(struct buf *out, const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size) __attribute__((warn_unused_result));
/* As a tree, which may be a hundred times the size of its text ("[],[],[]"): for what is small or
 * our own. Any JSON value, scalars too. NULL: err says why and where. note may be NULL. Caller
 * json_decref()s. */
json_t *jsonx_parse(
    const char *text, size_t len, struct jsonx_note *note, char *err, size_t err_size);
/* The same for what a store gives back: records, and its answers with records in them. Without
 * memory it ends the program: what is stored is not to look damaged for that. */
json_t *jsonx_parse_stored(const char *text, size_t len, char *err, size_t err_size);
/* Appends the canonical text. false: over the buf's cap, out of memory, or deeper than
 * JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND; then out may hold a part of it. */
bool jsonx_write(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* The same of a text that is UTF-8, as one string; the second ends with a NUL. */
bool jsonx_write_string(struct buf *out, const char *text, size_t len)
    __attribute__((warn_unused_result));
bool jsonx_write_text(struct buf *out, const char *text) __attribute__((warn_unused_result));
/* How many bytes jsonx_write_string() writes. */
size_t jsonx_string_length(const char *text, size_t len);
/* Indented by two, keys in their order: for people. */
bool jsonx_write_pretty(struct buf *out, const json_t *value) __attribute__((warn_unused_result));
/* The parts of the canonical text that others write: a double; how many bytes at the front of a
 * text stand for themselves in a string. */
bool jsonx_write_real(struct buf *out, double real) __attribute__((warn_unused_result));
size_t jsonx_plain_length(const char *text, size_t len);
/* What digits (JSON's, or YAML's without underscores) mean. false: a double cannot hold it, being
 * too large or so small that it would be 0. */
bool jsonx_real(const char *digits, double *value);
/* Bytes as a JSON string value: what is not UTF-8 becomes U+FFFD, one for each bad byte; *replaced
 * counts them (may be NULL). NULL only when memory is out. */
json_t *jsonx_string_lossy(const char *bytes, size_t len, size_t *replaced);
/* Sets a member; a NULL text is left out, a text that is not UTF-8 is set as jsonx_string_lossy
 * has it. For small objects of our own: without memory it ends the program. */
void jsonx_set_str(json_t *obj, const char *key, const char *value);
void jsonx_set_int(json_t *obj, const char *key, json_int_t value);

#endif
