/* What one kind of queue is declared with: the options of [host_queue] and [master_queue], as
 * RabbitMQ's optional queue arguments (https://www.rabbitmq.com/queues.html#optional-arguments) and
 * as the policy that says the same. The defaults are no arguments at all: the queues of 2010. */
#ifndef VOGELER_QUEUE_H
#define VOGELER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM };
const char *queue_type_name(enum queue_type type);

enum queue_overflow { QUEUE_DROP_HEAD, QUEUE_REJECT_PUBLISH };
const char *queue_overflow_name(enum queue_overflow overflow);

enum queue_role {
	QUEUE_PLAIN,  /* never has arguments */
	QUEUE_HOST,   /* commands for one host: one consumer at a time */
	QUEUE_MASTER, /* responses */
};

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
};

#define QUEUE_ARGUMENTS_MAX 10

struct queue_arguments {
	struct queue_argument list[QUEUE_ARGUMENTS_MAX];
	size_t n;
};

void queue_arguments(
    const struct queue_options *q, enum queue_role role, struct queue_arguments *out);
/* "x-queue-type quorum, x-max-length 3", or "no arguments"; malloced. */
char *queue_arguments_text(const struct queue_arguments *a);
/* The definition that rabbitmqctl set_policy takes, without what only a declaration can say (type,
 * single active consumer); malloced. NULL when nothing is left. */
char *queue_policy(const struct queue_arguments *a);
/* Whether a policy can say it. */
bool queue_argument_in_policy(const struct queue_argument *a);

#endif
