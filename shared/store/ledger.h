/* Who was asked, and how it ended. Pure: no I/O, no clock.
 *
 * A job is written once, before its command is published, and never changed. Outcomes are only ever
 * added; reading folds them by host, and what comes out depends neither on their order nor on
 * repetition. Every target is in exactly one state, so the states add up to the targets. */
#ifndef VOGELER_LEDGER_H
#define VOGELER_LEDGER_H

#include "shared/base/errtext.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct result;

#define OUTCOME_WHY_MAX 512 /* bytes of why that are kept */
/* Of one host, of jobs that are not in the ledger (of a runner without a store, or invented by the
 * host) so many outcomes are kept; of more the oldest go. */
#define OUTCOME_STRAYS_MAX 100

/* How it stands with one host. The first five are the host's own answers; UNROUTABLE is the
 * runner's, from basic.return; CANCELLED is the runner's, or the agent's that saw the cancel;
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

struct job {          /* strings owned, NULL = absent */
	char *id;     /* UUIDv7; ledger_id_ok */
	char *plugin; /* name or alias, as it was asked for */
	char *user;   /* who asked: the login at the broker, or the one on the runner's machine */
	char *login; /* who sat there, by their own word: the login name, of who called sudo if that
			was root */
	char *login_host;  /* the name of the machine it was sent from */
	char *target;      /* what was asked for, for people: "all", "web*", "--where .facter…" */
	char *rerun_of;    /* the job whose hosts these are some of */
	int64_t sent_at;   /* wall ms */
	int64_t not_after; /* wall ms; 0 = never expires */
	bool confirms; /* its runner notes QUEUED; of one that does not (0.1.0) all counts as noted
			*/
	char **hosts;  /* sorted by name, each once */
	size_t n_hosts;
};
/* 1 to 63 letters, digits and hyphens. It is a part of documents' ids, and comes from messages. */
bool ledger_id_ok(const char *id);
void job_init(struct job *j);
/* "ann@admin01", or the half that is known; malloced, NULL = neither is (of jobs before 0.1.1). */
char *job_sender(const struct job *j);
void job_finish(struct job *j);
json_t *job_to_json(const struct job *j); /* without _id */
/* Initialises j; its hosts are sorted, each once, whatever order json has them in. Members that it
 * does not know are passed over. false: err says what is wrong with it, and j is finished. */
bool job_from_json(const json_t *json, struct job *j, char *err, size_t err_size);

/* What follows why a job that was asked for cannot be read. */
#define LEDGER_JOB_CURE                                                                            \
	" (it was edited by hand, or is damaged)" ERRTEXT_CURE                                     \
	"correct it in the store; \"vogeler-runner jobs\" lists the others"

/* In the place of a host, of QUEUED alone: the broker has confirmed it for each target. */
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
/* From the fold: it is not known yet how it ends. */
bool outcome_is_open(const struct outcome *o);
/* What result r of host says for the ledger; its strings are r's. false: r belongs to no job, or to
 * one whose id cannot be. A value that its format refused is FAILED. */
bool outcome_of_result(const char *host, const struct result *r, struct outcome *o);
/* why as it is kept: one line, of at most OUTCOME_WHY_MAX bytes. */
json_t *outcome_to_json(const struct outcome *o);
/* The strings of o are json's. false: it is not one that was ever written. */
bool outcome_from_json(const json_t *json, struct outcome *o);

/* The fold. Of several outcomes of one host counts, in this turn: an answer before anything else,
 * and of answers the one with the higher order; then the host's own word (it has a response_id)
 * that it was CANCELLED, or EXPIRED; then what the runner knows: UNROUTABLE, CANCELLED, QUEUED,
 * UNSENT; then the higher order; then the earlier one. Where there is none, it is UNSENT, or QUEUED
 * if the job's runner writes no notes; and what is QUEUED is EXPIRED after not_after. EXPIRED is
 * not taken from the runner; nor is anything but a host's own word of one that is no target. */
struct fold;
struct fold *fold_create(const struct job *j); /* copies */
void fold_destroy(struct fold *f);             /* NULL is fine */
/* Copies o, why as it is kept. true: it changed how the host stands. */
bool fold_add(struct fold *f, const struct outcome *o);

struct fold_counts {
	size_t targets; /* == the sum of by[] */
	size_t by[OUTCOME_N_STATES];
	size_t open;   /* of the targets: it is not known yet how these end */
	size_t others; /* hosts that answered and were not targets */
};
void fold_count(const struct fold *f, int64_t now_ms, struct fold_counts *out);
/* Each target in order of name, then each other host in order of name; o is borrowed during the
 * call. */
typedef void fold_fn(const struct outcome *o, bool target, void *arg);
void fold_each(const struct fold *f, int64_t now_ms, fold_fn *fn, void *arg);

#endif
