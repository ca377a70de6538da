/* SPDX-License-Identifier: Apache-2.0 */
/* This says what jq says of a program that it cannot compile in words of who asks: jq's are those
 * of its parser, with the program once more. */
#ifndef VOGELER_JQ_WORDS_H
#define VOGELER_JQ_WORDS_H

/* "jq: syntax error: it ends too early"; "jq: there is no function "release"; cure: a name with "-"
 * in it stands in quotes, ."os-release"". What is not known is left in jq's words. Malloced. */
char *jq_words_uncompiled(const char *program, const char *text);

#endif
