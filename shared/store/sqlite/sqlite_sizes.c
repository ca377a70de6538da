/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlite_sizes.h. */
#include "shared/store/sqlite/sqlite_sizes.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define N_MIN ((size_t)1024)
#define N_MAX ((size_t)256 * 1024) /* with more hosts some are looked at again: 2 MB are enough */
#define UNIT  1024                 /* bytes */

struct sqlite_size {
	uint32_t host;  /* 0 = none: numbers begin with 1 */
	uint32_t units; /* at most, rounded up */
};

void
sqlite_sizes_finish(struct sqlite_sizes *s)
{
	free(s->of);
	*s = (struct sqlite_sizes){0};
}

void
sqlite_sizes_begin(struct sqlite_sizes *s, int64_t data_version)
{
	if (data_version == s->data_version)
		return;
	if (s->n > 0)
		memset(s->of, 0, s->n * sizeof(*s->of));
	s->data_version = data_version;
}

/* Below N_MAX each host has a place of its own, which stays the same when there are more. */
static struct sqlite_size *
place_of(struct sqlite_sizes *s, int64_t host)
{
	size_t n = s->n == 0 ? N_MIN : s->n;

	while (n < N_MAX && (uint64_t)host >= n)
		n *= 2;
	if (n != s->n) {
		s->of = xreallocarray(s->of, n, sizeof(*s->of));
		memset(s->of + s->n, 0, (n - s->n) * sizeof(*s->of));
		s->n = n;
	}
	return &s->of[(uint64_t)host & (s->n - 1)];
}

static uint64_t
in_units(uint64_t bytes)
{
	return bytes / UNIT + 1;
}

bool
sqlite_sizes_fit(struct sqlite_sizes *s, int64_t host, uint64_t grown, uint64_t max)
{
	struct sqlite_size *p = place_of(s, host);
	uint64_t units = p->units + in_units(grown);

	assert(host > 0);
	if (p->host != host || units * UNIT > max || units > UINT32_MAX)
		return false;
	p->units = (uint32_t)units;
	return true;
}

void
sqlite_sizes_set(struct sqlite_sizes *s, int64_t host, uint64_t bytes)
{
	struct sqlite_size *p = place_of(s, host);

	assert(host > 0);
	*p = (struct sqlite_size){0};
	if (host > UINT32_MAX || in_units(bytes) > UINT32_MAX)
		return;
	*p = (struct sqlite_size){(uint32_t)host, (uint32_t)in_units(bytes)};
}
