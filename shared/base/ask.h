/* SPDX-License-Identifier: Apache-2.0 */
/* A question on the terminal before what cannot be undone. */
#ifndef VOGELER_ASK_H
#define VOGELER_ASK_H

enum ask_answer { ASK_YES = 1, ASK_NO, ASK_INTERRUPTED };

/* Asks "question [y/N] " on stderr and waits for a line on stdin, both of which are terminals;
 * nothing else happens meanwhile. Ctrl-C and SIGTERM end it, even where a loop has handlers for
 * them: *signo says which it was, and no handler hears of it. */
enum ask_answer ask_yes_no(const char *question, int *signo);

#endif
