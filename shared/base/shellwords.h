/* SPDX-License-Identifier: Apache-2.0 */
/* Splits a command line into words as Python's shlex.split() does, which the README of 2010
 * promises: quotes and backslashes, no shell, so that $(x), * and | are ordinary characters. */
#ifndef VOGELER_SHELLWORDS_H
#define VOGELER_SHELLWORDS_H

#include <stdbool.h>
#include <stddef.h>

/* NULL-terminated array, shellwords_free() it. NULL: err says what is wrong: an open quote, a
 * backslash at the end, or a word that begins with an unquoted ';' (for which ConfigParser of 2010
 * and many readers of INI files cut the line there). */
char **shellwords_split(const char *text, char *err, size_t err_size);
/* The first thing outside quotes that a shell would act upon and shellwords_split() does not: "|",
 * "&&", the ">" of "2>", "$(", "$HOME", "*". out takes it, cut to fit. false: there is none. */
bool shellwords_find_shell(const char *text, char *out, size_t out_size);
void shellwords_free(char **words); /* NULL is fine */

#endif
