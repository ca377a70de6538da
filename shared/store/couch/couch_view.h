/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of hosts from views: what is wanted of a record is kept by CouchDB in an index, where _find
 * and _all_docs read it whole, and a record may be megabytes. The views are in a design document of
 * Vogeler's own, made by setup as an administrator; a list does without where it is not. */
#ifndef VOGELER_COUCH_VIEW_H
#define VOGELER_COUCH_VIEW_H

#include "shared/store/couch/couch.h"
#include <jansson.h>

#define COUCH_VIEW_DESIGN "_design/vogeler"
#define COUCH_VIEW_NAMES  COUCH_VIEW_DESIGN "/_view/names" /* what it is for: couch_names.h */

/* The document; the caller's. */
json_t *couch_view_design(void);

/* Lists heads. without: called, once and in place of any answer, when the view cannot be read; it
 * makes the list another way. */
typedef void couch_view_without_fn(struct couch *c, store_listed_fn *fn, void *arg);
void couch_view_list(
    struct couch *c, couch_view_without_fn *without, store_listed_fn *fn, void *arg);

#endif
