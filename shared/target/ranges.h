/* SPDX-License-Identifier: Apache-2.0 */
/* Many host names in few words: "db01, web[01-12,15].example.com"; and back.
 *
 * A bracket holds numbers when there are only digits, hyphens between two of them, and commas, and
 * when a comma or a range with a number of several digits tells it from a glob's: [10-12], [1,3],
 * [08-11,15]. [0-9], [123] and [a-f] stay what they are in a glob, one character. What is written
 * here always has such brackets. */
#ifndef VOGELER_RANGES_H
#define VOGELER_RANGES_H

#include <stdbool.h>
#include <stddef.h>

#define RANGES_MAX 100000 /* names that one word may mean */

/* Names that differ in the last number of their first label alone are folded. The text has at most
 * max pieces (a name, or a range within brackets); *left is how many names are not in it. Malloced.
 */
char *ranges_text(const char *const *names, size_t n, size_t max, size_t *left);
/* Does it in a sentence, with RANGES_SOME pieces at most: "web[01-12], db1 and 7 more". Malloced.
 */
#define RANGES_SOME 20
char *ranges_some(const char *const *names, size_t n);

/* Calls fn with each name that the word means; with the word itself where no bracket of it holds
 * numbers. Ends when fn returns a text. Returns it, or what is wrong with the numbers, or NULL. */
typedef const char *ranges_name_fn(const char *name, void *arg);
const char *ranges_expand(const char *word, ranges_name_fn *fn, void *arg);
bool ranges_are_in(const char *word);
/* Gives what is to be said of a glob that no host fits, if a bracket of it was meant for numbers or
 * is backwards: "; [2-1] is backwards: ...". "" otherwise. Returns out. */
#define RANGES_HINT_SIZE 256
const char *ranges_hint(const char *glob, char out[RANGES_HINT_SIZE]);
/* Returns the length of the list's first word: commas within brackets are part of it. */
size_t ranges_word_length(const char *list);

#endif
