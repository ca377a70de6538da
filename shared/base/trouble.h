/* SPDX-License-Identifier: Apache-2.0 */
/* A trouble is what went wrong, as a value: what it was and the way out stay apart until they are
 * printed, so that whoever shows a part of it, or adds to it, need not look for it in a sentence.
 * Plain memory, without a life of its own; zeroed it is none. */
#ifndef VOGELER_TROUBLE_H
#define VOGELER_TROUBLE_H

#include <stdarg.h>
#include <stddef.h>

/* Stands between what and cure wherever both are printed; nobody looks for it in a text. */
#define TROUBLE_CURE "; cure: "
/* Prints a trouble by printf: log_warn("x", "%s: " TROUBLE_FMT, id, TROUBLE_ARGS(why)). */
#define TROUBLE_FMT     "%s%s%s"
#define TROUBLE_ARGS(t) (t)->what, (t)->cure[0] == '\0' ? "" : TROUBLE_CURE, (t)->cure

#define TROUBLE_WHAT_SIZE 1024
#define TROUBLE_CURE_SIZE 512

enum trouble_kind {
	TROUBLE_NONE,
	TROUBLE_OTHER, /* what and cure say it; nobody decides by it */
	TROUBLE_NAMES, /* a name could not be resolved: nobody was reached whom one could cure */
};

struct trouble {
	enum trouble_kind kind;
	char what[TROUBLE_WHAT_SIZE]; /* what was tried, and how it failed */
	char cure[TROUBLE_CURE_SIZE]; /* what to do; "" = nobody knows */
};

extern const struct trouble trouble_no_memory;

/* Sets all of it; cure may be NULL. What is too long is cut between characters. */
void trouble_set(struct trouble *t, enum trouble_kind kind, const char *cure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void trouble_vset(struct trouble *t, enum trouble_kind kind, const char *cure, const char *fmt,
    va_list ap) __attribute__((format(printf, 4, 0)));
/* The cure alone, in place of one that is there. */
void trouble_set_cure(struct trouble *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct trouble *trouble_dup(const struct trouble *t); /* malloced; of NULL: NULL */
/* Says before what happened where it did: "%s: ". */
void trouble_prefix(struct trouble *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "what; cure: cure", or what alone. Malloced. */
char *trouble_text(const struct trouble *t);
/* Writes the same into out, cut to size, and returns it. */
const char *trouble_format(const struct trouble *t, char *out, size_t size);

#endif
