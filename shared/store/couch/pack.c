/* SPDX-License-Identifier: Apache-2.0 */
/* See pack.h. */
#include "shared/store/couch/pack.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
	LEVEL = 1,
	MIN_BYTES = 256, /* below, what malloc takes for itself eats the gain */
	GAIN = 8,        /* at least one part in so many */
	ROOM_KEEP = 1024 * 1024,
};

struct pack {
	ZSTD_CCtx *to;
	ZSTD_DCtx *from;
	void *room; /* where a text is compressed before its size is known */
	size_t room_len;
};

struct pack *
pack_create(void)
{
	struct pack *p = xcalloc(1, sizeof(*p));

	p->to = ZSTD_createCCtx();
	p->from = ZSTD_createDCtx();
	if (p->to == NULL || p->from == NULL)
		fatal("store", "out of memory");
	return p;
}

void
pack_destroy(struct pack *p)
{
	if (p == NULL)
		return;
	ZSTD_freeCCtx(p->to);
	ZSTD_freeDCtx(p->from);
	free(p->room);
	free(p);
}

static bool
make_room(struct pack *p, size_t len)
{
	void *room;

	if (len <= p->room_len)
		return true;
	room = realloc(p->room, len);
	if (room == NULL)
		return false;
	p->room = room;
	p->room_len = len;
	return true;
}

/* A large room is not kept for the next text. */
static void *
give_room(struct pack *p, size_t *packed_len, size_t n)
{
	void *packed = realloc(p->room, n);

	if (packed == NULL)
		packed = p->room;
	p->room = NULL;
	p->room_len = 0;
	*packed_len = n;
	return packed;
}

void *
pack_text(struct pack *p, const char *text, size_t len, size_t *packed_len)
{
	size_t most = len - len / GAIN, n; /* more room than this it is not given */
	void *packed;

	if (len < MIN_BYTES || !make_room(p, most))
		return NULL;
	n = ZSTD_compressCCtx(p->to, p->room, most, text, len, LEVEL);
	if (ZSTD_isError(n))
		return NULL;
	if (p->room_len > ROOM_KEEP)
		return give_room(p, packed_len, n);
	packed = malloc(n);
	if (packed == NULL)
		return NULL;
	memcpy(packed, p->room, n);
	*packed_len = n;
	return packed;
}

char *
pack_open(struct pack *p, const void *packed, size_t packed_len, size_t len)
{
	char *text = malloc(len + 1);
	size_t n;

	if (text == NULL)
		return NULL;
	n = ZSTD_decompressDCtx(p->from, text, len, packed, packed_len);
	if (n != len) /* it is our own, and has not left our memory */
		fatal("store", "a packed value of %zu bytes is broken", len);
	text[len] = '\0';
	return text;
}
