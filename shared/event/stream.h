/* SPDX-License-Identifier: Apache-2.0 */
/* A non-blocking byte stream to a peer: name resolution, connect (each address in turn), TLS if
 * asked for, bounded output. Wake-ups become the few events below; I/O and libevent's bufferevent
 * stay inside. */
#ifndef VOGELER_STREAM_H
#define VOGELER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct stream;
struct tls_options;
struct trouble;

enum stream_event {
	STREAM_UP,   /* connected, with TLS shaken hands; writing is allowed from now on */
	STREAM_DATA, /* there are bytes to read: stream_peek() */
	/* Output has been over the high-water mark and has drained below the low one. */
	STREAM_LOW,
	/* The stream is over: refused, reset, end of file, not resolved; stream_error() says which.
	 * No event follows. */
	STREAM_DOWN,
};
const char *stream_event_name(enum stream_event sev);

/* Fires in the loop, never inside stream_open() or stream_write(). The callee may call
 * stream_close(). */
typedef void stream_fn(struct stream *s, enum stream_event sev, void *arg);

struct stream_options {
	const char *host; /* borrowed during the call: name or address */
	uint16_t port;
	size_t output_max;           /* bytes of output held at most; a write beyond it fails */
	size_t output_high;          /* stream_congested() above it */
	uint32_t connect_timeout_ms; /* for each address, the TLS handshake included */
	/* Copied; NULL = no TLS. With it, nothing is ever sent in the clear. */
	const struct tls_options *tls;
};

struct stream *stream_open(
    struct loop *loop, const struct stream_options *opt, stream_fn *fn, void *arg);
/* Drops what is unsent, frees after the pass; no event comes any more. NULL is fine. */
void stream_close(struct stream *s);
/* The bytes that have arrived and not been drained: *len of them in one contiguous piece (a bounded
 * piece of at most 64 KiB; STREAM_DATA comes again next pass while more is there). */
const void *stream_peek(struct stream *s, size_t *len);
void stream_drain(struct stream *s, size_t len);
/* false when it would pass output_max, or the stream is not up: nothing of it is queued then. */
bool stream_write(struct stream *s, const void *data, size_t len)
    __attribute__((warn_unused_result));
bool stream_congested(const struct stream *s);
/* Bytes written that the peer's machine does not have yet. */
size_t stream_unsent(const struct stream *s);
/* Stops and resumes taking bytes off the socket (TCP then holds the peer). */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* Says why the stream is down: "connection refused", "no such host"; valid until stream_close. */
const struct trouble *stream_error(const struct stream *s);
/* Tells whether it is DOWN because TLS could not be agreed on: trying again will not help until
 * somebody acts. */
bool stream_tls_failed(const struct stream *s);
/* tls_certificate_end() of a connection with TLS; else 0. */
int64_t stream_certificate_end(const struct stream *s);
/* The numeric address in use or tried last, "127.0.0.1:5672". */
const char *stream_peer(const struct stream *s);

#endif
