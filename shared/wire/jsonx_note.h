/* SPDX-License-Identifier: Apache-2.0 */
/* A note says of a text that is JSON or YAML why it was not read, what of it is kept in another
 * form, and where; the limits that it is read under are here, too. */
#ifndef VOGELER_JSONX_NOTE_H
#define VOGELER_JSONX_NOTE_H

#include "shared/wire/jsonx_text.h"
#include <stdbool.h>
#include <stddef.h>

#define JSONX_DEPTH_MAX 64 /* levels of objects and arrays in what comes from outside */
/* Levels that we put around a value: a record has it one level down, a database's answer has the
 * record some levels down. Writing and reading back allow so many more. */
#define JSONX_DEPTH_AROUND 8

/* A text was not read because of its syntax, or the limit that it is over. */
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

/* Each is something in a text, JSON or YAML, that is kept in another form. */
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
#define JSONX_N_ODD (JSONX_ALIAS + 1)

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

/* Returns a sentence that goes on behind the count: "keys hold a NUL, ...". */
const char *jsonx_odd_text(enum jsonx_odd odd);
/* Was anything kept in another form? */
bool jsonx_is_odd(const struct jsonx_note *note);
/* Counts one more, at that place, which is behind those before it. */
void jsonx_odd(struct jsonx_note *note, enum jsonx_odd odd, struct jsonx_place at);

/* These limit a text that is somebody else's. */
struct jsonx_limits {
	unsigned int depth; /* levels; at most JSONX_DEPTH_MAX */
	size_t keys;        /* of one object; 0 = as many as it likes */
	size_t values;      /* and keys, in all; 0 = as many as it likes */
};

#endif
