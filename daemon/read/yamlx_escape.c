/* SPDX-License-Identifier: Apache-2.0 */
/* See yamlx_escape.h. */
#include "daemon/read/yamlx_escape.h"

#include "shared/base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffd

struct escape_scan {
	const char *p, *end;
	char *out;
	unsigned int replaced, halves;
};

/* The length of the escape \uXXXX or \UXXXXXXXX at p, and which character it names; 0: it is
 * none. */
static size_t
read_escape(const char *p, const char *end, uint32_t *c)
{
	size_t digits;
	int64_t code;

	if (end - p < 2 || p[0] != '\\' || (p[1] != 'u' && p[1] != 'U'))
		return 0;
	digits = p[1] == 'u' ? 4 : 8;
	if ((size_t)(end - p) < 2 + digits)
		return 0;
	code = utf8_hex(p + 2, digits);
	*c = (uint32_t)code;
	return code < 0 ? 0 : 2 + digits;
}

static void
put_escape(struct escape_scan *s, uint32_t c)
{
	char text[16];
	int n = snprintf(text, sizeof(text), c > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned int)c);

	memcpy(s->out, text, (size_t)n);
	s->out += n;
	s->replaced++;
}

/* false: no escape of a surrogate is here. */
static bool
join(struct escape_scan *s)
{
	uint32_t first, second, pair;
	size_t n = read_escape(s->p, s->end, &first), m;

	if (n == 0 || !utf8_is_surrogate(first))
		return false;
	s->p += n;
	m = read_escape(s->p, s->end, &second);
	pair = m > 0 ? utf8_pair(first, second) : 0;
	if (pair != 0) {
		s->p += m;
		put_escape(s, pair);
		return true;
	}
	put_escape(s, REPLACEMENT);
	s->halves++;
	return true;
}

static void
copy(struct escape_scan *s, size_t n)
{
	if (n > (size_t)(s->end - s->p))
		n = (size_t)(s->end - s->p);
	memcpy(s->out, s->p, n);
	s->p += n;
	s->out += n;
}

static const char *
character(const char *text, const char *end, size_t number)
{
	while (text < end && number > 0) {
		text++;
		while (text < end && ((unsigned char)*text & 0xc0) == 0x80)
			text++;
		number--;
	}
	return text;
}

char *
yamlx_join_surrogates(
    const char *text, size_t len, size_t quote, size_t *joined_len, unsigned int *halves)
{
	const char *end = text + len, *begin = character(text, end, quote);
	struct escape_scan s = {.p = text, .end = end};
	char *joined;

	if (begin == end || *begin != '"')
		return NULL;
	joined = s.out = malloc(len);
	if (joined == NULL)
		return NULL;
	copy(&s, (size_t)(begin - text) + 1);
	while (s.p < end && *s.p != '"')
		if (!join(&s))
			copy(&s, *s.p == '\\' ? 2 : 1);
	copy(&s, (size_t)(end - s.p));
	if (s.replaced == 0) {
		free(joined);
		return NULL;
	}
	*joined_len = (size_t)(s.out - joined);
	*halves = s.halves;
	return joined;
}
