/* SPDX-License-Identifier: Apache-2.0 */
/* See deadletter.h. */
#include "daemon/deadletter.h"

#include "daemon/packed.h"
#include "shared/amqp/topology.h"
#include "shared/base/backoff.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/pack.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS  500
#define RETRY_MAX_MS    30000
#define BODY_CUT        (64 * 1024) /* what is left of a body that does not fit */
#define LOG_PERIOD_MS   10000
#define LOG_LINES       10 /* each period; the rest is counted: a hostile host decides how many */
#define OUR_HEADERS_MAX 5
#define LOOK_MS         1000
#define RETURN_RUN      (DEADLETTER_PENDING_MAX / 2) /* parked ones at once */
#define WHY_SIZE        256

struct letter {
	TAILQ_ENTRY(letter) link;
	struct delivery *delivery;
	void *owner;
	uint64_t id;      /* of the publish; 0: not sent */
	uint64_t bytes;   /* 0 while parked, as delivery is NULL */
	bool comes_again; /* by the broker: not to be sent by us again */
	struct mono since;
};
TAILQ_HEAD(letters, letter);

struct deadletter {
	struct loop *loop;
	struct broker *publisher;
	const struct deadletter_handlers *handlers;
	void *arg;
	struct pack *pack;
	struct letters waiting;
	struct letters sent;
	struct letters parked;
	size_t pending, n_parked;
	uint64_t bytes, bytes_max; /* of waiting and sent */
	struct mono progress;      /* the latest confirm, or when the first of these came */
	char why[WHY_SIZE];        /* of the latest refusal since then */
	struct loop_timer *look;   /* while there is any letter */
	uint64_t buried;
	struct backoff backoff;
	struct loop_timer *send;
	unsigned int
	    losses; /* connections that were lost with letters on them, without a confirm */
	struct mono lost_at;
	struct mono log_since;
	unsigned int log_lines;
	struct ratelimit said_stuck;   /* once a second, while it lasts */
	struct ratelimit said_refused; /* by the broker: up to a hundred of them, each time */
};

static void on_send(void *arg);
static void on_look(void *arg);

struct deadletter *
deadletter_create(struct loop *loop, struct broker *publisher, uint64_t bytes_max,
    const struct deadletter_handlers *handlers, void *arg)
{
	struct deadletter *dl = xcalloc(1, sizeof(*dl));

	dl->loop = loop;
	dl->publisher = publisher;
	dl->handlers = handlers;
	dl->arg = arg;
	dl->bytes_max = bytes_max;
	dl->pack = pack_create();
	TAILQ_INIT(&dl->waiting);
	TAILQ_INIT(&dl->sent);
	TAILQ_INIT(&dl->parked);
	backoff_init(&dl->backoff, RETRY_FIRST_MS, RETRY_MAX_MS);
	dl->send = loop_timer_create(loop, "deadletter send", on_send, dl);
	dl->look = loop_timer_create(loop, "deadletter look", on_look, dl);
	dl->log_since = loop_now(loop);
	return dl;
}

void
deadletter_set_bytes_max(struct deadletter *dl, uint64_t bytes_max)
{
	dl->bytes_max = bytes_max;
}

static void
letter_free(struct deadletter *dl, struct letters *list, struct letter *l)
{
	TAILQ_REMOVE(list, l, link);
	assert(dl->bytes >= l->bytes);
	dl->bytes -= l->bytes;
	if (list == &dl->parked)
		dl->n_parked--;
	else
		dl->pending--;
	delivery_destroy(l->delivery);
	free(l);
}

void
deadletter_clear(struct deadletter *dl)
{
	while (!TAILQ_EMPTY(&dl->waiting))
		letter_free(dl, &dl->waiting, TAILQ_FIRST(&dl->waiting));
	while (!TAILQ_EMPTY(&dl->sent))
		letter_free(dl, &dl->sent, TAILQ_FIRST(&dl->sent));
	while (!TAILQ_EMPTY(&dl->parked))
		letter_free(dl, &dl->parked, TAILQ_FIRST(&dl->parked));
}

static void
drop(struct deadletter *dl, struct letters *list, struct letter *l)
{
	void *owner = l->owner;

	letter_free(dl, list, l);
	dl->handlers->on_dropped(owner, dl->arg);
}

static void
give_back(struct deadletter *dl, struct letters *list, struct letter *l)
{
	void *owner = l->owner;

	letter_free(dl, list, l);
	dl->handlers->on_returned(owner, dl->arg);
}

void
deadletter_on_consumer_down(struct deadletter *dl)
{
	struct letter *l;

	while (!TAILQ_EMPTY(&dl->waiting))
		drop(dl, &dl->waiting, TAILQ_FIRST(&dl->waiting));
	while (!TAILQ_EMPTY(&dl->parked))
		drop(dl, &dl->parked, TAILQ_FIRST(&dl->parked));
	TAILQ_FOREACH (l, &dl->sent, link)
		l->comes_again = true;
}

void
deadletter_destroy(struct deadletter *dl)
{
	if (dl == NULL)
		return;
	deadletter_clear(dl);
	loop_timer_destroy(dl->send);
	loop_timer_destroy(dl->look);
	pack_destroy(dl->pack);
	free(dl);
}

/* ---- what is written on the envelope ---- */

static bool
is_ours(const char *name)
{
	static const char *const names[OUR_HEADERS_MAX] = {
	    "x-reason", "x-sender", "x-exchange", "x-routing-key", "x-oversize"};
	size_t i;

	for (i = 0; i < OUR_HEADERS_MAX; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static void
free_header(struct header *h)
{
	free(h->name);
	free(h->value);
}

/* Removes those with our names, and past `keep` all others. */
static void
drop_headers(struct message *m, size_t keep)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_headers; i++) {
		if (n < keep && !is_ours(m->headers[i].name))
			m->headers[n++] = m->headers[i];
		else
			free_header(&m->headers[i]);
	}
	m->n_headers = n;
}

static void
write_envelope(struct deadletter *dl, struct delivery *d, const char *reason)
{
	struct message *m = &d->message;

	drop_headers(m, MESSAGE_HEADERS_MAX - OUR_HEADERS_MAX);
	message_add_str(m, "x-reason", reason);
	message_add_str(m, "x-sender", m->user_id);
	message_add_str(m, "x-exchange", d->exchange);
	message_add_str(m, "x-routing-key", d->routing_key);
	if (d->oversize)
		message_add_int(m, "x-oversize", (int64_t)d->body_size);
	free(m->user_id);
	m->user_id = NULL; /* it becomes ours */
	free(m->expiration);
	m->expiration = NULL;
	m->persistent = true;
}

/* What is left fits the smallest frame there is: a reason is one line of ours, and all else were
 * short strings of AMQP, of 255 bytes. */
static void
cut_headers(struct message *m)
{
	struct header ours[OUR_HEADERS_MAX];
	size_t i, n = 0;

	for (i = 0; i < m->n_headers; i++) {
		if (is_ours(m->headers[i].name) && n < OUR_HEADERS_MAX)
			ours[n++] = m->headers[i];
		else
			free_header(&m->headers[i]);
	}
	memcpy(m->headers, ours, n * sizeof(ours[0]));
	m->n_headers = n;
}

static void
cut_body(struct deadletter *dl, struct delivery *d)
{
	bool had_header = d->oversize;

	if ((d->packed_from == 0 && d->message.body_len <= BODY_CUT) ||
	    !packed_cut(dl->pack, d, BODY_CUT))
		return;
	d->oversize = true;
	if (!had_header)
		message_add_int(&d->message, "x-oversize", (int64_t)d->body_size);
}

/* ---- sending ---- */

/* Told while there are few: the letter itself says what was cut of its body. */
static void
log_cut(const struct deadletter *dl, const struct delivery *d, const char *what, const char *limit)
{
	if (dl->log_lines <= LOG_LINES)
		log_warn("deadletter", "%s: %s cut, larger than %s, bytes=%" PRIu64,
		    TOPOLOGY_DEAD_QUEUE, what, limit, d->body_size);
}

/* Looks whether it fits with the body as long as it is sent, of which no byte is looked at. */
static enum broker_fit
fit(struct deadletter *dl, const struct delivery *d)
{
	struct message m = d->message;

	if (d->packed_from != 0)
		m.body_len = d->packed_from;
	return broker_fit(dl->publisher, "", TOPOLOGY_DEAD_QUEUE, &m);
}

/* Takes away what this broker can never be given, and no more than that. false: nothing. */
static bool
shrink(struct deadletter *dl, struct delivery *d)
{
	enum broker_fit trouble = fit(dl, d);

	if (trouble == BROKER_FITS)
		return false;
	if (trouble == BROKER_FIT_NO_HEADERS) {
		cut_headers(&d->message);
		log_cut(dl, d, "headers are", "the broker's frames (frame_max)");
	}
	if (fit(dl, d) == BROKER_FIT_NO_BODY) {
		cut_body(dl, d);
		log_cut(dl, d, "the body is", "what may wait to be sent");
	}
	return true;
}

/* Publishes what stays packed here until it is confirmed. */
static uint64_t
publish_as_is(struct deadletter *dl, const struct delivery *d)
{
	struct message m;
	uint64_t id;

	if (!packed_open(dl->pack, d, &m))
		return 0;
	id = broker_publish(dl->publisher, "", TOPOLOGY_DEAD_QUEUE, true, &m);
	packed_done(d, &m);
	return id;
}

static uint64_t
publish(struct deadletter *dl, struct letter *l)
{
	uint64_t id = publish_as_is(dl, l->delivery);

	if (id != 0 || !shrink(dl, l->delivery))
		return id;
	return publish_as_is(dl, l->delivery);
}

static void
retry_later(struct deadletter *dl)
{
	if (!loop_timer_armed(dl->send))
		loop_timer_arm(dl->send, backoff_next(&dl->backoff, ident_random32()));
}

static void
on_send(void *arg)
{
	struct deadletter *dl = arg;
	struct letter *l;

	for (l = TAILQ_FIRST(&dl->waiting); l != NULL; l = TAILQ_FIRST(&dl->waiting)) {
		if (!broker_can_publish(dl->publisher))
			return; /* on_ready or on_writable follows */
		l->id = publish(dl, l);
		if (l->id == 0) {
			if (broker_can_publish(dl->publisher))
				retry_later(dl);
			return;
		}
		TAILQ_REMOVE(&dl->waiting, l, link);
		TAILQ_INSERT_TAIL(&dl->sent, l, link);
	}
}

void
deadletter_on_ready(struct deadletter *dl)
{
	if (TAILQ_EMPTY(&dl->waiting))
		return;
	if (dl->losses > 1)
		retry_later(dl);
	else
		loop_timer_arm(dl->send, 0);
}

/* ---- while the queue takes nothing ---- */

static bool
is_full(const struct deadletter *dl, const struct delivery *d)
{
	return dl->pending >= DEADLETTER_PENDING_MAX ||
	       (dl->pending > 0 && dl->bytes + delivery_size(d) > dl->bytes_max);
}

static void
log_stuck(struct deadletter *dl, const char *why)
{
	uint32_t unlogged;

	if (ratelimit_due(&dl->said_stuck, "stuck", loop_now(dl->loop), &unlogged))
		log_error("deadletter",
		    "%s: takes nothing, %s; what is refused waits, the newest of it in its own "
		    "queue, and good answers go on, waiting=%zu",
		    TOPOLOGY_DEAD_QUEUE, why, dl->pending + dl->n_parked);
}

int64_t
deadletter_stuck_ms(const struct deadletter *dl, const char **why)
{
	int64_t ms = mono_diff(loop_now(dl->loop), dl->progress);

	if (dl->pending + dl->n_parked == 0 || ms < DEADLETTER_STUCK_MS)
		return 0;
	*why = dl->why[0] != '\0'                  ? dl->why
	       : broker_can_publish(dl->publisher) ? "the broker does not confirm"
						   : "the broker takes no message now";
	return ms;
}

static void
return_old(struct deadletter *dl, struct letters *list)
{
	struct letter *l = TAILQ_FIRST(list);

	while (l != NULL && mono_diff(loop_now(dl->loop), l->since) >= DEADLETTER_HOLD_MS) {
		if (l->comes_again) /* it was sent, and may be confirmed yet */
			drop(dl, list, l);
		else
			give_back(dl, list, l);
		l = TAILQ_FIRST(list);
	}
}

static void
on_look(void *arg)
{
	struct deadletter *dl = arg;
	const char *why;

	return_old(dl, &dl->waiting);
	return_old(dl, &dl->sent);
	return_old(dl, &dl->parked);
	if (dl->pending + dl->n_parked == 0)
		return;
	loop_timer_arm(dl->look, LOOK_MS);
	if (deadletter_stuck_ms(dl, &why) == 0)
		return;
	log_stuck(dl, why);
	dl->handlers->on_stuck(dl->arg);
}

static void
return_some_parked(struct deadletter *dl)
{
	for (int i = 0; i < RETURN_RUN && !TAILQ_EMPTY(&dl->parked); i++)
		give_back(dl, &dl->parked, TAILQ_FIRST(&dl->parked));
}

void
deadletter_return_parked(struct deadletter *dl)
{
	while (!TAILQ_EMPTY(&dl->parked))
		give_back(dl, &dl->parked, TAILQ_FIRST(&dl->parked));
}

/* ---- burying ---- */

static void
log_burial(struct deadletter *dl, const struct delivery *d, const char *reason)
{
	const char *sender = d->message.user_id != NULL ? d->message.user_id : "(not said)";

	if (mono_diff(loop_now(dl->loop), dl->log_since) >= LOG_PERIOD_MS) {
		if (dl->log_lines > LOG_LINES)
			log_warn("deadletter", "%u more dead letters since the last line",
			    dl->log_lines - LOG_LINES);
		dl->log_since = loop_now(dl->loop);
		dl->log_lines = 0;
	}
	if (dl->log_lines++ < LOG_LINES)
		log_warn("deadletter", "%s: refused: %s, sender=%s, bytes=%" PRIu64,
		    TOPOLOGY_DEAD_QUEUE, reason, sender, d->body_size);
}

bool
deadletter_bury(struct deadletter *dl, struct delivery *d, const char *reason, void *owner)
{
	struct letter *l = xcalloc(1, sizeof(*l));
	bool parked = is_full(dl, d);

	log_burial(dl, d, reason);
	l->owner = owner;
	l->since = loop_now(dl->loop);
	if (dl->pending + dl->n_parked == 0) {
		dl->progress = l->since;
		dl->why[0] = '\0';
		loop_timer_arm(dl->look, LOOK_MS);
	}
	if (parked) {
		delivery_destroy(d);
		TAILQ_INSERT_TAIL(&dl->parked, l, link);
		dl->n_parked++;
		return false;
	}
	write_envelope(dl, d, reason);
	l->delivery = d;
	l->bytes = delivery_size(d);
	dl->bytes += l->bytes;
	TAILQ_INSERT_TAIL(&dl->waiting, l, link);
	dl->pending++;
	if (TAILQ_FIRST(&dl->waiting) == l && !loop_timer_armed(dl->send))
		loop_timer_arm(dl->send, 0);
	return true;
}

static void
log_refused(struct deadletter *dl, const char *outcome, const char *why)
{
	uint32_t unlogged;

	snprintf(dl->why, sizeof(dl->why), "%s, %s", outcome, why);
	if (ratelimit_due(&dl->said_refused, why, loop_now(dl->loop), &unlogged))
		log_error("deadletter", "%s: %s, %s; trying again, unlogged_before=%" PRIu32,
		    TOPOLOGY_DEAD_QUEUE, outcome, why, unlogged);
}

static void
log_taken(struct deadletter *dl)
{
	uint32_t refused, stuck;
	bool due = ratelimit_over(&dl->said_refused, loop_now(dl->loop), &refused);

	due = ratelimit_over(&dl->said_stuck, loop_now(dl->loop), &stuck) || due;
	if (due)
		log_warn("deadletter", "%s: taken again, unlogged=%" PRIu32, TOPOLOGY_DEAD_QUEUE,
		    refused + stuck);
}

/* A letter that is forbidden ends the connection that it is sent on: not again at once on the next.
 */
static void
note_loss(struct deadletter *dl)
{
	struct mono now = loop_now(dl->loop);

	if (dl->losses == 0 || mono_diff(now, dl->lost_at) > 0)
		dl->losses++;
	dl->lost_at = now;
}

void
deadletter_on_confirm(
    struct deadletter *dl, uint64_t id, enum broker_outcome outcome, const char *why)
{
	struct letter *l;
	void *owner;

	TAILQ_FOREACH (l, &dl->sent, link) {
		if (l->id == id)
			break;
	}
	if (l == NULL)
		return;
	if (outcome == BROKER_CONFIRMED) {
		owner = l->owner;
		letter_free(dl, &dl->sent, l);
		dl->buried++;
		dl->progress = loop_now(dl->loop);
		dl->why[0] = '\0';
		dl->losses = 0;
		backoff_reset(&dl->backoff);
		if (!TAILQ_EMPTY(&dl->waiting))
			loop_timer_arm(dl->send, 0);
		if (dl->pending + dl->n_parked == 0)
			log_taken(dl);
		dl->handlers->on_buried(owner, dl->arg);
		if (dl->pending <= DEADLETTER_PENDING_MAX - RETURN_RUN)
			return_some_parked(dl);
		return;
	}
	if (l->comes_again) {
		drop(dl, &dl->sent, l);
		return;
	}
	if (outcome == BROKER_LOST)
		note_loss(dl);
	else
		log_refused(
		    dl, broker_outcome_name(outcome), why != NULL ? why : "no reason given");
	l->id = 0;
	TAILQ_REMOVE(&dl->sent, l, link);
	TAILQ_INSERT_TAIL(&dl->waiting, l, link);
	retry_later(dl);
}

size_t
deadletter_pending(const struct deadletter *dl)
{
	return dl->pending;
}

size_t
deadletter_parked(const struct deadletter *dl)
{
	return dl->n_parked;
}

uint64_t
deadletter_buried(const struct deadletter *dl)
{
	return dl->buried;
}
