/* SPDX-License-Identifier: Apache-2.0 */
/* An outcome: how a job ended at one host, or stands with it. Outcomes are only ever added, and
 * mean something together (fold.h). Pure: no I/O, no clock. */
#ifndef VOGELER_OUTCOME_H
#define VOGELER_OUTCOME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct result;

#define OUTCOME_WHY_MAX 512 /* bytes of why that are kept */
/* So many outcomes are kept of one host of jobs that are not in the ledger (of a runner without a
 * store, or invented by the host); of more the oldest go. */
#define OUTCOME_STRAYS_MAX 100

/* A state is how it stands with one host. The first five are the host's own answers; UNROUTABLE is
 * the runner's, from basic.return; CANCELLED is the runner's, or the agent's that saw the cancel;
 * EXPIRED is the agent's that would not run it any more, and otherwise follows from not_after.
 * QUEUED is the runner's note that the broker has confirmed the command: without it nobody has it
 * safe, and it is UNSENT. That is also what the runner writes when the broker refused it, or when
 * it gave up. The numbers are those of stored rows. */
enum outcome_state {
	OUTCOME_OK,
	OUTCOME_FAILED,
	OUTCOME_TIMEOUT,
	OUTCOME_REFUSED,
	OUTCOME_SUPERSEDED,
	OUTCOME_UNROUTABLE,
	OUTCOME_CANCELLED,
	OUTCOME_EXPIRED,
	OUTCOME_QUEUED,
	OUTCOME_UNSENT,
};
#define OUTCOME_N_STATES (OUTCOME_UNSENT + 1)
const char *outcome_state_name(enum outcome_state s);
bool outcome_state_parse(const char *text, enum outcome_state *s);
bool outcome_is_answer(enum outcome_state s); /* one of the first five */

/* This stands in the place of a host, of QUEUED alone: the broker has confirmed it for each
 * target. */
#define OUTCOME_EVERY_HOST "*"

struct outcome { /* strings borrowed, NULL = absent */
	const char *host;
	enum outcome_state state;
	const char *response_id;
	const char *why;     /* one line for a person; of OK: that its value was not taken */
	int64_t order;       /* of an answer; 0 = absent */
	int64_t at;          /* wall ms: when it was known */
	int64_t duration_ms; /* -1 = absent */
	int exit_status;     /* -1 = absent */
};
void outcome_init(struct outcome *o);
/* Says, of one of the fold, that it is not known yet how it ends. */
bool outcome_is_open(const struct outcome *o);
/* Makes what result r of host says for the ledger; its strings are r's. false: r belongs to no job,
 * or to one whose id cannot be. A value that its format refused is FAILED. */
bool outcome_of_result(const char *host, const struct result *r, struct outcome *o);
/* why as it is kept: one line, of at most OUTCOME_WHY_MAX bytes. */
json_t *outcome_to_json(const struct outcome *o);
/* The strings of o are json's. false: it is not one that was ever written. */
bool outcome_from_json(const json_t *json, struct outcome *o);
#define OUTCOME_WHY_SIZE (OUTCOME_WHY_MAX + 1)
/* why as it is kept: one line of at most OUTCOME_WHY_MAX bytes, whole characters of UTF-8: other
 * control characters than the end of it become blanks. Returns out; NULL for NULL. */
const char *outcome_why(const char *why, char out[OUTCOME_WHY_SIZE]);

#endif
