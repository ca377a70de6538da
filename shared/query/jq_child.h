/* SPDX-License-Identifier: Apache-2.0 */
/* One process has to do with jq. A program may loop for ever, ask for all memory there is, or
 * be the death of jq: so it is compiled and run in a child, which is this very program, started
 * anew (a fork() would have the locks of threads that it has not). It has no modules, no input but
 * the record, no environment but the time zone, 1 GiB of address space, and so many seconds of CPU
 * time.
 *
 * Descriptors: 0 has struct jq_request one after the other, 1 takes the answers, 3 is a file with
 * the program and the records. The first request is the program. */
#ifndef VOGELER_JQ_CHILD_H
#define VOGELER_JQ_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#define JQ_CHILD_NAME      "vogeler-jq" /* argv[0]; 1: "truth" or "values", 2: seconds */
#define JQ_CHILD_RECORDS   3
#define JQ_CHILD_MEMORY    ((uint64_t)1024 * 1024 * 1024)
#define JQ_RESULT_MAX      ((size_t)16 * 1024 * 1024) /* bytes of one answer */
#define JQ_EXIT_NO_MEMORY  3
#define JQ_EXIT_UNCOMPILED 4

enum jq_mode {
	JQ_TRUTH,  /* whether anything but false and null comes out, as with jq's select */
	JQ_VALUES, /* what comes out */
};

struct jq_request { /* a part of the file: the program, or records, a line each */
	uint64_t offset;
	uint32_t bytes;
	uint32_t records;
};

/* An answer begins with one of these: one to the program, one for each record. */
enum jq_word {
	JQ_WORD_COMPILED = 'c',
	JQ_WORD_UNCOMPILED = 'x', /* and why, in jq's words */
	JQ_WORD_TRUE = 'y',
	JQ_WORD_FALSE = 'n',
	JQ_WORD_VALUES = 'v', /* and JSON texts, with '\n' between them */
	JQ_WORD_ERROR = 'e',  /* and a line */
};
/* Behind those with a text: its length, uint32_t, and the text. */
bool jq_word_has_text(enum jq_word word);

/* Is asked first in main(), which is to return jq_child_main() then. */
bool jq_child_is_meant(int argc, char **argv);
int jq_child_main(char **argv);

#endif
