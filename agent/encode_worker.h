/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the messages of runs that ended well. Reading and writing much output takes too long for
 * the loop: a list of 1 MB costs over 100 ms. So that is done on a helper thread, one run after the
 * other; little is done at once. */
#ifndef VOGELER_ENCODE_WORKER_H
#define VOGELER_ENCODE_WORKER_H

#include "shared/amqp/message.h"
#include "shared/base/buf.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENCODE_WORKER_SMALL                                                                        \
	(64U * 1024) /* bytes of output that are read on the loop; as in intake */

struct loop;
struct encode_worker;

/* This is what a run came to. */
struct made {
	uint64_t id;   /* of the run */
	size_t bytes;  /* of output */
	bool sendable; /* m is the message; else it is empty, as it would be too large or deep */
	struct response r; /* without its results */
	struct message m;  /* whoever takes what it holds leaves it empty */
};

/* Called on the loop, never inside encode_worker_make(). What made holds is freed after it. */
typedef void encode_worker_done_fn(struct made *made, void *arg);

/* Starts the thread; exits when there can be none. */
struct encode_worker *encode_worker_create(struct loop *loop, encode_worker_done_fn *fn, void *arg);
/* Waits for what was begun; each of it is told on the way out. NULL is fine. */
void encode_worker_destroy(struct encode_worker *mk);
/* Is this much to be made by the thread? false for NULL. */
bool encode_worker_takes(const struct encode_worker *mk, size_t bytes);
/* Takes what r and out hold and leaves them empty. r is as report_begin() left it. */
void encode_worker_make(struct encode_worker *mk, uint64_t id, struct response *r, struct buf *out);

#endif
