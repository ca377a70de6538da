/* SPDX-License-Identifier: Apache-2.0 */
/* AMQP 0-9-1 frames <-> structs, over librabbitmq used as a codec only: bytes in, frames out; no
 * I/O, no clock, none of the library's sockets. The method structs are librabbitmq's own
 * (amqp_framing.h: amqp_connection_start_t and so on).
 *
 * What the library does not refuse is refused here before it sees a byte of it: unknown frame types
 * and channels, sizes that cannot be (AMQP 0-9-1 2.3.5, 4.2.3). */
#ifndef VOGELER_FRAME_H
#define VOGELER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* librabbitmq has moved its headers in 0.13, and warns of those in the old place. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

struct buf;
struct message;

#define FRAME_MAX_BYTES   131072 /* what we propose and the most that we take */
#define FRAME_MIN_BYTES   4096   /* frame-min-size: no peer may ask for less */
#define FRAME_CHANNEL_MAX 1      /* channel 0 is the connection, 1 is ours */
#define FRAME_OVERHEAD    8      /* type, channel, size; end mark */

enum frame_kind { FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT, FRAME_PROTOCOL };
const char *frame_kind_name(enum frame_kind kind);

struct frame {
	enum frame_kind kind;
	uint16_t channel;
	amqp_method_number_t method;          /* METHOD */
	void *decoded;                        /* METHOD: the amqp_..._t that `method` says */
	uint64_t body_size;                   /* HEADER */
	const amqp_basic_properties_t *props; /* HEADER */
	amqp_bytes_t body;                    /* BODY */
	uint8_t version[4];                   /* PROTOCOL: what followed "AMQP" */
};

enum frame_result {
	FRAME_MORE, /* all of the input was used, and the frame is not complete */
	FRAME_GOT,
	FRAME_BAD, /* not AMQP: the connection must end, this codec decodes no more */
};

struct frame_codec;

struct frame_codec *frame_codec_create(void);
void frame_codec_destroy(struct frame_codec *c); /* NULL is fine */

/* Takes at most one frame off data; *used says how many bytes. What *f points to lives until
 * frame_release(), which must follow each FRAME_GOT: copy what must live longer. */
enum frame_result frame_decode(
    struct frame_codec *c, const void *data, size_t len, size_t *used, struct frame *f);
void frame_release(struct frame_codec *c);
const char *frame_error(const struct frame_codec *c); /* after FRAME_BAD: one phrase */

/* The frame size agreed on. Only while a connection.tune that frame_decode returned has not been
 * released (the library aborts before its first frame). false: too small to be AMQP. */
bool frame_tune(struct frame_codec *c, uint32_t frame_max) __attribute__((warn_unused_result));

/* Each appends whole frames to out, or returns false and leaves out as it was: out is full, or it
 * cannot be said in AMQP (a short string over 255 bytes, a table over the frame size). */
bool frame_put_protocol(struct buf *out) __attribute__((warn_unused_result));
bool frame_put_heartbeat(struct buf *out) __attribute__((warn_unused_result));
bool frame_put_method(struct frame_codec *c, struct buf *out, uint16_t channel,
    amqp_method_number_t method, void *decoded) __attribute__((warn_unused_result));
/* Content header and body frames of m, split at the agreed frame size. */
bool frame_put_message(struct frame_codec *c, struct buf *out, uint16_t channel,
    const struct message *m) __attribute__((warn_unused_result));

/* The bytes that frame_put_message() appends; 0: it cannot be said, whatever room out has. */
size_t frame_message_size(struct frame_codec *c, const struct message *m);

/* Copies properties and flat headers; nested, floating and void headers are left out, and strings
 * with a NUL in them too (they would compare equal to what they are not). */
void frame_to_message(const amqp_basic_properties_t *props, struct message *m);

/* A malloced copy, or NULL when it has a NUL in it. */
char *frame_strdup(amqp_bytes_t bytes);
/* Never NULL: a NUL in it becomes a "?". */
char *frame_strdup_shown(amqp_bytes_t bytes);
bool frame_str_equal(amqp_bytes_t bytes, const char *s);

#endif
