/* SPDX-License-Identifier: Apache-2.0 */
/* See contact.h. */
#include "admin/contact.h"

#include "admin/host_state.h"
#include "admin/record_view.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>

static void
contact_on_notes(enum store_found found, json_t *notes, const struct trouble *why, void *arg)
{
	const struct contact_reading *r = arg;
	struct contacts *contacts = contacts_create();

	if (found == STORE_FOUND)
		contacts_load(contacts, notes);
	r->fn(contacts, found == STORE_FOUND ? NULL : why, r->arg);
}

void
contact_read(struct contact_reading *r, struct store *store, contact_read_fn *fn, void *arg)
{
	*r = (struct contact_reading){fn, arg};
	store_notes(store, CONTACTS_PREFIX, contact_on_notes, r);
}

static const char *
since(struct contact contact, int64_t now_ms, char at[HOST_STATE_AT_SIZE],
    char age[HOST_STATE_AGE_SIZE])
{
	char text[WALLCLOCK_TEXT_SIZE];

	at[0] = age[0] = '\0';
	if (contact.since_ms == 0)
		return at;
	wallclock_format(contact.since_ms, text);
	host_state_age(text, now_ms, age);
	return host_state_at(text, at);
}

struct contact
contact_now(const struct contacts *c, const json_t *rec, int64_t now_ms)
{
	int64_t answered = 0;

	if (!wallclock_parse(record_view_text(rec, "updated_at", ""), &answered))
		answered = 0;
	return contacts_now(c, record_view_text(rec, "_id", ""), answered, now_ms);
}

const char *
contact_text(
    const struct contacts *c, const json_t *rec, int64_t now_ms, char out[CONTACT_TEXT_SIZE])
{
	struct contact contact = contact_now(c, rec, now_ms);
	char at[HOST_STATE_AT_SIZE], age[HOST_STATE_AGE_SIZE];

	since(contact, now_ms, at, age);
	snprintf(out, CONTACT_TEXT_SIZE, "%s%s%s", contact_state_name(contact.state),
	    contact.state == CONTACT_OFFLINE ? " " : "",
	    contact.state == CONTACT_OFFLINE ? age : "");
	return out;
}

char *
contact_sentence(const struct contacts *c, const json_t *rec, int64_t now_ms)
{
	struct contact contact = contact_now(c, rec, now_ms);
	char at[HOST_STATE_AT_SIZE], age[HOST_STATE_AGE_SIZE], *text;
	struct trouble *lack;

	since(contact, now_ms, at, age);
	switch (contact.state) {
	case CONTACT_NEVER:
		return xstrdup("never: nobody was ever seen to read its queue");
	case CONTACT_UNKNOWN:
		lack = contact_lack(c, NULL, now_ms);
		text = lack != NULL
			   ? trouble_text(lack)
			   : xstrdup(
				 "unknown: its agent may be on its way; the collector looks again");
		free(lack);
		return text;
	case CONTACT_OFFLINE:
	case CONTACT_ONLINE:
		break;
	}
	xasprintf(&text, "%s since %s (%s)", contact_state_name(contact.state), at, age);
	return text;
}

json_t *
contact_json(const struct contacts *c, const json_t *rec, int64_t now_ms)
{
	struct contact contact = contact_now(c, rec, now_ms);
	int64_t looked_at = contacts_looked_at(c);
	char at[WALLCLOCK_TEXT_SIZE];
	json_t *o = json_object();

	jsonx_set_str(o, "state", contact_state_name(contact.state));
	json_object_set_new(o, "since",
	    contact.since_ms == 0 ? json_null()
				  : json_string(wallclock_format(contact.since_ms, at)));
	json_object_set_new(o, "looked_at",
	    looked_at == 0 ? json_null() : json_string(wallclock_format(looked_at, at)));
	return o;
}

struct trouble *
contact_lack(const struct contacts *c, const struct trouble *why, int64_t now_ms)
{
	static const char cure[] = "see that vogelerd runs, and reaches the broker";
	struct contact looked = {.since_ms = contacts_looked_at(c)};
	char at[HOST_STATE_AT_SIZE], age[HOST_STATE_AGE_SIZE];
	struct trouble *lack;

	if (contacts_are_kept(c, now_ms))
		return NULL;
	since(looked, now_ms, at, age);
	lack = why != NULL ? trouble_dup(why) : xcalloc(1, sizeof(*lack));
	if (why != NULL)
		trouble_prefix(lack, "unknown: ");
	else if (looked.since_ms == 0)
		trouble_set(lack, TROUBLE_OTHER, cure,
		    "unknown: no collector has looked at the queues of hosts yet");
	else
		trouble_set(lack, TROUBLE_OTHER, cure,
		    "unknown: no collector has looked at the queues of hosts since %s (%s)", at,
		    age);
	return lack;
}
