/* SPDX-License-Identifier: Apache-2.0 */
/* See probe.h. All headers are long strings, which every client can read. */
#include "shared/amqp/probe.h"

#include "shared/amqp/topology.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER_ID   "probe"
#define HEADER_HOST "probe_host"
#define HEADER_KEY  "probe_key"
#define HEADER_MAX  "probe_message_max"
#define BODY        "\"vogeler.probe\""
#define NO_ID       "-"

void
probe_make(struct message *m, const char *app_id, const char *id, const char *host,
    const char *reply_to, const char *expires_ms)
{
	message_init(m);
	m->app_id = xstrdup(app_id);
	m->reply_to = xstrdup_null(reply_to);
	m->expiration = xstrdup_null(expires_ms);
	message_add_str(m, HEADER_ID, id == NULL ? NO_ID : id);
	message_add_str(m, HEADER_HOST, host);
	/* Of an agent that knows no probes, in the past. */
	message_add_str(m, "not_after", "1");
	message_set_body(m, xstrdup(BODY), strlen(BODY));
}

bool
probe_is(const struct message *m)
{
	return message_str(m, HEADER_ID) != NULL;
}

/* Nowhere else than to a queue of who asks: the key "" would be an answer. */
bool
probe_asks(const struct message *m, const char *host)
{
	const char *wanted = message_str(m, HEADER_HOST);

	return wanted != NULL && strcmp(wanted, host) == 0 && m->reply_to != NULL &&
	       strncmp(m->reply_to, TOPOLOGY_REPLY_PREFIX, strlen(TOPOLOGY_REPLY_PREFIX)) == 0;
}

void
probe_echo(
    const struct message *m, const char *routing_key, uint64_t message_max, struct message *out)
{
	char max[24];

	message_init(out);
	out->app_id = xstrdup("vogeler-agent");
	message_add_str(out, HEADER_ID, message_str(m, HEADER_ID));
	message_add_str(out, HEADER_KEY, routing_key);
	snprintf(max, sizeof(max), "%" PRIu64, message_max);
	if (message_max != 0)
		message_add_str(out, HEADER_MAX, max);
	message_set_body(out, xstrdup(BODY), strlen(BODY));
}

const char *
probe_echoed(const struct message *m, const char *id)
{
	const char *own = message_str(m, HEADER_ID);

	return own != NULL && strcmp(own, id) == 0 ? message_str(m, HEADER_KEY) : NULL;
}

uint64_t
probe_message_max(const struct message *echo)
{
	const char *text = message_str(echo, HEADER_MAX);
	uint64_t max = 0;

	return text != NULL && units_parse_count(text, UINT64_MAX, &max) ? max : 0;
}
