/* SPDX-License-Identifier: Apache-2.0 */
/* This makes what simulated hosts answer: texts of the size and shape that real plugins print. The
 * same host, plugin and version always give the same text, so it can be told later whether what is
 * stored is what was sent. Pure. */
#ifndef VOGELER_BENCH_PAYLOAD_H
#define VOGELER_BENCH_PAYLOAD_H

#include "shared/wire/wire.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;

enum payload {
	PAYLOAD_SMALL,    /* 200 bytes of lines */
	PAYLOAD_LINES,    /* 2 KB of lines */
	PAYLOAD_FACTER,   /* 3 KB of YAML */
	PAYLOAD_PS,       /* 16 KB of lines */
	PAYLOAD_PACKAGES, /* 30 KB of lines */
	PAYLOAD_OHAI,     /* 130 KB of JSON */
	PAYLOAD_FACT_1,   /* each 600 bytes of lines */
	PAYLOAD_FACT_2,
	PAYLOAD_FACT_3,
	PAYLOAD_FACT_4,
	PAYLOAD_FACT_5,
};
#define PAYLOAD_N (PAYLOAD_FACT_5 + 1)

const char *payload_name(enum payload p); /* also the plugin's name */
bool payload_parse(const char *text, enum payload *p);
enum wire_format payload_format(enum payload p);

struct payload_key {
	uint64_t seed;
	const char *host;
	uint32_t version;
};
/* Appends the text. Its first line or member says whose it is: payload_marker(). */
bool payload_write(struct buf *out, enum payload p, const struct payload_key *key)
    __attribute__((warn_unused_result));
#define PAYLOAD_MARKER_SIZE 320
const char *payload_marker(
    enum payload p, const struct payload_key *key, char out[PAYLOAD_MARKER_SIZE]);
/* The marker that a stored value has; NULL: it is none of ours. Borrowed from value. */
const char *payload_marker_of(const json_t *value);

#endif
