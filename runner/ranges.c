/* See ranges.h. */
#include "runner/ranges.h"

#include "runner/output.h"
#include "shared/xalloc.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 15 /* a number of more is part of the name */

struct part { /* of a name: text before and after its number */
	const char *name;
	size_t head;  /* bytes before the number */
	size_t width; /* digits; 0: it has none */
	uint64_t number;
};

static void
split(const char *name, struct part *p)
{
	size_t end = strcspn(name, "."), start, i;

	while (end > 0 && !isdigit((unsigned char)name[end - 1]))
		end--;
	for (start = end; start > 0 && isdigit((unsigned char)name[start - 1]); start--)
		;
	*p = (struct part){.name = name, .head = start, .width = end - start};
	if (p->width > DIGITS_MAX)
		p->width = 0;
	if (p->width == 0)
		p->head = strlen(name);
	for (i = 0; i < p->width; i++)
		p->number = p->number * 10 + (uint64_t)(name[p->head + i] - '0');
}

static const char *
tail(const struct part *p)
{
	return p->name + p->head + p->width;
}

/* What may stand in one pair of brackets. */
static int
compare_frame(const struct part *a, const struct part *b)
{
	size_t len = a->head < b->head ? a->head : b->head;
	int c = memcmp(a->name, b->name, len);

	if (c == 0)
		c = (a->head > b->head) - (a->head < b->head);
	if (c == 0)
		c = (a->width > 0) - (b->width > 0);
	return c != 0 ? c : strcmp(tail(a), tail(b));
}

static int
compare(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = compare_frame(x, y);

	if (c == 0)
		c = (x->number > y->number) - (x->number < y->number);
	return c != 0 ? c : (x->width > y->width) - (x->width < y->width);
}

/* b is the next number, written as one would count from a: 09 10, 9 10, but not 9 010. */
static bool
follows(const struct part *a, const struct part *b)
{
	return a->width > 0 && compare_frame(a, b) == 0 && b->number == a->number + 1 &&
	       (a->width == b->width || (b->width == a->width + 1 && b->name[b->head] != '0'));
}

static void
put_range(FILE *out, const struct part *first, const struct part *last)
{
	fprintf(out, "%.*s", (int)first->width, first->name + first->head);
	if (last != first)
		fprintf(out, "-%.*s", (int)last->width, last->name + last->head);
}

/* Names of parts[0..n) that stand in one pair of brackets. */
static size_t
frame_size(const struct part *parts, size_t n)
{
	size_t i = 1;

	while (i < n && parts[0].width > 0 && compare_frame(&parts[0], &parts[i]) == 0)
		i++;
	return i;
}

/* Writes a name, or one frame of several, of at most max pieces. Returns how many names are in it.
 */
static size_t
put_frame(FILE *out, const struct part *parts, size_t n, size_t max, size_t *pieces)
{
	size_t i = 0, j;

	if (n == 1) {
		fputs(parts[0].name, out);
		++*pieces;
		return 1;
	}
	fprintf(out, "%.*s[", (int)parts[0].head, parts[0].name);
	while (i < n && *pieces < max) {
		for (j = i; j + 1 < n && follows(&parts[j], &parts[j + 1]); j++)
			;
		if (i > 0)
			fputc(',', out);
		put_range(out, &parts[i], &parts[j]);
		++*pieces;
		i = j + 1;
	}
	fprintf(out, "]%s", tail(&parts[0]));
	return i;
}

char *
ranges_text(const char *const *names, size_t n, size_t max, size_t *left)
{
	struct part *parts = xcalloc(n + 1, sizeof(*parts));
	char *text = NULL;
	size_t size, pieces = 0, i, done = 0;
	FILE *out = output_memory(&text, &size);

	for (i = 0; i < n; i++)
		split(names[i], &parts[i]);
	qsort(parts, n, sizeof(*parts), compare);
	for (i = 0; i < n && pieces < max;) {
		size_t frame = frame_size(&parts[i], n - i);

		if (i > 0)
			fputs(", ", out);
		done += put_frame(out, &parts[i], frame, max, &pieces);
		i += frame;
	}
	fclose(out);
	free(parts);
	*left = n - done;
	return text;
}
