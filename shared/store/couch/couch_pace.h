/* SPDX-License-Identifier: Apache-2.0 */
/* The pace is how many requests CouchDB, or a proxy before it, gets at once, by what it says to
 * them: halved when it asks for less (429, 503), one more a second while it takes what comes, and
 * none at all for as long as Retry-After says (RFC 9110 10.2.3). Pure arithmetic. */
#ifndef VOGELER_COUCH_PACE_H
#define VOGELER_COUCH_PACE_H

#include "shared/base/mono.h"
#include "shared/store/couch/http.h"
#include <stdbool.h>
#include <stdint.h>

/* Told to wait for longer, it is asked again after this: the number may be a mistake. */
#define COUCH_PACE_WAIT_MAX_S 60
/* Between two halvings: the answers to what was under way count as one. */
#define COUCH_PACE_HALVE_MS 250
/* Between any change and one more. */
#define COUCH_PACE_GROW_MS 1000

struct couch_pace {
	uint32_t max;        /* in flight at once, when all is well */
	uint32_t allowed;    /* now: 1 to max */
	struct mono changed; /* when allowed was changed, while it is below max */
	struct mono halved;  /* the latest of these changes that was for less */
	struct mono until;   /* nothing is sent before */
	uint64_t slowdowns;  /* answers that asked for less */
};

void couch_pace_init(struct couch_pace *p, uint32_t max); /* max 0 is as 1 */
/* Notes every answer, and that there was none (status 0), which says nothing about the pace. */
void couch_pace_note(struct couch_pace *p, const struct http_response *r, struct mono now);
/* Milliseconds until a request may be sent; 0 = at once. */
int64_t couch_pace_wait_ms(const struct couch_pace *p, struct mono now);

#endif
