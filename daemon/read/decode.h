/* SPDX-License-Identifier: Apache-2.0 */
/* This reads what a delivery says: it decodes, checks and converts, of one host in the order of
 * arrival.
 *
 * A message of at most DECODE_SMALL bytes is read at once. A larger one may take a second of CPU
 * time, in which the loop would do nothing else: it goes to a helper thread. So does what is small
 * and becomes large (YAML's aliases), what arrives of a host while something of it is there, so
 * that no response of a host overtakes another, and what is over DECODE_PASS bytes in one pass of
 * the loop, in what came and in what it became. The thread takes hosts in turn: however much waits
 * of one, that of another waits for what is being read alone.
 *
 * While it is not known whether a sender is a host (attest.h), what it wrote waits, and what is of
 * the same host behind it, until decode_go_on().
 *
 * Bounded by its caller: it holds what was given to it and not told of. */
#ifndef VOGELER_DECODE_H
#define VOGELER_DECODE_H

#include "daemon/read/convert.h"
#include "shared/base/name.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECODE_SMALL       (64 * 1024)
#define DECODE_PASS        (256 * 1024)
#define DECODE_LOOP_NODES  10000 /* of YAML that is read at once */
#define DECODE_RESULTS_MAX 100   /* of a response; an agent sends one */
#define DECODE_WHY_SIZE    512

struct attest;
struct delivery;
struct decode;
struct loop;

struct decode_options {
	struct convert_limits limits;
	struct attest *attest; /* borrowed; asked on the loop alone; NULL: all are believed */
	/* decode_take() finds this out of the sender: */
	bool bound;     /* user_id must equal syskey */
	bool host_user; /* user_id is a known host */
};

enum decode_verdict {
	DECODE_GOOD,
	DECODE_MALFORMED, /* not a response, or there was no memory to read it */
	DECODE_OVERSIZE,
	DECODE_FORGED, /* another user's */
};

/* A reading is what one delivery says. */
struct decode_reading {
	enum decode_verdict verdict;
	/* Unless GOOD: */
	char why[DECODE_WHY_SIZE];
	/* These name whose answer to a job it would have been; "" = it would be none, or whose is
	 * not known. A sender who may be believed names itself by syskey; where that says nothing,
	 * or another's name, a sender that is a host is told by its user_id, which the broker has
	 * checked. So nobody can make the failures of others. */
	char host[NAME_HOST_MAX + 1];
	/* If GOOD: */
	struct response response; /* without results */
	struct result **results;
	size_t n;
};
void decode_reading_finish(struct decode_reading *r);
/* Pure. Initialises r. */
void decode_read(const struct message *m, const struct decode_options *opt, int64_t received_at,
    struct decode_reading *r);

/* Gives d back to its owner, a large one packed (packed.h). r is the intake's again afterwards, but
 * for results that fn has taken out (set to NULL). */
typedef void decode_read_fn(void *owner, struct delivery *d, struct decode_reading *r, void *arg);

/* The host that a message is of, for its order among others: "" for whatever names none, and is
 * refused when it is read. Whoever sends writes it first, so that this looks at a few bytes. */
void decode_host_of(const struct message *m, char host[NAME_HOST_MAX + 1]);

struct decode *decode_create(struct loop *loop, decode_read_fn *fn, void *arg);
/* Waits for the message that is being read; without callbacks. NULL is fine. */
void decode_destroy(struct decode *in);
/* Takes d until fn: from inside, or later. Copies opt. */
void decode_take(
    struct decode *in, struct delivery *d, const struct decode_options *opt, void *owner);
/* attest_settled() is true now. */
void decode_go_on(struct decode *in);
/* Forgets all that was not told of, without callbacks. */
void decode_clear(struct decode *in);
size_t decode_pending(const struct decode *in); /* not told of yet */

#endif
