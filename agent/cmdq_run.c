/* SPDX-License-Identifier: Apache-2.0 */
/* See cmdq.h. The life of a job:
 *
 *              its turn            DONE            confirmed
 *   WAITING --------------> RUNNING ----> ANSWERED ----------> acked and gone
 *      | | cancelled, expired |              ^
 *      | | or a newer one runs+-- stopped    | there is room in the outbox
 *      | +------------------> SETTLED -------+
 *      |                      by us: gone    |
 *      +--- not authorised ------------------+    expired and without an id: acked and gone
 *
 * RUNNING is also what has ended while its answer is being made (agent/encode_worker.h).
 * SETTLED means that the answer is known and not yet made: hundreds may be superseded at once, and
 * the outbox takes a few. */
#include "agent/cmdq_internal.h"

#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/sequence.h"
#include "shared/base/log.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY_MAX       256
#define CLOCKS_DIFFER_MS 60000 /* less than that is a message's way */
/* Places in the outbox that answers without a run leave to those with one. */
#define SETTLED_SPARES (OUTBOX_COUNT_MAX / 2)

const char *
cmdq_result_name(enum cmdq_result result)
{
	switch (result) {
	case CMDQ_OK:
		return "ok";
	case CMDQ_FAILED:
		return "failed";
	case CMDQ_REFUSED:
		return "refused";
	case CMDQ_SUPERSEDED:
		return "superseded";
	case CMDQ_CANCELLED:
		return "cancelled";
	case CMDQ_EXPIRED:
		return "expired";
	case CMDQ_REPEATED:
		return "repeated";
	case CMDQ_MISROUTED:
		return "misrouted";
	case CMDQ_INVALID:
		return "invalid";
	case CMDQ_PUT_OFF:
		return "put_off";
	}
	return "?";
}

void
cmdq_remove(struct cmdq *q, struct cmdq_job *j)
{
	cmdq_index_remove(q, j);
	command_finish(&j->command);
	buf_finish(&j->out);
	free(j->plugin);
	free(j->tags);
	free(j->why);
	free(j);
}

const char *
cmdq_job_text(const char *job)
{
	return job != NULL ? job : "none";
}

static const char *
job_id_text(const struct cmdq_job *j)
{
	return cmdq_job_text(j->command.job);
}

/* The broker has taken back what an earlier connection brought: those tags are void, and the
 * deliveries will come again. */
static void
void_tags(struct cmdq_job *j)
{
	j->owed += j->n_tags;
	j->n_tags = 0;
}

static void
push_tag(struct cmdq_job *j, struct broker_tag tag)
{
	j->tags = xreallocarray(j->tags, j->n_tags + 1, sizeof(*j->tags));
	j->tags[j->n_tags++] = tag;
}

void
cmdq_add_tag(struct cmdq_job *j, struct broker_tag tag)
{
	if (j->n_tags > 0 && j->tags[0].epoch != tag.epoch)
		void_tags(j);
	if (j->owed > 0)
		j->owed--;
	push_tag(j, tag);
}

/* The deliveries of j are acked with those of `newest` from now on; none of them is one that
 * `newest` is owed. Either may not have come again since a connection ended. They come in order:
 * when only the older one has not, it was taken from the queue meanwhile, and its tags are worth
 * nothing. */
static void
merge_tags(struct cmdq_job *newest, const struct cmdq_job *j)
{
	if (j->tags[0].epoch < newest->tags[0].epoch) {
		if (newest->owed > 0) /* it has not come either */
			newest->owed += j->n_tags;
		return;
	}
	if (j->tags[0].epoch > newest->tags[0].epoch)
		void_tags(newest);
	for (size_t i = 0; i < j->n_tags; i++)
		push_tag(newest, j->tags[i]);
}

void
cmdq_ack_all(struct cmdq *q, const struct cmdq_job *j)
{
	for (size_t i = 0; i < j->n_tags; i++)
		broker_ack(q->config.broker, j->tags[i], false);
}

/* Answers. */

static struct report_request
request_of(const struct cmdq_job *j)
{
	return (struct report_request){
	    .plugin = j->plugin,
	    .job = j->command.job,
	    .reply_to = j->command.reply_to,
	    .format = j->format,
	};
}

/* The job is ANSWERED from here on; what m holds is taken. */
static void
send_message(struct cmdq *q, struct cmdq_job *j, struct message *m)
{
	cmdq_set_state(q, j, JOB_ANSWERED);
	buf_finish(&j->out);
	if (j->fresh)
		outbox_add_fresh(q->config.outbox, j->id, m);
	else
		outbox_add(q->config.outbox, j->id, m);
}

/* Sends it, and finishes r. */
static void
send_answer(struct cmdq *q, struct cmdq_job *j, struct response *r)
{
	struct report_request req = request_of(j);
	struct message m;

	report_encode(r, &q->config.origin, &req, q->config.order, &m);
	send_message(q, j, &m);
	message_finish(&m);
	response_finish(r);
}

static void
note_ok(struct cmdq *q, const struct cmdq_job *j, size_t bytes, const struct response *r)
{
	q->stats.results[CMDQ_OK]++;
	log_info("cmdq", "%s: done, job=%s bytes=%zu duration_ms=%lld", j->plugin, job_id_text(j),
	    bytes, (long long)r->meta.duration_ms);
}

static void
note_failed(struct cmdq *q, const struct cmdq_job *j, const struct response *r)
{
	q->stats.results[CMDQ_FAILED]++;
	log_warn("cmdq", "%s, job=%s", report_failure_text(r), job_id_text(j));
}

/* Answers a run; with much output the job stays RUNNING until the answer is made. */
static void
answer_run(struct cmdq *q, struct cmdq_job *j, const struct child_event *done)
{
	struct report_request req = request_of(j);
	struct response r;
	int64_t now = wallclock_ms();

	report_begin(
	    &r, &q->config.origin, &req, done, &j->out, sequence_next(q->config.order, now), now);
	if (r.meta.state != WIRE_OK) {
		note_failed(q, j, &r);
	} else if (encode_worker_takes(q->config.maker, j->out.len)) {
		encode_worker_make(q->config.maker, j->id, &r, &j->out);
		return;
	} else {
		note_ok(q, j, j->out.len, &r);
		report_value(&r, &j->out);
	}
	send_answer(q, j, &r);
}

static void
answer_without_result(struct cmdq *q, struct cmdq_job *j, enum wire_state state, const char *why)
{
	struct report_request req = request_of(j);
	struct response r;
	int64_t now = wallclock_ms();

	report_without_result(
	    &r, &q->config.origin, &req, state, why, sequence_next(q->config.order, now), now);
	send_answer(q, j, &r);
}

void
cmdq_refusal(const struct cmdq *q, const struct cmdq_job *j, char text[CMDQ_REFUSAL_MAX])
{
	char *names = registry_names(q->config.registry);

	snprintf(text, CMDQ_REFUSAL_MAX,
	    "Plugin %.200s is not authorized for this host. Ignoring. Registered here: %.1000s",
	    j->plugin, names[0] != '\0' ? names : "none");
	free(names);
	log_warn("cmdq", "%s, job=%s", text, job_id_text(j));
}

static void
refuse(struct cmdq *q, struct cmdq_job *j)
{
	char text[CMDQ_REFUSAL_MAX];

	cmdq_refusal(q, j, text);
	q->stats.results[CMDQ_REFUSED]++;
	answer_without_result(q, j, WIRE_REFUSED, text);
}

static enum cmdq_result
result_of(enum wire_state verdict)
{
	if (verdict == WIRE_REFUSED)
		return CMDQ_REFUSED;
	if (verdict == WIRE_EXPIRED)
		return CMDQ_EXPIRED;
	return verdict == WIRE_CANCELLED ? CMDQ_CANCELLED : CMDQ_SUPERSEDED;
}

void
cmdq_settle(struct cmdq *q, struct cmdq_job *j, enum wire_state verdict, const char *why)
{
	q->stats.results[result_of(verdict)]++;
	log_info("cmdq", "%s: %s, job=%s", j->plugin, why, job_id_text(j));
	cmdq_set_state(q, j, JOB_SETTLED);
	j->verdict = verdict;
	j->why = xstrdup(why);
}

/* Too late, or too late by now. */
bool
cmdq_is_expired(const struct command *c)
{
	return c->not_after != 0 && wallclock_ms() > c->not_after;
}

/* A command that had not waited with the broker was sent just now, whatever its time says: then one
 * of the two clocks is wrong, and both are named. */
static void
describe_expiry(const struct cmdq_job *j, char out[EXPIRY_MAX])
{
	const struct command *c = &j->command;
	char span[UNITS_SPAN_SIZE], apart[UNITS_SPAN_SIZE], here[WALLCLOCK_TEXT_SIZE],
	    there[WALLCLOCK_TEXT_SIZE];
	int64_t now = wallclock_ms();

	units_span(now - c->not_after, span);
	if (j->waited || c->sent_at == 0 || now - c->sent_at < CLOCKS_DIFFER_MS)
		snprintf(out, EXPIRY_MAX, "expired %s ago, not run", span);
	else
		snprintf(out, EXPIRY_MAX,
		    "expired %s ago, not run: the clock of this host says %s, that of who sent it just "
		    "now said %s, %s earlier",
		    span, wallclock_format(now, here), wallclock_format(c->sent_at, there),
		    units_span(now - c->sent_at, apart));
}

void
cmdq_expire(struct cmdq *q, struct cmdq_job *j)
{
	char why[EXPIRY_MAX];

	describe_expiry(j, why);
	if (j->command.job != NULL) {
		cmdq_settle(q, j, WIRE_EXPIRED, why);
		return;
	}
	q->stats.results[CMDQ_EXPIRED]++;
	log_info("cmdq", "%s: %s, job=none", j->plugin, why);
	cmdq_ack_all(q, j);
	cmdq_remove(q, j);
}

/* Running. */

bool
cmdq_runs(const struct cmdq *q, const char *plugin)
{
	const struct cmdq_line *line = cmdq_find_line(q, plugin);

	return line != NULL && line->running > 0;
}

static bool
may_start(const struct cmdq *q, const char *plugin)
{
	return q->running < q->config.concurrency && !cmdq_runs(q, plugin) &&
	       outbox_has_room(q->config.outbox, q->running + 1) &&
	       (q->config.may_start == NULL || q->config.may_start(plugin, q->config.arg));
}

/* Who did not say which job it is gets no answer of its own (2010). Its delivery is acked with the
 * newest one's; or, when room is needed, at once: the newest is with the broker still. */
static void
supersede(struct cmdq *q, struct cmdq_job *j, struct cmdq_job *newest, bool at_once)
{
	char why[32 + WIRE_JOB_MAX];

	if (newest->command.job != NULL)
		snprintf(why, sizeof(why), "superseded by %s", newest->command.job);
	else
		strlcpy(why, "superseded by a later command", sizeof(why));
	if (cmdq_is_expired(&j->command)) {
		cmdq_expire(q, j);
		return;
	}
	if (j->command.job != NULL) {
		cmdq_settle(q, j, WIRE_SUPERSEDED, why);
		return;
	}
	q->stats.results[CMDQ_SUPERSEDED]++;
	log_info("cmdq", "%s: %s, job=none", j->plugin, why);
	if (at_once)
		cmdq_ack_all(q, j);
	else
		merge_tags(newest, j);
	cmdq_remove(q, j);
}

/* One run answers for all that wait for the same plugin. */
static void
supersede_older(struct cmdq *q, struct cmdq_job *newest)
{
	struct cmdq_job *j, *next;

	TAILQ_FOREACH_SAFE (j, &newest->line->waiting, in_state, next) {
		if (j != newest)
			supersede(q, j, newest, false);
	}
}

void
cmdq_make_room(struct cmdq *q, size_t n)
{
	struct cmdq_job *j, *next;

	TAILQ_FOREACH_SAFE (j, &q->jobs, link, next) {
		struct cmdq_job *newest;

		if (n == 0)
			break;
		if (j->state != JOB_WAITING || j->tags[0].epoch != q->epoch ||
		    (newest = cmdq_newest(j->line)) == j)
			continue;
		supersede(q, j, newest, true);
		n--;
	}
}

static void
start_job(struct cmdq *q, struct cmdq_job *j, const struct plugin *p)
{
	struct child_request req = {.op = CHILD_OP_RUN, .id = j->id};

	supersede_older(q, j);
	cmdq_rename(q, j, p->name);
	j->format = p->format;
	buf_init(&j->out, p->max_output != 0 ? p->max_output : q->config.max_output);
	strlcpy(req.plugin, p->name, sizeof(req.plugin));
	cmdq_set_state(q, j, JOB_RUNNING);
	log_info("cmdq", "%s: running, job=%s", j->plugin, job_id_text(j));
	q->config.request(&req, q->config.arg);
}

static bool
step_settled(struct cmdq *q, struct cmdq_job *j)
{
	size_t spare = q->running + 1 > SETTLED_SPARES ? q->running + 1 : SETTLED_SPARES;

	if (!outbox_has_room(q->config.outbox, spare))
		return false;
	answer_without_result(q, j, j->verdict, j->why);
	return true;
}

/* Authorises what waits at its turn and not when it came: the plugins may have been reloaded
 * since. There is room for its answer. */
static bool
step_line(struct cmdq *q, struct cmdq_line *line)
{
	struct cmdq_job *j = cmdq_newest(line);
	const struct plugin *p;

	if (cmdq_is_expired(&j->command)) {
		cmdq_expire(q, j);
		return true;
	}
	p = registry_find(q->config.registry, j->command.plugin);
	if (p == NULL) {
		refuse(q, j);
		return true;
	}
	if (!may_start(q, p->name))
		return false;
	start_job(q, j, p);
	return true;
}

/* One thing that can be done now; false when there is none. */
static bool
step(struct cmdq *q)
{
	struct cmdq_job *settled = TAILQ_FIRST(&q->settled);
	struct cmdq_line *line;

	if (settled != NULL && step_settled(q, settled))
		return true;
	if (q->catching_up || !outbox_has_room(q->config.outbox, q->running + 1))
		return false;
	TAILQ_FOREACH (line, &q->ready, link) {
		if (step_line(q, line))
			return true;
	}
	return false;
}

/* Arms the timer only if something is due. */
static void
arm_for_due(struct cmdq *q)
{
	if (q->catching_up)
		return;
	if (!TAILQ_EMPTY(&q->later) && !q->draining)
		loop_timer_arm(q->timer, mono_diff(q->next_due, loop_now(q->config.loop)));
	else
		loop_timer_disarm(q->timer);
}

void
cmdq_start(struct cmdq *q)
{
	cmdq_list_due(q);
	while (!q->draining && q->waiting > 0 && step(q))
		;
	arm_for_due(q);
}

static void
on_stopped(struct cmdq *q, struct cmdq_job *j)
{
	if (j->cancelled) {
		cmdq_settle(q, j, WIRE_CANCELLED, "cancelled while it ran");
		answer_without_result(q, j, j->verdict, j->why); /* its place was kept */
		return;
	}
	q->stats.results[CMDQ_PUT_OFF]++;
	log_info("cmdq", "%s: stopped, its command stays with the broker, job=%s", j->plugin,
	    job_id_text(j));
	cmdq_remove(q, j);
}

void
cmdq_on_child(struct cmdq *q, const struct child_event *ev)
{
	struct cmdq_job *j = cmdq_find_run(q, ev->id);

	if (j == NULL || j->state != JOB_RUNNING)
		return;
	switch ((enum child_event_kind)ev->kind) {
	case CHILD_STARTED:
		break;
	case CHILD_OUTPUT:
		if (!buf_append(&j->out, ev->data, ev->length)) {
			struct child_request stop = {.op = CHILD_OP_KILL, .id = ev->id};

			log_error("cmdq", "%s: no memory for its output, job=%s", j->plugin,
			    job_id_text(j));
			q->config.request(&stop, q->config.arg);
		}
		break;
	case CHILD_DONE:
		if (ev->outcome == CHILD_STOPPED)
			on_stopped(q, j);
		else
			answer_run(q, j, ev);
		cmdq_start(q);
		break;
	}
}

void
cmdq_on_made(struct cmdq *q, struct made *made)
{
	struct cmdq_job *j = cmdq_find_run(q, made->id);
	struct report_request req;

	if (j == NULL || j->state != JOB_RUNNING)
		return;
	req = request_of(j);
	note_ok(q, j, made->bytes, &made->r);
	if (!made->sendable)
		report_replace(&made->r, &q->config.origin, &req, q->config.order, &made->m);
	send_message(q, j, &made->m);
	cmdq_start(q);
}

void
cmdq_kick(struct cmdq *q)
{
	cmdq_start(q);
}

void
cmdq_drain(struct cmdq *q)
{
	q->draining = true;
	q->catching_up = false;
	arm_for_due(q);
}

void
cmdq_stop_running(struct cmdq *q)
{
	struct cmdq_job *j;

	TAILQ_FOREACH (j, &q->jobs, link) {
		struct child_request stop = {.op = CHILD_OP_KILL, .id = j->id};

		if (j->state == JOB_RUNNING)
			q->config.request(&stop, q->config.arg);
	}
}

const struct cmdq_stats *
cmdq_stats(const struct cmdq *q)
{
	return &q->stats;
}

size_t
cmdq_running(const struct cmdq *q)
{
	return q->running;
}

size_t
cmdq_waiting(const struct cmdq *q)
{
	return q->waiting;
}

void
cmdq_set_limits(struct cmdq *q, uint64_t max_output, uint32_t catch_up_splay_ms)
{
	q->config.max_output = max_output;
	q->config.catch_up_splay_ms = catch_up_splay_ms;
}
