/* One command, put on the topic exchange and followed until the broker has answered for it. */
#ifndef VOGELER_SEND_H
#define VOGELER_SEND_H

#include "shared/options.h"
#include "shared/uri.h"

struct loop;
struct send;

enum send_outcome {
	SEND_CONFIRMED,  /* the broker has it safe in at least one host's queue */
	SEND_UNROUTABLE, /* no queue matches: the host was never seen */
	SEND_FAILED,     /* not sent, or nobody knows */
};

/* text: one sentence for a person, or NULL when confirmed. Called once, on the loop. */
typedef void send_fn(enum send_outcome outcome, const char *text, void *arg);

struct send_request {
	const struct options *options; /* borrowed until send_destroy, as all below */
	const struct uri *brokers;
	size_t n_brokers;
	const char *node;   /* "all" or a host */
	const char *plugin; /* name or alias */
	const char *job;
};

struct send *send_create(struct loop *loop, const struct send_request *req, send_fn *fn, void *arg);
void send_destroy(struct send *s); /* NULL is fine */

#endif
