/* Looking into a record as stored (DESIGN 4), for the verbs that print one. */
#ifndef VOGELER_VIEW_H
#define VOGELER_VIEW_H

#include <jansson.h>

/* A member's text; otherwise when it is missing or not text. Borrowed from obj. */
const char *view_text(const json_t *obj, const char *key, const char *otherwise);
/* The names of all plugins the record knows, sorted: those with a value (a record of 2010 has no
 * more) and those that have only ever failed. A new array, the caller's. */
json_t *view_plugins(const json_t *rec);
/* What the record says about how that plugin's value came to be; NULL if nothing. Borrowed. */
const json_t *view_meta(const json_t *rec, const char *plugin);

#endif
