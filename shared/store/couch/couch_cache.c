/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_cache.h"

#include "shared/base/xalloc.h"
#include "shared/store/store.h"

#include <bsd/sys/queue.h>
#include <stdint.h>
#include <stdlib.h>
#include <uthash.h>

struct cache_entry {
	struct couch_doc *doc;
	size_t bytes;
	UT_hash_handle hh; /* by doc->head.host */
	TAILQ_ENTRY(cache_entry) link;
};

/* Fingerprints. A slot has the last record that fell into it: what is lost costs one write. */
struct proof {
	uint64_t host, rev, mark;
};

struct couch_cache {
	struct cache_entry *by_host;
	TAILQ_HEAD(, cache_entry) lru; /* the next to go is first */
	size_t bytes, max_bytes;
	struct pack *pack;
	struct proof *proofs; /* NULL: nothing was let go yet */
};

enum { MARK_TEXT_BYTES = 1024 };

struct couch_cache *
couch_cache_create(size_t max_bytes, struct pack *p)
{
	struct couch_cache *c = xcalloc(1, sizeof(*c));

	TAILQ_INIT(&c->lru);
	c->max_bytes = max_bytes;
	c->pack = p;
	return c;
}

static struct couch_doc *
remove_entry(struct couch_cache *c, struct cache_entry *e)
{
	struct couch_doc *d = e->doc;

	HASH_DEL(c->by_host, e);
	TAILQ_REMOVE(&c->lru, e, link);
	c->bytes -= e->bytes;
	free(e);
	return d;
}

/* FNV-1a; 0 is that of nothing. */
uint64_t
couch_cache_hash(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (text == NULL)
		return 0;
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

static struct proof
proof_of(const struct couch_doc *d)
{
	return (struct proof){couch_cache_hash(d->head.host), couch_cache_hash(d->rev),
	    couch_cache_hash(d->mark.rev)};
}

void
couch_cache_let_go(struct couch_cache *c, struct couch_doc *d)
{
	struct proof proof = proof_of(d);

	if (c->proofs == NULL)
		c->proofs = xcalloc(COUCH_CACHE_PROOFS, sizeof(*c->proofs));
	c->proofs[proof.host % COUCH_CACHE_PROOFS] = proof;
	couch_doc_destroy(d);
}

void
couch_cache_prove(const struct couch_cache *c, struct couch_doc *d)
{
	struct proof now = proof_of(d);
	const struct proof *then;

	if (c->proofs == NULL || d->rev == NULL)
		return;
	then = &c->proofs[now.host % COUCH_CACHE_PROOFS];
	d->proven = then->host == now.host && then->rev == now.rev;
	d->mark.proven = then->host == now.host && then->mark == now.mark;
}

void
couch_cache_clear(struct couch_cache *c)
{
	while (!TAILQ_EMPTY(&c->lru))
		couch_doc_destroy(remove_entry(c, TAILQ_FIRST(&c->lru)));
	free(c->proofs);
	c->proofs = NULL;
}

void
couch_cache_destroy(struct couch_cache *c)
{
	if (c == NULL)
		return;
	couch_cache_clear(c);
	free(c);
}

static struct cache_entry *
find(const struct couch_cache *c, const char *host)
{
	struct cache_entry *e;

	HASH_FIND_STR(c->by_host, host, e);
	return e;
}

struct couch_doc *
couch_cache_take(struct couch_cache *c, const char *host)
{
	struct cache_entry *e = find(c, host);

	return e != NULL ? remove_entry(c, e) : NULL;
}

void
couch_cache_give(struct couch_cache *c, struct couch_doc *d)
{
	struct cache_entry *e = xcalloc(1, sizeof(*e));

	couch_doc_destroy(couch_cache_take(c, d->head.host));
	couch_doc_pack(d, c->pack);
	e->doc = d;
	e->bytes = sizeof(*e) + couch_doc_bytes(d);
	HASH_ADD_KEYPTR(hh, c->by_host, d->head.host, strlen(d->head.host), e);
	TAILQ_INSERT_TAIL(&c->lru, e, link);
	c->bytes += e->bytes;
	while (c->bytes > c->max_bytes)
		couch_cache_let_go(c, remove_entry(c, TAILQ_FIRST(&c->lru)));
}

size_t
couch_cache_peek(const struct couch_cache *c, const struct store_write *w)
{
	struct cache_entry *e = find(c, w->host);

	if (e == NULL)
		return 0;
	return couch_doc_confirms(e->doc, w) ? MARK_TEXT_BYTES : couch_doc_text_bytes(e->doc, w);
}

size_t
couch_cache_bytes(const struct couch_cache *c)
{
	return c->bytes;
}

size_t
couch_cache_count(const struct couch_cache *c)
{
	return HASH_COUNT(c->by_host);
}
