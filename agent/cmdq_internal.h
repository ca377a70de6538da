/* The parts of cmdq (see cmdq.h): cmdq.c starts, runs and answers, cmdq_intake.c takes deliveries.
 * For these two alone. */
#ifndef VOGELER_CMDQ_INTERNAL_H
#define VOGELER_CMDQ_INTERNAL_H

#include "agent/cmdq.h"
#include "shared/buf.h"
#include "shared/mono.h"
#include "shared/wire.h"
#include <bsd/sys/queue.h>

/* Jobs remembered after their ack, which may have been lost: more than the broker delivers without
 * one. */
#define ANSWERED_KEPT  1024
#define CANCELLED_KEPT 256 /* cancels remembered whose command has not been seen */

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_SETTLED, JOB_ANSWERED };

struct job {
	TAILQ_ENTRY(job) link;
	uint64_t id; /* of the run, and of the entry in the outbox */
	enum job_state state;
	struct command command;
	char *plugin; /* its name; what was asked for when there is none */
	enum wire_format format;
	struct buf out;
	struct broker_tag *tags; /* of its deliveries and of its cancels; all of one epoch */
	size_t n_tags;
	size_t owed;             /* deliveries without an id that ended connections took back */
	bool fresh;              /* somebody waits for its answer now */
	bool waited;             /* with the broker, before we were there */
	bool cancelled;          /* a cancel's tag is among tags */
	struct mono due;         /* WAITING: not before this; 0 = at once */
	enum wire_state verdict; /* SETTLED: the answer, */
	char *why;               /* and its text */
};

struct answered {
	char *job;
	char *plugin;
};

struct cmdq {
	struct cmdq_config config;
	struct loop_timer *timer;       /* of the catching up, or of what is due next */
	TAILQ_HEAD(job_list, job) jobs; /* in the order they came */
	uint64_t last_id;
	size_t waiting, running; /* waiting: also what is settled and not yet answered */
	bool draining;
	bool catching_up; /* nothing starts */
	uint32_t behind;  /* deliveries still to come of those that were there before us */
	/* Catching up: `taken` so far, of which the broker leaves at most `prefetch` unacked. */
	uint32_t taken, prefetch;
	uint32_t epoch;                          /* of the connection of the last delivery */
	struct answered answered[ANSWERED_KEPT]; /* rings */
	size_t answered_next;
	char *cancelled[CANCELLED_KEPT];
	size_t cancelled_next;
	struct cmdq_stats stats;
};

/* cmdq.c */
const char *cmdq_job_text(const char *job); /* for the log; NULL is "none" */
void cmdq_start(struct cmdq *q);
void cmdq_settle(struct cmdq *q, struct job *j, enum wire_state verdict, const char *why);
/* Of a delivery, never of an earlier connection than the last one. */
void cmdq_add_tag(struct job *j, struct broker_tag tag);
bool cmdq_is_expired(const struct command *c, const char *plugin);
/* Settles the n oldest of those that wait, that a newer one supersedes, and that the connection
 * which is has brought: an ack of another makes no room, and it will come yet. */
void cmdq_make_room(struct cmdq *q, size_t n);

/* cmdq_intake.c */
void cmdq_on_timer(void *arg);
void cmdq_on_room(struct cmdq *q); /* something was acked */

#endif
