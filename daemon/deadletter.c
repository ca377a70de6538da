/* See deadletter.h. */
#include "daemon/deadletter.h"

#include "shared/backoff.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/repeat.h"
#include "shared/topology.h"
#include "shared/xalloc.h"

#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS  500
#define RETRY_MAX_MS    30000
#define BODY_CUT        (64 * 1024) /* what is left of a body that does not fit */
#define LOG_PERIOD_MS   10000
#define LOG_LINES       10 /* each period; the rest is counted: a hostile host decides how many */
#define OUR_HEADERS_MAX 5

struct letter {
	TAILQ_ENTRY(letter) link;
	struct delivery *delivery;
	void *owner;
	uint64_t id;      /* of the publish; 0: not sent */
	bool comes_again; /* by the broker: not to be sent by us again */
};
TAILQ_HEAD(letters, letter);

struct deadletter {
	struct loop *loop;
	struct broker *publisher;
	deadletter_buried_fn *fn;
	deadletter_dropped_fn *on_dropped;
	void *arg;
	struct letters waiting;
	struct letters sent;
	size_t pending;
	uint64_t buried;
	struct backoff backoff;
	struct loop_timer *send;
	struct mono log_since;
	unsigned int log_lines;
	struct repeat said_refused; /* by the broker: up to a hundred of them, each time */
};

static void on_send(void *arg);

struct deadletter *
deadletter_create(struct loop *loop, struct broker *publisher, deadletter_buried_fn *fn,
    deadletter_dropped_fn *on_dropped, void *arg)
{
	struct deadletter *dl = xcalloc(1, sizeof(*dl));

	dl->loop = loop;
	dl->publisher = publisher;
	dl->fn = fn;
	dl->on_dropped = on_dropped;
	dl->arg = arg;
	TAILQ_INIT(&dl->waiting);
	TAILQ_INIT(&dl->sent);
	backoff_init(&dl->backoff, RETRY_FIRST_MS, RETRY_MAX_MS);
	dl->send = loop_timer_create(loop, "deadletter send", on_send, dl);
	dl->log_since = loop_now(loop);
	return dl;
}

static void
letter_free(struct deadletter *dl, struct letters *list, struct letter *l)
{
	TAILQ_REMOVE(list, l, link);
	delivery_destroy(l->delivery);
	free(l);
	dl->pending--;
}

void
deadletter_clear(struct deadletter *dl)
{
	while (!TAILQ_EMPTY(&dl->waiting))
		letter_free(dl, &dl->waiting, TAILQ_FIRST(&dl->waiting));
	while (!TAILQ_EMPTY(&dl->sent))
		letter_free(dl, &dl->sent, TAILQ_FIRST(&dl->sent));
}

static void
drop(struct deadletter *dl, struct letters *list, struct letter *l)
{
	void *owner = l->owner;

	letter_free(dl, list, l);
	dl->on_dropped(owner, dl->arg);
}

void
deadletter_on_consumer_down(struct deadletter *dl)
{
	struct letter *l;

	while (!TAILQ_EMPTY(&dl->waiting))
		drop(dl, &dl->waiting, TAILQ_FIRST(&dl->waiting));
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
cut_body(struct delivery *d)
{
	struct message *m = &d->message;

	if (m->body_len <= BODY_CUT)
		return;
	if (!d->oversize)
		message_add_int(m, "x-oversize", (int64_t)d->body_size);
	d->oversize = true;
	m->body_len = BODY_CUT;
	m->body[BODY_CUT] = '\0';
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

static enum broker_fit
fit(struct deadletter *dl, const struct delivery *d)
{
	return broker_fit(dl->publisher, "", TOPOLOGY_DEAD_QUEUE, &d->message);
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
		cut_body(d);
		log_cut(dl, d, "the body is", "what may wait to be sent");
	}
	return true;
}

static uint64_t
publish(struct deadletter *dl, struct letter *l)
{
	const struct message *m = &l->delivery->message;
	uint64_t id = broker_publish(dl->publisher, "", TOPOLOGY_DEAD_QUEUE, true, m);

	if (id != 0 || !shrink(dl, l->delivery))
		return id;
	return broker_publish(dl->publisher, "", TOPOLOGY_DEAD_QUEUE, true, m);
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
	if (!TAILQ_EMPTY(&dl->waiting))
		loop_timer_arm(dl->send, 0);
}

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

void
deadletter_bury(struct deadletter *dl, struct delivery *d, const char *reason, void *owner)
{
	struct letter *l = xcalloc(1, sizeof(*l));

	log_burial(dl, d, reason);
	write_envelope(dl, d, reason);
	l->delivery = d;
	l->owner = owner;
	TAILQ_INSERT_TAIL(&dl->waiting, l, link);
	dl->pending++;
	if (TAILQ_FIRST(&dl->waiting) == l)
		loop_timer_arm(dl->send, 0);
}

static void
log_refused(struct deadletter *dl, const char *outcome, const char *why)
{
	uint32_t unlogged;

	if (repeat_due(&dl->said_refused, why, loop_now(dl->loop), &unlogged))
		log_error("deadletter", "%s: %s, %s; trying again, unlogged_before=%" PRIu32,
		    TOPOLOGY_DEAD_QUEUE, outcome, why, unlogged);
}

static void
log_taken(struct deadletter *dl)
{
	uint32_t unlogged;

	if (repeat_over(&dl->said_refused, loop_now(dl->loop), &unlogged))
		log_warn("deadletter", "%s: taken again, unlogged=%" PRIu32, TOPOLOGY_DEAD_QUEUE,
		    unlogged);
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
		backoff_reset(&dl->backoff);
		if (dl->pending == 0)
			log_taken(dl);
		dl->fn(owner, dl->arg);
		return;
	}
	if (l->comes_again) {
		drop(dl, &dl->sent, l);
		return;
	}
	if (outcome != BROKER_LOST)
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

bool
deadletter_is_full(const struct deadletter *dl)
{
	return dl->pending >= DEADLETTER_PENDING_MAX;
}

uint64_t
deadletter_buried(const struct deadletter *dl)
{
	return dl->buried;
}
