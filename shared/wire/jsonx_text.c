/* SPDX-License-Identifier: Apache-2.0 */
/* See jsonx_text.h. */
#include "shared/wire/jsonx_text.h"

#include "shared/base/utf8.h"
#include "shared/base/xalloc.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *
jsonx_key_new(const char *text, size_t len)
{
	char *key = reallocarray(NULL, len + 1, UTF8_NUL_SHOWN_LEN), *p = key;
	size_t i;

	if (key == NULL)
		return NULL;
	for (i = 0; i < len; i++) {
		if (text[i] != '\0')
			*p++ = text[i];
		else
			p = mempcpy(p, UTF8_NUL_SHOWN, UTF8_NUL_SHOWN_LEN);
	}
	*p = '\0';
	return key;
}

size_t
jsonx_key_shown(const char *text, size_t len)
{
	size_t i = 0, n;

	while (i < len && (n = utf8_char(text + i, len - i)) > 0 && i + n <= JSONX_KEY_SHOWN)
		i += n;
	return i;
}

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

/* Says whether each of eight bytes is: a byte below 0x20, or one that became 0, borrows into its
 * high bit (Bit Twiddling Hacks, "Determine if a word has a byte less than n"). Most of what is
 * stored goes through here, so it is done eight at a time. */
static bool
all_plain(const char *s)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	uint64_t w, quote, backslash;

	memcpy(&w, s, sizeof(w));
	quote = w ^ ones * '"';
	backslash = w ^ ones * '\\';
	return ((((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) |
		    ((backslash - ones) & ~backslash)) &
		   highs) == 0;
}

size_t
jsonx_plain_length(const char *s, size_t len)
{
	size_t i = 0;

	while (len - i >= sizeof(uint64_t) && all_plain(s + i))
		i += sizeof(uint64_t);
	while (i < len && is_plain((unsigned char)s[i]))
		i++;
	return i;
}

bool
jsonx_real(const char *digits, double *value)
{
	char first = digits[strspn(digits, "+-0.")]; /* of those that are not 0 */
	char *end, *local;

	*value = strtod(digits, &end);
	if (*end == '.') { /* the locale has another point */
		local = xstrdup(digits);
		local[end - digits] = localeconv()->decimal_point[0];
		*value = strtod(local, NULL);
		free(local);
	}
	return isfinite(*value) && (*value != 0 || first < '1' || first > '9');
}
