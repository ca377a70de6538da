/* SPDX-License-Identifier: Apache-2.0 */
/* This finds which hosts have a queue at the broker: of a command to all, that is confirmed once
 * any queue has it, this tells whom it cannot reach. A passive declaration takes no right and
 * leaves no trace. */
#ifndef VOGELER_PRESENCE_H
#define VOGELER_PRESENCE_H

#include "shared/base/uri.h"
#include "shared/config/options.h"
#include <stddef.h>

struct loop;
struct presence;

struct presence_request {
	const struct options *options; /* borrowed until presence_destroy, as all here */
	const struct uri *brokers;
	size_t n_brokers;
	char *const *hosts;
	size_t n;
};

struct presence_handlers { /* called on the loop */
	/* hosts[i] has none. Again where the connection broke and it was looked at once more. */
	void (*on_absent)(size_t i, void *arg);
	/* The last call. why: NULL when each was looked at, else what ended it before. */
	void (*on_done)(const char *why, void *arg);
};

/* A look takes a connection of its own, and PRESENCE_MS at most. */
#define PRESENCE_MS 30000
struct presence *presence_start(struct loop *loop, const struct presence_request *req,
    const struct presence_handlers *handlers, void *arg);
/* Frees it, in on_done too. NULL is fine. */
void presence_destroy(struct presence *p);

#endif
