/* SPDX-License-Identifier: Apache-2.0 */
/* See job_watch.h. Two folds: one is shown, and takes the word of notices too; the other is made
 * anew from each reading of the store, and when that one is complete, it is what the watch ends
 * with.
 *
 *          START           POLL              COMPLETE
 *   HELD --------> RESTING ------> READING ------------> ENDED
 *    |               |  ^            |  |                 ^
 *    |               |  +------------+  | DEADLINE        |
 *    |      DEADLINE |    OPEN, UNREAD  v                 | COMPLETE, OPEN, UNREAD,
 *    |               +--------------> LAST_WORD ----------+ DEADLINE
 *    +---------------- DEADLINE --------------------------+ */
#include "runner/job/job_watch.h"

#include "runner/job/clocks.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/store/fold.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <assert.h>
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSYSTEM    "watch"
#define POLL_MS      1000
#define POLL_MAX_MS  10000 /* between two readings that brought nothing new */
#define POLL_SHARE   10    /* the next reading: after this many times what the last one took */
#define CHECK_MS     50    /* of notices in a burst, whether all is known is asked once */
#define LAST_WORD_MS 30000 /* after the deadline, for the store to answer */
#define PREFETCH     100
#define WHY_SIZE     512

enum watch_state {
	WATCH_HELD,      /* the job is not in the store yet */
	WATCH_RESTING,   /* until the store is asked again */
	WATCH_READING,   /* the store is being asked */
	WATCH_LAST_WORD, /* the time is over: asked once more, or being asked yet */
	WATCH_ENDED,
};

enum watch_event {
	WATCH_EV_START,
	WATCH_EV_POLL,
	WATCH_EV_CHECK,    /* all is known, as it seems, or there is life again */
	WATCH_EV_COMPLETE, /* the store has said all: of each target it is known how it ended */
	WATCH_EV_OPEN,     /* the same, and it is not */
	WATCH_EV_UNREAD,   /* it has not */
	WATCH_EV_DEADLINE,
};

enum notices {
	NOTICES_OPENING, /* it is not known yet whether there will be any */
	NOTICES_ON,
	NOTICES_OFF, /* the store alone */
};

struct job_watch {
	struct job_watch_request req;
	const struct job_watch_handlers *handlers;
	void *arg;
	char *reply_to;
	struct topology *topology;
	struct broker *broker;
	size_t failures; /* of connecting, in a row */
	struct fold *shown;
	struct fold *reading; /* while the store is asked, NULL otherwise */
	struct outcome *own;  /* what the caller added; with its strings */
	size_t n_own, n_told; /* told: in shown, too */
	struct loop_timer *poll, *check, *soon, *end;
	struct mono asked_at;
	int64_t interval_ms, took_ms;
	bool news; /* since the last reading */
	bool told_clock;
	enum watch_state state;
	enum notices notices;
	char why[WHY_SIZE]; /* the store is in trouble, with these words; "" = it is not */
};

static void watch_step(struct job_watch *w, enum watch_event ev);
static void watch_enter(struct job_watch *w, enum watch_state next, const char *reason);

static const char *
state_name(enum watch_state s)
{
	switch (s) {
	case WATCH_HELD:
		return "HELD";
	case WATCH_RESTING:
		return "RESTING";
	case WATCH_READING:
		return "READING";
	case WATCH_LAST_WORD:
		return "LAST_WORD";
	case WATCH_ENDED:
		return "ENDED";
	}
	return "?";
}

/* ---- telling ---- */

static bool
is_target(const struct job *job, const char *host)
{
	size_t low = 0, high = job->n_hosts;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(host, job->hosts[mid]);

		if (order == 0)
			return true;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

static void
show(struct job_watch *w, const struct outcome *o)
{
	if (!fold_add(w->shown, o))
		return;
	w->news = true;
	if (w->handlers->on_outcome != NULL)
		w->handlers->on_outcome(o, is_target(w->req.job, o->host), w->arg);
}

static void
stop_listening(struct job_watch *w)
{
	broker_destroy(w->broker);
	w->broker = NULL;
}

static void
end(struct job_watch *w, enum job_watch_end how, const char *text)
{
	watch_enter(w, WATCH_ENDED, how == JOB_WATCH_COMPLETE ? "complete" : "the time is over");
	if (w->handlers->on_end != NULL)
		w->handlers->on_end(how, text, w->arg);
}

/* Once it is known how it will be told, that stays. */
static void
tell_ready(struct job_watch *w, enum notices notices)
{
	if (w->notices != NOTICES_OPENING)
		return;
	w->notices = notices;
	if (w->handlers->on_ready != NULL)
		w->handlers->on_ready(w->arg);
}

static size_t
open_in(const struct fold *f)
{
	struct fold_counts c;

	fold_count(f, wallclock_ms(), &c);
	return c.open;
}

/* ---- the store ---- */

static void
trouble(struct job_watch *w, const struct trouble *why)
{
	bool is_new = w->why[0] == '\0';

	trouble_format(why, w->why, sizeof(w->why));
	log_info(SUBSYSTEM, "store[%s]: %s", store_id(w->req.store), w->why);
	if (is_new && w->handlers->on_trouble != NULL)
		w->handlers->on_trouble(w->why, w->arg);
}

static void
trouble_over(struct job_watch *w)
{
	if (w->why[0] == '\0')
		return;
	w->why[0] = '\0';
	if (w->handlers->on_trouble != NULL)
		w->handlers->on_trouble(NULL, w->arg);
}

static void
fail_at_deadline(struct job_watch *w)
{
	char text[WHY_SIZE + 64];

	snprintf(text, sizeof(text), "how the job stands is not known: %s",
	    w->why[0] != '\0' ? w->why : "the store does not answer");
	end(w, JOB_WATCH_FAILED, text);
}

static void
ask_later(struct job_watch *w)
{
	w->interval_ms = w->news || w->interval_ms == 0 ? POLL_MS : w->interval_ms * 2;
	if (w->interval_ms > POLL_MAX_MS)
		w->interval_ms = POLL_MAX_MS;
	w->news = false;
	loop_timer_arm(w->poll,
	    w->took_ms * POLL_SHARE > w->interval_ms ? w->took_ms * POLL_SHARE : w->interval_ms);
}

/* Takes over what the store says: that is shown from now on. */
static void
take_reading(struct job_watch *w)
{
	fold_destroy(w->shown);
	w->shown = w->reading;
	w->reading = NULL;
}

static void
drop_reading(struct job_watch *w)
{
	fold_destroy(w->reading);
	w->reading = NULL;
}

static void
reading_done(struct job_watch *w, const struct trouble *why)
{
	w->took_ms = mono_diff(mono_now(), w->asked_at);
	if (why == NULL)
		trouble_over(w);
	else
		trouble(w, why);
	if (why != NULL)
		watch_step(w, WATCH_EV_UNREAD);
	else
		watch_step(w, open_in(w->reading) == 0 ? WATCH_EV_COMPLETE : WATCH_EV_OPEN);
}

static void
look_at_clocks(struct job_watch *w, const struct outcome *o)
{
	char text[CLOCKS_TEXT_SIZE];

	if (w->told_clock || !clocks_differ(w->req.job, o, wallclock_ms(), text))
		return;
	w->told_clock = true;
	if (w->handlers->on_clock != NULL)
		w->handlers->on_clock(text, w->arg);
}

static void
on_outcome(enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct job_watch *w = arg;

	if (w->state == WATCH_ENDED)
		return;
	if (found != STORE_FOUND) {
		reading_done(w, why);
		return;
	}
	look_at_clocks(w, o);
	fold_add(w->reading, o);
	show(w, o);
}

static void
ask(struct job_watch *w)
{
	assert(w->reading == NULL);
	loop_timer_disarm(w->poll);
	w->reading = fold_create(w->req.job);
	for (size_t i = 0; i < w->n_own; i++)
		fold_add(w->reading, &w->own[i]);
	w->asked_at = mono_now();
	store_outcomes(w->req.store, w->req.job->id, on_outcome, w);
}

static void
on_poll(void *arg)
{
	watch_step(arg, WATCH_EV_POLL);
}

static void
on_check(void *arg)
{
	watch_step(arg, WATCH_EV_CHECK);
}

/* All is known, as it seems: the store is to say so; who forges notices makes it no busier. */
static void
look_whether_all_is_known(struct job_watch *w)
{
	int64_t rested = mono_diff(mono_now(), w->asked_at) - w->took_ms;
	int64_t rest = w->took_ms * POLL_SHARE;

	if (open_in(w->shown) == 0)
		loop_timer_arm(w->poll, rested < rest ? rest - rested : 0);
	else if (w->interval_ms > POLL_MS)
		ask_later(w); /* there is life again */
}

static void
check_soon(struct job_watch *w)
{
	if (!loop_timer_armed(w->check))
		loop_timer_arm(w->check, CHECK_MS);
}

/* ---- notices ---- */

static void
take_notice(struct job_watch *w, const struct message *m)
{
	struct outcome o;
	json_t *notice, *list, *item;
	const char *job;
	char err[256];
	size_t i;

	notice = jsonx_parse(m->body, m->body_len, NULL, err, sizeof(err));
	job = json_string_value(json_object_get(notice, "job"));
	list = json_object_get(notice, "outcomes");
	if (job == NULL || strcmp(job, w->req.job->id) != 0 || !json_is_array(list)) {
		log_info(SUBSYSTEM, "%s: a message that is no notice of this job", w->reply_to);
		json_decref(notice);
		return;
	}
	json_array_foreach (list, i, item) {
		/* A notice does not say what the broker has: that is the runner's. */
		if (outcome_from_json(item, &o) && o.state != OUTCOME_QUEUED &&
		    o.state != OUTCOME_UNSENT)
			show(w, &o);
	}
	json_decref(notice);
	check_soon(w);
}

static void
reply_on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct job_watch *w = arg;

	broker_ack(b, d->tag, false);
	if (!d->oversize && w->state != WATCH_ENDED)
		take_notice(w, &d->message);
	delivery_destroy(d);
}

static void
reply_on_ready(struct broker *b, void *arg)
{
	struct job_watch *w = arg;

	w->failures = 0;
	broker_consume(b, w->reply_to, PREFETCH, true);
	log_info(SUBSYSTEM, "%s: listening for notices at %s", broker_id(b), w->reply_to);
	tell_ready(w, NOTICES_ON);
}

/* Says whether the broker refused, so that another try would end no otherwise. */
static bool
is_refusal(enum broker_error error)
{
	return error == BROKER_ERR_PERMISSION || error == BROKER_ERR_IN_USE ||
	       error == BROKER_ERR_MISMATCH || error == BROKER_ERR_NOT_FOUND;
}

static void
give_up_listening(struct job_watch *w, const char *why)
{
	log_info(SUBSYSTEM, "no notices, the store is asked now and then: %s", why);
	stop_listening(w);
	if (w->notices == NOTICES_OPENING) {
		free(w->reply_to);
		w->reply_to = NULL;
	}
	tell_ready(w, NOTICES_OFF);
}

static void
reply_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct job_watch *w = arg;

	/* The command does not wait for this connection: each broker of the list has its turn. */
	if (is_refusal(f->error) ||
	    (w->notices == NOTICES_OPENING && ++w->failures >= w->req.n_brokers))
		give_up_listening(w, f->text);
}

static const struct broker_handlers reply_handlers = {
    .on_ready = reply_on_ready,
    .on_down = reply_on_down,
    .on_delivery = reply_on_delivery,
};

static void
listen_for_notices(struct job_watch *w)
{
	const struct options *o = w->req.options;
	struct broker_options opt;

	xasprintf(&w->reply_to, "%s%s", TOPOLOGY_REPLY_PREFIX, w->req.job->id);
	w->topology = topology_for_connection(w->reply_to);
	options_broker(o, "vogeler-runner", "watcher", w->req.brokers, w->req.n_brokers, &opt);
	opt.quiet = true;
	opt.topology = w->topology;
	opt.heartbeat_s = (uint16_t)o->heartbeat_s;
	opt.reconnect_max_ms = o->reconnect_max_ms;
	w->broker = broker_create(w->req.loop, &opt, &reply_handlers, w);
	broker_start(w->broker);
}

/* ---- what job_watch.h offers ---- */

/* Does on the loop what was asked for from outside. */
static void
on_soon(void *arg)
{
	struct job_watch *w = arg;

	if (w->broker == NULL && w->reply_to == NULL)
		tell_ready(w, NOTICES_OFF);
	for (; w->n_told < w->n_own && w->state != WATCH_ENDED; w->n_told++)
		show(w, &w->own[w->n_told]);
	if (w->state != WATCH_HELD && w->state != WATCH_ENDED)
		check_soon(w);
}

static void
on_deadline(void *arg)
{
	watch_step(arg, WATCH_EV_DEADLINE);
}

/* ---- states ---- */

/* The only writer of ->state. */
static void
watch_enter(struct job_watch *w, enum watch_state next, const char *reason)
{
	enum watch_state old = w->state;

	log_debug(
	    SUBSYSTEM, "watch: %s -> %s, reason=%s", state_name(old), state_name(next), reason);
	w->state = next;
	switch (next) {
	case WATCH_HELD:
		return; /* how it begins */
	case WATCH_RESTING:
		if (old == WATCH_HELD)
			loop_timer_arm(w->poll, 0);
		else
			ask_later(w);
		return;
	case WATCH_READING:
		ask(w);
		return;
	case WATCH_LAST_WORD:
		loop_timer_arm(w->end, LAST_WORD_MS);
		if (old == WATCH_RESTING)
			ask(w);
		return;
	case WATCH_ENDED:
		loop_timer_disarm(w->poll);
		loop_timer_disarm(w->check);
		loop_timer_disarm(w->soon);
		loop_timer_disarm(w->end);
		stop_listening(w);
		return;
	}
}

static void
step_resting(struct job_watch *w, enum watch_event ev)
{
	switch (ev) {
	case WATCH_EV_POLL:
		watch_enter(w, WATCH_READING, "it is time");
		return;
	case WATCH_EV_CHECK:
		look_whether_all_is_known(w);
		return;
	case WATCH_EV_DEADLINE:
		watch_enter(w, WATCH_LAST_WORD, "deadline");
		return;
	case WATCH_EV_START:
	case WATCH_EV_COMPLETE:
	case WATCH_EV_OPEN:
	case WATCH_EV_UNREAD:
		return;
	}
}

static void
step_reading(struct job_watch *w, enum watch_event ev)
{
	switch (ev) {
	case WATCH_EV_COMPLETE:
		take_reading(w);
		end(w, JOB_WATCH_COMPLETE, NULL);
		return;
	case WATCH_EV_OPEN:
	case WATCH_EV_UNREAD:
		drop_reading(w);
		watch_enter(w, WATCH_RESTING, ev == WATCH_EV_OPEN ? "some are open" : w->why);
		return;
	case WATCH_EV_DEADLINE:
		watch_enter(w, WATCH_LAST_WORD, "deadline");
		return;
	case WATCH_EV_START:
	case WATCH_EV_POLL:
	case WATCH_EV_CHECK:
		return;
	}
}

static void
step_last_word(struct job_watch *w, enum watch_event ev)
{
	switch (ev) {
	case WATCH_EV_COMPLETE:
	case WATCH_EV_OPEN:
		take_reading(w);
		end(w, ev == WATCH_EV_COMPLETE ? JOB_WATCH_COMPLETE : JOB_WATCH_DEADLINE, NULL);
		return;
	case WATCH_EV_UNREAD:
		drop_reading(w);
		fail_at_deadline(w);
		return;
	case WATCH_EV_DEADLINE:
		fail_at_deadline(w);
		return;
	case WATCH_EV_START:
	case WATCH_EV_POLL:
	case WATCH_EV_CHECK:
		return;
	}
}

static void
watch_step(struct job_watch *w, enum watch_event ev)
{
	switch (w->state) {
	case WATCH_HELD:
		if (ev == WATCH_EV_START)
			watch_enter(w, WATCH_RESTING, "the job is in the store");
		else if (ev == WATCH_EV_DEADLINE)
			fail_at_deadline(w);
		return;
	case WATCH_RESTING:
		step_resting(w, ev);
		return;
	case WATCH_READING:
		step_reading(w, ev);
		return;
	case WATCH_LAST_WORD:
		step_last_word(w, ev);
		return;
	case WATCH_ENDED:
		return;
	}
}

struct job_watch *
job_watch_create(
    const struct job_watch_request *req, const struct job_watch_handlers *handlers, void *arg)
{
	struct job_watch *w = xcalloc(1, sizeof(*w));

	w->req = *req;
	w->handlers = handlers;
	w->arg = arg;
	w->shown = fold_create(req->job);
	w->poll = loop_timer_create(req->loop, "watch poll", on_poll, w);
	w->check = loop_timer_create(req->loop, "watch check", on_check, w);
	w->soon = loop_timer_create(req->loop, "watch soon", on_soon, w);
	w->end = loop_timer_create(req->loop, "watch deadline", on_deadline, w);
	if (req->n_brokers > 0)
		listen_for_notices(w);
	else
		loop_timer_arm(w->soon, 0);
	return w;
}

void
job_watch_destroy(struct job_watch *w)
{
	if (w == NULL)
		return;
	stop_listening(w);
	topology_destroy(w->topology);
	loop_timer_destroy(w->poll);
	loop_timer_destroy(w->check);
	loop_timer_destroy(w->soon);
	loop_timer_destroy(w->end);
	fold_destroy(w->shown);
	fold_destroy(w->reading);
	for (size_t i = 0; i < w->n_own; i++) {
		free((char *)w->own[i].host);
		free((char *)w->own[i].response_id);
		free((char *)w->own[i].why);
	}
	free(w->own);
	free(w->reply_to);
	free(w);
}

const char *
job_watch_reply_to(const struct job_watch *w)
{
	return w->reply_to;
}

void
job_watch_start(struct job_watch *w)
{
	watch_step(w, WATCH_EV_START);
}

void
job_watch_set_deadline(struct job_watch *w, struct mono deadline)
{
	int64_t left = mono_diff(deadline, loop_now(w->req.loop));

	if (w->state != WATCH_ENDED && w->state != WATCH_LAST_WORD)
		loop_timer_arm(w->end, left > 0 ? left : 0);
}

void
job_watch_add(struct job_watch *w, const struct outcome *o)
{
	struct outcome *copy;

	w->own = xreallocarray(w->own, w->n_own + 1, sizeof(*w->own));
	copy = &w->own[w->n_own++];
	*copy = *o;
	copy->host = xstrdup(o->host);
	copy->response_id = o->response_id != NULL ? xstrdup(o->response_id) : NULL;
	copy->why = o->why != NULL ? xstrdup(o->why) : NULL;
	/* A reading under way began without it. */
	if (w->reading != NULL)
		fold_add(w->reading, copy);
	if (w->state != WATCH_ENDED)
		loop_timer_arm(w->soon, 0);
}

const struct fold *
job_watch_fold(const struct job_watch *w)
{
	return w->shown;
}
