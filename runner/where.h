/* --where: which hosts' records are so, in jq's language, by libjq.
 *
 * A program may loop for ever, ask for all memory there is, or be the death of jq: it is compiled
 * and run in a child process, with a deadline, on records that were put aside in a file. It has no
 * modules, and no input but the record. A host is in when the program yields anything
 * but false and null for its record, as with jq's select. One that it fails on is out, and told. */
#ifndef VOGELER_WHERE_H
#define VOGELER_WHERE_H

#include "shared/target/target.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct where;

#define WHERE_PROGRAM_MAX ((size_t)64 * 1024)
#define WHERE_MEMORY_MAX  ((uint64_t)1024 * 1024 * 1024) /* of the child, address space */

/* NULL: *why, which the caller frees. That a program compiles is not looked at: where_run() says
 * so, without any record too. */
struct where *where_create(struct loop *loop, const char *program, char **why);
void where_destroy(struct where *w); /* ends the child; NULL is fine */

/* One record; rec is borrowed during the call. false: the file cannot be written, errno says why.
 */
bool where_add(struct where *w, const char *host, const json_t *rec)
    __attribute__((warn_unused_result));
/* Once a run, on the loop. in: sorted; borrowed during the call; NULL = it failed. text: why it
 * failed, of what does not compile in jq's own words; or on what hosts, out of all, it did; or
 * NULL. */
typedef void where_fn(const struct hosts *in, const char *text, void *arg);
/* On the records that were added. When it has ended, more may be added, and it may run again. */
void where_run(struct where *w, int64_t timeout_ms, where_fn *fn, void *arg);

#endif
