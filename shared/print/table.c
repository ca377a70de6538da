/* SPDX-License-Identifier: Apache-2.0 */
/* See table.h. */
#include "shared/print/table.h"

#include "shared/base/printable.h"
#include "shared/base/xalloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INDENT        4  /* of the lines that go on with a row */
#define COMFORT       16 /* a narrower strip of words is hard to read */
#define WIDTH_DEFAULT 80 /* of a terminal that does not tell */

struct column {
	enum table_kind kind;
	bool hidden;
	size_t least; /* as wide as it was printed before */
};

struct table {
	struct column *columns;
	size_t n_columns;
	char **cells; /* of the names, then row by row; NULL = empty */
	size_t n_rows, room;
	bool headed; /* the names were printed */
};

/* The columns of one line of a row, and where each begins. */
struct strip {
	size_t first, end, indent;
};

struct layout {
	size_t *widths;
	struct strip *strips;
	size_t n_strips;
};

struct table *
table_create(void)
{
	return xcalloc(1, sizeof(struct table));
}

static size_t
count_cells(const struct table *t)
{
	return (t->n_rows + 1) * t->n_columns;
}

void
table_destroy(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < count_cells(t); i++)
		free(t->cells[i]);
	free(t->cells);
	free(t->columns);
	free(t);
}

void
table_column(struct table *t, const char *name, enum table_kind kind)
{
	t->columns = xreallocarray(t->columns, t->n_columns + 1, sizeof(*t->columns));
	t->cells = xreallocarray(t->cells, t->n_columns + 1, sizeof(*t->cells));
	t->columns[t->n_columns] = (struct column){.kind = kind};
	t->cells[t->n_columns] = printable_text(name, PRINTABLE_BLANK);
	t->room = ++t->n_columns;
}

void
table_hide(struct table *t, size_t column)
{
	t->columns[column].hidden = true;
}

void
table_row(struct table *t)
{
	t->n_rows++;
	if (count_cells(t) > t->room) {
		t->room = count_cells(t) * 2;
		t->cells = xreallocarray(t->cells, t->room, sizeof(*t->cells));
	}
	for (size_t c = 0; c < t->n_columns; c++)
		t->cells[t->n_rows * t->n_columns + c] = NULL;
}

void
table_cell(struct table *t, size_t column, const char *text)
{
	char **cell = &t->cells[t->n_rows * t->n_columns + column];

	free(*cell);
	*cell = printable_text(text, PRINTABLE_BLANK);
}

size_t
table_rows(const struct table *t)
{
	return t->n_rows;
}

/* ---- the layout ---- */

static const char *
cell_at(const struct table *t, size_t row, size_t column)
{
	const char *cell = t->cells[row * t->n_columns + column];

	return cell != NULL ? cell : "";
}

/* Bytes of a word and of the comma behind it, without the blank. */
static size_t
word_length(const char *text)
{
	size_t n = strcspn(text, " ,");

	return text[n] == ',' ? n + 1 : n;
}

static size_t
longest_word(const char *text)
{
	size_t longest = 0;

	while (*text != '\0') {
		size_t n = word_length(text), width;
		char *word = xstrndup(text, n);

		width = printable_width(word);
		if (width > longest)
			longest = width;
		free(word);
		text += n + (text[n] == ' ' ? 1 : 0);
	}
	return longest;
}

static size_t
widest(const struct table *t, size_t column, size_t measure(const char *))
{
	size_t most = 0;

	for (size_t row = 0; row <= t->n_rows; row++) {
		size_t width = measure(cell_at(t, row, column));

		if (width > most)
			most = width;
	}
	return most;
}

static size_t
least_width(const struct table *t, size_t column, size_t natural, size_t room)
{
	size_t least;

	if (t->columns[column].kind != TABLE_WORDS)
		return natural;
	least = widest(t, column, longest_word);
	if (least < COMFORT)
		least = COMFORT;
	if (least > room - INDENT)
		least = room - INDENT;
	return least < natural ? least : natural;
}

/* Gives what is left of the width to the columns of words, evenly, to each as it needs. */
static void
widen(const struct table *t, const size_t *natural, const struct strip *s, size_t room,
    size_t *widths)
{
	size_t used = s->indent, wanting;

	for (size_t c = s->first; c < s->end; c++)
		if (!t->columns[c].hidden)
			used += widths[c] + (used > s->indent ? 1 : 0);
	do {
		wanting = 0;
		for (size_t c = s->first; c < s->end && used < room; c++) {
			if (t->columns[c].hidden || widths[c] >= natural[c])
				continue;
			widths[c]++;
			used++;
			wanting++;
		}
	} while (wanting > 0);
}

static struct strip *
add_strip(struct layout *l, size_t first)
{
	struct strip *s;

	l->strips = xreallocarray(l->strips, l->n_strips + 1, sizeof(*l->strips));
	s = &l->strips[l->n_strips];
	*s = (struct strip){.first = first, .end = first, .indent = l->n_strips > 0 ? INDENT : 0};
	l->n_strips++;
	return s;
}

static void
lay_out_within(const struct table *t, const size_t *natural, size_t room, struct layout *l)
{
	struct strip *s = add_strip(l, 0);
	size_t used = 0; /* of the strip, with a blank behind each column */

	for (size_t c = 0; c < t->n_columns; c++) {
		if (!t->columns[c].hidden) {
			l->widths[c] = least_width(t, c, natural[c], room);
			if (used > 0 && s->indent + used + l->widths[c] > room) {
				s = add_strip(l, c);
				used = 0;
			}
			used += l->widths[c] + 1;
		}
		s->end = c + 1;
	}
	for (size_t i = 0; i < l->n_strips; i++)
		widen(t, natural, &l->strips[i], room, l->widths);
}

static void
lay_out(const struct table *t, size_t room, struct layout *l)
{
	size_t *natural = xcalloc(t->n_columns, sizeof(*natural)), all = 0;

	*l = (struct layout){.widths = xcalloc(t->n_columns, sizeof(*l->widths))};
	for (size_t c = 0; c < t->n_columns; c++) {
		if (t->columns[c].hidden)
			continue;
		natural[c] = widest(t, c, printable_width);
		if (natural[c] < t->columns[c].least)
			natural[c] = t->columns[c].least;
		all += natural[c] + 1;
	}
	if (room == 0 || all <= room + 1) {
		add_strip(l, 0)->end = t->n_columns;
		memcpy(l->widths, natural, t->n_columns * sizeof(*natural));
	} else {
		lay_out_within(t, natural, room > 2 * INDENT ? room : 2 * INDENT, l);
	}
	free(natural);
}

static void
layout_finish(struct layout *l)
{
	free(l->widths);
	free(l->strips);
}

/* ---- printing ---- */

/* Bytes of the text that go into a line; a word that is wider than that is broken. */
static size_t
line_length(const char *text, size_t width)
{
	size_t fits = printable_fit(text, width), n = 0;

	if (text[fits] == '\0')
		return fits;
	while (n < fits) {
		size_t end = n + word_length(text + n);

		if (end > fits)
			break;
		if (text[end] != ' ') {
			n = end;
			continue;
		}
		n = end < fits ? end + 1 : end;
	}
	while (n > 1 && text[n - 1] == ' ')
		n--;
	return n > 0 ? n : fits;
}

static void
blanks(FILE *out, size_t n)
{
	fprintf(out, "%*s", (int)n, "");
}

/* One line of the strip; what of the cells is left goes on in the next one. */
static void
print_line(FILE *out, const struct table *t, const struct layout *l, const struct strip *s,
    const char **rest)
{
	size_t at = 0, start = s->indent; /* blanks are printed before what needs them */

	for (size_t c = s->first; c < s->end; c++) {
		size_t n, width;
		char *text;

		if (t->columns[c].hidden)
			continue;
		n = t->columns[c].kind == TABLE_WORDS ? line_length(rest[c], l->widths[c])
						      : strlen(rest[c]);
		text = xstrndup(rest[c], n);
		width = printable_width(text);
		rest[c] += n;
		rest[c] += strspn(rest[c], " ");
		if (t->columns[c].kind == TABLE_RIGHT)
			blanks(out, width > 0 ? start + l->widths[c] - width - at : 0);
		else
			blanks(out, width > 0 ? start - at : 0);
		fputs(text, out);
		if (width > 0)
			at = start + (t->columns[c].kind == TABLE_RIGHT ? l->widths[c] : width);
		start += l->widths[c] + 1;
		free(text);
	}
	putc('\n', out);
}

static bool
is_left(const struct table *t, const struct strip *s, const char *const *rest)
{
	for (size_t c = s->first; c < s->end; c++)
		if (!t->columns[c].hidden && rest[c][0] != '\0')
			return true;
	return false;
}

static void
print_row(FILE *out, const struct table *t, const struct layout *l, size_t row)
{
	const char **rest = xcalloc(t->n_columns, sizeof(*rest));

	for (size_t c = 0; c < t->n_columns; c++)
		rest[c] = cell_at(t, row, c);
	for (size_t i = 0; i < l->n_strips; i++)
		while (is_left(t, &l->strips[i], rest))
			print_line(out, t, l, &l->strips[i], rest);
	free(rest);
}

void
table_print_within(FILE *out, const struct table *t, size_t width)
{
	struct layout l;

	lay_out(t, width, &l);
	for (size_t row = 0; row <= t->n_rows; row++)
		print_row(out, t, &l, row);
	layout_finish(&l);
}

/* 0 = no limit */
static size_t
width_of(FILE *out)
{
	struct winsize size = {.ws_col = 0};
	int fd = out == stdout ? STDOUT_FILENO : fileno(out); /* cli_stdout.h */

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return WIDTH_DEFAULT;
}

void
table_print(FILE *out, const struct table *t)
{
	table_print_within(out, t, width_of(out));
}

static void
forget_rows(struct table *t)
{
	for (size_t i = t->n_columns; i < count_cells(t); i++)
		free(t->cells[i]);
	t->n_rows = 0;
}

void
table_print_more(FILE *out, struct table *t)
{
	struct layout l;

	lay_out(t, width_of(out), &l);
	for (size_t row = t->headed ? 1 : 0; row <= t->n_rows; row++)
		print_row(out, t, &l, row);
	for (size_t c = 0; c < t->n_columns; c++)
		t->columns[c].least = l.widths[c];
	t->headed = true;
	layout_finish(&l);
	forget_rows(t);
}
