/* SPDX-License-Identifier: Apache-2.0 */
/* Python and json.dumps write, for a character beyond 16 bits or a byte that is not UTF-8, escapes
 * of surrogates ("\ud83d\ude00", "\udcfc"), of which libyaml refuses each (it is one of YAML 1.2,
 * 5.7, by its number alone), and the document with it. */
#ifndef VOGELER_YAMLX_ESCAPE_H
#define VOGELER_YAMLX_ESCAPE_H

#include <stddef.h>

/* A copy of text, malloced, in which such escapes of one double-quoted scalar, whose first quote is
 * the character of that number (from 0), are others: a pair is its character, a half U+FFFD.
 * *halves is how many halves were. It is never longer than text. NULL: there are none in it, or no
 * memory. */
char *yamlx_join_surrogates(
    const char *text, size_t len, size_t quote, size_t *joined_len, unsigned int *halves);

#endif
