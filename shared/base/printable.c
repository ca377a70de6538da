/* SPDX-License-Identifier: Apache-2.0 */
/* See printable.h. */
#include "shared/base/printable.h"

#include "shared/base/xalloc.h"

#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* Length of the UTF-8 character at p (Unicode 3.9, table 3-7: no overlong forms, no surrogates), 0
 * if there is none. p is NUL-terminated, so looking one byte past a good one is safe. */
static size_t
utf8_length(const unsigned char *p)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

static uint32_t
utf8_decode(const unsigned char *p, size_t n)
{
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fU >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3fU);
	return c;
}

/* The twelve characters of Unicode's property Bidi_Control. */
static bool
is_bidi_control(uint32_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* Characters that show nothing, so that two different texts look alike. The joiners U+200C and
 * U+200D are none of them: scripts and emoji need them. */
static bool
is_invisible(uint32_t c)
{
	return c == 0x00ad || c == 0x200b || (c >= 0x2060 && c <= 0x2064) ||
	       (c >= 0x206a && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static bool
is_hostile(uint32_t c)
{
	return (c >= 0x7f && c < 0xa0) || is_bidi_control(c) || is_invisible(c) || c == 0x2028 ||
	       c == 0x2029;
}

/* Writes it as JSON does. */
static size_t
put_escaped(uint32_t c, char piece[PRINTABLE_PIECE])
{
	if (c < 0x10000)
		return (size_t)snprintf(piece, PRINTABLE_PIECE, "\\u%04x", (unsigned int)c);
	c -= 0x10000;
	return (size_t)snprintf(piece, PRINTABLE_PIECE, "\\u%04x\\u%04x",
	    0xd800 + (unsigned int)(c >> 10), 0xdc00 + (unsigned int)(c & 0x3ff));
}

/* A carriage return writes over what stands in its line already: that is kept nowhere. */
static bool
is_break(unsigned char c, enum printable_breaks breaks)
{
	return c == '\n' || c == '\t' || (c == '\r' && breaks == PRINTABLE_BLANK);
}

size_t
printable_step(
    const char *text, enum printable_breaks breaks, char piece[PRINTABLE_PIECE], size_t *size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = utf8_length(p);
	uint32_t c = utf8_decode(p, n);

	if (breaks != PRINTABLE_ESCAPE && is_break(*p, breaks)) {
		piece[0] = breaks == PRINTABLE_BLANK ? ' ' : *text;
		piece[1] = '\0';
		*size = 1;
		return 1;
	}
	if (n == 0 || c < 0x20) {
		*size = (size_t)snprintf(piece, PRINTABLE_PIECE, "\\x%02x", *p);
		return 1;
	}
	if (is_hostile(c)) {
		*size = put_escaped(c, piece);
		return n;
	}
	memcpy(piece, text, n);
	piece[n] = '\0';
	*size = n;
	return n;
}

void
printable_put(FILE *out, const char *text, enum printable_breaks breaks)
{
	char piece[PRINTABLE_PIECE];
	size_t size;

	while (*text != '\0') {
		text += printable_step(text, breaks, piece, &size);
		fwrite(piece, 1, size, out);
	}
}

void
printable_line(FILE *out, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		xalloc_fail(0);
	va_end(ap);
	printable_put(out, text, PRINTABLE_BLANK);
	fputc('\n', out);
	free(text);
}

char *
printable_text(const char *text, enum printable_breaks breaks)
{
	char *clean = NULL;
	size_t size;
	FILE *out = open_memstream(&clean, &size);

	if (out == NULL)
		xalloc_fail(0);
	printable_put(out, text, breaks);
	fclose(out);
	return clean;
}

/* The columns of the whole text, or the bytes of what fits into so many. */
static size_t
measure(const char *text, size_t columns, size_t *bytes)
{
	/* This locale is built into glibc, whatever the one of the user is. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = (locale_t)0;
	const unsigned char *start = (const unsigned char *)text, *p = start;
	size_t width = 0;

	if (utf8 != (locale_t)0)
		before = uselocale(utf8);
	while (*p != '\0') {
		size_t n = utf8_length(p);
		int wide = n > 0 && utf8 != (locale_t)0 ? wcwidth((wchar_t)utf8_decode(p, n)) : 1;

		if (wide > 0 && p > start && width + (size_t)wide > columns)
			break;
		width += wide > 0 ? (size_t)wide : 0;
		p += n > 0 ? n : 1;
	}
	*bytes = (size_t)(p - start);
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	return width;
}

size_t
printable_width(const char *text)
{
	size_t unused;

	return measure(text, SIZE_MAX, &unused);
}

size_t
printable_fit(const char *text, size_t columns)
{
	size_t bytes;

	measure(text, columns, &bytes);
	return bytes;
}
