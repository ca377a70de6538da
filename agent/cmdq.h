/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, from their delivery to the acknowledgement: decode, authorise, drop the expired, run a
 * few at a time, hand the answer to the outbox, and ack the command when the broker has the answer.
 *
 * The broker is the spool: a command that was not answered is never acked, so it comes again after
 * a crash or a lost connection. When it comes again while it is still here, running or with its
 * answer waiting, it is not run again: the job takes on the new delivery tag.
 *
 * Of the commands that wait for one plugin the newest runs when it is their turn; the others are
 * answered "superseded". One that comes too late is answered "expired". A cancel settles a job that
 * waits, and ends one that runs; it is acked with the job's answer, so that neither is lost without
 * the other.
 *
 * Catching up: what waited with the broker is taken before anything of it starts, so that cancels
 * and repeats are seen, and then starts at a random moment within the splay. Only then, and while
 * something waits for such a moment, is a timer armed. When more waits than the broker delivers
 * unacked, the oldest repeats are answered meanwhile, so that the rest can come. */
#ifndef VOGELER_CMDQ_H
#define VOGELER_CMDQ_H

#include "agent/encode_worker.h"
#include "agent/report.h"
#include "shared/amqp/broker.h"
#include "shared/exec/childmsg.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Commands waiting and running at most; the prefetch of one connection is below it. */
#define CMDQ_JOBS_MAX 4096

/* Catching up ends when the broker is silent this long, though more was announced: it drops what
 * has expired. */
#define CMDQ_SILENCE_MS 3000
/* Older than this when it comes from the backlog: its answer goes with the backlog. */
#define CMDQ_FRESH_MS 60000

struct cmdq;
struct loop;
struct sequence;
struct outbox;
struct registry;

struct cmdq_config { /* all borrowed until cmdq_destroy() */
	struct report_origin origin;
	struct loop *loop;
	const struct registry *registry;
	struct sequence *order;
	struct broker *broker;
	struct outbox *outbox;
	struct encode_worker *maker; /* NULL: all is made on the loop */
	uint32_t catch_up_splay_ms;
	size_t concurrency;  /* plugins at once; one plugin never runs twice at once */
	uint64_t max_output; /* bytes of output of a plugin that sets no cap of its own */
	void (*request)(const struct child_request *req, void *arg); /* to the children */
	/* May one more plugin, this one, start now, as far as others are concerned? NULL: always.
	 * After a no, cmdq_kick() follows. */
	bool (*may_start)(const char *plugin, void *arg);
	/* A command was answered, and the broker has the answer. May be NULL. */
	void (*on_answered)(void *arg);
	void *arg;
};

struct cmdq *cmdq_create(const struct cmdq_config *config);
void cmdq_destroy(struct cmdq *q); /* NULL is fine */

/* Says, before consuming begins, how many commands wait with the broker, which leaves at most
 * `prefetch` unacked. */
void cmdq_catch_up(struct cmdq *q, uint32_t messages, uint32_t prefetch);
/* The broker has begun to deliver. */
void cmdq_on_consuming(struct cmdq *q);
/* Takes ownership of d. */
void cmdq_take(struct cmdq *q, struct delivery *d);
/* Acks what is no command, and counts it among what had waited. */
void cmdq_pass_over(struct cmdq *q, struct delivery *d, bool misrouted);
/* From the children. */
void cmdq_on_child(struct cmdq *q, const struct child_event *ev);
/* From the maker; takes what made->m holds. */
void cmdq_on_made(struct cmdq *q, struct made *made);
/* From the outbox. */
void cmdq_on_confirmed(struct cmdq *q, uint64_t id);
/* Something of others ended: what waits may perhaps start. */
void cmdq_kick(struct cmdq *q);
/* Takes and starts nothing from now on. What runs may end and be answered; what waits is for the
 * broker to keep. */
void cmdq_drain(struct cmdq *q);
/* Ends what runs; it is not answered, so it will come again. */
void cmdq_stop_running(struct cmdq *q);

/* After a reload. */
void cmdq_set_limits(struct cmdq *q, uint64_t max_output, uint32_t catch_up_splay_ms);

bool cmdq_runs(const struct cmdq *q, const char *plugin);
/* This became of commands since the start; for metrics. */
enum cmdq_result {
	CMDQ_OK,         /* run, and answered with a value */
	CMDQ_FAILED,     /* run, and answered with a failure */
	CMDQ_REFUSED,    /* no such plugin here; answered */
	CMDQ_SUPERSEDED, /* a newer one for the same plugin was run; answered, if it has an id */
	CMDQ_CANCELLED,  /* not run, or ended; answered */
	CMDQ_EXPIRED,    /* too late; answered, if it has an id */
	CMDQ_REPEATED,   /* delivered again; not run again */
	CMDQ_INVALID,    /* not a command; acked */
	CMDQ_PUT_OFF,    /* stopped, or one too many: the broker keeps it */
	CMDQ_MISROUTED,  /* not to this host; acked */
};
#define CMDQ_N_RESULTS (CMDQ_MISROUTED + 1)
const char *cmdq_result_name(enum cmdq_result result);

struct cmdq_stats {
	uint64_t results[CMDQ_N_RESULTS];
};
const struct cmdq_stats *cmdq_stats(const struct cmdq *q);

size_t cmdq_running(const struct cmdq *q);
size_t cmdq_waiting(const struct cmdq *q);

#endif
