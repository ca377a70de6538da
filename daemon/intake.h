/* From a delivery to what it says: decoded, checked, converted; in the order of arrival.
 *
 * A message of at most INTAKE_SMALL bytes is read at once. A larger one may take seconds of CPU
 * time (eight MiB of short numbers), in which the loop would do nothing else: it goes to a helper
 * thread. So does everything that arrives while something is there, so that no response of a host
 * overtakes another, and what is over INTAKE_PASS bytes in one pass of the loop.
 *
 * Bounded by its caller: it holds what was given to it and not told of. */
#ifndef VOGELER_INTAKE_H
#define VOGELER_INTAKE_H

#include "daemon/convert.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTAKE_SMALL       (64 * 1024)
#define INTAKE_PASS        (256 * 1024)
#define INTAKE_RESULTS_MAX 100 /* of a response; an agent sends one */
#define INTAKE_WHY_SIZE    512

struct delivery;
struct intake;
struct loop;

struct intake_options {
	struct convert_limits limits;
	bool attest; /* user_id must equal syskey */
};

enum intake_verdict {
	INTAKE_GOOD,
	INTAKE_MALFORMED, /* not a response */
	INTAKE_FORGED,    /* another user's */
};

/* What one delivery says. */
struct intake_reading {
	enum intake_verdict verdict;
	char why[INTAKE_WHY_SIZE]; /* unless GOOD */
	/* If GOOD: */
	struct response response; /* without results */
	struct result **results;
	size_t n;
};
void intake_reading_finish(struct intake_reading *r);
/* Pure. Initialises r. */
void intake_read(const struct message *m, const struct intake_options *opt, int64_t received_at,
    struct intake_reading *r);

/* Gives d back to its owner. r is the intake's again afterwards, but for results that fn has taken
 * out (set to NULL). */
typedef void intake_read_fn(void *owner, struct delivery *d, struct intake_reading *r, void *arg);

struct intake *intake_create(struct loop *loop, intake_read_fn *fn, void *arg);
/* Waits for the message that is being read; without callbacks. NULL is fine. */
void intake_destroy(struct intake *in);
/* Takes d until fn: from inside, or later. Copies opt. */
void intake_take(
    struct intake *in, struct delivery *d, const struct intake_options *opt, void *owner);
/* Forgets all that was not told of, without callbacks. */
void intake_clear(struct intake *in);
size_t intake_pending(const struct intake *in); /* not told of yet */

#endif
