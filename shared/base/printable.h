/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere (a host, a store, a broker, a file) as a person's terminal or a log may have
 * it. All that people read goes through here; what programs read (--json) does not.
 *
 * A terminal obeys C0, DEL and the C1 controls U+0080..U+009F; bidi controls, characters that show
 * nothing and the separators U+2028 and U+2029 make a line look like another one. These are written
 * as \uNNNN, which JSON reads as the same character; C0, and bytes that are not UTF-8, as \xNN. */
#ifndef VOGELER_PRINTABLE_H
#define VOGELER_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

enum printable_breaks {       /* line ends and tabs */
	PRINTABLE_ESCAPE,     /* as other controls: a log, where they would forge lines */
	PRINTABLE_BLANK,      /* become a blank: a sentence, a table's cell */
	PRINTABLE_KEEP_BREAKS /* stay, but for "\r": text of several lines, such as indented JSON */
};

#define PRINTABLE_PIECE 24 /* bytes: one character, escaped, and the NUL */
/* Gives what stands for the character at p, which is not the NUL. Returns how many bytes were
 * taken. */
size_t printable_step(
    const char *p, enum printable_breaks breaks, char piece[PRINTABLE_PIECE], size_t *size);

void printable_put(FILE *out, const char *text, enum printable_breaks breaks);
/* A line of one sentence, and its end. */
void printable_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *printable_text(const char *text, enum printable_breaks breaks); /* malloced */
/* Columns that text, which is printable, takes on a terminal: wide characters take two. */
size_t printable_width(const char *text);
/* Bytes of its beginning that take no more than so many columns; one character at least. */
size_t printable_fit(const char *text, size_t columns);

#endif
