/* See cmdq.h. The life of a job:
 *
 *   WAITING ------> RUNNING ------> ANSWERED ------> acked and gone
 *      |   its turn    |    DONE        ^  confirmed
 *      |               +-- stopped      |
 *      |                   by us: gone  |
 *      +------ not authorised ----------+ */
#include "agent/cmdq.h"

#include "agent/order.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "shared/buf.h"
#include "shared/log.h"
#include "shared/wall.h"
#include "shared/wire.h"
#include "shared/xalloc.h"
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERED_KEPT 256 /* jobs remembered after their ack, which may have been lost */
#define SKEW_MS       60000
#define REFUSAL_MAX   2048

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_ANSWERED };

struct job {
	TAILQ_ENTRY(job) link;
	uint64_t id; /* of the run, and of the entry in the outbox */
	enum job_state state;
	struct command command;
	char *plugin; /* its name; what was asked for when there is none */
	enum wire_format format;
	struct buf out;
	struct broker_tag *tags; /* of this command's deliveries, all of one epoch */
	size_t n_tags;
};

struct answered {
	char *job;
	char *plugin;
};

struct cmdq {
	struct cmdq_config config;
	TAILQ_HEAD(, job) jobs; /* in the order they came */
	uint64_t last_id;
	size_t waiting, running;
	bool draining;
	struct answered answered[ANSWERED_KEPT]; /* a ring */
	size_t answered_next;
	struct cmdq_stats stats;
};

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
	case CMDQ_EXPIRED:
		return "expired";
	case CMDQ_REPEATED:
		return "repeated";
	case CMDQ_INVALID:
		return "invalid";
	case CMDQ_PUT_OFF:
		return "put_off";
	}
	return "?";
}

struct cmdq *
cmdq_create(const struct cmdq_config *config)
{
	struct cmdq *q = xcalloc(1, sizeof(*q));

	q->config = *config;
	TAILQ_INIT(&q->jobs);
	return q;
}

static void
job_remove(struct cmdq *q, struct job *j)
{
	TAILQ_REMOVE(&q->jobs, j, link);
	q->waiting -= j->state == JOB_WAITING;
	q->running -= j->state == JOB_RUNNING;
	command_finish(&j->command);
	buf_finish(&j->out);
	free(j->plugin);
	free(j->tags);
	free(j);
}

void
cmdq_destroy(struct cmdq *q)
{
	struct job *j, *next;

	if (q == NULL)
		return;
	TAILQ_FOREACH_SAFE (j, &q->jobs, link, next)
		job_remove(q, j);
	for (size_t i = 0; i < ANSWERED_KEPT; i++) {
		free(q->answered[i].job);
		free(q->answered[i].plugin);
	}
	free(q);
}

static void
set_state(struct cmdq *q, struct job *j, enum job_state state)
{
	q->waiting -= j->state == JOB_WAITING;
	q->running -= j->state == JOB_RUNNING;
	j->state = state;
	q->waiting += state == JOB_WAITING;
	q->running += state == JOB_RUNNING;
}

static const char *
job_id_text(const struct job *j)
{
	return j->command.job != NULL ? j->command.job : "none";
}

/* Tags of an earlier connection are void: the broker has taken those deliveries back. */
static void
add_tag(struct job *j, struct broker_tag tag)
{
	if (j->n_tags > 0 && j->tags[0].epoch != tag.epoch)
		j->n_tags = 0;
	j->tags = xreallocarray(j->tags, j->n_tags + 1, sizeof(*j->tags));
	j->tags[j->n_tags++] = tag;
}

/* Answers. */

static struct report_request
request_of(const struct job *j)
{
	return (struct report_request){
	    .plugin = j->plugin,
	    .job = j->command.job,
	    .reply_to = j->command.reply_to,
	    .format = j->format,
	};
}

/* The job is ANSWERED from here on; r is finished. */
static void
send_answer(struct cmdq *q, struct job *j, struct response *r)
{
	struct report_request req = request_of(j);
	struct message m;

	report_encode(r, &q->config.origin, &req, q->config.order, &m);
	set_state(q, j, JOB_ANSWERED);
	buf_finish(&j->out);
	outbox_add(q->config.outbox, j->id, &m);
	message_finish(&m);
}

static void
answer_run(struct cmdq *q, struct job *j, const struct child_event *done)
{
	struct report_request req = request_of(j);
	struct response r;
	int64_t now = wall_ms();

	report_run(
	    &r, &q->config.origin, &req, done, &j->out, order_next(q->config.order, now), now);
	q->stats.results[r.meta.state == WIRE_OK ? CMDQ_OK : CMDQ_FAILED]++;
	if (r.meta.state == WIRE_OK)
		log_info("cmdq", "%s: done, job=%s bytes=%zu duration_ms=%lld", j->plugin,
		    job_id_text(j), j->out.len, (long long)done->duration_ms);
	else
		log_warn("cmdq", "%s, job=%s",
		    json_string_value(
			json_object_get(json_object_get(r.results, "last_error"), "message")),
		    job_id_text(j));
	send_answer(q, j, &r);
	response_finish(&r);
}

static void
refuse(struct cmdq *q, struct job *j)
{
	struct report_request req = request_of(j);
	struct response r;
	int64_t now = wall_ms();
	char *names = registry_names(q->config.registry);
	char text[REFUSAL_MAX];

	snprintf(text, sizeof(text),
	    "Plugin %.200s is not authorized for this host. Ignoring. Registered here: %.1000s",
	    j->plugin, names[0] != '\0' ? names : "none");
	free(names);
	q->stats.results[CMDQ_REFUSED]++;
	log_warn("cmdq", "%s, job=%s", text, job_id_text(j));
	report_refused(&r, &q->config.origin, &req, text, order_next(q->config.order, now), now);
	send_answer(q, j, &r);
	response_finish(&r);
}

/* Running. */

bool
cmdq_runs(const struct cmdq *q, const char *plugin)
{
	const struct job *j;

	TAILQ_FOREACH (j, &q->jobs, link) {
		if (j->state == JOB_RUNNING && strcmp(j->plugin, plugin) == 0)
			return true;
	}
	return false;
}

static bool
may_start(const struct cmdq *q, const char *plugin)
{
	return q->running < q->config.concurrency && !cmdq_runs(q, plugin) &&
	       (q->config.may_start == NULL || q->config.may_start(plugin, q->config.arg));
}

static void
start_job(struct cmdq *q, struct job *j, const struct plugin *p)
{
	struct child_request req = {.op = CHILD_OP_RUN, .id = j->id};

	free(j->plugin);
	j->plugin = xstrdup(p->name);
	j->format = p->format;
	buf_init(&j->out, p->max_output != 0 ? p->max_output : q->config.max_output);
	strlcpy(req.plugin, p->name, sizeof(req.plugin));
	set_state(q, j, JOB_RUNNING);
	log_info("cmdq", "%s: running, job=%s", j->plugin, job_id_text(j));
	q->config.request(&req, q->config.arg);
}

/* Authorises what waits, at its turn and not when it came: the plugins may have been reloaded
 * since. Each answer will need a place in the outbox, so none begins without. */
static void
start_jobs(struct cmdq *q)
{
	struct job *j;

	TAILQ_FOREACH (j, &q->jobs, link) {
		const struct plugin *p;

		if (q->draining || q->waiting == 0 ||
		    !outbox_has_room(q->config.outbox, q->running + 1))
			return;
		if (j->state != JOB_WAITING)
			continue;
		p = registry_find(q->config.registry, j->command.plugin);
		if (p == NULL)
			refuse(q, j);
		else if (may_start(q, p->name))
			start_job(q, j, p);
	}
}

static struct job *
find_job(struct cmdq *q, uint64_t id)
{
	struct job *j;

	TAILQ_FOREACH (j, &q->jobs, link) {
		if (j->id == id)
			return j;
	}
	return NULL;
}

/* Deliveries. */

static bool
was_answered(const struct cmdq *q, const struct command *c, const char *plugin)
{
	for (size_t i = 0; c->job != NULL && i < ANSWERED_KEPT; i++) {
		const struct answered *a = &q->answered[i];

		if (a->job != NULL && strcmp(a->job, c->job) == 0 && strcmp(a->plugin, plugin) == 0)
			return true;
	}
	return false;
}

static void
remember_answered(struct cmdq *q, struct job *j)
{
	struct answered *a = &q->answered[q->answered_next];

	if (j->command.job == NULL)
		return;
	free(a->job);
	free(a->plugin);
	*a = (struct answered){xstrdup(j->command.job), xstrdup(j->plugin)};
	q->answered_next = (q->answered_next + 1) % ANSWERED_KEPT;
}

/* Is d this job again? A command of 2010 has no id: it is taken for one whose delivery was lost
 * with an earlier connection. */
static bool
is_repeat(
    const struct job *j, const struct command *c, const char *plugin, const struct delivery *d)
{
	if (strcmp(j->plugin, plugin) != 0)
		return false;
	if (c->job == NULL || j->command.job == NULL)
		return c->job == j->command.job && d->redelivered &&
		       j->tags[0].epoch != d->tag.epoch;
	return strcmp(j->command.job, c->job) == 0;
}

static struct job *
find_repeat(struct cmdq *q, const struct command *c, const char *plugin, const struct delivery *d)
{
	struct job *j;

	TAILQ_FOREACH (j, &q->jobs, link) {
		if (is_repeat(j, c, plugin, d))
			return j;
	}
	return NULL;
}

static bool
is_expired(const struct command *c, const char *plugin)
{
	int64_t now = wall_ms();

	if (c->sent_at > now + SKEW_MS)
		log_warn("cmdq", "clock skew: %s was sent %lld s from now, job=%s", plugin,
		    (long long)((c->sent_at - now) / 1000), c->job != NULL ? c->job : "none");
	if (c->not_after == 0 || now <= c->not_after)
		return false;
	log_info("cmdq", "%s: expired %lld s ago, not run, job=%s", plugin,
	    (long long)((now - c->not_after) / 1000), c->job != NULL ? c->job : "none");
	return true;
}

/* Takes over what c holds. */
static void
add_job(struct cmdq *q, struct command *c, const char *plugin, struct broker_tag tag)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->id = ++q->last_id;
	j->command = *c;
	*c = (struct command){0};
	j->plugin = xstrdup(plugin);
	buf_init(&j->out, 0);
	add_tag(j, tag);
	j->state = JOB_WAITING;
	q->waiting++;
	TAILQ_INSERT_TAIL(&q->jobs, j, link);
}

static void
take_command(struct cmdq *q, struct command *c, const struct delivery *d)
{
	const struct plugin *p = registry_find(q->config.registry, c->plugin);
	const char *plugin = p != NULL ? p->name : c->plugin;
	struct job *j = find_repeat(q, c, plugin, d);
	bool repeated;

	if (j != NULL) {
		log_debug("cmdq", "%s: delivered again, job=%s", plugin, job_id_text(j));
		q->stats.results[CMDQ_REPEATED]++;
		add_tag(j, d->tag);
		return;
	}
	repeated = was_answered(q, c, plugin);
	if (repeated || is_expired(c, plugin)) {
		q->stats.results[repeated ? CMDQ_REPEATED : CMDQ_EXPIRED]++;
		broker_ack(q->config.broker, d->tag, false);
		return;
	}
	if (q->waiting + q->running >= CMDQ_JOBS_MAX) {
		q->stats.results[CMDQ_PUT_OFF]++;
		log_warn("cmdq", "%s: too many commands wait; the broker keeps this one, job=%s",
		    plugin, c->job != NULL ? c->job : "none");
		return;
	}
	add_job(q, c, plugin, d->tag);
	start_jobs(q);
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
	log_info("cmdq", "Message recieved");
	if (d->oversize) {
		q->stats.results[CMDQ_INVALID]++;
		log_warn(
		    "cmdq", "dropped a command of %llu bytes", (unsigned long long)d->body_size);
		broker_ack(q->config.broker, d->tag, false);
	} else if (!wire_command_decode(&d->message, &c, err, sizeof(err))) {
		/* Nobody to answer to: what was meant is not known. */
		q->stats.results[CMDQ_INVALID]++;
		log_warn("cmdq", "dropped a message that is not a command: %s", err);
		broker_ack(q->config.broker, d->tag, false);
	} else {
		log_info("cmdq", "Message decoded");
		take_command(q, &c, d);
		command_finish(&c);
	}
	delivery_destroy(d);
}

void
cmdq_on_child(struct cmdq *q, const struct child_event *ev)
{
	struct job *j = find_job(q, ev->id);

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
		if (ev->outcome == CHILD_STOPPED) {
			q->stats.results[CMDQ_PUT_OFF]++;
			log_info("cmdq", "%s: stopped, its command stays with the broker, job=%s",
			    j->plugin, job_id_text(j));
			job_remove(q, j);
		} else {
			answer_run(q, j, ev);
		}
		start_jobs(q);
		break;
	}
}

void
cmdq_on_confirmed(struct cmdq *q, uint64_t id)
{
	struct job *j = find_job(q, id);

	if (j == NULL)
		return; /* the greeting */
	for (size_t i = 0; i < j->n_tags; i++)
		broker_ack(q->config.broker, j->tags[i], false);
	remember_answered(q, j);
	job_remove(q, j);
	start_jobs(q);
	if (q->config.on_answered != NULL)
		q->config.on_answered(q->config.arg);
}

void
cmdq_kick(struct cmdq *q)
{
	start_jobs(q);
}

void
cmdq_drain(struct cmdq *q)
{
	q->draining = true;
}

void
cmdq_stop_running(struct cmdq *q)
{
	struct job *j;

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
cmdq_set_max_output(struct cmdq *q, uint64_t max_output)
{
	q->config.max_output = max_output;
}
