/* SPDX-License-Identifier: Apache-2.0 */
/* Revisions of records that lost (couch_merge.h), on their way through a put: what is asked for,
 * what is done with the answer, and their removal. */
#ifndef VOGELER_COUCH_LOST_H
#define VOGELER_COUCH_LOST_H

#include "shared/store/couch/couch.h"
#include "shared/store/couch/couch_merge.h"
#include <jansson.h>

/* Adds what d has lost, if it has, to a list of _bulk_get. When the list has no room for all of it,
 * d is to be read again, and nothing of it is asked for. */
void couch_lost_ask(struct couch_doc *d, json_t *list);
/* Merges into d what was read of it, if it was asked for. NULL: nothing could be read. */
void couch_lost_take(struct couch *c, struct couch_doc *d, struct couch_merge *m);
/* d, which has all that they had, is stored: they are removed. */
void couch_lost_remove(struct couch *c, struct couch_doc *d);

#endif
