/* SPDX-License-Identifier: Apache-2.0 */
/* See monitor.h. */
#include "shared/monitor/monitor.h"

#include "shared/amqp/broker.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/listen_addr.h"
#include "shared/event/loop.h"
#include "shared/monitor/httpd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct monitor {
	struct monitor_parts parts;
	struct httpd *httpd;
};

/* ---- health ---- */

void
health_narrow(
    struct health *h, const char *link, const char *text, int64_t since_ms, const char *why)
{
	bool has_why = why != NULL && why[0] != '\0';

	char since[48] = "";

	h->narrow = true;
	if (since_ms >= 0)
		snprintf(since, sizeof(since), " since %" PRId64 " s", since_ms / 1000);
	if (!buf_printf(h->out, "%s: %s%s%s%s\n", link, text, since, has_why ? ": " : "",
		has_why ? why : ""))
		h->failed = true;
}

/* RabbitMQ sends a heartbeat every half of the interval: one that is late is worth a word, long
 * before the connection is given up. */
static bool
is_silent(const struct broker_status *s)
{
	return s->ready && s->heartbeat_ms > 0 && s->silent_ms > s->heartbeat_ms / 5 * 4;
}

/* A queue that is gone or in use is not the broker's fault, though it costs the connection. */
static void
check_consumer(struct health *h, const struct broker_status *s)
{
	char text[160];

	if (s->queue == NULL || s->consuming || (!s->ready && !s->consumer_lost))
		return;
	snprintf(text, sizeof(text), "none on queue %.128s", s->queue);
	health_narrow(h, "consumer", text, s->unconsumed_ms, s->consumer_lost ? s->failure : NULL);
}

/* Writes a line for a connection that is down, blocked, more silent than a living peer is, or
 * without a confirm; and one for a consumer that should be there. */
static void
check_broker(struct health *h, const struct broker *b)
{
	struct broker_status s;
	char text[128];

	broker_status(b, &s);
	check_consumer(h, &s);
	if (!s.ready && s.consumer_lost)
		return;
	if (!s.ready) {
		snprintf(text, sizeof(text), "%s is down", s.role);
		health_narrow(h, "broker", text, s.down_ms, s.failure);
	} else if (s.blocked) {
		snprintf(text, sizeof(text), "%s is blocked", s.role);
		health_narrow(h, "broker", text, s.blocked_ms, s.blocked_reason);
	} else if (is_silent(&s)) {
		snprintf(text, sizeof(text), "%s is silent", s.role);
		health_narrow(h, "broker", text, s.silent_ms, NULL);
	} else if (s.unconfirmed_ms >= MONITOR_STALL_MS) {
		snprintf(text, sizeof(text), "%s gets no confirm", s.role);
		health_narrow(h, "broker", text, s.unconfirmed_ms, NULL);
	}
}

bool
monitor_health(const struct monitor_parts *parts, struct buf *out, bool *healthy)
{
	struct health h = {.out = out};

	for (size_t i = 0; i < parts->n_brokers; i++)
		check_broker(&h, parts->brokers[i]);
	parts->health(&h, parts->arg);
	*healthy = !h.narrow;
	if (!h.narrow && !buf_append_str(out, "ok\n"))
		h.failed = true;
	return !h.failed;
}

/* ---- metrics ---- */

/* One family with a sample for each connection. */
static void
each(struct metrics *m, const struct broker_status *s, size_t n, const char *name,
    enum metrics_type type, const char *help, uint64_t (*value)(const struct broker_status *s))
{
	metrics_family(m, name, type, help);
	for (size_t i = 0; i < n; i++)
		metrics_sample(m, "role", s[i].role, value(&s[i]));
}

static uint64_t
connected(const struct broker_status *s)
{
	return s->ready;
}

static uint64_t
blocked(const struct broker_status *s)
{
	return s->blocked;
}

static uint64_t
reconnects(const struct broker_status *s)
{
	return s->times_ready > 0 ? s->times_ready - 1 : 0;
}

static uint64_t
failures(const struct broker_status *s)
{
	return s->failures;
}

static uint64_t
deliveries(const struct broker_status *s)
{
	return s->deliveries;
}

/* Left out for a connection without TLS: 0 would be a certificate that ended in 1970. */
static void
write_certificates(struct metrics *m, const struct broker_status *s, size_t n)
{
	metrics_family(m, "vogeler_broker_certificate_end_timestamp_seconds", METRICS_GAUGE,
	    "When the first certificate of the connection ends, the broker's or ours.");
	for (size_t i = 0; i < n; i++) {
		if (s[i].certificate_end > 0)
			metrics_sample(m, "role", s[i].role, (uint64_t)s[i].certificate_end / 1000);
	}
}

static void
write_publishes(struct metrics *m, const struct monitor_parts *parts, const struct broker_status *s)
{
	const struct broker_status *last = &s[parts->n_brokers - 1]; /* the one that publishes */

	metrics_family(m, "vogeler_publish_answers_total", METRICS_COUNTER,
	    "Publishes by what became of them.");
	for (int i = 0; i < BROKER_N_OUTCOMES; i++)
		metrics_sample(m, "outcome", broker_outcome_name(i), last->outcomes[i]);
	metrics_single(m, "vogeler_publish_unconfirmed", METRICS_GAUGE,
	    "Publishes that the broker has not answered yet.",
	    broker_unconfirmed(parts->brokers[parts->n_brokers - 1]));
}

static void
write_brokers(struct metrics *m, const struct monitor_parts *parts)
{
	struct broker_status s[2];
	size_t n = parts->n_brokers;

	for (size_t i = 0; i < n; i++)
		broker_status(parts->brokers[i], &s[i]);
	each(m, s, n, "vogeler_broker_connected", METRICS_GAUGE,
	    "Whether the connection is up and everything declared.", connected);
	each(m, s, n, "vogeler_broker_blocked", METRICS_GAUGE,
	    "Whether the broker takes no publishes (memory or disk alarm).", blocked);
	each(m, s, n, "vogeler_broker_reconnects_total", METRICS_COUNTER,
	    "Connections that were made after the first.", reconnects);
	each(m, s, n, "vogeler_broker_failures_total", METRICS_COUNTER,
	    "Connections that failed, and attempts.", failures);
	each(m, s, n, "vogeler_broker_deliveries_total", METRICS_COUNTER,
	    "Messages that the broker delivered.", deliveries);
	write_certificates(m, s, n);
	if (n > 0)
		write_publishes(m, parts, s);
}

bool
monitor_metrics(const struct monitor_parts *parts, struct buf *out)
{
	struct metrics m;

	metrics_init(&m, out);
	metrics_family(
	    &m, "vogeler_build_info", METRICS_GAUGE, "Always 1; its label is the version.");
	metrics_sample(&m, "version", VOGELER_VERSION, 1);
	metrics_family(&m, "vogeler_loop_pass_cpu_seconds_max", METRICS_GAUGE,
	    "The most CPU time that one pass of the loop has taken since the start.");
	metrics_scaled(&m, NULL, NULL, loop_max_pass_us(parts->loop), 6);
	metrics_single(&m, "vogeler_log_lines_dropped_total", METRICS_COUNTER,
	    "Lines that were not logged, as nobody read the log.", log_dropped());
	write_brokers(&m, parts);
	parts->metrics(&m, parts->arg);
	return !m.failed;
}

/* ---- the server ---- */

static int
make_metrics(struct buf *out, void *arg)
{
	struct monitor *mon = arg;

	return monitor_metrics(&mon->parts, out) ? 200 : 500;
}

static int
make_health(struct buf *out, void *arg)
{
	struct monitor *mon = arg;
	bool healthy;

	if (!monitor_health(&mon->parts, out, &healthy))
		return 500;
	return healthy ? 200 : 503;
}

static const struct httpd_page pages[] = {
    {"/metrics", METRICS_CONTENT_TYPE, make_metrics},
    {"/healthz", "text/plain; charset=utf-8", make_health},
};

bool
monitor_start(const struct monitor_parts *parts, const char *listen, struct monitor **out,
    char *err, size_t err_size)
{
	bool may_fail = strcmp(listen, "auto") == 0;
	struct listen_addr address;
	struct monitor *mon;

	*out = NULL;
	if (strcmp(listen, "none") == 0)
		return true;
	if (may_fail)
		listen = parts->auto_address;
	if (!listen_addr_parse(listen, &address, err, err_size))
		return false;
	mon = xcalloc(1, sizeof(*mon));
	mon->parts = *parts;
	mon->httpd =
	    httpd_start(parts->loop, &address, pages, sizeof(pages) / sizeof(pages[0]), mon);
	if (mon->httpd == NULL) {
		snprintf(err, err_size,
		    "cannot listen on %s: %s; set %s to another address, or to none", listen,
		    strerror(errno), parts->option);
		free(mon);
		if (may_fail)
			log_warn("monitor", "no /metrics and /healthz: %s", err);
		return may_fail;
	}
	log_info("monitor", "/metrics and /healthz on http://%s", listen);
	if (!listen_addr_is_loopback(&address))
		log_warn("monitor",
		    "%s is open to the network: whoever reaches it reads /metrics and /healthz, "
		    "without a password and without TLS; set %s to an address like %s",
		    listen, parts->option, parts->auto_address);
	*out = mon;
	return true;
}

void
monitor_stop(struct monitor *mon)
{
	if (mon == NULL)
		return;
	httpd_stop(mon->httpd);
	free(mon);
}
