/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of which something that is stored can be neither read nor written: the file has a
 * damaged page. They are told of together, since one page is the trouble of many. Pure. */
#ifndef VOGELER_DAMAGE_H
#define VOGELER_DAMAGE_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>

#define DAMAGE_HOSTS_MAX 10000 /* of more nothing is known but that there are */
#define DAMAGE_TEXT_SIZE 1024

struct damage;

struct damage *damage_create(void);
void damage_destroy(struct damage *d); /* NULL is fine */

/* why: what the store says, with the cure. */
void damage_add(struct damage *d, const char *host, const char *why, struct mono now);
/* Removes a host of which something is stored again. Returns whether it was the last one. */
bool damage_remove(struct damage *d, const char *host);
/* Removes those that were last added before that: a host that was given up and sends nothing more
 * would stay forever. Returns whether the last one is gone. */
bool damage_expire(struct damage *d, struct mono before);

size_t damage_hosts(const struct damage *d);
/* Says how many there are, and names the first of them. NULL: there are none. */
const char *damage_text(const struct damage *d, char text[DAMAGE_TEXT_SIZE]);
const char *damage_why(const struct damage *d); /* of the latest */
/* While there are some: when the first of them came. */
struct mono damage_since(const struct damage *d);

#endif
