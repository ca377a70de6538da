/* SPDX-License-Identifier: Apache-2.0 */
/* Values as the SQL stores keep them: the text as it is, compressed by zstd, or as the difference
 * from a key value of the same plugin and host, which zstd takes as a prefix. A difference is never
 * taken from another one: two rows at most give a value back.
 *
 * Values are canonical JSON text (jsonx.h). What is read back may be damaged: nothing in it is
 * trusted. */
#ifndef VOGELER_VALUE_CODEC_H
#define VOGELER_VALUE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are stored: they stay as they are. */
enum value_codec {
	VALUE_CODEC_TEXT = 0,
	VALUE_CODEC_ZSTD = 1,
	VALUE_CODEC_DELTA = 2, /* zstd, with the text of the key value as its prefix */
};

/* A text of more than this is not decoded: no store takes such a record. */
#define VALUE_CODEC_MAX ((size_t)512 * 1024 * 1024)

/* Contexts of zstd, which are dear to make; for one thread at a time. */
struct value_coder;
struct value_coder *value_coder_create(void);
void value_coder_destroy(struct value_coder *c); /* NULL is fine */

struct value_coded {
	enum value_codec codec;
	const char *data; /* borrowed: until the coder's next call, or as long as the text lives */
	size_t len;
};
/* Encodes in the shortest of the ways that are worth their time. key: the text of the key value;
 * NULL = there is none, or none is wanted. false: out of memory. */
bool value_encode(struct value_coder *c, const char *text, size_t len, const char *key,
    size_t key_len, struct value_coded *out) __attribute__((warn_unused_result));

/* Gives back what a long value took, and with it what value_encode() lent. */
void value_coder_trim(struct value_coder *c);

enum value_decoded {
	VALUE_DECODED,
	VALUE_DAMAGED, /* it is not what was encoded, or not with this key value */
	VALUE_NO_MEMORY,
};
/* codec, data: as they are stored; bytes: of the text, as it is stored beside them. key: of a
 * difference. *text: malloced, with a NUL behind it. */
enum value_decoded value_decode(struct value_coder *c, int64_t codec, const char *data, size_t len,
    uint64_t bytes, const char *key, size_t key_len, char **text)
    __attribute__((warn_unused_result));

/* Says whether a value is to be a new key value instead of a difference of delta bytes: when all
 * differences from the last one, since_key bytes so far, would weigh as much as it does. So what is
 * stored of a value that changes more and more stays within twice of what it needs. */
bool value_wants_key(uint64_t since_key, uint64_t delta, uint64_t key_stored);

#endif
