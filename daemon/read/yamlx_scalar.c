/* SPDX-License-Identifier: Apache-2.0 */
/* See yamlx_scalar.h. The patterns are those of PyYAML's resolver.py, less the sexagesimals,
 * timestamps and infinities, which stay strings here. */
#include "daemon/read/yamlx_scalar.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 4096 /* of a number; longer ones stay as they were written */

/* A number is here without sign, prefix and underscores. */
struct number {
	bool negative;
	int base;
	const char *digits; /* may hold underscores */
	size_t len;
};

static bool
equals(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

#define WORD_MAX 5 /* of all words below: "false" */

static bool
is_one_of(const char *text, size_t len, const char *const *words)
{
	size_t i;

	if (len > WORD_MAX) /* most are */
		return false;
	for (i = 0; words[i] != NULL; i++) {
		if (equals(text, len, words[i]))
			return true;
	}
	return false;
}

static bool
is_null(const char *text, size_t len)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

	return is_one_of(text, len, words);
}

static bool
is_true(const char *text, size_t len)
{
	static const char *const words[] = {
	    "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};

	return is_one_of(text, len, words);
}

static bool
is_false(const char *text, size_t len)
{
	static const char *const words[] = {
	    "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};

	return is_one_of(text, len, words);
}

/* Infinities and NaN, with or without a sign. */
static bool
is_no_number(const char *text, size_t len)
{
	static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
	bool sign = len > 0 && (text[0] == '-' || text[0] == '+');

	return is_one_of(text + sign, len - sign, words);
}

/* All bytes are of set, and one of them at least is not an underscore. */
static bool
all_of(const char *p, size_t len, const char *set)
{
	bool digit = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] == '\0' || strchr(set, p[i]) == NULL)
			return false;
		digit = digit || p[i] != '_';
	}
	return digit;
}

static bool
match_integer(const char *p, size_t len, struct number *n)
{
	n->negative = len > 0 && p[0] == '-';
	if (len > 0 && (p[0] == '-' || p[0] == '+')) {
		p++;
		len--;
	}
	n->digits = p;
	n->len = len;
	n->base = 10;
	if (len == 0 || p[0] < '0' || p[0] > '9')
		return false;
	if (p[0] != '0')
		return all_of(p, len, "0123456789_");
	if (len == 1)
		return true;
	n->digits = p + 1;
	n->len = len - 1;
	n->base = 8;
	if (p[1] != 'b' && p[1] != 'x')
		return all_of(p, len, "01234567_"); /* "0_" is 0 too */
	n->digits++;
	n->len--;
	n->base = p[1] == 'b' ? 2 : 16;
	return all_of(n->digits, n->len, n->base == 2 ? "01_" : "0123456789abcdefABCDEF_");
}

/* The digits without underscores, with a minus, for strtoll and for those that it cannot hold. */
static bool
number_text(const struct number *n, struct buf *out)
{
	size_t i;

	if (n->negative && !buf_append_char(out, '-'))
		return false;
	for (i = 0; i < n->len; i++) {
		if (n->digits[i] != '_' && !buf_append_char(out, n->digits[i]))
			return false;
	}
	return true;
}

/* Beyond 64 bits: digits of base 10 as text; of another base, the text as it was written, which no
 * reader takes for decimal. */
/* NULL is said of what is no number, and would be read as a text. */
static json_t *
sure(json_t *number)
{
	if (number == NULL)
		xalloc_fail(0);
	return number;
}

static json_t *
big_integer(const struct number *n, const char *digits, const char *text, size_t len,
    struct jsonx_note *note, struct jsonx_place at)
{
	if (note != NULL)
		jsonx_odd(note, JSONX_BIG_INTEGER, at);
	if (n->base == 10)
		return json_string(digits);
	return json_stringn(text, len);
}

static json_t *
integer(const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at)
{
	struct number n;
	struct buf digits;
	json_t *value = NULL;
	long long v;

	if (!match_integer(text, len, &n))
		return NULL;
	buf_init(&digits, DIGITS_MAX);
	if (number_text(&n, &digits)) {
		errno = 0;
		v = digits.len == 0 ? 0 : strtoll(digits.data, NULL, n.base);
		value = errno == ERANGE ? big_integer(&n, digits.data, text, len, note, at)
					: sure(json_integer(v));
	}
	buf_finish(&digits);
	return value;
}

static size_t
span_digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && ((*p >= '0' && *p <= '9') || *p == '_'))
		p++;
	return (size_t)(p - start);
}

/* [-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?  or  \.[0-9][0-9_]*([eE][-+][0-9]+)?  The exponent
 * needs its sign: 1e3 and 1.0e3 are strings in YAML 1.1. */
static bool
match_float(const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	bool sign = len > 0 && (*p == '-' || *p == '+');
	size_t whole, fraction;

	if (sign)
		p++;
	whole = span_digits(p, end);
	if (whole > 0 && *p == '_')
		return false;
	p += whole;
	if (p == end || *p != '.')
		return false;
	p++;
	fraction = span_digits(p, end);
	if (whole == 0 && (sign || fraction == 0 || *p == '_'))
		return false;
	p += fraction;
	if (p == end)
		return true;
	if (end - p < 3 || (*p != 'e' && *p != 'E') || (p[1] != '-' && p[1] != '+'))
		return false;
	for (p += 2; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
	}
	return true;
}

/* Text where a double cannot hold it, being too large or so small that it would be 0. */
static json_t *
real(const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at)
{
	struct buf digits;
	json_t *value = NULL;
	double v;
	size_t i;

	if (!match_float(text, len) || len > DIGITS_MAX)
		return NULL;
	buf_init(&digits, DIGITS_MAX);
	for (i = 0; i < len; i++) {
		if (text[i] != '_' && !buf_append_char(&digits, text[i]))
			goto out;
	}
	if (jsonx_real(digits.data, &v))
		value = sure(json_real(v));
	else if (note != NULL)
		jsonx_odd(note, JSONX_BIG_REAL, at);
out:
	buf_finish(&digits);
	return value;
}

json_t *
yamlx_scalar(const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at)
{
	json_t *value;

	if (is_null(text, len))
		return json_null();
	if (is_true(text, len))
		return json_true();
	if (is_false(text, len))
		return json_false();
	value = integer(text, len, note, at);
	if (value == NULL)
		value = real(text, len, note, at);
	if (value == NULL && note != NULL && is_no_number(text, len))
		jsonx_odd(note, JSONX_NOT_A_NUMBER, at);
	return value != NULL ? value : json_stringn(text, len);
}

json_t *
yamlx_scalar_tagged(
    const char *tag, const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at)
{
	static const char prefix[] = "tag:yaml.org,2002:";
	json_t *value;

	if (strncmp(tag, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	tag += sizeof(prefix) - 1;
	if (strcmp(tag, "null") == 0)
		return json_null();
	if (strcmp(tag, "bool") == 0)
		return is_true(text, len) ? json_true() : is_false(text, len) ? json_false() : NULL;
	if (strcmp(tag, "int") == 0)
		return integer(text, len, note, at);
	if (strcmp(tag, "float") != 0)
		return NULL;
	value = integer(text, len, NULL, at);
	if (json_is_integer(value)) {
		double v = (double)json_integer_value(value);

		json_decref(value);
		return sure(json_real(v));
	}
	json_decref(value);
	return real(text, len, note, at);
}
