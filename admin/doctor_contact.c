/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether somebody looks which hosts are in contact, and says how many are, by the rule
 * of the list of hosts. */
#include "admin/doctor.h"

#include "admin/record_view.h"
#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"

#include <stdlib.h>

static const char check[] = "store contact";

static void
doctor_on_contacts(struct contacts *contacts, const struct trouble *why, void *arg)
{
	struct doctor_contact *c = arg;

	c->contacts = contacts;
	c->lack = contact_lack(contacts, why, wallclock_ms());
	c->fn(c->arg);
}

void
doctor_contact_read(struct doctor_contact *c)
{
	contact_read(&c->reading, c->store, doctor_on_contacts, c);
}

/* Keeps those of the latest contact. */
static void
remember(struct doctor *d, struct doctor_host host)
{
	size_t i = d->n_recent;

	if (i == DOCTOR_RECENT) {
		if (host.at_ms <= d->recent[i - 1].at_ms)
			return;
		free(d->recent[--i].name);
		d->n_recent--;
	}
	for (; i > 0 && d->recent[i - 1].at_ms < host.at_ms; i--)
		d->recent[i] = d->recent[i - 1];
	d->recent[i] = host;
	d->recent[i].name = xstrdup(host.name);
	d->n_recent++;
}

void
doctor_contact_count(struct doctor_contact *c, const json_t *rec)
{
	struct contact contact = contact_now(c->contacts, rec, wallclock_ms());
	struct doctor_host host = {
	    .name = (char *)record_view_text(rec, "_id", ""), .state = contact.state};

	c->hosts[contact.state]++;
	if (name_host_error(host.name) != NULL)
		return;
	if (!wallclock_parse(record_view_text(rec, "updated_at", ""), &host.at_ms))
		host.at_ms = 0;
	if (contact.state == CONTACT_OFFLINE && contact.since_ms > host.at_ms)
		host.at_ms = contact.since_ms;
	remember(c->d, host);
}

void
doctor_contact_say(struct doctor_contact *c, bool all)
{
	if (c->lack != NULL)
		doctor_say_trouble(c->d, check, CHECK_WARN, c->lack);
	else
		doctor_say(c->d, check, CHECK_OK, NULL,
		    "hosts online=%zu, offline=%zu, never=%zu, unknown=%zu%s",
		    c->hosts[CONTACT_ONLINE], c->hosts[CONTACT_OFFLINE], c->hosts[CONTACT_NEVER],
		    c->hosts[CONTACT_UNKNOWN], all ? "" : ", there are more, not looked at");
}

void
doctor_contact_finish(struct doctor_contact *c)
{
	contacts_destroy(c->contacts);
	free(c->lack);
}
