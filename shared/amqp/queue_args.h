/* SPDX-License-Identifier: Apache-2.0 */
/* What one kind of queue is declared with: the options of [host_queue] and [master_queue], as
 * RabbitMQ's optional queue arguments (https://www.rabbitmq.com/queues.html#optional-arguments) and
 * as the policy that says the same. A classic queue has none by default: those of 2010. */
#ifndef VOGELER_QUEUE_ARGS_H
#define VOGELER_QUEUE_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* AUTO: quorum where the broker confirms what is in a classic queue before it is on disk, which
 * RabbitMQ does from release 4 on; classic where it is synced first. */
enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM, QUEUE_AUTO };
const char *queue_type_name(enum queue_type type);

enum queue_overflow { QUEUE_DROP_HEAD, QUEUE_REJECT_PUBLISH };
const char *queue_overflow_name(enum queue_overflow overflow);

enum queue_role {
	QUEUE_PLAIN,  /* never has arguments */
	QUEUE_HOST,   /* commands for one host: one consumer at a time */
	QUEUE_MASTER, /* responses */
	QUEUE_DEAD,   /* dead letters */
};

/* A quorum queue is never without a limit of ours: RabbitMQ 4 has one of 20 by itself, and drops at
 * the 21st time what was given back so often. This one is never reached. Not -1, the "none" of
 * RabbitMQ 4, with which 3.10 drops at the first. */
#define QUEUE_NO_DELIVERY_LIMIT 2147483647
/* Anybody who may answer can make dead letters: the oldest go. */
#define QUEUE_DEAD_BYTES (64 * 1024 * 1024)
/* So much that waits is worth a word; and what a response is taken to have while none was seen. */
#define QUEUE_LARGE_BYTES (UINT64_C(256) * 1024 * 1024)
#define QUEUE_MEAN_BYTES  2048

struct queue_options { /* 0 = none */
	enum queue_type type;
	uint32_t expires_ms;
	uint32_t max_length;
	uint64_t max_length_bytes;
	enum queue_overflow overflow;
	uint32_t message_ttl_ms;
	bool dead_letter;        /* of a master queue: to the dead-letter queue */
	uint32_t delivery_limit; /* of a quorum queue */
};

enum queue_argument_kind { QUEUE_ARG_TEXT, QUEUE_ARG_NUMBER, QUEUE_ARG_FLAG };

struct queue_argument {
	const char *name; /* static, as text */
	enum queue_argument_kind kind;
	const char *text;
	uint64_t number; /* a FLAG is 1 */
	bool implied;    /* by us: no option asks for it */
};

#define QUEUE_ARGUMENTS_MAX 10

struct queue_arguments {
	struct queue_argument list[QUEUE_ARGUMENTS_MAX];
	size_t n;
};

/* The type of q is not AUTO. dead_queue: where dead_letter leads; static. */
void queue_arguments(const struct queue_options *q, enum queue_role role, const char *dead_queue,
    struct queue_arguments *out);
/* "x-queue-type quorum, x-max-length 3", or "no arguments"; malloced. */
char *queue_arguments_text(const struct queue_arguments *a);
enum queue_type queue_arguments_type(const struct queue_arguments *a);
bool queue_arguments_have(const struct queue_arguments *a, const char *name);
void queue_arguments_add(struct queue_arguments *a, const struct queue_argument *argument);
/* The others keep their order. */
void queue_arguments_remove(struct queue_arguments *a, const char *name);
/* The definition that rabbitmqctl set_policy takes, without what only a declaration can say (type,
 * single active consumer); malloced. NULL when nothing is left. RabbitMQ applies nothing of a
 * policy to a queue whose type knows only some of it: a delivery limit is none of a classic queue's
 * business, and with it in the policy the length limits beside it would not count either. */
char *queue_policy(const struct queue_arguments *a);
/* The one that the broker's refusal of a declaration (406) is about, "inequivalent arg 'x-expires'
 * ..."; NULL: none of these. */
const struct queue_argument *queue_argument_named(const struct queue_arguments *a, const char *why);
/* What to do about a queue that is there and does not answer; malloced. RabbitMQ notes a new quorum
 * queue in two places, of which one is on disk only half a second later: its node killed in
 * between, the queue has no leader for ever. */
char *queue_silent_cure(const char *vhost, const char *queue);
/* Whether a policy can say it. */
bool queue_argument_in_policy(const struct queue_argument *a);
/* The key of [host_queue] or [master_queue] that asks for it; NULL: none does, or it is implied. */
const char *queue_argument_option(const struct queue_argument *a);

#endif
