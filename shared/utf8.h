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

#endif
