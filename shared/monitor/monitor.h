/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics and /healthz of a daemon. Both are written when they are asked for: counters live with
 * the modules that count, and nothing here has a timer.
 *
 * Health is 200 "ok", or 503 and one line for each link that is narrow, the narrowest of words
 * first: "broker: consumer is blocked since 12 s: low on memory". It is made of facts about what
 * passes through, so it turns by itself, both ways. */
#ifndef VOGELER_MONITOR_H
#define VOGELER_MONITOR_H

#include "shared/base/buf.h"
#include "shared/monitor/metrics.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct loop;
struct monitor;

/* Something that waits for this long without a step forward is told as narrow. */
#define MONITOR_STALL_MS 5000

struct health {
	struct buf *out; /* borrowed */
	bool narrow;     /* has any line */
	bool failed;     /* out is full */
};

/* "LINK: is ... since 12 s: WHY". text: a verb and what it is; why NULL or "": left out;
 * since_ms < 0: not known. */
void health_narrow(
    struct health *h, const char *link, const char *text, int64_t since_ms, const char *why);

struct monitor_parts {
	struct loop *loop;
	const char *option;       /* "[server] listen", for the line of an error */
	const char *auto_address; /* what "auto" is */
	const struct broker *brokers[2];
	size_t n_brokers;
	void (*metrics)(struct metrics *m, void *arg); /* beside process, loop and brokers */
	void (*health)(struct health *h, void *arg);   /* beside the brokers */
	void *arg;
};

/* listen: of the options. "none" gives true and *out NULL, and so does "auto", with a warning, when
 * it cannot be: two daemons on a machine are no mistake. false: err says what and which option.
 * Copies parts, borrows what they point at. */
bool monitor_start(const struct monitor_parts *parts, const char *listen, struct monitor **out,
    char *err, size_t err_size);
void monitor_stop(struct monitor *mon); /* NULL is fine */

/* The two pages; for tests. false: they do not fit. */
bool monitor_metrics(const struct monitor_parts *parts, struct buf *out);
bool monitor_health(const struct monitor_parts *parts, struct buf *out, bool *healthy);

#endif
