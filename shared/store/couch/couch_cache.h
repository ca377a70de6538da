/* SPDX-License-Identifier: Apache-2.0 */
/* The cache holds what is known of the records in CouchDB, by host, so that a write need not read
 * first: the least recently used are let go when a number of bytes is passed. A record that is
 * being written is taken out and given back when the store has said 201; when the outcome is not
 * known it is simply not given back, so the cache never holds what may not be true. Values lie
 * there compressed.
 *
 * Of records that were let go it is remembered, for COUCH_CACHE_PROOFS of them, which revisions are
 * proven, or else a fleet that is too large for the cache would be written whole with each answer.
 */
#ifndef VOGELER_COUCH_CACHE_H
#define VOGELER_COUCH_CACHE_H

#include "shared/store/couch/couch_doc.h"
#include <stddef.h>
#include <stdint.h>

/* Each takes 24 bytes. */
#define COUCH_CACHE_PROOFS 65536

struct couch_cache;

struct pack;
struct store_write;

/* Borrows p. */
struct couch_cache *couch_cache_create(size_t max_bytes, struct pack *p);
void couch_cache_destroy(struct couch_cache *c); /* NULL is fine */
/* The caller owns what it gets, its values packed; NULL: not known. */
struct couch_doc *couch_cache_take(struct couch_cache *c, const char *host);
/* Takes ownership. Replaces what was there of the same host; may let go d itself. */
void couch_cache_give(struct couch_cache *c, struct couch_doc *d);
/* Lets it go in place of giving it back, as if there were no room for it. Takes ownership. */
void couch_cache_let_go(struct couch_cache *c, struct couch_doc *d);
/* Gives a number by which what is done of each host is spread. */
uint64_t couch_cache_hash(const char *host);
/* Proves of a record just read what was proven when it was let go. */
void couch_cache_prove(const struct couch_cache *c, struct couch_doc *d);
/* About the bytes that w will take in a request; 0 when the record is not known. */
size_t couch_cache_peek(const struct couch_cache *c, const struct store_write *w);
void couch_cache_clear(struct couch_cache *c); /* and what is remembered */
size_t couch_cache_bytes(const struct couch_cache *c);
size_t couch_cache_count(const struct couch_cache *c); /* for tests */

#endif
