/* SPDX-License-Identifier: Apache-2.0 */
/* See ranges.h. */
#include "shared/target/ranges.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"

#include <ctype.h>
#include <inttypes.h>
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

/* Compares by what may stand in one pair of brackets. */
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

/* The last of the numbers that can be counted up to from parts[i]. */
static size_t
range_end(const struct part *parts, size_t n, size_t i)
{
	while (i + 1 < n && follows(&parts[i], &parts[i + 1]))
		i++;
	return i;
}

/* Writes the numbers within the brackets; a range that is the whole frame, "1-3", would be read as
 * characters. */
static void
put_numbers(FILE *out, const struct part *parts, size_t n)
{
	bool single = parts[n - 1].width == 1 && range_end(parts, n, 0) == n - 1;

	for (size_t i = 0, j; i < n; i = j + 1) {
		j = single ? i : range_end(parts, n, i);
		if (i > 0)
			fputc(',', out);
		put_range(out, &parts[i], &parts[j]);
	}
}

/* Writes a name, or one frame of several, of at most max pieces. Returns how many names are in it.
 */
static size_t
put_frame(FILE *out, const struct part *parts, size_t n, size_t max, size_t *pieces)
{
	size_t taken = 0;

	for (; taken < n && *pieces < max; ++*pieces)
		taken = range_end(parts, n, taken) + 1;
	if (taken == 1) {
		fputs(parts[0].name, out);
		return 1;
	}
	fprintf(out, "%.*s[", (int)parts[0].head, parts[0].name);
	put_numbers(out, parts, taken);
	fprintf(out, "]%s", tail(&parts[0]));
	return taken;
}

char *
ranges_text(const char *const *names, size_t n, size_t max, size_t *left)
{
	struct part *parts = xcalloc(n + 1, sizeof(*parts));
	char *text = NULL;
	size_t size, pieces = 0, i, done = 0;
	FILE *out = xmemstream(&text, &size);

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

char *
ranges_some(const char *const *names, size_t n)
{
	size_t left;
	char *first = ranges_text(names, n, RANGES_SOME, &left), *text;

	if (left == 0)
		return first;
	xasprintf(&text, "%s and %zu more", first, left);
	free(first);
	return text;
}

/* ---- reading ---- */

struct expansion {
	ranges_name_fn *fn;
	void *arg;
	size_t n;
	const char *why;
};

/* One number, or two with a hyphen between. false: it is neither. */
static bool
scan_range(const char **at, bool *plain)
{
	size_t first = strspn(*at, "0123456789"), second = 0;

	*at += first;
	if (first > 0 && **at == '-') {
		second = strspn(++*at, "0123456789");
		*at += second;
		if (second == 0)
			return false;
		*plain &= first == 1 && second == 1;
	}
	return first > 0;
}

/* Behind the "[" at p, when numbers stand there: the "]". */
static const char *
numbers_end(const char *p)
{
	bool plain = true, comma = false, range;
	const char *end = strchr(p, ']');

	if (end == NULL)
		return NULL;
	range = memchr(p, '-', (size_t)(end - p)) != NULL;
	while (scan_range(&p, &plain)) {
		if (p == end) /* [0-9] and [123] are of characters */
			return comma || (range && !plain) ? end : NULL;
		if (*p++ != ',')
			return NULL;
		comma = true;
	}
	return NULL;
}

static const char *
find_numbers(const char *word)
{
	const char *p = word;

	while ((p = strchr(p, '[')) != NULL) {
		if (numbers_end(p + 1) != NULL)
			return p;
		p++;
	}
	return NULL;
}

static bool expand(struct expansion *e, const char *word);

static bool
refuse(struct expansion *e, const char *why)
{
	e->why = why;
	return false;
}

/* word with the number in the place of what is from open to close. */
static bool
put_number(struct expansion *e, const char *word, const char *open, const char *close, int width,
    uint64_t number)
{
	char *name;
	bool ok;

	xasprintf(&name, "%.*s%0*" PRIu64 "%s", (int)(open - word), word, width, number, close + 1);
	ok = expand(e, name);
	free(name);
	return ok;
}

/* The range at *at, for each of its numbers. */
static bool
expand_range(
    struct expansion *e, const char *word, const char *open, const char *close, const char **at)
{
	const char *a = *at, *b = a;
	size_t a_len = strspn(a, "0123456789"), b_len = a_len;
	uint64_t number, last;

	if (a[a_len] == '-') {
		b = a + a_len + 1;
		b_len = strspn(b, "0123456789");
	}
	*at = b + b_len;
	if (a_len > DIGITS_MAX || b_len > DIGITS_MAX)
		return refuse(e, "a number in brackets has at most 15 digits");
	number = strtoull(a, NULL, 10);
	last = strtoull(b, NULL, 10);
	if (number > last)
		return refuse(e, "numbers in brackets go from the lower to the higher: [10-12]");
	if (b_len < a_len || (b_len > a_len && b[0] == '0'))
		return refuse(
		    e, "numbers in brackets are written as they are counted: [08-12], [8-12]");
	for (; number <= last; number++) {
		if (!put_number(e, word, open, close, a[0] == '0' ? (int)a_len : 1, number))
			return false;
	}
	return true;
}

static bool
expand(struct expansion *e, const char *word)
{
	const char *open = find_numbers(word), *close, *at;

	if (open == NULL) {
		if (e->n++ == RANGES_MAX)
			return refuse(e, "means more than 100000 names");
		e->why = e->fn(word, e->arg);
		return e->why == NULL;
	}
	close = numbers_end(open + 1);
	for (at = open + 1; at < close; at++) { /* over the comma */
		if (!expand_range(e, word, open, close, &at))
			return false;
	}
	return true;
}

const char *
ranges_expand(const char *word, ranges_name_fn *fn, void *arg)
{
	struct expansion e = {.fn = fn, .arg = arg};

	expand(&e, word);
	return e.why;
}

bool
ranges_are_in(const char *word)
{
	return find_numbers(word) != NULL;
}

/* Says whether it is two letters of either case, or two digits: of others the locale says which is
 * the lower. */
static bool
are_alike(char a, char b)
{
	return (isdigit((unsigned char)a) && isdigit((unsigned char)b)) ||
	       (islower((unsigned char)a) && islower((unsigned char)b)) ||
	       (isupper((unsigned char)a) && isupper((unsigned char)b));
}

/* The hyphen of a range that is backwards, between the brackets; NULL: there is none. */
static const char *
find_backwards(const char *open, const char *close)
{
	for (const char *p = open + 2; p + 1 < close; p++) {
		if (*p == '-' && are_alike(p[-1], p[1]) && p[-1] > p[1])
			return p;
	}
	return NULL;
}

/* [1-3], and nothing more. */
static bool
is_range_of_digits(const char *open, const char *close)
{
	return close - open == 4 && open[2] == '-' && isdigit((unsigned char)open[1]) &&
	       isdigit((unsigned char)open[3]);
}

const char *
ranges_hint(const char *glob, char out[RANGES_HINT_SIZE])
{
	const char *open = glob, *close, *hyphen;

	out[0] = '\0';
	for (; (open = strchr(open, '[')) != NULL; open = close) {
		close = strchr(open, ']');
		if (close == NULL)
			break;
		if (numbers_end(open + 1) != NULL)
			continue;
		hyphen = find_backwards(open, close);
		if (hyphen != NULL) {
			snprintf(out, RANGES_HINT_SIZE,
			    "; %c-%c is backwards in the brackets and fits nothing" TROUBLE_CURE
			    "write %c-%c",
			    hyphen[-1], hyphen[1], hyphen[1], hyphen[-1]);
			break;
		}
		if (is_range_of_digits(open, close)) {
			snprintf(out, RANGES_HINT_SIZE,
			    "; with one character on each side of the hyphen [%c-%c] is a glob's "
			    "character class: for numbers write [0%c-0%c], or with commas, without "
			    "zeros, as [1,2,3]",
			    open[1], open[3], open[1], open[3]);
			break;
		}
	}
	return out;
}

size_t
ranges_word_length(const char *list)
{
	size_t n = 0;

	for (bool open = false; list[n] != '\0' && (open || list[n] != ','); n++) {
		if (list[n] == '[')
			open = strchr(list + n, ']') != NULL;
		else if (list[n] == ']')
			open = false;
	}
	return n;
}
