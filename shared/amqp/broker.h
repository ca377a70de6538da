/* SPDX-License-Identifier: Apache-2.0 */
/* One AMQP 0-9-1 connection with one channel, driven by the loop: from name resolution to login
 * nothing blocks, it heals by itself, and what it promises is stated below. librabbitmq is the
 * codec (frame.h), stream.h moves the bytes; this is the state machine between them, used by every
 * program.
 *
 *         start             STREAM_UP          OPEN_OK         CHANNEL_OK        all is there
 *   IDLE -------> CONNECTING ------> HANDSHAKE ------> OPENING -------> TOPOLOGY --------> READY
 *                     ^                  any failure, deadline, close by the peer           | stop
 *                     +--- BACKOFF <-------------------------------------------------+   CLOSING
 *
 * Publishing: every message is persistent if it says so, mandatory if asked, and answered by
 * exactly one on_confirm: CONFIRMED when the broker has it safe (basic.ack), RETURNED when no queue
 * matched (basic.return), NACKED when it refuses (basic.nack), LOST when the connection went away
 * before an answer, so that nobody knows. What to do then is the caller's.
 *
 * Deliveries: a tag dies with its connection; it carries the epoch it was born in, and acks of a
 * past epoch are dropped silently (the broker has given the message to somebody already).
 *
 * Liveness: heartbeats go out when nothing else did (AMQP 0-9-1 4.2.7); the peer is dead after two
 * silent intervals, except while reading is paused by us. While the broker blocks us
 * (connection.blocked, RabbitMQ extension) publishing is refused (broker_can_publish) and consuming
 * goes on; RabbitMQ's heartbeats go on too. A broker that lives but confirms nothing of what it has
 * for a minute is left as well. */
#ifndef VOGELER_BROKER_H
#define VOGELER_BROKER_H

#include "shared/amqp/message.h"
#include "shared/amqp/queue_args.h"
#include "shared/base/uri.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct loop;
struct topology;
struct trouble;
struct topology_item;
struct tls_options;

struct broker_tag {
	uint64_t tag;
	uint32_t epoch;
};

struct delivery {
	struct broker_tag tag;
	bool redelivered;
	char *exchange; /* these two are never NULL; a NUL in them is a "?" */
	char *routing_key;
	uint64_t body_size; /* as announced in the content header */
	bool oversize; /* body_size > max_body_bytes: message.body holds its first 64 KiB only */
	struct message message;
	size_t packed_from; /* its owner has packed the body, which had so many bytes; 0: no */
};
void delivery_destroy(struct delivery *d);
size_t delivery_size(const struct delivery *d); /* bytes it holds in memory */

enum broker_outcome { BROKER_CONFIRMED, BROKER_NACKED, BROKER_RETURNED, BROKER_LOST };
#define BROKER_N_OUTCOMES (BROKER_LOST + 1)
const char *broker_outcome_name(enum broker_outcome outcome);

enum broker_error {
	BROKER_ERR_NETWORK,    /* refused, reset, unreachable, not resolved, closed by the peer */
	BROKER_ERR_TIMEOUT,    /* silence: no answer within the deadline, missed heartbeats */
	BROKER_ERR_PROTOCOL,   /* not AMQP, or broken AMQP */
	BROKER_ERR_TLS,        /* certificate, name or version refused, by us or by the peer */
	BROKER_ERR_AUTH,       /* user or password refused */
	BROKER_ERR_VHOST,      /* no such vhost, or no access to it */
	BROKER_ERR_PERMISSION, /* 403 on a queue or exchange */
	BROKER_ERR_NOT_FOUND,  /* 404 on a queue or exchange that should have been there */
	BROKER_ERR_IN_USE,     /* 405 / 403 "in exclusive use": another consumer holds the queue */
	BROKER_ERR_MISMATCH,   /* 406: it exists with other arguments */
	/* A message was larger than the broker takes (max_message_size). It may not have been the
	 * only one that was lost; broker_fit() knows of the next ones. */
	BROKER_ERR_TOO_LARGE,
	BROKER_ERR_SHUTDOWN, /* 320 and the like: the broker is going down or was told to drop us */
};
const char *broker_error_name(enum broker_error error);

struct broker_failure {
	enum broker_error error;
	/* It says what was tried and where, in the broker's own words; it has no password. */
	const struct trouble *trouble;
	const char *text;     /* the same as one sentence */
	bool by_another;      /* IN_USE, for longer than a lost connection of ours could be there */
	bool retrying;        /* it will try again by itself, */
	uint32_t retry_in_ms; /* after this long */
};

/* This is what stands where an item of the topology should be. */
enum broker_sight {
	BROKER_SIGHT_SAME,   /* as it would be made */
	BROKER_SIGHT_THERE,  /* there; whether as it would be made, the user may not ask */
	BROKER_SIGHT_OTHER,  /* there, with another type or other arguments */
	BROKER_SIGHT_LOCKED, /* there, exclusive to another connection */
	BROKER_SIGHT_MISSING,
};
const char *broker_sight_name(enum broker_sight sight); /* for tests */

struct broker_look {
	enum broker_sight sight;
	/* A queue that is SAME or OTHER is of this type; AUTO: that was not to be learned. Where
	 * the type goes by the release (QUEUE_AUTO), that of the other releases is right as well:
	 * the queue was there before an upgrade. */
	enum queue_type type;
	/* A queue of this type would be made with these. */
	const struct queue_arguments *wanted;
	/* A queue that is OTHER does not have these, all else being as wanted. Without any,
	 * why names what differs. */
	struct queue_arguments lacks;
	const char *why; /* the broker's words, of the first that it lacks; NULL for SAME */
	uint32_t messages, consumers; /* of a queue that is there: ready ones, and who reads it */
};

/* This is what became of the bindings of a queue. */
enum broker_bound {
	BROKER_BOUND,
	BROKER_BOUND_NO_QUEUE,
	BROKER_BOUND_FORBIDDEN, /* this user may not, or the queue is another connection's alone */
};
const char *broker_bound_name(enum broker_bound bound); /* for tests */

/* Called on the loop, never from inside a broker_ function. All but on_ready may be NULL. The
 * broker may be destroyed in any of them. */
struct broker_handlers {
	/* The channel is open, confirms are on, the topology exists: publish and consume from here.
	 * Again after every reconnect. */
	void (*on_ready)(struct broker *b, void *arg);
	/* The connection was being set up or READY and is not any more. Before this, every
	 * unanswered publish was reported LOST. */
	void (*on_down)(struct broker *b, const struct broker_failure *f, void *arg);
	/* Takes ownership of d. */
	void (*on_delivery)(struct broker *b, struct delivery *d, void *arg);
	/* id is what broker_publish returned. why: the broker's words for NACKED and RETURNED, or
	 * NULL. */
	void (*on_confirm)(
	    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg);
	void (*on_blocked)(struct broker *b, bool blocked, const char *reason, void *arg);
	/* Output has drained, or the block was lifted: broker_can_publish is true again. */
	void (*on_writable)(struct broker *b, void *arg);
	/* basic.consume-ok (true), or basic.cancel from the broker / cancel-ok (false). When the
	 * broker cancels (the queue was deleted, its node is gone) on_down follows, and the queue
	 * is made again at the next connection: there is nothing to do but wait for on_ready. */
	void (*on_consuming)(struct broker *b, const char *queue, bool consuming, void *arg);
	/* An item of the topology was found or made, and bound: for "setup" and for the log.
	 * Not for an optional one that this connection does without. */
	void (*on_topology)(
	    struct broker *b, const struct topology_item *item, bool created, void *arg);
	/* With look_only this is called in place of on_topology. */
	void (*on_look)(struct broker *b, const struct topology_item *item,
	    const struct broker_look *look, void *arg);
	/* With bind_looks this tells of a queue that is there, before on_bound, how many messages
	 * wait and how many read it. */
	void (*on_consumers)(struct broker *b, const struct topology_item *item, uint32_t messages,
	    uint32_t consumers, void *arg);
	/* With bind_only this is called in place of on_topology. why has the broker's words, NULL
	 * for BOUND. */
	void (*on_bound)(struct broker *b, const struct topology_item *item,
	    enum broker_bound bound, const char *why, void *arg);
	/* The answer to broker_ask_depth(). */
	void (*on_depth)(struct broker *b, const char *queue, uint32_t messages, void *arg);
	/* The answer to broker_delete_queue(); a refusal is told by on_down. */
	void (*on_deleted)(struct broker *b, const char *queue, uint32_t messages, void *arg);
	/* stop() has finished: closed, or given up on closing. */
	void (*on_stopped)(struct broker *b, void *arg);
};

#define BROKER_REBIND_MS 20000 /* for rebind_ms: what is gone is back within half a minute */

struct broker_options {
	const char *role; /* "consumer", "publisher", ...: for the log and client_properties */
	/* This says what it means that another client holds the queue for longer than a lost
	 * connection of ours could, with the cure; NULL = nothing special. */
	const struct trouble *in_use;
	const char *program;    /* for client_properties: connection_name "program@host/role" */
	const struct uri *uris; /* tried in turn; copied */
	size_t n_uris;
	/* These are for amqps:// ; copied; NULL = the system's CAs, no certificate of ours. */
	const struct tls_options *tls;
	const struct topology *topology; /* borrowed until broker_destroy; NULL = nothing to make */
	/* Nothing of the topology is made; on_look tells of each item. What is not as it should be
	 * is no failure then. */
	bool look_only;
	bool look_by_name; /* with look_only: THERE or MISSING is all that is wanted */
	/* Nothing of the topology is made but the bindings of its queues; on_bound tells of each
	 * queue. What is not there, or may not be bound, is no failure. */
	bool bind_only;
	/* With bind_only each queue is looked at first, which takes no rights; one without bindings
	 * is looked at, too. */
	bool bind_looks;
	bool quiet; /* the owner tells of failures; the log has them at INFO only */
	/* In READY the bindings of the topology that this user may make are made again so often, to
	 * within a quarter: an exchange that was deleted and made anew has lost them, and says
	 * nothing. 0 = never. */
	uint32_t rebind_ms;
	bool rebind_exchanges; /* and whether all its exchanges are there is looked at */
	uint16_t heartbeat_s;  /* proposed; default 10; the lower of ours and the broker's holds */
	uint32_t connect_timeout_ms; /* also the deadline of each step up to READY */
	uint32_t reconnect_first_ms, reconnect_max_ms; /* backoff */
	uint64_t max_body_bytes;                       /* above: delivery.oversize */
	size_t output_max;                             /* bytes of unsent output at most */
	uint32_t max_unconfirmed;                      /* publishes without an answer at most */
};
/* Sets all that has a default; role, program, uris and topology are the owner's to set. */
void broker_options_default(struct broker_options *opt);

struct broker *broker_create(struct loop *loop, const struct broker_options *opt,
    const struct broker_handlers *handlers, void *arg);
void broker_destroy(struct broker *b); /* at once, no goodbye, no callbacks; NULL is fine */

void broker_start(struct broker *b);
/* Users and passwords of uris, which are those of broker_options otherwise (uri_same_place()), hold
 * from the next connection on; the one that is up stays as it is. While there is none, the next
 * attempt is made at once, whatever the last one came to. Copies uris. */
void broker_set_logins(struct broker *b, const struct uri *uris, size_t n);
/* Says goodbye (flushes output, connection.close, bounded by connect_timeout_ms); publishes that
 * are still unanswered are reported LOST, then on_stopped. It may be started again after that. */
void broker_stop(struct broker *b);

bool broker_is_ready(const struct broker *b);
/* "amqp://host:5672/vogeler#3 consumer": redacted URI, connection number and role, the object
 * prefix of log lines. */
const char *broker_id(const struct broker *b);
const char *broker_state_text(const struct broker *b); /* name of the state; for tests */

/* How the connection is, for metrics and health. Strings are the broker's, for the moment. */
struct broker_status {
	const char *role;
	bool ready;
	bool blocked; /* RabbitMQ tells it to those who publish, when they do */
	bool paused;
	/* These tell of the consumer that is worst off, among those that broker_consume() was
	 * called for, and broker_cancel() not since. */
	const char *queue; /* NULL = there is none */
	bool consuming;
	bool consumer_lost;    /* the connection ended because the queue is gone or in use */
	int64_t unconsumed_ms; /* not consuming since then; 0 when it is */
	/* It is not READY since then, a READY of less than 30 s not counted; 0 when it is. */
	int64_t down_ms;
	int64_t blocked_ms; /* blocked since then; 0 when it is not */
	int64_t silent_ms;  /* READY, reading, and nothing was read since then */
	/* It is not blocked, and no publish was answered since then; 0 when none waits for that. */
	int64_t unconfirmed_ms;
	uint32_t heartbeat_ms;
	/* The wall ms at which the first of both sides' certificates ends; 0 without TLS. */
	int64_t certificate_end;
	const char *failure; /* the sentence of the last failure, "" = none yet */
	const char *blocked_reason;
	uint64_t times_ready; /* since the start; as all that follow */
	uint64_t failures;
	uint64_t deliveries;
	uint64_t delivered_bytes;             /* of their bodies */
	uint64_t outcomes[BROKER_N_OUTCOMES]; /* of publishes */
};
void broker_status(const struct broker *b, struct broker_status *out);

/* How many messages waited in that queue of the topology, not counting those that somebody held
 * unacked, when this connection looked for it; 0 = none, or it had to be made. In READY. */
uint32_t broker_messages_found(const struct broker *b, const char *queue);

/* NULL: the queue is there, for all that is known. Else it is an optional one of the topology that
 * this connection does without, and the broker's words why: it is not there and may not be made, or
 * (from when a consumer of it was refused, which cost a connection, to the next
 * broker_set_logins()) it may not be read. In READY. */
const char *broker_without(const struct broker *b, const char *queue);

/* From this release of RabbitMQ on, a classic queue is confirmed before it is synced: a kill of the
 * node loses nothing, a power cut can. */
#define BROKER_UNSYNCED_RELEASE 4
/* RabbitMQ's, of the last login; 0: it is another broker, or there was no login. */
unsigned int broker_release(const struct broker *b);
/* Bytes of the largest body that it takes, as it said when it refused one; 0: it did not. */
uint64_t broker_message_max(const struct broker *b);
/* Returns what an item of the topology is made with at this broker. */
const struct queue_arguments *broker_item_arguments(
    const struct broker *b, const struct topology_item *item);

/* NULL: this connection has bound the queue of the topology, or it has no bindings, or nobody
 * asked. Else the broker's words: this user may not. Whether others have, only who publishes can
 * tell. In READY. */
const char *broker_unbound(const struct broker *b, const char *queue);
/* Looks at once, and not when its time comes, whether exchanges and bindings of the topology are
 * there, and makes the bindings that this user may make: for who was told that no queue is bound.
 * An exchange or queue that is gone ends the connection, and the next one makes it. Without an
 * effect when not READY, when blocked, or without rebind_ms. */
void broker_rebind(struct broker *b);

/* READY, not blocked, output below its mark and fewer than max_unconfirmed waiting. */
bool broker_can_publish(const struct broker *b);
/* Borrows m during the call. A message without user_id gets the login's, which the broker checks
 * and the other side may trust; none when a certificate logged us in and the URI names no user.
 * Returns the id that on_confirm will carry (unique for the life of b, > 0), or 0 if
 * !broker_can_publish or the message does not fit: not now, beside what is still to leave
 * (on_writable follows), or never, which broker_fit() tells. */
uint64_t broker_publish(struct broker *b, const char *exchange, const char *routing_key,
    bool mandatory, const struct message *m) __attribute__((warn_unused_result));
/* broker_fit() tells what of a message is in the way of its ever being published on this
 * connection, had its output all the room there is. The next one may have agreed on larger frames.
 */
enum broker_fit {
	BROKER_FITS,           /* or nobody knows, not being READY */
	BROKER_FIT_NO_HEADERS, /* exchange, key, properties and headers are too large for a frame */
	/* The whole of it is larger than output_max, or than the broker takes. */
	BROKER_FIT_NO_BODY,
};
enum broker_fit broker_fit(
    struct broker *b, const char *exchange, const char *routing_key, const struct message *m);
uint32_t broker_unconfirmed(const struct broker *b);

/* How many messages are ready in a queue that is there: on_depth tells. Takes no rights. false: it
 * cannot be asked now, not being READY, or blocked, or while an answer is awaited. */
bool broker_ask_depth(struct broker *b, const char *queue);
/* Deletes a queue with all that waits in it, which takes the right to configure it: on_deleted
 * tells how much that was. One that is not there counts as deleted. false: as above. */
bool broker_delete_queue(struct broker *b, const char *queue);
/* Publishes an empty message that no queue gets. RabbitMQ tells of an alarm (connection.blocked)
 * only to connections that publish: one that seldom does hears of it by this. Its answer is seen in
 * broker_status() alone: no on_confirm, no count. Not more than one at a time; does nothing when
 * !broker_can_publish, or once it was found to be forbidden. */
void broker_try_publish(struct broker *b);

#define BROKER_CONSUMERS_MAX 2
/* A queue has one consumer, and a connection those of at most BROKER_CONSUMERS_MAX queues, each
 * with a prefetch > 0 of its own; their delivery tags are one sequence. They start one after the
 * other, in the order of the calls. Call in READY; after a reconnect call again. Does nothing when
 * not READY or when the queue has its consumer; after broker_cancel it may follow at once. */
void broker_consume(struct broker *b, const char *queue, uint16_t prefetch, bool exclusive);
/* basic.cancel of all; of one that the broker has not begun yet, when it has. on_consuming(false)
 * for each when it is over. While not READY: none is wanted any more. */
void broker_cancel(struct broker *b);
bool broker_consuming(const struct broker *b, const char *queue);
/* Asks whether the user may consume, without taking a message: for a consumer with an argument that
 * is refused, after the right was looked at. In READY, in place of broker_consume. on_down follows:
 * MISMATCH is yes, PERMISSION no; or on_consuming(true), from a broker that ignores the argument.
 */
void broker_probe_read(struct broker *b, const char *queue);
void broker_ack(struct broker *b, struct broker_tag tag, bool multiple);
void broker_nack(struct broker *b, struct broker_tag tag, bool multiple, bool requeue);

/* The intake valve on bytes: while paused nothing is read from the socket (confirms neither) and
 * the peer's heartbeats are not judged. Holds over a reconnect, but only in READY is it in effect.
 */
void broker_pause(struct broker *b);
void broker_resume(struct broker *b);

#endif
