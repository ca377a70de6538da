/* One command, published to many hosts or to all at once, each publish followed until the broker
 * has answered for it.
 *
 * A connection that breaks is not the end: what has no answer is published again after the
 * reconnect. An agent that gets a command twice runs it once, for both carry the same id. The end
 * is confirm_ms without any answer (without that, a minute while the broker is not blocked); or a
 * broker that cannot be reached at all, refuses us, or drops us each time. */
#ifndef VOGELER_SEND_H
#define VOGELER_SEND_H

#include "shared/base/uri.h"
#include "shared/config/options.h"
#include <stddef.h>

struct command;
struct loop;
struct send;

enum send_state {
	SEND_WAITING,    /* never published */
	SEND_UNKNOWN,    /* published, not answered */
	SEND_CONFIRMED,  /* the broker has it safe in at least one host's queue */
	SEND_UNROUTABLE, /* no queue matches: the host was never seen */
	SEND_REFUSED,    /* by the broker, which gives no reason and names no queue (basic.nack) */
};

struct send_handlers { /* called on the loop, none from inside a send_ function;
	s is not to be destroyed in one */
	/* The broker takes messages. Once. */
	void (*on_ready)(void *arg);
	/* item i is CONFIRMED, UNROUTABLE or REFUSED, which has a why. */
	void (*on_answer)(size_t i, enum send_state state, const char *why, void *arg);
	/* All that was added is answered. */
	void (*on_idle)(void *arg);
	/* Given up: nothing comes after this. text: one sentence for a person. */
	void (*on_failed)(const char *text, void *arg);
};

struct send_request {
	const struct options *options; /* borrowed until send_destroy, as the brokers */
	const struct uri *brokers;
	size_t n_brokers;
	int64_t confirm_ms; /* 0: as long as the broker lives and is blocked */
};

struct send *send_create(struct loop *loop, const struct send_request *req,
    const struct send_handlers *handlers, void *arg);
void send_destroy(struct send *s); /* NULL is fine */

/* What all items are; before the first send_add. Borrowed during the call. */
void send_set_command(struct send *s, const struct command *command);
/* Items are numbered from 0. host: borrowed until send_destroy; NULL = all, at once. */
void send_add(struct send *s, const char *host);
enum send_state send_state(const struct send *s, size_t i);
/* What is not published yet will not be, once and for all; nothing is added after this. */
void send_halt(struct send *s);

#endif
