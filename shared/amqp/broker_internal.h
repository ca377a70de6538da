/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the broker share; nobody else includes this.
 *
 * From the top down; a file calls those that stand below it, and no other:
 *
 *   broker.c           options, creation and destruction, timers, what the owner asks for
 *   broker_fsm.c       the state machine: table, enter; reads frames and settles what they raised
 *   broker_dispatch.c  whose frame it is
 *   broker_close.c     close codes -> kind of failure, sentence and cure
 *   broker_setup.c     TOPOLOGY: which of the next three walks an answer is for
 *   broker_declare.c   declares and binds exchanges and queues
 *   broker_inspect.c   look_only: what there is, and nothing made
 *   broker_bind.c      bind_only: the bindings alone, of many queues, and looks at them
 *   broker_rebind.c    READY: bindings are made again, exchanges looked at
 *   broker_topology.c  the item at hand: methods, steps, what is known of each
 *   broker_probe.c     may we consume?
 *   broker_content.c   deliveries and returns, collected from their frames
 *   broker_consume.c   consumers and acks
 *   broker_queue.c     the depth of a queue, and its deletion
 *   broker_heartbeat.c heartbeats, both ways
 *   broker_publish.c   publishing, confirms, returns
 *   broker_login.c     connection.start .. connection.open-ok
 *   broker_fail.c      ends a connection: kind, sentence, event, log line
 *   broker_core.c      names, timers, output, events that are raised
 *
 * No part but the first two takes an event: they raise it, and go on in the state that was. It is
 * settled when the frame, the timer or the call of the API is done with.
 *
 * The broker may be stopped or destroyed by its owner in any callback: it is then IDLE, CLOSING or
 * DESTROYED, without a stream but for CLOSING, and its memory stays until the pass is over. So
 * whoever calls a handler looks at the state before it goes on. */
#ifndef VOGELER_BROKER_INTERNAL_H
#define VOGELER_BROKER_INTERNAL_H

#include "shared/amqp/broker.h"
#include "shared/amqp/frame.h"
#include "shared/amqp/topology.h"
#include "shared/base/backoff.h"
#include "shared/base/buf.h"
#include "shared/base/mono.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/event/loop.h"
#include "shared/event/tls.h"

#include <uthash.h>

#define BROKER_CHANNEL           1
#define BROKER_STEADY_MS         30000 /* READY this long: the next failure starts a new backoff */
#define BROKER_LINGER_MS         1000  /* for close-ok to get out before we are back */
#define BROKER_OVERSIZE_KEEP     65536 /* bytes of an oversize body that are kept */
#define BROKER_IN_USE_HEARTBEATS 4
#define BROKER_DEAD_HEARTBEATS   2
#define BROKER_CONNECT_ADDRESSES 3     /* CONNECTING: time for resolving and this many addresses */
#define BROKER_CONFIRM_MS        60000 /* everything has left, and nothing is confirmed */
#define BROKER_PASS_FRAMES       200
#define BROKER_PASS_BYTES        (256 * 1024)
#define BROKER_TEXT_MAX          768
#define BROKER_RAISED_MAX        4 /* by one frame: what it says, and that it was not to come */

enum broker_state {
	BROKER_IDLE,
	BROKER_CONNECTING,
	BROKER_HANDSHAKE,
	BROKER_OPENING,
	BROKER_TOPOLOGY,
	BROKER_READY,
	BROKER_CLOSING,
	BROKER_BACKOFF,
	BROKER_RELOGIN, /* no such vhost: again, at once, with the name read the other way */
	/* Its memory is freed behind the pass; until then nothing is done, told or sent. */
	BROKER_DESTROYED,
};
#define BROKER_N_STATES (BROKER_DESTROYED + 1)
const char *broker_state_name(enum broker_state state);
/* A connection that only binds is made again and again: what it goes through is for who looks for a
 * fault. */
enum log_level broker_step_level(const struct broker *b);

enum broker_event {
	BROKER_EV_START,
	BROKER_EV_STOP,
	BROKER_EV_STREAM_UP,
	BROKER_EV_STREAM_DOWN,
	BROKER_EV_OPEN_OK,     /* connection.open-ok: logged in */
	BROKER_EV_CHANNEL_OK,  /* channel.open-ok */
	BROKER_EV_TOPOLOGY_OK, /* all is there, confirm.select-ok */
	BROKER_EV_CLOSE_OK,
	BROKER_EV_RELOGIN,
	BROKER_EV_FAILED, /* b->error and b->text say what; broker_fail() */
	BROKER_EV_DEADLINE,
	BROKER_EV_RETRY,
};
#define BROKER_N_EVENTS (BROKER_EV_RETRY + 1)
const char *broker_event_name(enum broker_event ev);

enum broker_timer {
	BROKER_TIMER_DEADLINE,  /* of the state */
	BROKER_TIMER_RETRY,     /* BACKOFF */
	BROKER_TIMER_HEARTBEAT, /* the earlier of: we must write, the peer is dead */
	BROKER_TIMER_REBIND,    /* READY: the next look at exchanges and bindings */
	BROKER_TIMER_WORK,      /* zero: what must not happen inside a call of the owner */
	BROKER_N_TIMERS,
};

enum login_step { LOGIN_START, LOGIN_TUNE, LOGIN_OPEN };

/* Each is a step of TOPOLOGY that an answer is awaited for. */
enum topology_phase {
	TOPOLOGY_PASSIVE, /* declare item, passively */
	/* With look_only an item that is there is declared, to hear whether it is the same. */
	TOPOLOGY_COMPARE,
	/* The item was not there (or not the same) and the broker closed the channel: it is opened
	 * again. */
	TOPOLOGY_REOPEN,
	TOPOLOGY_DECLARE,
	TOPOLOGY_BIND,
	TOPOLOGY_CONFIRM, /* confirm.select */
};

enum consumer_state {
	CONSUMER_NONE,
	CONSUMER_WAITING,  /* another one is STARTING: what the broker refuses is that one */
	CONSUMER_STARTING, /* at most one of a connection is this, or: */
	/* The owner has cancelled it since. A cancel that the broker reads before the queue has
	 * answered makes RabbitMQ (3.10) end the connection, 541: it goes out with the answer. */
	CONSUMER_UNWANTED,
	CONSUMER_ON,
	CONSUMER_CANCELLING,
};

struct consumer {
	enum consumer_state state;
	char *queue; /* NULL: never used */
	char tag[32];
	uint16_t prefetch;
	bool exclusive;
	bool wanted;            /* by the owner: broker_consume(), and no broker_cancel() since */
	bool lost;              /* what ended the connection is about it */
	struct mono none_since; /* while it is wanted and not ON */
};

/* A note holds what is known of an item of the topology. */
struct item_note {
	uint32_t messages; /* of a queue, when it was found */
	char *without;     /* broker_without() */
	bool unreadable;   /* that is why */
	char *unbound;     /* broker_unbound() */
};

/* A queue has these steps in broker_bind.c: the look at it, if it is wanted, and its bindings. */
struct bind_window {
	size_t item, step; /* what is sent next */
	size_t oldest;     /* the step without an answer, of broker.item */
	unsigned int under_way;
};

/* The round of broker_rebind.c: what is looked at, in the order of the topology. */
struct rebind {
	bool asked; /* an answer is awaited, about: */
	size_t item, binding;
};

/* A pending publish has no answer yet. The hash keeps the order of adding, which is that of seq. */
struct pending {
	uint64_t seq; /* the channel's, from 1 */
	uint64_t id;  /* the owner's; 0: a trial, which is nobody's */
	/* A mandatory one has these, to be known when it returns. */
	char *exchange, *routing_key, *message_id;
	char *returned; /* the broker's words */
	UT_hash_handle hh;
};

enum content_kind { CONTENT_NONE, CONTENT_DELIVERY, CONTENT_RETURN };

/* The content being collected: method seen, then header, then body frames. */
struct content {
	enum content_kind kind;
	bool have_header;
	uint64_t left;      /* bytes of body still to come */
	uint64_t keep;      /* bytes of body to be kept */
	struct delivery *d; /* for a return: holds exchange, routing key, message_id */
	char *reason;       /* of a return */
};

struct target {
	struct uri uri;
	bool slashed; /* the vhost is read as in 2010, with its leading slash */
};

struct broker {
	struct loop *loop;
	struct broker_options opt;
	struct tls_options tls;
	char *role, *program;
	struct broker_handlers handlers;
	void *arg;

	enum broker_state state;
	enum broker_event raised[BROKER_RAISED_MAX]; /* and not settled, in their order */
	size_t n_raised;
	struct target *targets;
	size_t n_targets, target;
	struct uri *logins;   /* as many; NULL, or what counts from the next connection on */
	uint32_t connections; /* attempts so far: the number in id */
	char id[320];
	struct loop_timer *timers[BROKER_N_TIMERS];
	struct backoff backoff;
	uint32_t retry_in_ms;
	bool report_stopped;

	struct stream *stream;
	struct frame_codec *codec;
	struct buf out; /* one outgoing burst; empty between calls */
	bool output_failed;
	bool linger; /* on the way to BACKOFF: an answer that the peer waits for is still unsent */
	bool paused; /* holds in READY; elsewhere we must read */
	uint32_t epoch;

	/* as agreed with this peer */
	enum login_step login;
	unsigned int release; /* RabbitMQ's: 3, 4; 0 = it is none, or does not say */
	bool external;        /* logged in by our certificate */
	uint32_t frame_max;
	uint32_t heartbeat_ms; /* 0 = none */
	struct mono last_read, last_written;
	bool blocked;

	enum topology_phase phase;
	size_t item, binding;
	bool created;
	struct item_note *notes; /* of each item of the topology */
	bool bind_refused;       /* on this connection */
	struct rebind rebind;
	struct bind_window window;
	struct broker_look look;         /* of the item at hand; why is ours to free */
	struct queue_arguments compared; /* it is asked whether the item has just these */

	uint64_t next_id, next_seq;
	struct pending *pending;
	struct mono unconfirmed_since; /* pending, and no answer came */
	bool trying;                   /* the trial of broker_try_publish() is one of these */
	uint64_t message_max; /* bytes of a body that the broker takes, as it said; 0 = unknown */
	bool may_not_try;     /* for want of rights: it would cost the channel each time */
	char *asked;          /* of broker_ask_depth(): the queue; NULL = no answer is awaited */
	/* The owner found or will find broker_can_publish false: it is owed an on_writable. */
	bool starved;

	struct consumer consumers[BROKER_CONSUMERS_MAX];
	uint32_t consumer_serial; /* of the last tag */
	/* Since when "in exclusive use" is all that we hear; 0 = it is not. */
	struct mono in_use_since;
	struct content content;

	/* why it is down */
	enum broker_error error;
	struct trouble trouble;
	char text[BROKER_TEXT_MAX]; /* trouble_text() of it */
	struct ratelimit said;

	/* for broker_status() */
	struct mono ready_since;   /* the last time */
	struct mono down_since;    /* while not READY; an up that did not last does not end it */
	struct mono blocked_since; /* while blocked */
	char blocked_reason[128];
	uint64_t times_ready, failures, deliveries, delivered_bytes;
	uint64_t outcomes[BROKER_N_OUTCOMES];
};

/* broker_fsm.c */
void broker_settle(struct broker *b);                   /* b may be DESTROYED then */
void broker_end(struct broker *b);                      /* to DESTROYED, from anywhere */
void broker_on(struct broker *b, enum broker_event ev); /* raises and settles it */
void broker_read(struct broker *b);

/* broker_core.c */
void broker_raise(struct broker *b, enum broker_event ev);
void broker_timer_arm(struct broker *b, enum broker_timer timer, int64_t ms);
void broker_timer_disarm(struct broker *b, enum broker_timer timer);
const struct target *broker_target(const struct broker *b);
void broker_deadline(struct broker *b); /* a new one for the next answer */
/* Encodes and writes one method. A failure to do so ends the connection, in the next pass. */
void broker_send(struct broker *b, uint16_t channel, amqp_method_number_t method, void *decoded);
/* Writes what is in b->out, all or nothing, and empties it. */
bool broker_flush(struct broker *b) __attribute__((warn_unused_result));

void broker_apply_pause(struct broker *b);
void broker_make_id(struct broker *b);
void broker_take_logins(struct broker *b); /* now is the next connection */

/* broker_dispatch.c */
void broker_dispatch(struct broker *b, const struct frame *f);

/* broker_fail.c */
/* Says why, and raises BROKER_EV_FAILED. cure: NULL = nobody knows. */
void broker_fail(struct broker *b, enum broker_error error, const char *cure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void broker_unexpected(struct broker *b, const char *what);
void broker_log_failure(struct broker *b);
const char *broker_where(const struct broker *b, char *out, size_t size);

/* broker_heartbeat.c */
void broker_heartbeat(struct broker *b);
void broker_heartbeat_arm(struct broker *b);

/* broker_login.c */
const char *broker_vhost(const struct broker *b, char *out, size_t size);
void broker_login_begin(struct broker *b);
/* Returns NULL for the certificate's user, whom only the broker knows. */
const char *broker_login_user(const struct broker *b);
void broker_login_method(struct broker *b, const struct frame *f);

/* broker_topology.c */
/* Writes "queue \"web01\"" into out, and returns it. */
const char *broker_item_what(const struct topology_item *item, char *out, size_t size);
const char *broker_binding_what(
    const struct topology_item *item, size_t binding, char *out, size_t size);
void broker_send_bind(struct broker *b, const struct topology_item *item, size_t binding);
void broker_send_declare(struct broker *b, const struct topology_item *item, bool passive);
/* Returns the item at hand; NULL behind the last one. */
const struct topology_item *broker_topology_item(const struct broker *b);
void broker_topology_reset(struct broker *b); /* to the first item, of a new connection */
void broker_topology_enter(struct broker *b, enum topology_phase phase); /* with a new deadline */
void broker_topology_begin_item(struct broker *b);
void broker_topology_next(struct broker *b);
void broker_topology_declare(struct broker *b, enum topology_phase phase);
void broker_topology_reopen(struct broker *b);
void broker_topology_confirm(struct broker *b);
void broker_topology_forget(struct broker *b); /* all notes */
/* The user may be permitted more than before: queues that this connection does without are tried
 * again. Which bindings it was refused holds until it ends, since they are asked for again and
 * again, and each refusal costs it. */
void broker_topology_try_again(struct broker *b);
void broker_topology_do_without(struct broker *b, size_t item, const char *why);
/* The binding of the item at hand was refused. */
void broker_topology_note_unbound(struct broker *b, const char *why);
/* The consumer that starts was refused for want of rights: done without from now on, if optional.
 */
void broker_topology_unreadable(struct broker *b, const char *why);

/* broker_setup.c */
void broker_setup_begin(struct broker *b);
void broker_setup_method(struct broker *b, const struct frame *f);
/* true when the walk goes on without what was refused: it is the 404 that a passive declaration may
 * get, the 403 of an optional item or of a binding, or with look_only any word on an item; the
 * channel is being reopened. */
bool broker_setup_refused(struct broker *b, uint16_t code, const char *why);
const char *broker_setup_what(const struct broker *b, char *out, size_t size);

/* broker_declare.c */
void broker_declare_answer(struct broker *b, const struct frame *f);
bool broker_declare_refused(struct broker *b, uint16_t code, const char *why);

/* broker_rebind.c */
void broker_rebind_arm(struct broker *b);
void broker_rebind_start(struct broker *b);
bool broker_rebind_answer(struct broker *b, const struct frame *f); /* false: it is none */
/* Returns what was asked for when the channel ended; NULL: nothing. */
const char *broker_rebind_what(const struct broker *b, char *out, size_t size);

/* broker_inspect.c */
void broker_look_answer(struct broker *b, const struct frame *f);
bool broker_look_refused(struct broker *b, uint16_t code, const char *why);
void broker_look_free(struct broker *b);

/* broker_bind.c */
void broker_bind_begin(struct broker *b);
void broker_bind_answer(struct broker *b, const struct frame *f);
bool broker_bind_refused(struct broker *b, uint16_t code, const char *why);
/* Tells whether what is answered next is a look, and not a binding. */
bool broker_bind_looks(const struct broker *b);

/* broker_publish.c */
void broker_publish_reset(struct broker *b); /* a new channel: sequence numbers start again */
void broker_publish_method(struct broker *b, const struct frame *f);
void broker_publish_returned(struct broker *b, const struct content *c);
void broker_publish_lost(struct broker *b); /* reports every unanswered publish */
void broker_publish_free(struct broker *b); /* forgets them without a word */
void broker_check_writable(struct broker *b);
bool broker_confirm_overdue(struct broker *b);

/* broker_consume.c */
const struct consumer *broker_consumer_starting(const struct broker *b); /* or NULL */
/* Asks for a consumer with these arguments, and waits for the answer. */
void broker_consumer_start(struct broker *b, struct consumer *c, amqp_table_t arguments);
/* Returns the consumer that broker_status() tells of; NULL: none is wanted. */
const struct consumer *broker_consumer_worst(const struct broker *b);
/* The owner's consumer of this queue is wanted no more: the queue is not there and not needed. */
void broker_consumer_unwant(struct broker *b, const char *queue);
struct consumer *broker_consumer_of(struct broker *b, const char *queue);
void broker_consumers_reset(struct broker *b); /* the connection is gone */
void broker_consumers_free(struct broker *b);
void broker_consumers_failed(struct broker *b); /* notes whose queue it is that failed */
void broker_log_up(struct broker *b); /* if it is: in READY, with the consumers it is to have */
void broker_consume_method(struct broker *b, const struct frame *f);

/* broker_content.c */
void broker_content_frame(struct broker *b, const struct frame *f);
void broker_content_begin(struct broker *b, const struct frame *f);
void broker_content_free(struct broker *b);

/* broker_queue.c */
bool broker_ask_answer(struct broker *b, const struct frame *f); /* false: it is none */
void broker_ask_forget(struct broker *b);

/* broker_close.c */
/* Was the queue in use for longer than a lost connection of ours could hold it? */
bool broker_in_use_by_another(const struct broker *b);
void broker_connection_closed(struct broker *b, const amqp_connection_close_t *m);
void broker_channel_closed(struct broker *b, const amqp_channel_close_t *m);

#endif
