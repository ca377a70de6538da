/* The inside of "vogeler-admin doctor": a file for each subject, each a chain of links that are
 * checked in turn. Behind a link that failed the rest of the chain is told as skipped. */
#ifndef VOGELER_DOCTOR_H
#define VOGELER_DOCTOR_H

#include "admin/verb.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop_timer;

enum check_status { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_SKIP };
const char *check_status_name(enum check_status status); /* "ok", "warn", "FAIL", "skip" */

struct doctor {
	struct verb_context *v;
	const struct options *options;
	json_t *list; /* of --json */
	size_t next;  /* chain */
	bool failed;
	bool agent;     /* one has run on this machine; known from doctor_local() on */
	bool collector; /* or somebody else at the centre: a store is named, or there is no agent */
	struct loop_timer *end;
	struct loop_timer *patience;
};

/* One line about a check. cure: NULL = none. */
void doctor_say(struct doctor *d, const char *check, enum check_status status, const char *cure,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same for a sentence that may name its cure itself (PHRASE_CURE). */
void doctor_say_sentence(
    struct doctor *d, const char *check, enum check_status status, const char *sentence);
/* Every check of the NULL-terminated list is skipped, for want of that. */
void doctor_skip(struct doctor *d, const char *const *checks, const char *why);
/* The chain is over. */
void doctor_next(struct doctor *d);
/* All is over. */
void doctor_end(struct doctor *d);

/* The chains: each ends by doctor_next(). */
void doctor_local(struct doctor *d);
void doctor_broker(struct doctor *d);
void doctor_store(struct doctor *d);

/* "WHAT dns" and "WHAT tcp", told; then fn. ok: something listens there. */
typedef void reach_fn(bool ok, void *arg);
void reach_start(
    struct doctor *d, const char *what, const char *host, uint16_t port, reach_fn *fn, void *arg);

/* Whether the user of uri may read these queues, DOCTOR_READ_MAX at most; then fn. Nothing is taken
 * out of them. Borrows uri and the names until then. */
#define DOCTOR_READ_MAX 3
typedef void doctor_read_fn(void *arg);
void doctor_read(struct doctor *d, const struct uri *uri, const char *const *queues, size_t n,
    doctor_read_fn *fn, void *arg);

#endif
