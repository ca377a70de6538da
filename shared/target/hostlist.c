/* SPDX-License-Identifier: Apache-2.0 */
/* See hostlist.h. */
#include "shared/target/hostlist.h"

#include "shared/base/near.h"
#include "shared/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
hosts_finish(struct hosts *h)
{
	hosts_cut(h, 0);
	free(h->names);
	*h = (struct hosts){0};
}

void
hosts_add(struct hosts *h, const char *name)
{
	if (h->n == h->room) {
		h->room = h->room == 0 ? 16 : 2 * h->room;
		h->names = xreallocarray(h->names, h->room, sizeof(*h->names));
	}
	h->names[h->n++] = xstrdup(name);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
hosts_sort(struct hosts *h)
{
	size_t kept = 0;

	if (h->n == 0)
		return;
	qsort(h->names, h->n, sizeof(*h->names), compare);
	for (size_t i = 1; i < h->n; i++) {
		if (strcmp(h->names[i], h->names[kept]) == 0)
			free(h->names[i]);
		else
			h->names[++kept] = h->names[i];
	}
	h->n = kept + 1;
}

bool
hosts_has(const struct hosts *h, const char *name)
{
	return h->n > 0 && bsearch(&name, h->names, h->n, sizeof(*h->names), compare) != NULL;
}

const char *
hosts_near(const struct hosts *h, const char *typed)
{
	const char *near = near_host(typed, (const char *const *)h->names, h->n);

	if (strcasecmp(typed, "all") != 0 || (near != NULL && strcasecmp(near, typed) == 0))
		return near;
	return "all";
}

void
hosts_copy(struct hosts *to, const struct hosts *from)
{
	for (size_t i = 0; i < from->n; i++)
		hosts_add(to, from->names[i]);
}

void
hosts_cut(struct hosts *h, size_t n)
{
	while (h->n > n)
		free(h->names[--h->n]);
}

void
hosts_intersect(struct hosts *h, const struct hosts *other)
{
	size_t kept = 0, j = 0;

	for (size_t i = 0; i < h->n; i++) {
		while (j < other->n && strcmp(other->names[j], h->names[i]) < 0)
			j++;
		if (j < other->n && strcmp(other->names[j], h->names[i]) == 0)
			h->names[kept++] = h->names[i];
		else
			free(h->names[i]);
	}
	h->n = kept;
}
