/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a dead letter that is too large: for now, or for good. (What else a dead letter
 * goes through is in test_inflight.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/deadletter.h"
#include "daemon/packed.h"
#include "daemon/read/decode.h"
#include "shared/amqp/frame.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/pack.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include "tests/unit/collector_drive.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define CUT 65536

struct fixture {
	struct loop *loop;
	struct broker *publisher;
	struct deadletter *dl;
	unsigned int buried, returned, stuck;
};

static void
on_ready(struct broker *b, void *arg)
{
	deadletter_on_ready(((struct fixture *)arg)->dl);
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	deadletter_on_confirm(((struct fixture *)arg)->dl, id, outcome, why);
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_writable = on_ready,
    .on_confirm = on_confirm,
};

static void
on_buried(void *owner, void *arg)
{
	((struct fixture *)arg)->buried++;
}

static void
on_dropped(void *owner, void *arg)
{
	fail();
}

static void
on_returned(void *owner, void *arg)
{
	((struct fixture *)arg)->returned++;
}

static void
on_stuck(void *arg)
{
	((struct fixture *)arg)->stuck++;
}

static const struct deadletter_handlers dead_handlers = {
    .on_buried = on_buried,
    .on_dropped = on_dropped,
    .on_returned = on_returned,
    .on_stuck = on_stuck,
};

static int
setup(void **state)
{
	struct fixture *w = xcalloc(1, sizeof(*w));

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	w->publisher = make_broker(w->loop, "publisher", &handlers, w);
	w->dl = deadletter_create(w->loop, w->publisher, 1 << 30, &dead_handlers, w);
	fake_broker_up(w->publisher);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	deadletter_destroy(w->dl);
	broker_destroy(w->publisher);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static char *
filled(size_t n)
{
	char *text = xcalloc(n + 1, 1);

	memset(text, 'x', n);
	return text;
}

static struct delivery *
delivery_of(size_t header, size_t body)
{
	struct delivery *d = xcalloc(1, sizeof(*d));
	char *text = filled(header);

	d->exchange = xstrdup("vogeler.master.in");
	d->routing_key = xstrdup("");
	d->body_size = body;
	message_add_str(&d->message, "h", text);
	message_set_body(&d->message, filled(body), body);
	free(text);
	return d;
}

/* Of that size, with a header of that size. */
static void
bury(struct fixture *w, size_t header, size_t body)
{
	deadletter_bury(w->dl, delivery_of(header, body), "not JSON", NULL);
	fake_advance(w->loop, 0);
}

/* As it comes from the intake's thread. */
static void
bury_packed(struct fixture *w, size_t header, size_t body)
{
	struct delivery *d = delivery_of(header, body);
	struct pack *p = pack_create();

	packed_close(p, d);
	assert_true(d->message.body_len < body / 10);
	pack_destroy(p);
	deadletter_bury(w->dl, d, "not JSON", NULL);
	fake_advance(w->loop, 0);
}

static const struct message *
letter(struct fixture *w, size_t i)
{
	return &fake_broker_publish_at(w->publisher, i)->message;
}

static void
assert_letter(struct fixture *w, size_t i, bool has_header, size_t body, int64_t oversize)
{
	int64_t said = 0;

	assert_int_equal(message_str(letter(w, i), "h") != NULL, has_header);
	assert_int_equal(letter(w, i)->body_len, body);
	assert_int_equal(message_int(letter(w, i), "x-oversize", &said), oversize != 0);
	assert_int_equal(said, oversize);
	assert_string_equal(message_str(letter(w, i), "x-reason"), "not JSON");
}

static void
what_has_no_room_now_waits_and_is_whole(void **state)
{
	struct fixture *w = *state;

	fake_broker_room(w->publisher, CUT);
	bury(w, 1000, 1000);
	bury(w, 1000, CUT + 1);
	bury(w, 1000, 1000);
	fake_advance(w->loop, DEADLETTER_HOLD_MS / 2);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	fake_broker_auto_confirm(w->publisher, true);
	fake_broker_room(w->publisher, 0);
	fake_advance(w->loop, 0);
	assert_letter(w, 1, true, CUT + 1, 0);
	assert_letter(w, 2, true, 1000, 0);
	assert_int_equal(w->buried, 3);
}

static void
only_what_never_fits_is_cut(void **state)
{
	struct fixture *w = *state;

	fake_broker_limits(w->publisher, 2000, 100000);
	bury(w, 1000, 100000);
	bury(w, 3000, 100000);
	bury(w, 1000, 100001);
	bury(w, 3000, 100001);
	assert_letter(w, 0, true, 100000, 0);
	assert_letter(w, 1, false, 100000, 0);
	assert_letter(w, 2, true, CUT, 100001);
	assert_letter(w, 3, false, CUT, 100001);
}

static void
what_was_packed_is_sent_whole(void **state)
{
	struct fixture *w = *state;
	char *body = filled(100000);

	fake_broker_limits(w->publisher, 2000, 100000);
	bury_packed(w, 1000, 100000);
	bury_packed(w, 1000, 100001);
	assert_letter(w, 0, true, 100000, 0);
	assert_memory_equal(letter(w, 0)->body, body, 100000);
	assert_letter(w, 1, true, CUT, 100001);
	assert_memory_equal(letter(w, 1)->body, body, CUT);
	fake_broker_down(w->publisher);
	fake_broker_up(w->publisher);
	fake_advance(w->loop, DEADLETTER_HOLD_MS / 2);
	assert_letter(w, 2, true, 100000, 0);
	free(body);
}

/* Nor is it cut once the connection is known to be another. */
static void
what_is_lost_on_the_way_is_sent_as_it_was(void **state)
{
	struct fixture *w = *state;

	bury(w, 1000, 100000);
	fake_broker_down(w->publisher);
	fake_broker_limits(w->publisher, 2000, 90000);
	fake_advance(w->loop, DEADLETTER_HOLD_MS / 2);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	fake_broker_limits(w->publisher, 0, 0);
	fake_broker_up(w->publisher);
	fake_advance(w->loop, 0);
	assert_letter(w, 1, true, 100000, 0);
}

/* With all that AMQP's short strings hold, and the longest reason: so that cutting is enough. */
static void
what_is_left_fits_the_smallest_frame(void **state)
{
	struct fixture *w = *state;
	struct frame_codec *codec = frame_codec_create(); /* not tuned: FRAME_MIN_BYTES */
	struct delivery *d = xcalloc(1, sizeof(*d));
	char *most = filled(UINT8_MAX), *reason = filled(DECODE_WHY_SIZE);
	struct message *m = &d->message, left;
	char **const properties[] = {&d->exchange, &d->routing_key, &m->message_id,
	    &m->correlation_id, &m->reply_to, &m->user_id, &m->app_id, &m->content_type,
	    &m->content_encoding};

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		*properties[i] = xstrdup(most);
	m->timestamp = INT64_MAX;
	message_add_str(m, "h", most);
	message_set_body(m, filled(100000), 100000);
	fake_broker_limits(w->publisher, 1, 1); /* cut all there is to be cut */
	deadletter_bury(w->dl, d, reason, NULL);
	fake_advance(w->loop, 0);
	fake_broker_limits(w->publisher, 0, 0);
	fake_advance(w->loop, DEADLETTER_HOLD_MS / 2);
	left = *letter(w, 0);
	assert_null(message_str(&left, "h"));
	left.user_id = most; /* of our login */
	assert_true(frame_message_size(codec, &left) > CUT);
	frame_codec_destroy(codec);
	free(most);
	free(reason);
}

/* Its owner has the tag, and nothing else of it is left. */
static void
what_is_over_the_limit_is_parked_and_returned(void **state)
{
	struct fixture *w = *state;
	const char *why = NULL;

	fake_broker_block(w->publisher, true);
	for (int i = 0; i < DEADLETTER_PENDING_MAX + 70; i++)
		bury(w, 10, 10);
	assert_int_equal(deadletter_pending(w->dl), DEADLETTER_PENDING_MAX);
	assert_int_equal(deadletter_parked(w->dl), 70);
	assert_int_equal(w->stuck, 0);
	fake_advance(w->loop, 5000);
	assert_in_range(w->stuck, 2, 5);
	assert_in_range(deadletter_stuck_ms(w->dl, &why), 5000, 5000);
	assert_string_equal(why, "the broker takes no message now");
	fake_broker_auto_confirm(w->publisher, true);
	fake_broker_block(w->publisher, false);
	fake_advance(w->loop, 0);
	assert_int_equal(w->buried, DEADLETTER_PENDING_MAX);
	assert_int_equal(w->returned, 70);
	assert_int_equal(deadletter_pending(w->dl) + deadletter_parked(w->dl), 0);
	fake_advance(w->loop, 5000);
	assert_int_equal(deadletter_stuck_ms(w->dl, &why), 0);
}

static void
their_bytes_have_a_limit_too(void **state)
{
	struct fixture *w = *state;

	deadletter_set_bytes_max(w->dl, 100000);
	fake_broker_block(w->publisher, true);
	bury(w, 10, 1000000); /* what is larger than all may wait alone */
	bury(w, 10, 10);
	assert_int_equal(deadletter_pending(w->dl), 1);
	assert_int_equal(deadletter_parked(w->dl), 1);
}

/* The broker would close the channel in the end. */
static void
nothing_waits_longer_than_a_channel_may(void **state)
{
	struct fixture *w = *state;

	fake_broker_block(w->publisher, true);
	for (int i = 0; i < DEADLETTER_PENDING_MAX + 5; i++)
		bury(w, 10, 10);
	fake_advance(w->loop, DEADLETTER_HOLD_MS + 5000);
	assert_int_equal(w->returned, DEADLETTER_PENDING_MAX + 5);
	assert_int_equal(fake_broker_published(w->publisher), 0);
}

/* As a queue does that this user may not write to. */
static void
what_ends_the_connection_is_not_sent_at_once_again(void **state)
{
	struct fixture *w = *state;

	bury(w, 10, 10);
	for (int i = 0; i < 20; i++) {
		fake_broker_down(w->publisher);
		fake_broker_up(w->publisher);
		fake_advance(w->loop, 100);
	}
	assert_in_range(fake_broker_published(w->publisher), 2, 5);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_has_no_room_now_waits_and_is_whole),
	    T(only_what_never_fits_is_cut),
	    T(what_was_packed_is_sent_whole),
	    T(what_is_lost_on_the_way_is_sent_as_it_was),
	    T(what_is_left_fits_the_smallest_frame),
	    T(what_is_over_the_limit_is_parked_and_returned),
	    T(their_bytes_have_a_limit_too),
	    T(nothing_waits_longer_than_a_channel_may),
	    T(what_ends_the_connection_is_not_sent_at_once_again),
	};

	return cmocka_run_group_tests_name("deadletter", tests, NULL, NULL);
}
