/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of text as JSON has them: keys, strings, numbers. Below the reader and the writer. */
#ifndef VOGELER_JSONX_TEXT_H
#define VOGELER_JSONX_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define JSONX_KEY_SHOWN 60 /* bytes of a key, for a sentence */

/* A copy in which each NUL is shown by its symbol: our keys end at one. NULL: no memory. */
char *jsonx_key_new(const char *text, size_t len);
/* Returns the length of text when it is cut, in whole characters, to be shown as a key. */
size_t jsonx_key_shown(const char *text, size_t len);
/* Returns how many bytes at the front of a text stand for themselves in a string. */
size_t jsonx_plain_length(const char *text, size_t len);
/* Reads what digits (JSON's, or YAML's without underscores) mean. false: a double cannot hold it,
 * being too large or so small that it would be 0. */
bool jsonx_real(const char *digits, double *value);

#endif
