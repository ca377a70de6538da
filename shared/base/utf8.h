/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure. */
#ifndef VOGELER_UTF8_H
#define VOGELER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT     "\xef\xbf\xbd" /* U+FFFD, for what is no character */
#define UTF8_REPLACEMENT_LEN 3
#define UTF8_BOM             "\xef\xbb\xbf" /* the byte order mark that Windows puts first */
#define UTF8_BOM_LEN         3
#define UTF8_NUL_SHOWN       "\xe2\x90\x80" /* U+2400, for a NUL where a text ends at one */
#define UTF8_NUL_SHOWN_LEN   3
#define UTF8_CHAR_MAX        4

/* Length of the character at s, of which len bytes (1 at least) are there; 0: there is none. */
size_t utf8_char(const char *s, size_t len);
bool utf8_has_bom(const char *s, size_t len); /* at its beginning */
bool utf8_is_valid(const char *s, size_t len);
/* Writes a code point that is no surrogate and not above U+10FFFF; returns its length. */
size_t utf8_write(uint32_t code, char out[UTF8_CHAR_MAX]);

/* Escapes of JSON and YAML: the number that so many hexadecimal digits at s are, 8 at most; -1:
 * they are none. */
int64_t utf8_hex(const char *s, size_t digits);
/* Is it half of a surrogate pair, and so no character by itself? */
bool utf8_is_surrogate(uint32_t code);
/* The code point that the two are as a pair (Unicode 3.8, D75); 0: they are none. */
uint32_t utf8_pair(uint32_t high, uint32_t low);

#endif
