/* SPDX-License-Identifier: Apache-2.0 */
/* See frame.h. librabbitmq is only the codec here: it aborts when it is tuned in its initial state,
 * and keeps all that it has decoded until its pools are released, so both are done frame by frame.
 */
#include "shared/amqp/frame.h"

#include "shared/amqp/message.h"
#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES     7 /* type, channel, size */
#define PROTOCOL_BYTES 8 /* "AMQP" and four bytes of version */
/* Class, weight, body size and flags are the least that a header frame holds. */
#define CONTENT_BYTES 14

struct frame_codec {
	amqp_connection_state_t amqp;
	uint32_t frame_max;
	bool begun; /* a frame has been seen: no protocol header can come any more */
	bool broken;
	const char *error;
	/* The first bytes of the next frame, kept back until there are enough to judge it. */
	uint8_t head[PROTOCOL_BYTES];
	size_t head_len;
	size_t left;      /* of the frame that the library is being fed */
	uint8_t *scratch; /* one outgoing frame's payload */
};

const char *
frame_kind_name(enum frame_kind kind)
{
	switch (kind) {
	case FRAME_METHOD:
		return "method";
	case FRAME_HEADER:
		return "header";
	case FRAME_BODY:
		return "body";
	case FRAME_HEARTBEAT:
		return "heartbeat";
	case FRAME_PROTOCOL:
		return "protocol header";
	}
	return "?";
}

struct frame_codec *
frame_codec_create(void)
{
	struct frame_codec *c = xcalloc(1, sizeof(*c));

	c->amqp = amqp_new_connection();
	if (c->amqp == NULL)
		xalloc_fail(0);
	c->frame_max = FRAME_MIN_BYTES; /* until tuned, AMQP 0-9-1 4.2.3 */
	c->scratch = xcalloc(1, FRAME_MAX_BYTES);
	return c;
}

void
frame_codec_destroy(struct frame_codec *c)
{
	if (c == NULL)
		return;
	amqp_destroy_connection(c->amqp);
	free(c->scratch);
	free(c);
}

const char *
frame_error(const struct frame_codec *c)
{
	return c->error;
}

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum frame_result
bad(struct frame_codec *c, const char *error)
{
	c->broken = true;
	c->error = error;
	return FRAME_BAD;
}

/* Common strangers, by their first byte: 'H' of "HTTP/1.1 400", and the TLS records alert and
 * handshake (RFC 8446 5.1). */
static const char *
stranger(uint8_t type)
{
	switch (type) {
	case 'H':
		return "HTTP and not AMQP";
	case 21:
	case 22:
		return "TLS and not AMQP in the clear";
	}
	return "a frame of unknown type";
}

/* NULL when a frame with this head may be given to the library. */
static const char *
head_error(const struct frame_codec *c)
{
	uint16_t channel = (uint16_t)(c->head[1] << 8 | c->head[2]);
	uint32_t size = be32(c->head + 3);

	if (c->head[0] < AMQP_FRAME_METHOD ||
	    (c->head[0] > AMQP_FRAME_BODY && c->head[0] != AMQP_FRAME_HEARTBEAT))
		return stranger(c->head[0]);
	/* A broker may send its first frames larger than the minimum: RabbitMQ's connection.start
	 * lists its properties. So ours is the limit for what comes in, not what was agreed. */
	if (size > FRAME_MAX_BYTES - FRAME_OVERHEAD)
		return "a frame larger than was agreed";
	if (channel > FRAME_CHANNEL_MAX)
		return "a frame on a channel that is not open";
	switch (c->head[0]) {
	case AMQP_FRAME_METHOD:
		return size < 4 ? "a method frame too short to be one" : NULL;
	case AMQP_FRAME_HEADER:
		if (channel == 0)
			return "content on channel 0";
		return size < CONTENT_BYTES ? "a header frame too short to be one" : NULL;
	case AMQP_FRAME_BODY:
		return channel == 0 ? "content on channel 0" : NULL;
	case AMQP_FRAME_HEARTBEAT:
		return size != 0 || channel != 0 ? "a malformed heartbeat" : NULL;
	}
	return NULL;
}

/* Collects up to `want` bytes of head; true when they are there. */
static bool
collect_head(struct frame_codec *c, size_t want, const uint8_t *data, size_t len, size_t *used)
{
	size_t n = want - c->head_len;

	if (n > len - *used)
		n = len - *used;
	memcpy(c->head + c->head_len, data + *used, n);
	c->head_len += n;
	*used += n;
	return c->head_len == want;
}

static enum frame_result
decode_protocol(
    struct frame_codec *c, const uint8_t *data, size_t len, size_t *used, struct frame *f)
{
	if (!collect_head(c, PROTOCOL_BYTES, data, len, used))
		return FRAME_MORE;
	if (memcmp(c->head, "AMQP", 4) != 0)
		return bad(c, "an answer that is not AMQP");
	f->kind = FRAME_PROTOCOL;
	f->channel = 0;
	memcpy(f->version, c->head + 4, sizeof(f->version));
	c->head_len = 0;
	c->begun = true;
	return FRAME_GOT;
}

static enum frame_result
from_library(struct frame_codec *c, const amqp_frame_t *lf, struct frame *f)
{
	f->channel = lf->channel;
	switch (lf->frame_type) {
	case AMQP_FRAME_METHOD:
		f->kind = FRAME_METHOD;
		f->method = lf->payload.method.id;
		f->decoded = lf->payload.method.decoded;
		return FRAME_GOT;
	case AMQP_FRAME_HEADER:
		if (lf->payload.properties.class_id != AMQP_BASIC_CLASS)
			return bad(c, "a content header that is not of class basic");
		f->kind = FRAME_HEADER;
		f->body_size = lf->payload.properties.body_size;
		f->props = lf->payload.properties.decoded;
		return FRAME_GOT;
	case AMQP_FRAME_BODY:
		f->kind = FRAME_BODY;
		f->body = lf->payload.body_fragment;
		return FRAME_GOT;
	case AMQP_FRAME_HEARTBEAT:
		f->kind = FRAME_HEARTBEAT;
		return FRAME_GOT;
	}
	return bad(c, "a frame of unknown type");
}

/* Feeds bytes of the current frame, never beyond its end, to the library. */
static enum frame_result
feed(struct frame_codec *c, const uint8_t *data, size_t len, size_t *used, struct frame *f)
{
	while (len > 0) {
		amqp_bytes_t in = {.len = len, .bytes = (void *)(uintptr_t)data};
		amqp_frame_t lf = {0};
		int n = amqp_handle_input(c->amqp, in, &lf);

		/* Nothing taken would be a loop without end. */
		if (n <= 0 || (size_t)n > len)
			return bad(c, "a frame that does not decode");
		data += n;
		len -= (size_t)n;
		*used += (size_t)n;
		assert(c->left >= (size_t)n);
		c->left -= (size_t)n;
		if (lf.frame_type != 0)
			return c->left == 0 ? from_library(c, &lf, f)
					    : bad(c, "a frame that does not decode");
	}
	return c->left == 0 ? bad(c, "a frame that does not decode") : FRAME_MORE;
}

/* The head is complete: judge it, then give it to the library. */
static enum frame_result
begin_frame(struct frame_codec *c, struct frame *f)
{
	const char *error = head_error(c);
	size_t used = 0;

	if (error != NULL)
		return bad(c, error);
	c->begun = true;
	c->left = (size_t)be32(c->head + 3) + FRAME_OVERHEAD;
	c->head_len = 0;
	return feed(c, c->head, HEAD_BYTES, &used, f);
}

enum frame_result
frame_decode(struct frame_codec *c, const void *data, size_t len, size_t *used, struct frame *f)
{
	const uint8_t *bytes = data;
	enum frame_result res;
	size_t n;

	*used = 0;
	memset(f, 0, sizeof(*f));
	if (c->broken)
		return FRAME_BAD;
	if (len == 0)
		return FRAME_MORE;
	if (c->left == 0) {
		uint8_t first = c->head_len > 0 ? c->head[0] : bytes[0];

		/* No frame type is 'A'. */
		if (!c->begun && first == 'A')
			return decode_protocol(c, bytes, len, used, f);
		if (!collect_head(c, HEAD_BYTES, bytes, len, used))
			return FRAME_MORE;
		res = begin_frame(c, f);
		if (res != FRAME_MORE)
			return res;
	}
	n = len - *used < c->left ? len - *used : c->left;
	return n == 0 ? FRAME_MORE : feed(c, bytes + *used, n, used, f);
}

/* After every frame, not after every read: a busy read rarely ends on a frame border, and then the
 * library would keep it all. */
void
frame_release(struct frame_codec *c)
{
	amqp_maybe_release_buffers(c->amqp);
}

bool
frame_tune(struct frame_codec *c, uint32_t frame_max)
{
	if (frame_max < FRAME_MIN_BYTES || frame_max > FRAME_MAX_BYTES)
		return false;
	/* No heartbeat: the library's own timers must stay off. */
	if (amqp_tune_connection(c->amqp, FRAME_CHANNEL_MAX, FRAME_MAX_BYTES, 0) != AMQP_STATUS_OK)
		return false;
	c->frame_max = frame_max;
	return true;
}

static bool
put_frame(struct buf *out, uint8_t type, uint16_t channel, const void *payload, size_t len)
{
	static const char end = (char)AMQP_FRAME_END;
	uint8_t head[HEAD_BYTES] = {type, (uint8_t)(channel >> 8), (uint8_t)channel,
	    (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
	size_t before = out->len;

	if (buf_append(out, head, sizeof(head)) && buf_append(out, payload, len) &&
	    buf_append(out, &end, 1))
		return true;
	buf_truncate(out, before);
	return false;
}

bool
frame_put_protocol(struct buf *out)
{
	return buf_append(out, "AMQP\0\0\x09\x01", PROTOCOL_BYTES);
}

bool
frame_put_heartbeat(struct buf *out)
{
	return put_frame(out, AMQP_FRAME_HEARTBEAT, 0, "", 0);
}

static void
store_be(uint8_t *p, uint64_t value, int bytes)
{
	while (bytes-- > 0) {
		p[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

bool
frame_put_method(struct frame_codec *c, struct buf *out, uint16_t channel,
    amqp_method_number_t method, void *decoded)
{
	amqp_bytes_t room = {.len = c->frame_max - FRAME_OVERHEAD - 4, .bytes = c->scratch + 4};
	int n = amqp_encode_method(method, decoded, room);

	if (n < 0)
		return false;
	store_be(c->scratch, method, 4);
	return put_frame(out, AMQP_FRAME_METHOD, channel, c->scratch, (size_t)n + 4);
}

static void
set_str(amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t *field, const char *value)
{
	if (value == NULL)
		return;
	*field = amqp_cstring_bytes(value);
	p->_flags |= flag;
}

static void
header_entry(amqp_table_entry_t *entry, const struct header *h)
{
	entry->key = amqp_cstring_bytes(h->name);
	entry->value.kind = AMQP_FIELD_KIND_UTF8; /* the long string, 'S' */
	entry->value.value.bytes = amqp_cstring_bytes(h->value);
}

/* entries has room for MESSAGE_HEADERS_MAX and lives as long as p. */
static void
to_properties(const struct message *m, amqp_basic_properties_t *p, amqp_table_entry_t *entries)
{
	memset(p, 0, sizeof(*p));
	set_str(p, AMQP_BASIC_MESSAGE_ID_FLAG, &p->message_id, m->message_id);
	set_str(p, AMQP_BASIC_CORRELATION_ID_FLAG, &p->correlation_id, m->correlation_id);
	set_str(p, AMQP_BASIC_REPLY_TO_FLAG, &p->reply_to, m->reply_to);
	set_str(p, AMQP_BASIC_USER_ID_FLAG, &p->user_id, m->user_id);
	set_str(p, AMQP_BASIC_APP_ID_FLAG, &p->app_id, m->app_id);
	set_str(p, AMQP_BASIC_CONTENT_TYPE_FLAG, &p->content_type, m->content_type);
	set_str(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, &p->content_encoding, m->content_encoding);
	set_str(p, AMQP_BASIC_EXPIRATION_FLAG, &p->expiration, m->expiration);
	if (m->timestamp != 0) {
		p->timestamp = (uint64_t)m->timestamp;
		p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
	}
	if (m->persistent) {
		p->delivery_mode = AMQP_DELIVERY_PERSISTENT;
		p->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
	}
	p->headers.entries = entries;
	for (size_t i = 0; i < m->n_headers && i < MESSAGE_HEADERS_MAX; i++) {
		/* The library would cut the length of a longer name to 8 bits. */
		if (strlen(m->headers[i].name) <= UINT8_MAX)
			header_entry(&entries[p->headers.num_entries++], &m->headers[i]);
	}
	if (p->headers.num_entries > 0)
		p->_flags |= AMQP_BASIC_HEADERS_FLAG;
}

/* Into scratch. The length of the payload; 0: it is larger than a frame, or cannot be said. */
static size_t
encode_header(struct frame_codec *c, const struct message *m)
{
	amqp_table_entry_t entries[MESSAGE_HEADERS_MAX];
	amqp_basic_properties_t props;
	amqp_bytes_t room = {.len = c->frame_max - FRAME_OVERHEAD - 12, .bytes = c->scratch + 12};
	int n;

	to_properties(m, &props, entries);
	n = amqp_encode_properties(AMQP_BASIC_CLASS, &props, room);
	if (n < 0)
		return 0;
	store_be(c->scratch, AMQP_BASIC_CLASS, 2);
	store_be(c->scratch + 2, 0, 2);
	store_be(c->scratch + 4, m->body_len, 8);
	return (size_t)n + 12;
}

static bool
put_header(struct frame_codec *c, struct buf *out, uint16_t channel, const struct message *m)
{
	size_t len = encode_header(c, m);

	return len > 0 && put_frame(out, AMQP_FRAME_HEADER, channel, c->scratch, len);
}

bool
frame_put_message(struct frame_codec *c, struct buf *out, uint16_t channel, const struct message *m)
{
	size_t before = out->len, most = c->frame_max - FRAME_OVERHEAD;
	bool ok = put_header(c, out, channel, m);

	for (size_t at = 0; ok && at < m->body_len;) {
		size_t n = m->body_len - at < most ? m->body_len - at : most;

		ok = put_frame(out, AMQP_FRAME_BODY, channel, m->body + at, n);
		at += n;
	}
	if (!ok)
		buf_truncate(out, before);
	return ok;
}

size_t
frame_message_size(struct frame_codec *c, const struct message *m)
{
	size_t most = c->frame_max - FRAME_OVERHEAD, header = encode_header(c, m);
	size_t pieces = m->body_len / most + (m->body_len % most != 0);

	return header == 0 ? 0 : header + m->body_len + (pieces + 1) * FRAME_OVERHEAD;
}

char *
frame_strdup(amqp_bytes_t bytes)
{
	if (bytes.len == 0)
		return xstrdup("");
	if (memchr(bytes.bytes, '\0', bytes.len) != NULL)
		return NULL;
	return xstrndup(bytes.bytes, bytes.len);
}

char *
frame_strdup_shown(amqp_bytes_t bytes)
{
	char *s = xcalloc(1, bytes.len + 1);

	for (size_t i = 0; i < bytes.len; i++) {
		char c = ((const char *)bytes.bytes)[i];

		s[i] = c == '\0' ? '?' : c;
	}
	return s;
}

bool
frame_str_equal(amqp_bytes_t bytes, const char *s)
{
	size_t len = strlen(s);

	return bytes.len == len && (len == 0 || memcmp(bytes.bytes, s, len) == 0);
}

static bool
int_value(const amqp_field_value_t *v, int64_t *out)
{
	switch (v->kind) {
	case AMQP_FIELD_KIND_I8:
		*out = v->value.i8;
		return true;
	case AMQP_FIELD_KIND_U8:
		*out = v->value.u8;
		return true;
	case AMQP_FIELD_KIND_I16:
		*out = v->value.i16;
		return true;
	case AMQP_FIELD_KIND_U16:
		*out = v->value.u16;
		return true;
	case AMQP_FIELD_KIND_I32:
		*out = v->value.i32;
		return true;
	case AMQP_FIELD_KIND_U32:
		*out = v->value.u32;
		return true;
	case AMQP_FIELD_KIND_I64:
		*out = v->value.i64;
		return true;
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		*out = v->value.u64 > INT64_MAX ? INT64_MAX : (int64_t)v->value.u64;
		return true;
	}
	return false;
}

static void
add_header(struct message *m, const amqp_table_entry_t *entry)
{
	const amqp_field_value_t *v = &entry->value;
	char *name = frame_strdup(entry->key), *str;
	int64_t i64;

	if (name == NULL)
		return;
	if (v->kind == AMQP_FIELD_KIND_UTF8 || v->kind == AMQP_FIELD_KIND_BYTES) {
		str = frame_strdup(v->value.bytes);
		message_add_str(m, name, str);
		free(str);
	} else if (v->kind == AMQP_FIELD_KIND_BOOLEAN) {
		message_add_bool(m, name, v->value.boolean != 0);
	} else if (int_value(v, &i64)) {
		message_add_int(m, name, i64);
	}
	free(name);
}

static char *
get_str(const amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t field)
{
	return (p->_flags & flag) == 0 ? NULL : frame_strdup(field);
}

void
frame_to_message(const amqp_basic_properties_t *p, struct message *m)
{
	m->message_id = get_str(p, AMQP_BASIC_MESSAGE_ID_FLAG, p->message_id);
	m->correlation_id = get_str(p, AMQP_BASIC_CORRELATION_ID_FLAG, p->correlation_id);
	m->reply_to = get_str(p, AMQP_BASIC_REPLY_TO_FLAG, p->reply_to);
	m->user_id = get_str(p, AMQP_BASIC_USER_ID_FLAG, p->user_id);
	m->app_id = get_str(p, AMQP_BASIC_APP_ID_FLAG, p->app_id);
	m->content_type = get_str(p, AMQP_BASIC_CONTENT_TYPE_FLAG, p->content_type);
	m->content_encoding = get_str(p, AMQP_BASIC_CONTENT_ENCODING_FLAG, p->content_encoding);
	m->expiration = get_str(p, AMQP_BASIC_EXPIRATION_FLAG, p->expiration);
	if ((p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0 && p->timestamp <= INT64_MAX)
		m->timestamp = (int64_t)p->timestamp;
	if ((p->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0)
		m->persistent = p->delivery_mode == AMQP_DELIVERY_PERSISTENT;
	if ((p->_flags & AMQP_BASIC_HEADERS_FLAG) == 0)
		return;
	for (int i = 0; i < p->headers.num_entries; i++)
		add_header(m, &p->headers.entries[i]);
}
