/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of cmdq (see cmdq.h): cmdq_run.c starts, runs and answers, cmdq_intake.c takes
 * deliveries, cmdq_index.c finds jobs. For these three alone. */
#ifndef VOGELER_CMDQ_INTERNAL_H
#define VOGELER_CMDQ_INTERNAL_H

#include "agent/cmdq.h"
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/mono.h"
#include "shared/wire/wire.h"
#include <bsd/sys/queue.h>
#include <uthash.h>

/* Jobs remembered after their ack, which may have been lost: more than the broker delivers without
 * one. */
#define ANSWERED_KEPT  1024
#define CANCELLED_KEPT 256 /* cancels remembered whose command has not been seen */

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_SETTLED, JOB_ANSWERED };

struct cmdq_job {
	TAILQ_ENTRY(cmdq_job) link;     /* of all, in the order they came */
	TAILQ_ENTRY(cmdq_job) of_line;  /* of those of its plugin */
	TAILQ_ENTRY(cmdq_job) of_job;   /* of those with its job's id */
	TAILQ_ENTRY(cmdq_job) in_state; /* WAITING: of its line's; SETTLED: of all that are */
	UT_hash_handle hh;              /* by id */
	struct cmdq_line *line;
	struct namesakes *namesakes; /* NULL: its command has no id (2010) */
	uint64_t id;                 /* of the run, and of the entry in the outbox */
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

TAILQ_HEAD(job_list, cmdq_job);

/* A line is looked at when it is READY. LATER: the newest that waits is not due yet. IDLE: nothing
 * waits. */
enum line_place { LINE_IDLE, LINE_READY, LINE_LATER };

/* The jobs of one plugin, in the order they came. The newest that waits answers for the others. */
struct cmdq_line {
	UT_hash_handle hh; /* by plugin */
	char *plugin;
	struct job_list jobs, waiting;
	size_t running;
	enum line_place place;
	TAILQ_ENTRY(cmdq_line) link; /* of q->ready or q->later */
};
TAILQ_HEAD(line_list, cmdq_line);

/* The jobs with one id: a command and its repeats have one, for whatever plugins. */
struct namesakes {
	UT_hash_handle hh;
	char *job;
	struct job_list jobs;
};

struct answered {
	char *job;
	char plugin[IDENT_HASH_SIZE]; /* of its name, which may be of some KiB */
};

struct cmdq {
	struct cmdq_config config;
	struct loop_timer *timer;      /* of the catching up, or of what is due next */
	struct job_list jobs;          /* in the order they came */
	struct job_list settled;       /* those that wait for room in the outbox */
	struct line_list ready, later; /* ready: by when the newest of each came */
	struct mono next_due;          /* of later: none is due before */
	struct cmdq_job *by_id;
	struct cmdq_line *by_plugin;
	struct namesakes *by_job;
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

/* cmdq_run.c */
void cmdq_ack_all(struct cmdq *q, const struct cmdq_job *j);
void cmdq_remove(struct cmdq *q, struct cmdq_job *j); /* and frees it */
const char *cmdq_job_text(const char *job);           /* for the log; NULL is "none" */
void cmdq_start(struct cmdq *q);
#define CMDQ_REFUSAL_MAX 2048
/* The text for a plugin that is not here; logged, too. */
void cmdq_refusal(const struct cmdq *q, const struct cmdq_job *j, char text[CMDQ_REFUSAL_MAX]);
void cmdq_settle(struct cmdq *q, struct cmdq_job *j, enum wire_state verdict, const char *why);
/* Adds the tag of a delivery, never of an earlier connection than the last one. */
void cmdq_add_tag(struct cmdq_job *j, struct broker_tag tag);
bool cmdq_is_expired(const struct command *c);
/* Answers that it is too late; one of 2010, that has no id, is acked and gone. */
void cmdq_expire(struct cmdq *q, struct cmdq_job *j);
/* Settles the n oldest of those that wait, that a newer one supersedes, and that the connection
 * which is has brought: an ack of another makes no room, and it will come yet. */
void cmdq_make_room(struct cmdq *q, size_t n);

/* cmdq_index.c */
struct cmdq_line *cmdq_find_line(const struct cmdq *q, const char *plugin); /* NULL if none */
struct namesakes *cmdq_find_job_id(const struct cmdq *q, const char *job);  /* NULL if none */
struct cmdq_job *cmdq_find_run(const struct cmdq *q, uint64_t id);          /* NULL if none */
struct cmdq_job *cmdq_newest(
    const struct cmdq_line *line);                       /* of those that wait; NULL if none does */
void cmdq_index_add(struct cmdq *q, struct cmdq_job *j); /* WAITING */
void cmdq_index_remove(struct cmdq *q, struct cmdq_job *j);
void cmdq_set_state(struct cmdq *q, struct cmdq_job *j, enum job_state state);
void cmdq_rename(struct cmdq *q, struct cmdq_job *j, const char *plugin);
void cmdq_relist(struct cmdq *q, struct cmdq_line *line); /* after its newest got another due */
void cmdq_list_due(struct cmdq *q);                       /* from later to ready */

#endif
