/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into a record as stored, for the verbs that print one. */
#ifndef VOGELER_RECORD_VIEW_H
#define VOGELER_RECORD_VIEW_H

#include <jansson.h>
#include <stdint.h>

/* A member's text; otherwise when it is missing or not text. Borrowed from obj. */
const char *record_view_text(const json_t *obj, const char *key, const char *otherwise);
/* The names of all plugins the record knows, sorted: those with a value (a record of 2010 has no
 * more) and those that have only ever failed. A new array, the caller's. */
json_t *record_view_plugins(const json_t *rec);
/* The keys that no plugin has brought: somebody else's, or of before an upgrade from 2010. */
json_t *record_view_others(const json_t *rec);
/* Their names in one line, with a blank between two; cut at 64 KiB. Malloced. */
char *record_view_joined(const json_t *names);
/* So many of them as are for reading in an error (names_some() of shared/base/name.h). Malloced. */
char *record_view_some(const json_t *names);
/* Returns which of them was meant by one that is not among them (shared/base/near.h), or NULL.
 * Borrowed. */
const char *record_view_near(const json_t *names, const char *typed);
/* Returns how far the newest order of any of its plugins is ahead of the clock, in ms (record.h),
 * and how many answers were dropped as older than what the record has. */
int64_t record_view_order_ahead(const json_t *rec, int64_t now_ms, int64_t *dropped);
/* Returns what the record says about how that plugin's value came to be; NULL if nothing.
 * Borrowed. */
const json_t *record_view_meta(const json_t *rec, const char *plugin);

#endif
