/* SPDX-License-Identifier: Apache-2.0 */
/* The codec: what is encoded comes back, in any split; what cannot be AMQP is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/amqp/frame.h"
#include "shared/amqp/message.h"
#include "shared/base/buf.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct frame_codec *in, *out;
	struct buf buf;
};

static int
setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->in = frame_codec_create();
	x->out = frame_codec_create();
	buf_init(&x->buf, 1 << 24);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;

	frame_codec_destroy(x->in);
	frame_codec_destroy(x->out);
	buf_finish(&x->buf);
	free(x);
	return 0;
}

/* Decodes one frame off the front of x->buf, given to the codec in pieces of `piece` bytes. */
static enum frame_result
next_frame(struct fixture *x, size_t piece, struct frame *f)
{
	enum frame_result res = FRAME_MORE;

	while (res == FRAME_MORE && x->buf.len > 0) {
		size_t n = x->buf.len < piece ? x->buf.len : piece, used;

		res = frame_decode(x->in, x->buf.data, n, &used, f);
		assert_true(used <= n);
		if (res == FRAME_MORE)
			assert_int_equal(used, n);
		buf_drop_front(&x->buf, used);
	}
	return res;
}

static void
feed_raw(struct fixture *x, const void *data, size_t len)
{
	assert_true(buf_append(&x->buf, data, len));
}

static void
put_tune(struct fixture *x, uint32_t frame_max)
{
	amqp_connection_tune_t tune = {.channel_max = 7, .frame_max = frame_max, .heartbeat = 60};

	assert_true(frame_put_method(x->out, &x->buf, 0, AMQP_CONNECTION_TUNE_METHOD, &tune));
}

/* Both ends agree on the frame size, as after connection.tune. */
static void
tune_both(struct fixture *x, uint32_t frame_max)
{
	struct frame_codec *swap;
	struct frame f;

	for (int i = 0; i < 2; i++) {
		put_tune(x, frame_max);
		assert_int_equal(next_frame(x, SIZE_MAX, &f), FRAME_GOT);
		assert_true(frame_tune(x->in, frame_max));
		frame_release(x->in);
		swap = x->in;
		x->in = x->out;
		x->out = swap;
	}
}

static void
method_roundtrip(void **state)
{
	struct fixture *x = *state;

	for (size_t piece = 1; piece < 24; piece++) {
		struct frame f;
		const amqp_connection_tune_t *tune;

		put_tune(x, 131072);
		assert_int_equal(next_frame(x, piece, &f), FRAME_GOT);
		assert_int_equal(f.kind, FRAME_METHOD);
		assert_int_equal(f.channel, 0);
		assert_int_equal(f.method, AMQP_CONNECTION_TUNE_METHOD);
		tune = f.decoded;
		assert_int_equal(tune->channel_max, 7);
		assert_int_equal(tune->frame_max, 131072);
		assert_int_equal(tune->heartbeat, 60);
		frame_release(x->in);
	}
}

static void
one_frame_at_a_time(void **state)
{
	struct fixture *x = *state;
	struct frame f;
	size_t used;

	put_tune(x, 131072);
	assert_true(frame_put_heartbeat(&x->buf));
	assert_int_equal(frame_decode(x->in, x->buf.data, x->buf.len, &used, &f), FRAME_GOT);
	assert_int_equal(used, x->buf.len - 8);
	frame_release(x->in);
	buf_drop_front(&x->buf, used);
	assert_int_equal(next_frame(x, SIZE_MAX, &f), FRAME_GOT);
	assert_int_equal(f.kind, FRAME_HEARTBEAT);
}

static void
fill(struct message *m, size_t body_len)
{
	char *body = malloc(body_len + 1);

	for (size_t i = 0; i < body_len; i++)
		body[i] = (char)(i * 7);
	body[body_len] = '\0';
	message_init(m);
	message_set_body(m, body, body_len);
	m->message_id = strdup("0190-job");
	m->correlation_id = strdup("corr");
	m->reply_to = strdup("amq.gen-1");
	m->user_id = strdup("web01");
	m->app_id = strdup("vogeler-agent");
	m->content_type = strdup("application/json");
	m->content_encoding = strdup("utf-8");
	m->expiration = strdup("60000");
	m->timestamp = 1285467389;
	m->persistent = true;
	message_add_str(m, "plugin", "facter");
	message_add_int(m, "order", -42);
	message_add_bool(m, "truncated", true);
}

static void
assert_like(const struct message *m)
{
	int64_t order;
	bool truncated;

	assert_string_equal(m->message_id, "0190-job");
	assert_string_equal(m->correlation_id, "corr");
	assert_string_equal(m->reply_to, "amq.gen-1");
	assert_string_equal(m->user_id, "web01");
	assert_string_equal(m->app_id, "vogeler-agent");
	assert_string_equal(m->content_type, "application/json");
	assert_string_equal(m->content_encoding, "utf-8");
	assert_string_equal(m->expiration, "60000");
	assert_int_equal(m->timestamp, 1285467389);
	assert_true(m->persistent);
	assert_string_equal(message_str(m, "plugin"), "facter");
	assert_string_equal(message_str(m, "order"), "-42");
	assert_true(message_int(m, "order", &order));
	assert_int_equal(order, -42);
	assert_true(message_bool(m, "truncated", &truncated));
	assert_true(truncated);
}

static void
roundtrip_message(struct fixture *x, uint32_t frame_max, size_t body_len, size_t piece)
{
	struct message m, got;
	struct frame f;
	size_t at = 0;

	fill(&m, body_len);
	message_init(&got);
	tune_both(x, frame_max);
	assert_true(frame_put_message(x->out, &x->buf, 1, &m));
	assert_int_equal(frame_message_size(x->out, &m), x->buf.len);
	assert_int_equal(next_frame(x, piece, &f), FRAME_GOT);
	assert_int_equal(f.kind, FRAME_HEADER);
	assert_int_equal(f.channel, 1);
	assert_int_equal(f.body_size, body_len);
	for (int i = 0; i < f.props->headers.num_entries; i++)
		assert_int_equal(f.props->headers.entries[i].value.kind, AMQP_FIELD_KIND_UTF8);
	frame_to_message(f.props, &got);
	frame_release(x->in);
	assert_like(&got);
	while (at < body_len) {
		assert_int_equal(next_frame(x, piece, &f), FRAME_GOT);
		assert_int_equal(f.kind, FRAME_BODY);
		assert_true(f.body.len <= frame_max - FRAME_OVERHEAD);
		assert_true(f.body.len > 0 && f.body.len <= body_len - at);
		assert_memory_equal(f.body.bytes, m.body + at, f.body.len);
		at += f.body.len;
		frame_release(x->in);
	}
	assert_int_equal(x->buf.len, 0);
	message_finish(&m);
	message_finish(&got);
}

static void
message_roundtrip(void **state)
{
	struct fixture *x = *state;

	roundtrip_message(x, 4096, 0, SIZE_MAX);
	roundtrip_message(x, 4096, 1, 1);
	roundtrip_message(x, 4096, 4088, 3);
	roundtrip_message(x, 4096, 4089, 1000);
	roundtrip_message(x, 131072, 131072 - 8, SIZE_MAX);
	roundtrip_message(x, 131072, 1000000, 65536);
}

static void
no_room_leaves_nothing(void **state)
{
	struct fixture *x = *state;
	struct message m;
	struct buf small;

	fill(&m, 5000);
	buf_init(&small, 5000);
	assert_true(buf_append(&small, "before", 6));
	assert_false(frame_put_message(x->out, &small, 1, &m));
	assert_int_equal(small.len, 6);
	buf_finish(&small);
	message_finish(&m);
}

static void
what_amqp_cannot_say(void **state)
{
	struct fixture *x = *state;
	char long_str[400];
	struct message m;
	amqp_basic_publish_t publish = {0};

	memset(long_str, 'x', sizeof(long_str) - 1);
	long_str[sizeof(long_str) - 1] = '\0';
	publish.routing_key = amqp_cstring_bytes(long_str);
	assert_false(frame_put_method(x->out, &x->buf, 1, AMQP_BASIC_PUBLISH_METHOD, &publish));
	message_init(&m);
	m.message_id = strdup(long_str);
	assert_false(frame_put_message(x->out, &x->buf, 1, &m));
	assert_int_equal(frame_message_size(x->out, &m), 0);
	assert_int_equal(x->buf.len, 0);
	message_finish(&m);

	/* A header is never worth failing for. */
	message_init(&m);
	message_add_str(&m, long_str, "value");
	assert_true(frame_put_message(x->out, &x->buf, 1, &m));
	message_finish(&m);
}

static void
strings_with_nul(void **state)
{
	static char bytes[] = "x\0y";
	const amqp_bytes_t nul = {.len = 3, .bytes = bytes};
	char *s;

	assert_null(frame_strdup(nul));
	s = frame_strdup_shown(nul);
	assert_string_equal(s, "x?y");
	free(s);
	s = frame_strdup_shown((amqp_bytes_t){0});
	assert_string_equal(s, "");
	free(s);
}

static void
entry(amqp_table_entry_t *e, const char *name, uint8_t kind)
{
	memset(e, 0, sizeof(*e));
	e->key = amqp_cstring_bytes(name);
	e->value.kind = kind;
}

static void
header_kinds(void **state)
{
	static char user[] = "web\0ad";
	amqp_table_entry_t e[8];
	amqp_basic_properties_t p = {
	    ._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_USER_ID_FLAG,
	    .user_id = {.len = 6, .bytes = user},
	    .headers = {.num_entries = 8, .entries = e},
	};
	struct message m;
	int64_t i64;
	bool boolean;

	entry(&e[0], "i8", AMQP_FIELD_KIND_I8);
	e[0].value.value.i8 = -1;
	entry(&e[1], "u32", AMQP_FIELD_KIND_U32);
	e[1].value.value.u32 = UINT32_MAX;
	entry(&e[2], "time", AMQP_FIELD_KIND_TIMESTAMP);
	e[2].value.value.u64 = 1285467389;
	entry(&e[3], "huge", AMQP_FIELD_KIND_U64);
	e[3].value.value.u64 = UINT64_MAX;
	entry(&e[4], "no", AMQP_FIELD_KIND_BOOLEAN);
	entry(&e[5], "float", AMQP_FIELD_KIND_F64);
	entry(&e[6], "table", AMQP_FIELD_KIND_TABLE);
	entry(&e[7], "nul", AMQP_FIELD_KIND_UTF8);
	e[7].value.value.bytes = p.user_id;
	message_init(&m);
	frame_to_message(&p, &m);
	assert_true(message_int(&m, "i8", &i64));
	assert_int_equal(i64, -1);
	assert_true(message_int(&m, "u32", &i64));
	assert_int_equal(i64, UINT32_MAX);
	assert_true(message_int(&m, "time", &i64));
	assert_int_equal(i64, 1285467389);
	assert_true(message_int(&m, "huge", &i64));
	assert_int_equal(i64, INT64_MAX);
	assert_true(message_bool(&m, "no", &boolean));
	assert_false(boolean);
	assert_int_equal(m.n_headers, 5);
	/* "web" would be somebody else. */
	assert_null(m.user_id);
	message_finish(&m);
}

static void
protocol_header(void **state)
{
	struct fixture *x = *state;
	struct frame f;

	feed_raw(x, "AMQP\0\0\x09\x01", 8);
	assert_int_equal(next_frame(x, 3, &f), FRAME_GOT);
	assert_int_equal(f.kind, FRAME_PROTOCOL);
	assert_memory_equal(f.version, "\0\0\x09\x01", 4);
	/* Only as the first thing. */
	feed_raw(x, "AMQP\0\0\x09\x01", 8);
	assert_int_equal(next_frame(x, 3, &f), FRAME_BAD);
}

static void
frames_that_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
	    {"HTTP/1.1 400 Bad Request\r\n", 26}, {"AMQX\0\0\x09\x01", 8},
	    {"\x01\0\0\0\0\0\x03\0\x0a\0\xce", 11},         /* a method of 3 bytes */
	    {"\x01\0\0\xff\xff\xff\xff", 7},                /* 4 GiB */
	    {"\x01\0\0\0\x02\0\0", 7},                      /* over what was agreed */
	    {"\x01\0\x02\0\0\0\x04\0\x0a\0\x0b\xce", 12},   /* channel 2 */
	    {"\x02\0\x01\0\0\0\x02\0\x3c\xce", 10},         /* a header of 2 bytes */
	    {"\x02\0\0\0\0\0\x0e", 7},                      /* content on channel 0 */
	    {"\x03\0\0\0\0\0\x01x\xce", 9},                 /* the same */
	    {"\x08\0\0\0\0\0\x01x\xce", 9},                 /* a heartbeat with something in it */
	    {"\x08\0\0\0\0\0\0\xcd", 8},                    /* wrong end mark */
	    {"\x07\0\0\0\0\0\0\xce", 8},                    /* no such type */
	    {"\x01\0\0\0\0\0\x04\0\x0a\0\xff\xce", 12},     /* no such method */
	    {"\x01\0\0\0\0\0\x05\0\x0a\0\x0a\x09\xce", 13}, /* cut short */
	    {"\x02\0\x01\0\0\0\x0e\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\xce", 22}, /* class 10 content */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture *x = *state;
		struct frame f;
		size_t used;

		feed_raw(x, bad[i].bytes, bad[i].len);
		assert_int_equal(next_frame(x, i % 2 == 0 ? 1 : SIZE_MAX, &f), FRAME_BAD);
		assert_non_null(frame_error(x->in));
		/* And it stays so. */
		assert_int_equal(
		    frame_decode(x->in, "\x08\0\0\0\0\0\0\xce", 8, &used, &f), FRAME_BAD);
		frame_release(x->in);
		teardown(state);
		setup(state);
	}
}

static void
tune_limits(void **state)
{
	struct fixture *x = *state;
	struct frame f;

	put_tune(x, 8);
	assert_int_equal(next_frame(x, SIZE_MAX, &f), FRAME_GOT);
	assert_false(frame_tune(x->in, 8));
	assert_false(frame_tune(x->in, FRAME_MAX_BYTES + 1));
	assert_true(frame_tune(x->in, FRAME_MIN_BYTES));
	frame_release(x->in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(method_roundtrip, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_frame_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(message_roundtrip, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_room_leaves_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_amqp_cannot_say, setup, teardown),
	    cmocka_unit_test(strings_with_nul),
	    cmocka_unit_test(header_kinds),
	    cmocka_unit_test_setup_teardown(protocol_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(frames_that_are_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(tune_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
