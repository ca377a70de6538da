/* SPDX-License-Identifier: Apache-2.0 */
/* Name and connection, of the broker as of the store. */
#include "admin/doctor.h"

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/resolver.h"
#include "shared/event/stream.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define OUTPUT_MAX 4096

struct reach {
	struct doctor *d;
	char *dns, *tcp; /* names of the checks */
	char *host;
	uint16_t port;
	struct stream *stream;
	reach_fn *fn;
	void *arg;
};

static void
reach_free(void *arg)
{
	struct reach *r = arg;

	free(r->dns);
	free(r->tcp);
	free(r->host);
	free(r);
}

static void
end(struct reach *r, bool ok)
{
	stream_close(r->stream);
	loop_defer_free(r->d->v->loop, r, reach_free);
	r->fn(ok, r->arg);
}

static void
reach_on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct reach *r = arg;

	switch (sev) {
	case STREAM_UP:
		doctor_say(r->d, r->tcp, CHECK_OK, NULL, "connected to %s", stream_peer(s));
		end(r, true);
		return;
	case STREAM_DOWN:
		doctor_say(r->d, r->tcp, CHECK_FAIL,
		    "start it there, or correct host and port of its URI, or open the firewall",
		    "%s port %u: %s", r->host, r->port, stream_error(s)->what);
		end(r, false);
		return;
	case STREAM_DATA:
	case STREAM_LOW:
		return;
	}
}

static char *
addresses(const struct addrinfo *list)
{
	char text[NI_MAXHOST];
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
			NI_NUMERICHOST) != 0)
			continue;
		if (!buf_printf(&b, "%s%s", b.len == 0 ? "" : " ", text))
			break; /* a screenful of addresses is enough */
	}
	return buf_take(&b, NULL);
}

static void
reach_on_resolved(struct addrinfo *list, const struct trouble *t, void *arg)
{
	struct reach *r = arg;
	struct stream_options opt = {
	    .host = r->host,
	    .port = r->port,
	    .output_max = OUTPUT_MAX,
	    .output_high = OUTPUT_MAX,
	    .connect_timeout_ms = r->d->options->connect_timeout_ms,
	};
	const char *const rest[] = {r->tcp, NULL};
	char *text;

	if (list == NULL) {
		doctor_say(r->d, r->dns, CHECK_FAIL,
		    "correct the host in its URI, or make the name known (DNS, /etc/hosts)",
		    "%s: %s", r->host, t->what);
		doctor_skip(r->d, rest, "the name is not known");
		end(r, false);
		return;
	}
	text = addresses(list);
	freeaddrinfo(list);
	doctor_say(r->d, r->dns, CHECK_OK, NULL, "%s is %s", r->host, text);
	free(text);
	r->stream = stream_open(r->d->v->loop, &opt, reach_on_stream, r);
}

void
reach_start(
    struct doctor *d, const char *what, const char *host, uint16_t port, reach_fn *fn, void *arg)
{
	struct reach *r = xcalloc(1, sizeof(*r));

	r->d = d;
	xasprintf(&r->dns, "%s dns", what);
	xasprintf(&r->tcp, "%s tcp", what);
	r->host = xstrdup(host);
	r->port = port;
	r->fn = fn;
	r->arg = arg;
	resolver_start(d->v->loop, host, port, reach_on_resolved, r);
}
