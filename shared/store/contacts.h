/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in contact: of each host whether its queue is read, since when, or when it last was. A
 * book that the collector keeps and the tools read; it is stored as notes (store.h), each with the
 * hosts of one share of all names, so that a host that comes or goes costs one small note:
 *
 *   contact.07    {"web01": ["online", "2026-11-30T18:47:06.000Z"], "web02": ["never"], ...}
 *   contact.look  {"at": TIME, "ended": false}, the latest look at all of them; ended: the
 *                 collector has been told to stop since
 *
 * Pure. */
#ifndef VOGELER_CONTACTS_H
#define VOGELER_CONTACTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct contacts;

#define CONTACTS_PREFIX "contact."
/* The book says nothing about now when its latest look is older: nobody keeps it. Looks are a
 * minute apart, of very many hosts two. */
#define CONTACTS_FRESH_MS (INT64_C(3) * 60 * 1000)

enum contact_state {
	CONTACT_UNKNOWN, /* not looked at yet, or not lately */
	CONTACT_NEVER,   /* its queue was never seen to be read */
	CONTACT_OFFLINE, /* since: when it was last seen to be read */
	CONTACT_ONLINE,  /* since: when that was first seen */
};
#define CONTACT_N_STATES (CONTACT_ONLINE + 1)
const char *contact_state_name(enum contact_state state);

struct contact {
	enum contact_state state;
	int64_t since_ms; /* wall; 0 where there is none */
};

struct contacts *contacts_create(void);
void contacts_destroy(struct contacts *c); /* NULL is fine */
/* notes: {ID: value}, as store_notes() gives them. What is garbled is left out. */
void contacts_load(struct contacts *c, const json_t *notes);
struct contact contacts_get(const struct contacts *c, const char *host);
/* UNKNOWN removes it. */
void contacts_set(struct contacts *c, const char *host, struct contact contact);
int64_t contacts_looked_at(const struct contacts *c); /* 0 = never */
void contacts_look(struct contacts *c, int64_t wallclock_ms);
/* Nobody looks any more, until somebody does. */
void contacts_end(struct contacts *c);
/* Removes the hosts of which keep says false. */
void contacts_retain(struct contacts *c, bool (*keep)(const char *host, void *arg), void *arg);
/* {ID: value} of what was changed since, the look with it; the caller's. */
json_t *contacts_take_changes(struct contacts *c);
/* Takes back changes that were not stored: they are changed still. */
void contacts_return_changes(struct contacts *c, const json_t *notes);
/* Says whether anything is changed but the look. */
bool contacts_are_changed(const struct contacts *c);

/* These are for readers: whether anybody looks at present, and what is known of the host now. */
bool contacts_are_kept(const struct contacts *c, int64_t now_ms);
/* answered_ms: when the host was last heard; 0 = it is not known. After the look, that is contact.
 */
struct contact contacts_now(
    const struct contacts *c, const char *host, int64_t answered_ms, int64_t now_ms);

#endif
