/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries: what is new, what came before, what cancels, and what had waited (see cmdq.h). */
#include "agent/cmdq_internal.h"

#include "agent/registry.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_MS 60000

/* These functions are about what had waited. */

static int64_t
random_within(uint32_t ms)
{
	uint64_t random = (uint64_t)ident_random32() << 32 | ident_random32();

	return (int64_t)(random % ((uint64_t)ms + 1));
}

/* Gives those for one plugin one moment, as one run answers for all; more of them, or one that was
 * due already, do not put it off. */
static void
set_due(struct cmdq *q, struct cmdq_job *j)
{
	const struct cmdq_job *first = TAILQ_FIRST(&j->line->waiting);

	if (first != j)
		j->due = first->due;
	else if (q->config.catch_up_splay_ms > 0)
		j->due =
		    mono_add(loop_now(q->config.loop), random_within(q->config.catch_up_splay_ms));
	if (cmdq_newest(j->line) == j)
		cmdq_relist(q, j->line);
}

static void
caught_up(struct cmdq *q)
{
	struct cmdq_job *j;
	size_t n = 0;

	q->catching_up = false;
	loop_timer_disarm(q->timer);
	TAILQ_FOREACH (j, &q->jobs, link) {
		if (j->state != JOB_WAITING || !j->waited || j->due.ms != 0)
			continue;
		set_due(q, j);
		n++;
	}
	log_info("cmdq", "took what had waited, messages=%u commands=%zu", q->taken, n);
	cmdq_start(q);
}

/* The broker delivers no more before something is acked: `held` deliveries are not. Of these
 * `leaving` will be, once the broker has the answers. */
static void
count_held(const struct cmdq *q, size_t *held, size_t *leaving)
{
	const struct cmdq_job *j;

	*held = *leaving = 0;
	TAILQ_FOREACH (j, &q->jobs, link) {
		if (j->n_tags == 0 || j->tags[0].epoch != q->epoch)
			continue;
		*held += j->n_tags;
		if (j->state == JOB_SETTLED || j->state == JOB_ANSWERED)
			*leaving += j->n_tags;
	}
}

static bool
is_held_up(const struct cmdq *q)
{
	size_t held, leaving;

	count_held(q, &held, &leaving);
	return held >= q->prefetch && leaving > 0;
}

/* More waits than the broker delivers at once: for the rest to be seen before the first run, those
 * that will not run are answered by and by, the oldest first. Half of them stay, for what comes may
 * cancel the newest. false: there is nobody to be answered, what is here has to run. */
static bool
more_will_come(struct cmdq *q)
{
	size_t held, leaving, wanted;

	if (q->taken < q->prefetch)
		return true; /* so there cannot be as many */
	count_held(q, &held, &leaving);
	if (held < q->prefetch)
		return true;
	wanted = q->behind < q->prefetch / 2 ? q->behind : q->prefetch / 2;
	if (leaving < wanted) {
		cmdq_make_room(q, wanted - leaving);
		cmdq_start(q);
		count_held(q, &held, &leaving);
	}
	return held < q->prefetch || leaving > 0;
}

static void
on_room(struct cmdq *q)
{
	if (q->catching_up && q->taken > 0)
		loop_timer_arm(q->timer, CMDQ_SILENCE_MS);
}

static void
on_timer(void *arg)
{
	struct cmdq *q = arg;

	if (!q->catching_up) {
		cmdq_start(q);
		return;
	}
	/* Nothing begins without the broker: what came may be about to be cancelled by what did
	 * not. */
	if (!broker_is_ready(q->config.broker))
		return;
	if (is_held_up(q)) {
		loop_timer_arm(q->timer, CMDQ_SILENCE_MS);
		return;
	}
	log_info("cmdq", "%u of the commands that had waited do not come", q->behind);
	q->behind = 0;
	caught_up(q);
}

void
cmdq_catch_up(struct cmdq *q, uint32_t messages, uint32_t prefetch)
{
	bool was_catching_up = q->catching_up;

	if (q->draining)
		return;
	q->behind = messages;
	q->prefetch = prefetch;
	q->taken = 0;
	q->catching_up = messages > 0;
	loop_timer_disarm(q->timer);
	if (was_catching_up && !q->catching_up)
		caught_up(q);
	else
		cmdq_start(q);
}

void
cmdq_on_consuming(struct cmdq *q)
{
	if (q->catching_up)
		loop_timer_arm(q->timer, CMDQ_SILENCE_MS);
}

/* Counts a delivery once it was dealt with. */
static void
count_taken(struct cmdq *q)
{
	if (q->behind > 0)
		q->behind--;
	if (!q->catching_up)
		return;
	q->taken++;
	if (q->behind == 0 || !more_will_come(q))
		caught_up(q);
	else
		loop_timer_arm(q->timer, CMDQ_SILENCE_MS);
}

/* When others are to run before all of it has come, the rest is told from live commands by its age
 * alone: how many of them the broker drops nobody knows. */
static bool
has_waited(const struct cmdq *q, const struct command *c)
{
	return q->catching_up || (q->behind > 0 && wallclock_ms() - c->sent_at >= CMDQ_FRESH_MS);
}

/* Commands. */

static bool
was_answered(const struct cmdq *q, const char *job, const char *plugin)
{
	char hash[IDENT_HASH_SIZE];

	if (job == NULL)
		return false;
	if (plugin != NULL)
		ident_hash(hash, plugin, strlen(plugin));
	for (size_t i = 0; i < ANSWERED_KEPT; i++) {
		const struct answered *a = &q->answered[i];

		if (a->job != NULL && strcmp(a->job, job) == 0 &&
		    (plugin == NULL || strcmp(a->plugin, hash) == 0))
			return true;
	}
	return false;
}

/* A command of 2010 has no id: it is taken for one whose delivery was lost with an earlier
 * connection. */
static bool
is_owed(const struct cmdq_job *j, const struct delivery *d)
{
	return j->command.job == NULL && (j->tags[0].epoch != d->tag.epoch || j->owed > 0);
}

/* The job that d is again; NULL: it is new. */
static struct cmdq_job *
find_repeat(struct cmdq *q, const struct command *c, const char *plugin, const struct delivery *d)
{
	const struct namesakes *same = c->job != NULL ? cmdq_find_job_id(q, c->job) : NULL;
	const struct cmdq_line *line = c->job == NULL ? cmdq_find_line(q, plugin) : NULL;
	struct cmdq_job *j;

	if (same != NULL) {
		TAILQ_FOREACH (j, &same->jobs, of_job) {
			if (strcmp(j->plugin, plugin) == 0)
				return j;
		}
	}
	if (line == NULL || !d->redelivered)
		return NULL;
	TAILQ_FOREACH (j, &line->jobs, of_line) {
		if (is_owed(j, d))
			return j;
	}
	return NULL;
}

/* Takes over what c holds. */
static struct cmdq_job *
add_job(struct cmdq *q, struct command *c, const char *plugin, struct broker_tag tag)
{
	struct cmdq_job *j = xcalloc(1, sizeof(*j));

	j->id = ++q->last_id;
	j->waited = has_waited(q, c);
	j->fresh = !j->waited || wallclock_ms() - c->sent_at < CMDQ_FRESH_MS;
	j->command = *c;
	*c = (struct command){0};
	j->plugin = xstrdup(plugin);
	buf_init(&j->out, 0);
	cmdq_add_tag(j, tag);
	j->state = JOB_WAITING;
	cmdq_index_add(q, j);
	if (j->waited && !q->catching_up)
		set_due(q, j);
	return j;
}

static bool
cancel_came_first(const struct cmdq *q, const char *job)
{
	for (size_t i = 0; job != NULL && i < CANCELLED_KEPT; i++) {
		if (q->cancelled[i] != NULL && strcmp(q->cancelled[i], job) == 0)
			return true;
	}
	return false;
}

static void
warn_of_skew(const struct command *c, const char *plugin)
{
	int64_t now = wallclock_ms();

	if (c->sent_at > now + SKEW_MS)
		log_warn("cmdq", "clock skew: %s was sent %lld s from now, job=%s", plugin,
		    (long long)((c->sent_at - now) / 1000), cmdq_job_text(c->job));
}

/* Says whether nothing of it is left to be done, or it waits with the broker. */
static bool
is_passed_over(
    struct cmdq *q, const struct command *c, const char *plugin, const struct delivery *d)
{
	if (was_answered(q, c->job, plugin)) {
		q->stats.results[CMDQ_REPEATED]++;
		broker_ack(q->config.broker, d->tag, false);
		return true;
	}
	if (q->waiting + q->running < CMDQ_JOBS_MAX)
		return false;
	q->stats.results[CMDQ_PUT_OFF]++;
	log_warn("cmdq", "%s: too many commands wait; the broker keeps this one, job=%s", plugin,
	    cmdq_job_text(c->job));
	return true;
}

/* Refuses a name that no plugin can ever have, whatever is reloaded: its turn need not be
 * awaited. */
static void
refuse_name(struct cmdq *q, struct cmdq_job *j)
{
	char why[CMDQ_REFUSAL_MAX];

	cmdq_refusal(q, j, why);
	cmdq_settle(q, j, WIRE_REFUSED, why);
}

static void
take_command(struct cmdq *q, struct command *c, const struct delivery *d)
{
	const struct plugin *p = registry_find(q->config.registry, c->plugin);
	const char *plugin = p != NULL ? p->name : c->plugin;
	struct cmdq_job *j = find_repeat(q, c, plugin, d);

	if (j != NULL) {
		log_debug("cmdq", "%s: delivered again, job=%s", plugin, cmdq_job_text(c->job));
		q->stats.results[CMDQ_REPEATED]++;
		cmdq_add_tag(j, d->tag);
		return;
	}
	warn_of_skew(c, plugin);
	if (is_passed_over(q, c, plugin, d))
		return;
	j = add_job(q, c, plugin, d->tag);
	if (cancel_came_first(q, j->command.job))
		cmdq_settle(q, j, WIRE_CANCELLED, "cancelled before it began");
	else if (cmdq_is_expired(&j->command))
		cmdq_expire(q, j);
	else if (name_plugin_error(plugin) != NULL)
		refuse_name(q, j);
	cmdq_start(q);
}

/* Cancels. */

/* false: it is too late. */
static bool
cancel_job(struct cmdq *q, struct cmdq_job *j)
{
	struct child_request stop = {.op = CHILD_OP_KILL, .id = j->id};

	switch (j->state) {
	case JOB_WAITING:
		cmdq_settle(q, j, WIRE_CANCELLED, "cancelled before it began");
		return true;
	case JOB_RUNNING:
		log_info("cmdq", "%s: cancelled, ending it, job=%s", j->plugin,
		    cmdq_job_text(j->command.job));
		q->config.request(&stop, q->config.arg);
		return true;
	case JOB_SETTLED:
	case JOB_ANSWERED:
		return j->cancelled; /* the cancel comes again, its answer is on its way */
	}
	return false;
}

static void
remember_cancelled(struct cmdq *q, const char *job)
{
	if (cancel_came_first(q, job))
		return;
	free(q->cancelled[q->cancelled_next]);
	q->cancelled[q->cancelled_next] = xstrdup(job);
	q->cancelled_next = (q->cancelled_next + 1) % CANCELLED_KEPT;
}

static void
cancel_nothing(struct cmdq *q, const struct command *c, bool answered, struct broker_tag tag)
{
	if (answered) {
		log_info("cmdq", "cancel: answered already, job=%s", c->cancels);
	} else {
		log_info("cmdq", "cancel: not here, job=%s", c->cancels);
		remember_cancelled(q, c->cancels); /* its command may be given back to us yet */
	}
	broker_ack(q->config.broker, tag, false);
}

static void
take_cancel(struct cmdq *q, const struct command *c, const struct delivery *d)
{
	bool obeyed = false, answered = was_answered(q, c->cancels, NULL), fresh;
	const struct namesakes *same;
	struct cmdq_job *j;

	/* A cancel is never too late: what it ends would go on otherwise. */
	warn_of_skew(c, c->plugin);
	fresh = !has_waited(q, c) || wallclock_ms() - c->sent_at < CMDQ_FRESH_MS;
	same = cmdq_find_job_id(q, c->cancels);
	j = same != NULL ? TAILQ_FIRST(&same->jobs) : NULL;
	for (; j != NULL; j = TAILQ_NEXT(j, of_job)) {
		if (!cancel_job(q, j)) {
			answered = true;
			continue;
		}
		j->cancelled = true;
		j->fresh = j->fresh || fresh;
		if (!obeyed)
			cmdq_add_tag(j, d->tag);
		obeyed = true;
	}
	if (!obeyed)
		cancel_nothing(q, c, answered, d->tag);
	cmdq_start(q);
}

/* false: it is no command, and err says why. */
static bool
decode(const struct delivery *d, struct command *c, char *err, size_t err_size)
{
	if (!d->oversize)
		return wire_command_decode(&d->message, c, err, err_size);
	snprintf(err, err_size, "%llu bytes", (unsigned long long)d->body_size);
	return false;
}

void
cmdq_pass_over(struct cmdq *q, struct delivery *d, bool misrouted)
{
	if (!q->draining) {
		q->epoch = d->tag.epoch;
		q->stats.results[CMDQ_MISROUTED] += misrouted;
		broker_ack(q->config.broker, d->tag, false);
		count_taken(q);
	}
	delivery_destroy(d);
}

void
cmdq_take(struct cmdq *q, struct delivery *d)
{
	struct command c;
	char err[256];

	if (q->draining) {
		delivery_destroy(d); /* not acked: the broker keeps it */
		return;
	}
	q->epoch = d->tag.epoch;
	log_info("cmdq", "Message recieved");
	if (!decode(d, &c, err, sizeof(err))) {
		/* Nobody to answer to: what was meant is not known. */
		q->stats.results[CMDQ_INVALID]++;
		log_warn("cmdq", "dropped a message that is not a command: %s", err);
		broker_ack(q->config.broker, d->tag, false);
	} else {
		log_info("cmdq", "Message decoded");
		if (c.cancels != NULL)
			take_cancel(q, &c, d);
		else
			take_command(q, &c, d);
		command_finish(&c);
	}
	delivery_destroy(d);
	count_taken(q);
}

/* Confirms, and the whole. */

static void
remember_answered(struct cmdq *q, const struct cmdq_job *j)
{
	struct answered *a = &q->answered[q->answered_next];

	if (j->command.job == NULL)
		return;
	free(a->job);
	a->job = xstrdup(j->command.job);
	ident_hash(a->plugin, j->plugin, strlen(j->plugin));
	q->answered_next = (q->answered_next + 1) % ANSWERED_KEPT;
}

void
cmdq_on_confirmed(struct cmdq *q, uint64_t id)
{
	struct cmdq_job *j = cmdq_find_run(q, id);

	if (j == NULL)
		return; /* the greeting */
	cmdq_ack_all(q, j);
	remember_answered(q, j);
	cmdq_remove(q, j);
	on_room(q);
	cmdq_start(q);
	if (q->config.on_answered != NULL)
		q->config.on_answered(q->config.arg);
}

struct cmdq *
cmdq_create(const struct cmdq_config *config)
{
	struct cmdq *q = xcalloc(1, sizeof(*q));

	q->config = *config;
	q->timer = loop_timer_create(config->loop, "cmdq", on_timer, q);
	TAILQ_INIT(&q->jobs);
	TAILQ_INIT(&q->settled);
	TAILQ_INIT(&q->ready);
	TAILQ_INIT(&q->later);
	return q;
}

void
cmdq_destroy(struct cmdq *q)
{
	struct cmdq_job *j, *next;

	if (q == NULL)
		return;
	TAILQ_FOREACH_SAFE (j, &q->jobs, link, next)
		cmdq_remove(q, j);
	for (size_t i = 0; i < ANSWERED_KEPT; i++)
		free(q->answered[i].job);
	for (size_t i = 0; i < CANCELLED_KEPT; i++)
		free(q->cancelled[i]);
	loop_timer_destroy(q->timer);
	free(q);
}
