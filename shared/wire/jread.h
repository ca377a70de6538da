/* SPDX-License-Identifier: Apache-2.0 */
/* JSON is read token by token, as strictly as jsonx.h says, without memory of the reader's own:
 * what a hostile text costs is its own size, whatever it holds. Levels, keys of an object and
 * values are counted, and stop at their limits. Over it are a tree (jsonx_parse) and a canonical
 * text (jsonx_rewrite).
 */
#ifndef VOGELER_JREAD_H
#define VOGELER_JREAD_H

#include "shared/wire/jsonx_note.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jread_token {
	JREAD_ERROR, /* refusal says which, jread_explain() why */
	JREAD_END,   /* of the text, behind one value */
	JREAD_OBJECT,
	JREAD_OBJECT_END,
	JREAD_ARRAY,
	JREAD_ARRAY_END,
	JREAD_KEY,
	JREAD_STRING,
	JREAD_INTEGER,
	JREAD_REAL,
	/* NaN, Infinity and -Infinity are not JSON's, but Python's json prints them. */
	JREAD_NOT_A_NUMBER,
	JREAD_TRUE,
	JREAD_FALSE,
	JREAD_NULL,
};

/* This may come next. */
enum jread_due {
	JREAD_DUE_VALUE,
	JREAD_DUE_FIRST_ITEM, /* or the end of the array */
	JREAD_DUE_FIRST_KEY,  /* or the end of the object */
	JREAD_DUE_KEY,
	JREAD_DUE_COMMA, /* or the end of what is open */
	JREAD_DUE_NOTHING,
};

struct jread {
	const char *text;
	size_t len, pos;
	size_t depth_max, keys_max, values_max;
	size_t depth;
	size_t values; /* so far, keys included */
	enum jread_due due;
	bool is_object[JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND]; /* each open level, */
	size_t keys[JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND];    /* and how many it has */
	/* The last token: where it is; of a key or a string the quotes are in it. */
	size_t start, end;
	bool escaped; /* a key or string has a backslash: it is not its own text */
	enum jsonx_refusal refusal;
	const char *problem; /* of JSONX_SYNTAX */
	struct {
		unsigned int count;
		size_t first; /* where in text */
	} odd[JSONX_N_ODD];
};

/* Begins; a byte order mark is passed over. limits may be NULL: none but the depth of
 * JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND. text need not end with a NUL. */
void jread_init(struct jread *j, const char *text, size_t len, const struct jsonx_limits *limits);
/* Returns the next; after JREAD_ERROR or JREAD_END it is always that again. */
enum jread_token jread_next(struct jread *j);
/* Goes on to the end of the value that token begins, with start and end around it. */
bool jread_value(struct jread *j, enum jread_token token) __attribute__((warn_unused_result));
/* Goes to the first member of that name in a text that is an object; start and end are around its
 * value. What is behind it is not looked at. */
bool jread_member(struct jread *j, const char *name) __attribute__((warn_unused_result));
/* Writes the text of the last key or string, in at most as many bytes as it takes in j's text,
 * without the quotes; returns how many. Halves of surrogate pairs become U+FFFD and are counted. */
size_t jread_text(struct jread *j, char *out);
/* Returns the text of the last key or string, malloced, with a NUL behind it; NULL: out of memory.
 */
char *jread_text_new(struct jread *j, size_t *len);
/* Returns the text of the last key so, with each NUL in it shown as U+2400, and counted. */
char *jread_key_new(struct jread *j);
/* Gives the last integer; false when it is beyond 64 bits. */
bool jread_integer(const struct jread *j, int64_t *value);
/* Gives the last real; false when a double cannot hold it, being too large or so small that it
 * would be 0. Digits beyond a double's precision are rounded. */
bool jread_real(const struct jread *j, double *value);
/* Counts what is at that place in text, and what whoever reads keeps in another form. */
void jread_odd(struct jread *j, enum jsonx_odd odd, size_t at);
/* Notes what was kept so; of a text that was refused only that it was. */
void jread_note(const struct jread *j, enum jsonx_refusal refusal, struct jsonx_note *note);
/* Says which limit was met, by its option, or what is wrong and where. refusal is the reader's, or
 * that of who reads. A text that begins with something else, or goes on behind its end, is shown
 * there: that is mostly a warning that the program printed to the wrong place. */
void jread_explain(const struct jread *j, enum jsonx_refusal refusal, char *err, size_t err_size);

#endif
