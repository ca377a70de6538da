/* SPDX-License-Identifier: Apache-2.0 */
/* This finds where the parts of a JSON text are, without building it: a batch of records read from
 * CouchDB is cut into documents and those into members, and what nobody looks into stays the text
 * it was (its numbers keep their digits, its depth does not matter). Only the brackets and strings
 * that are walked over are checked; who uses a span's inside parses it. Pure; never reads past the
 * end. */
#ifndef VOGELER_JSPAN_H
#define VOGELER_JSPAN_H

#include <stdbool.h>
#include <stddef.h>

struct jspan {
	const char *text; /* borrowed; NULL: not there */
	size_t len;
};

/* The one value that text is, white space around it cut off. false: none, unbalanced, or more than
 * one. */
bool jspan_value(const char *text, size_t len, struct jspan *value)
    __attribute__((warn_unused_result));

struct jspan_iter {
	const char *p, *end;
	bool first;
	bool bad; /* the walk ended because the text is not JSON */
};
/* Starts a walk over an object or an array. false: it is neither, see jspan_kind. */
bool jspan_open(struct jspan_iter *it, struct jspan container) __attribute__((warn_unused_result));
/* false at the end, or with it->bad set. The key is a span too, quotes included. */
bool jspan_next_member(struct jspan_iter *it, struct jspan *key, struct jspan *value);
bool jspan_next_element(struct jspan_iter *it, struct jspan *value);

/* '{', '[', '"', or the first byte of a number or word; 0 when there is none. */
char jspan_kind(struct jspan s);
/* The decoded string; malloced, caller frees. NULL: not a string, or one with a NUL in it. */
char *jspan_string(struct jspan s);
/* Is s exactly this text, quotes included? For words and for keys that need no escaping. */
bool jspan_is(struct jspan s, const char *text);

#endif
