/* SPDX-License-Identifier: Apache-2.0 */
/* See damage.h. */
#include "daemon/damage.h"

#include "shared/base/name.h"
#include "shared/base/xalloc.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NAMED    3 /* the others are counted */
#define WHY_SIZE 512

struct hurt {
	UT_hash_handle hh;
	char *host;
	struct mono last; /* added */
};

struct damage {
	struct hurt *hosts; /* uthash, which keeps the order in which they came */
	bool more;          /* than DAMAGE_HOSTS_MAX */
	struct mono since;
	char why[WHY_SIZE]; /* of the latest */
};

struct damage *
damage_create(void)
{
	return xcalloc(1, sizeof(struct damage));
}

static void
drop(struct damage *d, struct hurt *h)
{
	HASH_DEL(d->hosts, h);
	free(h->host);
	free(h);
}

void
damage_destroy(struct damage *d)
{
	struct hurt *h, *next;

	if (d == NULL)
		return;
	HASH_ITER (hh, d->hosts, h, next)
		drop(d, h);
	free(d);
}

void
damage_add(struct damage *d, const char *host, const char *why, struct mono now)
{
	struct hurt *h;

	strlcpy(d->why, why, sizeof(d->why));
	HASH_FIND_STR(d->hosts, host, h);
	if (h != NULL) {
		h->last = now;
		return;
	}
	if (HASH_COUNT(d->hosts) == 0)
		d->since = now;
	if (HASH_COUNT(d->hosts) >= DAMAGE_HOSTS_MAX) {
		d->more = true;
		return;
	}
	h = xcalloc(1, sizeof(*h));
	h->host = xstrdup(host);
	h->last = now;
	HASH_ADD_KEYPTR(hh, d->hosts, h->host, strlen(h->host), h);
}

static bool
is_over(struct damage *d)
{
	if (HASH_COUNT(d->hosts) > 0)
		return false;
	d->more = false;
	return true;
}

bool
damage_remove(struct damage *d, const char *host)
{
	struct hurt *h;

	if (HASH_COUNT(d->hosts) == 0)
		return false;
	HASH_FIND_STR(d->hosts, host, h);
	if (h == NULL)
		return false;
	drop(d, h);
	return is_over(d);
}

bool
damage_expire(struct damage *d, struct mono before)
{
	struct hurt *h, *next;

	if (HASH_COUNT(d->hosts) == 0)
		return false;
	HASH_ITER (hh, d->hosts, h, next) {
		if (mono_diff(h->last, before) < 0)
			drop(d, h);
	}
	return is_over(d);
}

size_t
damage_hosts(const struct damage *d)
{
	return HASH_COUNT(d->hosts);
}

const char *
damage_text(const struct damage *d, char text[DAMAGE_TEXT_SIZE])
{
	size_t n = HASH_COUNT(d->hosts), named = 0;
	const char *names[NAMED];
	const struct hurt *h;
	char *some;

	if (n == 0)
		return NULL;
	for (h = d->hosts; h != NULL && named < NAMED; h = h->hh.next)
		names[named++] = h->host;
	some = names_some(names, n, named);
	snprintf(text, DAMAGE_TEXT_SIZE, "takes nothing of %s%zu host%s (%s)",
	    d->more ? "more than " : "", n, n == 1 ? "" : "s", some);
	free(some);
	return text;
}

const char *
damage_why(const struct damage *d)
{
	return d->why;
}

struct mono
damage_since(const struct damage *d)
{
	return d->since;
}
