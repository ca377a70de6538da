/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names of hosts. */
#ifndef VOGELER_HOSTLIST_H
#define VOGELER_HOSTLIST_H

#include <stdbool.h>
#include <stddef.h>

struct hosts { /* sorted by name, each once, after hosts_sort() */
	char **names;
	size_t n;
	size_t room;
};
void hosts_finish(struct hosts *h);
void hosts_add(struct hosts *h, const char *name);           /* copies */
void hosts_sort(struct hosts *h);                            /* and drops what is there twice */
bool hosts_has(const struct hosts *h, const char *name);     /* h is sorted */
void hosts_copy(struct hosts *to, const struct hosts *from); /* appends */
/* The one that was meant by a name that is not among them (near.h), "all" in other letters too, or
 * NULL. */
const char *hosts_near(const struct hosts *h, const char *typed);
/* Keeps the first n. */
void hosts_cut(struct hosts *h, size_t n);
/* Keeps those that are in other too; both are sorted. */
void hosts_intersect(struct hosts *h, const struct hosts *other);

#endif
