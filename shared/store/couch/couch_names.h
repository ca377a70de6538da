/* SPDX-License-Identifier: Apache-2.0 */
/* The names of all hosts, which collectors ask for again and again. A record is known by what is in
 * it, and may be megabytes: so the ids of all documents are read, and only of those that are not
 * known is asked what they are. What is known: this process remembers it; and the view "names" has
 * what it had when CouchDB last brought it up to date, which is never waited for, since that takes
 * as long as records are written fast. What is new since is looked at itself. */
#ifndef VOGELER_COUCH_NAMES_H
#define VOGELER_COUCH_NAMES_H

#include "shared/store/couch/couch.h"

struct couch_names;

struct couch_names *couch_names_create(void);
void couch_names_destroy(struct couch_names *n);
/* Lists the names. */
void couch_names_list(struct couch *c, store_listed_fn *fn, void *arg);

#endif
