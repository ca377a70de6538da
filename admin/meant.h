/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts that arguments mean (shared/target/target.h), and who of them is not there. */
#ifndef VOGELER_ADMIN_MEANT_H
#define VOGELER_ADMIN_MEANT_H

#include "shared/target/target.h"
#include <stdbool.h>

struct group_query;
struct verb_context;

struct meant {
	struct targets targets;
	struct hosts known; /* whose records there are, as far as it was noted */
	struct group_query *groups;
	struct verb_context *v;
	void (*ready)(void *arg);
	void *arg;
};

/* Says whether it may mean more than the host of that name. */
bool meant_is_more(const char *word);
/* words: NULL-terminated. A mistake in one ends the program, with the name of the verb. */
void meant_init(
    struct meant *m, struct verb_context *v, const char *verb, const char *const *words);
/* After the end of the store, if meant_ask() was called. */
void meant_finish(struct meant *m);
/* Calls ready when it is known which hosts are in the groups that have a where, at once if there is
 * none; or ends the verb, having said why. */
void meant_ask(struct meant *m, void (*ready)(void *arg), void *arg);
/* All known hosts are noted: tells of each name and glob that is nobody. Returns how many. */
size_t meant_tell_missing(struct meant *m);

#endif
