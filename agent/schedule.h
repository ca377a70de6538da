/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting without being asked: each plugin with an interval is run again and again, and its
 * results go to the outbox without a job, the newest per plugin (outbox.h).
 *
 *   IDLE ---- due ----> WAITING ---- it may start ----> running ---- DONE ----> IDLE
 *
 * The first run is at a random point within the plugin's splay after start, so that a fleet that is
 * switched on does not stampede; without a splay within its interval, SCHEDULE_SPLAY_MAX_MS at
 * most. From there on runs are due each interval, whatever a run takes: one that is still going, or
 * still waiting, when the next is due, is not doubled, and that one is passed over. Time is
 * monotonic.
 *
 * One timer, for whatever is due next; none without intervals. */
#ifndef VOGELER_SCHEDULE_H
#define VOGELER_SCHEDULE_H

#include "agent/encode_worker.h"
#include "agent/report.h"
#include "shared/exec/childmsg.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct sequence;
struct outbox;
struct plugin;
struct registry;
struct schedule;

#define SCHEDULE_SPLAY_MAX_MS (10 * 60 * 1000) /* of a plugin that has none of its own */
/* Ids of runs, and of entries in the outbox, that are the schedule's have this bit. */
#define SCHEDULE_ID (UINT64_C(1) << 63)

struct schedule_config { /* all borrowed until schedule_destroy() */
	struct report_origin origin;
	struct loop *loop;
	const struct registry *registry;
	struct sequence *order;
	struct outbox *outbox;
	struct encode_worker *maker; /* NULL: all is made on the loop */
	uint64_t max_output;         /* bytes of output of a plugin that sets no cap of its own */
	void (*request)(const struct child_request *req, void *arg); /* to the children */
	/* May one more plugin, this one, start now? After a no, schedule_kick() follows. */
	bool (*may_start)(const char *plugin, void *arg);
	void *arg;
};

/* Nothing happens before schedule_reload(). */
struct schedule *schedule_create(const struct schedule_config *config);
void schedule_destroy(struct schedule *s); /* NULL is fine */

/* The registry has new plugins. Those with the interval and splay of before go on as they were. */
void schedule_reload(struct schedule *s, uint64_t max_output);
/* Something ended: what waits may perhaps start. */
void schedule_kick(struct schedule *s);
/* Takes events whose id has SCHEDULE_ID. */
void schedule_on_child(struct schedule *s, const struct child_event *ev);
/* Takes what was made of a run whose id has SCHEDULE_ID, with what made->m holds. */
void schedule_on_made(struct schedule *s, struct made *made);
/* Starts nothing from now on; what runs may end and be reported. */
void schedule_drain(struct schedule *s);
/* Ends what runs, unreported. */
void schedule_stop_running(struct schedule *s);

/* The splay that holds, in ms, of a plugin with an interval. */
uint64_t schedule_splay(const struct plugin *p);
bool schedule_runs(const struct schedule *s, const char *plugin);
size_t schedule_running(const struct schedule *s);

#endif
