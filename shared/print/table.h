/* SPDX-License-Identifier: Apache-2.0 */
/* Tables are for people. On a terminal one is as wide as that: columns of words wrap between words,
 * and columns that do not fit beside the others go on in an indented line below; nothing is cut,
 * and no name is broken. Elsewhere, as in a pipe, each row is one line. */
#ifndef VOGELER_TABLE_H
#define VOGELER_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table;

enum table_kind {
	TABLE_WHOLE, /* a name, a time: never broken */
	TABLE_RIGHT, /* such a one, at the right: numbers, ages */
	TABLE_WORDS  /* wraps at blanks and behind commas */
};

struct table *table_create(void);
void table_destroy(struct table *t); /* NULL is fine */
/* All columns come before the first row. */
void table_column(struct table *t, const char *name, enum table_kind kind);
void table_hide(struct table *t, size_t column);
void table_row(struct table *t);
/* Sets a cell of the last row; one that is not set stays empty. The text may be from anywhere. */
void table_cell(struct table *t, size_t column, const char *text);
size_t table_rows(const struct table *t);

void table_print(FILE *out, const struct table *t);
/* Prints the rows that there are, and forgets them: those that are added later are printed below,
 * in columns that are at least as wide. The names of the columns come before the first of all. */
void table_print_more(FILE *out, struct table *t);
/* width: columns there are; 0 = no limit. */
void table_print_within(FILE *out, const struct table *t, size_t width);

#endif
