/* SPDX-License-Identifier: Apache-2.0 */
/* See peer.h. */
#include "tests/replay/peer.h"

#include "shared/amqp/frame.h"
#include "shared/amqp/message.h"
#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	struct frame_codec *codec;
	bool greeted;
};

/* The fields of what a scenario sends, by position; a missing one is "". */
struct args {
	char *const *words;
	size_t n;
};

struct peer *
peer_create(void)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->codec = frame_codec_create();
	return p;
}

void
peer_destroy(struct peer *p)
{
	if (p == NULL)
		return;
	frame_codec_destroy(p->codec);
	free(p);
}

static const char *
str(const struct args *a, size_t i)
{
	return i < a->n ? a->words[i] : "";
}

static amqp_bytes_t
bytes(const struct args *a, size_t i)
{
	return amqp_cstring_bytes(str(a, i));
}

static unsigned long long
num(const struct args *a, size_t i)
{
	return strtoull(str(a, i), NULL, 0);
}

static bool
flag(const struct args *a, const char *word)
{
	for (size_t i = 1; i < a->n; i++) {
		if (strcmp(a->words[i], word) == 0)
			return true;
	}
	return false;
}

static bool
put(struct peer *p, struct buf *out, uint16_t channel, amqp_method_number_t method, void *m)
{
	return frame_put_method(p->codec, out, channel, method, m);
}

static bool
put_connection(struct peer *p, const struct args *a, struct buf *out)
{
	const char *name = str(a, 0);

	if (strcmp(name, "connection.start") == 0) {
		amqp_connection_start_t m = {.version_major = (uint8_t)num(a, 2),
		    .version_minor = a->n > 3 ? (uint8_t)num(a, 3) : 9,
		    .mechanisms = a->n > 1 ? bytes(a, 1) : amqp_cstring_bytes("AMQPLAIN PLAIN"),
		    .locales = amqp_cstring_bytes("en_US")};

		return put(p, out, 0, AMQP_CONNECTION_START_METHOD, &m);
	}
	if (strcmp(name, "connection.tune") == 0) {
		amqp_connection_tune_t m = {.channel_max = (uint16_t)num(a, 1),
		    .frame_max = (uint32_t)num(a, 2),
		    .heartbeat = (uint16_t)num(a, 3)};

		return put(p, out, 0, AMQP_CONNECTION_TUNE_METHOD, &m);
	}
	if (strcmp(name, "connection.open-ok") == 0) {
		amqp_connection_open_ok_t m = {0};

		return put(p, out, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &m);
	}
	if (strcmp(name, "connection.secure") == 0) {
		amqp_connection_secure_t m = {0};

		return put(p, out, 0, AMQP_CONNECTION_SECURE_METHOD, &m);
	}
	if (strcmp(name, "connection.close") == 0) {
		amqp_connection_close_t m = {
		    .reply_code = (uint16_t)num(a, 1), .reply_text = bytes(a, 2)};

		return put(p, out, 0, AMQP_CONNECTION_CLOSE_METHOD, &m);
	}
	if (strcmp(name, "connection.close-ok") == 0) {
		amqp_connection_close_ok_t m = {0};

		return put(p, out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &m);
	}
	if (strcmp(name, "connection.blocked") == 0) {
		amqp_connection_blocked_t m = {.reason = bytes(a, 1)};

		return put(p, out, 0, AMQP_CONNECTION_BLOCKED_METHOD, &m);
	}
	if (strcmp(name, "connection.unblocked") == 0) {
		amqp_connection_unblocked_t m = {0};

		return put(p, out, 0, AMQP_CONNECTION_UNBLOCKED_METHOD, &m);
	}
	return false;
}

/* Answers without fields that matter. */
static bool
put_ok(struct peer *p, const struct args *a, struct buf *out)
{
	static const struct {
		const char *name;
		amqp_method_number_t method;
	} oks[] = {
	    {"channel.open-ok", AMQP_CHANNEL_OPEN_OK_METHOD},
	    {"channel.close-ok", AMQP_CHANNEL_CLOSE_OK_METHOD},
	    {"exchange.declare-ok", AMQP_EXCHANGE_DECLARE_OK_METHOD},
	    {"queue.declare-ok", AMQP_QUEUE_DECLARE_OK_METHOD},
	    {"queue.bind-ok", AMQP_QUEUE_BIND_OK_METHOD},
	    {"confirm.select-ok", AMQP_CONFIRM_SELECT_OK_METHOD},
	    {"basic.qos-ok", AMQP_BASIC_QOS_OK_METHOD},
	};
	/* The largest of them; "queue.declare-ok MESSAGES CONSUMERS". */
	amqp_queue_declare_ok_t any = {
	    .message_count = (uint32_t)num(a, 1), .consumer_count = (uint32_t)num(a, 2)};

	for (size_t i = 0; i < sizeof(oks) / sizeof(oks[0]); i++) {
		if (strcmp(oks[i].name, str(a, 0)) == 0)
			return put(p, out, 1, oks[i].method, &any);
	}
	return false;
}

static bool
put_basic(struct peer *p, const struct args *a, struct buf *out)
{
	const char *name = str(a, 0);

	if (strcmp(name, "channel.close") == 0) {
		amqp_channel_close_t m = {
		    .reply_code = (uint16_t)num(a, 1), .reply_text = bytes(a, 2)};

		return put(p, out, 1, AMQP_CHANNEL_CLOSE_METHOD, &m);
	}
	if (strcmp(name, "basic.consume-ok") == 0) {
		amqp_basic_consume_ok_t m = {.consumer_tag = bytes(a, 1)};

		return put(p, out, 1, AMQP_BASIC_CONSUME_OK_METHOD, &m);
	}
	if (strcmp(name, "basic.cancel-ok") == 0) {
		amqp_basic_cancel_ok_t m = {.consumer_tag = bytes(a, 1)};

		return put(p, out, 1, AMQP_BASIC_CANCEL_OK_METHOD, &m);
	}
	if (strcmp(name, "basic.cancel") == 0) {
		amqp_basic_cancel_t m = {.consumer_tag = bytes(a, 1), .nowait = 1};

		return put(p, out, 1, AMQP_BASIC_CANCEL_METHOD, &m);
	}
	if (strcmp(name, "basic.ack") == 0) {
		amqp_basic_ack_t m = {.delivery_tag = num(a, 1), .multiple = flag(a, "multiple")};

		return put(p, out, 1, AMQP_BASIC_ACK_METHOD, &m);
	}
	if (strcmp(name, "basic.nack") == 0) {
		amqp_basic_nack_t m = {.delivery_tag = num(a, 1), .multiple = flag(a, "multiple")};

		return put(p, out, 1, AMQP_BASIC_NACK_METHOD, &m);
	}
	return false;
}

static bool
put_body(struct peer *p, const char *message_id, const char *text, size_t repeat, struct buf *out)
{
	struct message m;
	size_t len = strlen(text);
	char *body = xcalloc(len * repeat + 1, 1);
	bool ok;

	for (size_t i = 0; i < repeat; i++)
		memcpy(body + i * len, text, len);
	message_init(&m);
	message_set_body(&m, body, len * repeat);
	if (message_id[0] != '\0')
		m.message_id = xstrdup(message_id);
	message_add_str(&m, "plugin", "facter");
	ok = frame_put_message(p->codec, out, 1, &m);
	message_finish(&m);
	return ok;
}

/* basic.deliver TAG KEY BODY [REPEAT] [redelivered] */
static bool
put_deliver(struct peer *p, const struct args *a, struct buf *out)
{
	amqp_basic_deliver_t m = {.delivery_tag = num(a, 1),
	    .redelivered = flag(a, "redelivered"),
	    .consumer_tag = amqp_cstring_bytes("vogeler-1"),
	    .exchange = amqp_cstring_bytes("x"),
	    .routing_key = bytes(a, 2)};
	size_t repeat = num(a, 4) == 0 ? 1 : (size_t)num(a, 4);

	return put(p, out, 1, AMQP_BASIC_DELIVER_METHOD, &m) &&
	       put_body(p, "m", str(a, 3), repeat, out);
}

/* basic.return EXCHANGE KEY MESSAGE_ID TEXT */
static bool
put_return(struct peer *p, const struct args *a, struct buf *out)
{
	amqp_basic_return_t m = {.reply_code = 312,
	    .reply_text = bytes(a, 4),
	    .exchange = bytes(a, 1),
	    .routing_key = bytes(a, 2)};

	return put(p, out, 1, AMQP_BASIC_RETURN_METHOD, &m) && put_body(p, str(a, 3), "b", 1, out);
}

/* raw HEX...: the words are joined; "x*N" after a byte repeats it. */
static bool
put_raw(const struct args *a, struct buf *out)
{
	for (size_t i = 1; i < a->n; i++) {
		const char *star = strchr(a->words[i], '*');
		size_t times = star == NULL ? 1 : strtoul(star + 1, NULL, 10);
		size_t digits = strcspn(a->words[i], "*");

		while (times-- > 0) {
			for (size_t j = 0; j + 1 < digits; j += 2) {
				char hex[3] = {a->words[i][j], a->words[i][j + 1], '\0'};

				if (!buf_append_char(out, (char)strtoul(hex, NULL, 16)))
					return false;
			}
		}
	}
	return true;
}

static void
be32(unsigned char *out, size_t value)
{
	for (int i = 3; i >= 0; i--) {
		out[i] = (unsigned char)value;
		value >>= 8;
	}
}

/* deep-start LEVELS: connection.start with a table in a table in a table. */
static bool
put_deep(const struct args *a, struct buf *out)
{
	static const unsigned char method[] = {0, 10, 0, 10, 0, 9};
	size_t levels = num(a, 1), tables = 4 + levels * 7, size = sizeof(method) + tables + 8;
	unsigned char head[7] = {1, 0, 0}, level[7] = {0, 0, 0, 0, 1, 'A', 'F'}, zeros[8] = {0};
	bool ok;

	be32(head + 3, size);
	ok = buf_append(out, head, sizeof(head)) && buf_append(out, method, sizeof(method));
	for (size_t i = levels; ok && i > 0; i--) {
		be32(level, 3 + 4 + (i - 1) * 7);
		ok = buf_append(out, level, sizeof(level));
	}
	return ok && buf_append(out, zeros, 4) && buf_append(out, zeros, 8) &&
	       buf_append(out, "\xce", 1);
}

bool
peer_encode(struct peer *p, char *const *words, size_t n, struct buf *out)
{
	struct args a = {words, n};

	if (strcmp(words[0], "raw") == 0)
		return put_raw(&a, out);
	if (strcmp(words[0], "deep-start") == 0)
		return put_deep(&a, out);
	if (strcmp(words[0], "heartbeat") == 0)
		return frame_put_heartbeat(out);
	if (strcmp(words[0], "protocol") == 0)
		return buf_append(out, "AMQP\0\1\0\0", 8);
	if (strcmp(words[0], "basic.deliver") == 0)
		return put_deliver(p, &a, out);
	if (strcmp(words[0], "basic.return") == 0)
		return put_return(p, &a, out);
	return put_connection(p, &a, out) || put_ok(p, &a, out) || put_basic(p, &a, out);
}

#define STR(b) (int)(b).len, (const char *)(b).bytes

static void
describe_start_ok(const amqp_connection_start_ok_t *m, char *text, size_t size)
{
	const char *user = (const char *)m->response.bytes + 1;
	size_t n_user = strnlen(user, m->response.len - 1);
	size_t n_password = m->response.len - n_user - 2;
	int capabilities = 0;

	for (int i = 0; i < m->client_properties.num_entries; i++) {
		const amqp_table_entry_t *e = &m->client_properties.entries[i];

		if (e->value.kind == AMQP_FIELD_KIND_TABLE)
			capabilities = e->value.value.table.num_entries;
	}
	snprintf(text, size, "connection.start-ok %.*s user=%.*s password=%.*s capabilities=%d",
	    STR(m->mechanism), (int)n_user, user, (int)n_password, user + n_user + 1, capabilities);
}

/* Appends " key=value" for each. */
static void
describe_table(const amqp_table_t *t, char *text, size_t size)
{
	for (int i = 0; i < t->num_entries; i++) {
		const amqp_field_value_t *v = &t->entries[i].value;
		size_t len = strlen(text);

		len += (size_t)snprintf(text + len, size - len, " %.*s=", STR(t->entries[i].key));
		if (v->kind == AMQP_FIELD_KIND_UTF8)
			snprintf(text + len, size - len, "\"%.*s\"", STR(v->value.bytes));
		else if (v->kind == AMQP_FIELD_KIND_I64)
			snprintf(text + len, size - len, "%lld", (long long)v->value.i64);
		else if (v->kind == AMQP_FIELD_KIND_BOOLEAN)
			snprintf(text + len, size - len, "%s", v->value.boolean ? "true" : "false");
		else
			snprintf(text + len, size - len, "a field of kind %c", v->kind);
	}
}

static bool
describe_setup(amqp_method_number_t method, const void *decoded, char *text, size_t size)
{
	const amqp_connection_tune_ok_t *tune = decoded;
	const amqp_connection_open_t *open = decoded;
	const amqp_exchange_declare_t *exchange = decoded;
	const amqp_queue_declare_t *queue = decoded;
	const amqp_queue_bind_t *bind = decoded;

	switch (method) {
	case AMQP_CONNECTION_START_OK_METHOD:
		describe_start_ok(decoded, text, size);
		return true;
	case AMQP_CONNECTION_TUNE_OK_METHOD:
		snprintf(text, size, "connection.tune-ok %u %u %u", tune->channel_max,
		    tune->frame_max, tune->heartbeat);
		return true;
	case AMQP_CONNECTION_OPEN_METHOD:
		snprintf(text, size, "connection.open %.*s", STR(open->virtual_host));
		return true;
	case AMQP_EXCHANGE_DECLARE_METHOD:
		snprintf(text, size, "exchange.declare %.*s %.*s%s%s", STR(exchange->exchange),
		    STR(exchange->type), exchange->passive ? " passive" : "",
		    exchange->durable ? " durable" : "");
		return true;
	case AMQP_QUEUE_DECLARE_METHOD:
		snprintf(text, size, "queue.declare %.*s%s%s", STR(queue->queue),
		    queue->passive ? " passive" : "", queue->durable ? " durable" : "");
		describe_table(&queue->arguments, text, size);
		return true;
	case AMQP_QUEUE_BIND_METHOD:
		snprintf(text, size, "queue.bind %.*s %.*s \"%.*s\"", STR(bind->queue),
		    STR(bind->exchange), STR(bind->routing_key));
		return true;
	}
	return false;
}

static void
describe_method(amqp_method_number_t method, const void *decoded, char *text, size_t size)
{
	const amqp_basic_qos_t *qos = decoded;
	const amqp_basic_consume_t *consume = decoded;
	const amqp_basic_cancel_t *cancel = decoded;
	const amqp_basic_publish_t *publish = decoded;
	const amqp_basic_ack_t *ack = decoded;
	const amqp_basic_nack_t *nack = decoded;

	if (describe_setup(method, decoded, text, size))
		return;
	switch (method) {
	case AMQP_CHANNEL_OPEN_METHOD:
		snprintf(text, size, "channel.open");
		return;
	case AMQP_CHANNEL_CLOSE_OK_METHOD:
		snprintf(text, size, "channel.close-ok");
		return;
	case AMQP_CONNECTION_CLOSE_METHOD:
		snprintf(text, size, "connection.close");
		return;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		snprintf(text, size, "connection.close-ok");
		return;
	case AMQP_CONFIRM_SELECT_METHOD:
		snprintf(text, size, "confirm.select");
		return;
	case AMQP_BASIC_QOS_METHOD:
		snprintf(text, size, "basic.qos %u%s", qos->prefetch_count,
		    qos->global ? " global" : "");
		return;
	case AMQP_BASIC_CONSUME_METHOD:
		snprintf(text, size, "basic.consume %.*s %.*s%s%s", STR(consume->queue),
		    STR(consume->consumer_tag), consume->exclusive ? " exclusive" : "",
		    consume->no_ack ? " no-ack" : "");
		return;
	case AMQP_BASIC_CANCEL_METHOD:
		snprintf(text, size, "basic.cancel %.*s", STR(cancel->consumer_tag));
		return;
	case AMQP_BASIC_PUBLISH_METHOD:
		snprintf(text, size, "basic.publish %.*s %.*s%s", STR(publish->exchange),
		    STR(publish->routing_key), publish->mandatory ? " mandatory" : "");
		return;
	case AMQP_BASIC_ACK_METHOD:
		snprintf(text, size, "basic.ack %llu%s", (unsigned long long)ack->delivery_tag,
		    ack->multiple ? " multiple" : "");
		return;
	case AMQP_BASIC_NACK_METHOD:
		snprintf(text, size, "basic.nack %llu%s%s", (unsigned long long)nack->delivery_tag,
		    nack->multiple ? " multiple" : "", nack->requeue ? " requeue" : "");
		return;
	}
	snprintf(text, size, "%s", amqp_method_name(method));
}

bool
peer_describe(struct peer *p, const void *data, size_t len, size_t *used, char *text, size_t size)
{
	struct frame f;

	switch (frame_decode(p->codec, data, len, used, &f)) {
	case FRAME_MORE:
		return false;
	case FRAME_BAD:
		printf("the broker wrote %s\n", frame_error(p->codec));
		exit(1);
	case FRAME_GOT:
		break;
	}
	switch (f.kind) {
	case FRAME_METHOD:
		describe_method(f.method, f.decoded, text, size);
		break;
	case FRAME_HEADER:
		snprintf(text, size, "header size=%llu message_id=%.*s user=%.*s",
		    (unsigned long long)f.body_size, STR(f.props->message_id),
		    STR(f.props->user_id));
		break;
	case FRAME_BODY:
		snprintf(text, size, "body %.*s", f.body.len > 64 ? 64 : (int)f.body.len,
		    (const char *)f.body.bytes);
		break;
	case FRAME_HEARTBEAT:
		snprintf(text, size, "heartbeat");
		break;
	case FRAME_PROTOCOL:
		snprintf(text, size, "protocol %u-%u-%u-%u", f.version[0], f.version[1],
		    f.version[2], f.version[3]);
		break;
	}
	frame_release(p->codec);
	return true;
}
