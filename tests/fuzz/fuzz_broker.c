/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a hostile peer into the whole state machine, over a fake stream and clock: no crash, no
 * leak, no callback after its end. The first byte says in what pieces the rest arrives. */
#include "tests/fuzz/fuzz.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_stream.h"

#include <stdlib.h>

static void
on_ready(struct broker *b, void *arg)
{
	struct message m;

	message_init(&m);
	for (int i = 0; i < 3; i++) {
		/* 0 when the peer has blocked us before. */
		if (broker_publish(b, "x", "k", true, &m) == 0)
			break;
	}
	message_finish(&m);
	broker_consume(b, "web01", 10, true);
}

static void
on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	broker_ack(b, d->tag, false);
	if (d->message.body_len > d->body_size || d->exchange == NULL || d->routing_key == NULL)
		abort();
	delivery_destroy(d);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct broker_handlers handlers = {
	    .on_ready = on_ready, .on_delivery = on_delivery};
	static const struct uri uri = {
	    .scheme = URI_AMQP, .host = (char *)"mq", .port = 5672, .path = (char *)"v"};
	size_t piece = size > 0 && data[0] > 0 ? data[0] : SIZE_MAX;
	struct loop *loop = loop_create();
	struct topology *t = topology_for_runner("b", "m");
	struct broker_options opt;
	struct broker *b;

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	broker_options_default(&opt);
	opt.uris = &uri;
	opt.n_uris = 1;
	opt.topology = t;
	opt.max_body_bytes = 100000;
	b = broker_create(loop, &opt, &handlers, NULL);
	broker_start(b);
	fake_stream_up();
	for (size_t at = 1; at < size && fake_stream_is_open();) {
		size_t n = size - at < piece ? size - at : piece;

		fake_stream_data(data + at, n);
		at += n;
	}
	fake_advance(loop, 10);
	broker_stop(b);
	fake_advance(loop, 60000);
	broker_destroy(b);
	fake_advance(loop, 0);
	fake_stream_finish();
	loop_destroy(loop);
	topology_destroy(t);
	return 0;
}
