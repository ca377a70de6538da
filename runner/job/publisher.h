/* SPDX-License-Identifier: Apache-2.0 */
/* One command, published to many hosts or to all at once, each publish followed until the broker
 * has answered for it.
 *
 * A connection that breaks is not the end: what has no answer is published again after the
 * reconnect. An agent that gets a command twice runs it once, for both carry the same id. The end
 * is confirm_ms without any answer (without that, a minute while the broker is not blocked); or a
 * broker that cannot be reached at all, refuses us, or drops us each time. */
#ifndef VOGELER_PUBLISHER_H
#define VOGELER_PUBLISHER_H

#include "shared/base/uri.h"
#include "shared/config/options.h"
#include <stddef.h>

struct command;
struct loop;
struct publisher;

enum publisher_state {
	PUBLISHER_WAITING,    /* never published */
	PUBLISHER_UNKNOWN,    /* published, not answered */
	PUBLISHER_CONFIRMED,  /* the broker has it safe in at least one host's queue */
	PUBLISHER_UNROUTABLE, /* no queue matches: the host was never seen */
	PUBLISHER_REFUSED, /* by the broker, which gives no reason and names no queue (basic.nack)
			    */
};

struct publisher_handlers { /* called on the loop, none from inside a send_ function;
	s is not to be destroyed in one */
	/* The broker takes messages. Once. */
	void (*on_ready)(void *arg);
	/* item i is CONFIRMED, UNROUTABLE or REFUSED, which has a why. */
	void (*on_answer)(size_t i, enum publisher_state state, const char *why, void *arg);
	/* All that was added is answered. */
	void (*on_idle)(void *arg);
	/* Given up: nothing comes after this. text: one sentence for a person. */
	void (*on_failed)(const char *text, void *arg);
};

struct publisher_request {
	const struct options *options; /* borrowed until publisher_destroy, as the brokers */
	const struct uri *brokers;
	size_t n_brokers;
	int64_t confirm_ms; /* 0: as long as the broker lives and is blocked */
};

struct publisher *publisher_create(struct loop *loop, const struct publisher_request *req,
    const struct publisher_handlers *handlers, void *arg);
void publisher_destroy(struct publisher *s); /* NULL is fine */

/* Sets what all items are; before the first publisher_add. Borrowed during the call. */
void publisher_set_command(struct publisher *s, const struct command *command);
/* Items are numbered from 0. host: borrowed until publisher_destroy; NULL = all, at once. */
void publisher_add(struct publisher *s, const char *host);
enum publisher_state publisher_state(const struct publisher *s, size_t i);
/* Publishes nothing more, once and for all; nothing is added after this. */
void publisher_halt(struct publisher *s);

#endif
