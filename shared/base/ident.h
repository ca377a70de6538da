/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers. A job's is a UUIDv7 (RFC 9562 5.7), so that jobs sort by time; a response's is a
 * UUIDv8 (RFC 9562 5.8) derived from what it answers, so that a rerun after a crash carries the
 * same one. */
#ifndef VOGELER_IDENT_H
#define VOGELER_IDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDENT_SIZE       37 /* 36 characters and NUL */
#define IDENT_BYTES      16 /* of what they say */
#define IDENT_HASH_SIZE  65 /* 64 hex digits and NUL */
#define IDENT_HASH_BYTES 32

/* Once, before any other function here; exits when there is no randomness. */
void ident_init(void);
void ident_job(char out[IDENT_SIZE], int64_t wallclock_ms);
void ident_response(char out[IDENT_SIZE], const char *job, const char *host, const char *plugin);
/* Hex BLAKE2b-256 of the bytes. */
void ident_hash(char out[IDENT_HASH_SIZE], const void *data, size_t len);
uint32_t ident_random32(void);
/* These do the same in bytes, for what is kept of very many. false: text is not exactly what
 * ident_from_bytes() or ident_hash_from_bytes() would write. text may be NULL. */
bool ident_to_bytes(const char *text, unsigned char out[IDENT_BYTES]);
void ident_from_bytes(char out[IDENT_SIZE], const unsigned char bytes[IDENT_BYTES]);
bool ident_hash_to_bytes(const char *text, unsigned char out[IDENT_HASH_BYTES]);
void ident_hash_from_bytes(char out[IDENT_HASH_SIZE], const unsigned char bytes[IDENT_HASH_BYTES]);

#endif
