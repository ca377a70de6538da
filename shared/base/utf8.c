/* SPDX-License-Identifier: Apache-2.0 */
/* See utf8.h. */
#include "shared/base/utf8.h"

#include <string.h>

size_t
utf8_char(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xf0)
		low = 0x90;
	if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* Most of what comes is ASCII: eight bytes at a time. */
static size_t
ascii_length(const char *s, size_t len)
{
	size_t i = 0;
	uint64_t word;

	while (len - i >= sizeof(word)) {
		memcpy(&word, s + i, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
		i += sizeof(word);
	}
	return i;
}

bool
utf8_has_bom(const char *s, size_t len)
{
	return len >= UTF8_BOM_LEN && memcmp(s, UTF8_BOM, UTF8_BOM_LEN) == 0;
}

bool
utf8_is_valid(const char *s, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		i += ascii_length(s + i, len - i);
		if (i == len)
			break;
		n = utf8_char(s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

size_t
utf8_write(uint32_t code, char out[UTF8_CHAR_MAX])
{
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4, i;

	if (n == 1) {
		out[0] = (char)code;
		return 1;
	}
	for (i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (char)(first[n] | code);
	return n;
}

int64_t
utf8_hex(const char *s, size_t digits)
{
	int64_t value = 0;

	for (size_t i = 0; i < digits; i++) {
		char c = s[i];

		value *= 16;
		if (c >= '0' && c <= '9')
			value += c - '0';
		else if (c >= 'a' && c <= 'f')
			value += c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			value += c - 'A' + 10;
		else
			return -1;
	}
	return value;
}

bool
utf8_is_surrogate(uint32_t code)
{
	return code >= 0xd800 && code <= 0xdfff;
}

uint32_t
utf8_pair(uint32_t high, uint32_t low)
{
	if (high < 0xd800 || high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}
