/* SPDX-License-Identifier: Apache-2.0 */
/* See contacts.h. */
#include "shared/store/contacts.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_SHARES 64
#define ID_SIZE  32

struct contacts {
	json_t *shares[N_SHARES]; /* each a note's value */
	bool changed[N_SHARES];
	int64_t looked_at;
	bool ended;
};

static const char *const names[] = {
    [CONTACT_UNKNOWN] = "unknown",
    [CONTACT_NEVER] = "never",
    [CONTACT_OFFLINE] = "offline",
    [CONTACT_ONLINE] = "online",
};

const char *
contact_state_name(enum contact_state state)
{
	return names[state];
}

struct contacts *
contacts_create(void)
{
	struct contacts *c = xcalloc(1, sizeof(*c));

	for (size_t i = 0; i < N_SHARES; i++)
		c->shares[i] = json_object();
	return c;
}

void
contacts_destroy(struct contacts *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < N_SHARES; i++)
		json_decref(c->shares[i]);
	free(c);
}

/* FNV-1a: the same in every version, for what is stored. */
static size_t
share_of(const char *host)
{
	uint32_t hash = 2166136261U;

	for (; *host != '\0'; host++)
		hash = (hash ^ (unsigned char)*host) * 16777619U;
	return hash % N_SHARES;
}

static const char *
share_id(size_t share, char out[ID_SIZE])
{
	snprintf(out, ID_SIZE, CONTACTS_PREFIX "%02zu", share);
	return out;
}

static int64_t
time_of(const json_t *text)
{
	int64_t ms = 0;

	return json_is_string(text) && wallclock_parse(json_string_value(text), &ms) ? ms : 0;
}

static struct contact
parse(const json_t *entry)
{
	const char *name = json_string_value(json_array_get(entry, 0));
	struct contact contact = {.state = CONTACT_NEVER};

	while (name != NULL && contact.state <= CONTACT_ONLINE &&
	       strcmp(name, names[contact.state]) != 0)
		contact.state++;
	if (name == NULL || contact.state > CONTACT_ONLINE)
		return (struct contact){.state = CONTACT_UNKNOWN};
	contact.since_ms = time_of(json_array_get(entry, 1));
	return contact;
}

struct contact
contacts_get(const struct contacts *c, const char *host)
{
	return parse(json_object_get(c->shares[share_of(host)], host));
}

void
contacts_load(struct contacts *c, const json_t *notes)
{
	const json_t *look = json_object_get(notes, CONTACTS_PREFIX "look");
	char id[ID_SIZE];

	for (size_t i = 0; i < N_SHARES; i++) {
		json_t *share = json_object_get(notes, share_id(i, id));

		if (!json_is_object(share))
			continue;
		json_decref(c->shares[i]);
		c->shares[i] = json_copy(share);
		c->changed[i] = false;
	}
	c->looked_at = time_of(json_object_get(look, "at"));
	c->ended = json_is_true(json_object_get(look, "ended"));
}

void
contacts_set(struct contacts *c, const char *host, struct contact contact)
{
	size_t share = share_of(host);
	json_t *entry = json_array();
	char since[WALLCLOCK_TEXT_SIZE];

	json_array_append_new(entry, json_string(names[contact.state]));
	if (contact.since_ms != 0) {
		wallclock_format(contact.since_ms, since);
		json_array_append_new(entry, json_string(since));
	}
	if (contact.state == CONTACT_UNKNOWN)
		json_object_del(c->shares[share], host);
	else
		json_object_set(c->shares[share], host, entry);
	json_decref(entry);
	c->changed[share] = true;
}

int64_t
contacts_looked_at(const struct contacts *c)
{
	return c->looked_at;
}

void
contacts_look(struct contacts *c, int64_t wallclock_ms)
{
	c->looked_at = wallclock_ms;
	c->ended = false;
}

void
contacts_end(struct contacts *c)
{
	c->ended = true;
}

void
contacts_retain(struct contacts *c, bool (*keep)(const char *host, void *arg), void *arg)
{
	for (size_t i = 0; i < N_SHARES; i++) {
		const char *host;
		json_t *entry;
		void *next;

		json_object_foreach_safe(c->shares[i], next, host, entry)
		{
			if (keep(host, arg))
				continue;
			json_object_del(c->shares[i], host);
			c->changed[i] = true;
		}
	}
}

json_t *
contacts_take_changes(struct contacts *c)
{
	json_t *notes = json_object();
	char id[ID_SIZE], at[WALLCLOCK_TEXT_SIZE];

	for (size_t i = 0; i < N_SHARES; i++) {
		if (!c->changed[i])
			continue;
		/* A copy, for it may be changed while it is written. */
		json_object_set_new(notes, share_id(i, id), json_copy(c->shares[i]));
		c->changed[i] = false;
	}
	wallclock_format(c->looked_at, at);
	json_object_set_new(
	    notes, CONTACTS_PREFIX "look", json_pack("{s:s,s:b}", "at", at, "ended", c->ended));
	return notes;
}

void
contacts_return_changes(struct contacts *c, const json_t *notes)
{
	char id[ID_SIZE];

	for (size_t i = 0; i < N_SHARES; i++)
		if (json_object_get(notes, share_id(i, id)) != NULL)
			c->changed[i] = true;
}

bool
contacts_are_changed(const struct contacts *c)
{
	for (size_t i = 0; i < N_SHARES; i++)
		if (c->changed[i])
			return true;
	return false;
}

bool
contacts_are_kept(const struct contacts *c, int64_t now_ms)
{
	return !c->ended && now_ms - c->looked_at <= CONTACTS_FRESH_MS;
}

struct contact
contacts_now(const struct contacts *c, const char *host, int64_t answered_ms, int64_t now_ms)
{
	struct contact contact = contacts_get(c, host);

	if (!contacts_are_kept(c, now_ms))
		return (struct contact){.state = CONTACT_UNKNOWN};
	if (contact.state != CONTACT_ONLINE && answered_ms > c->looked_at)
		return (struct contact){CONTACT_ONLINE, answered_ms};
	return contact;
}
