/* Whether somebody looks which hosts are in contact, and how many are: by the rule of the list of
 * hosts. */
#include "admin/doctor.h"

#include "shared/wall.h"
#include "shared/xalloc.h"

#include <stdlib.h>

static const char check[] = "store contact";

static void
doctor_on_contacts(struct contacts *contacts, const char *why, void *arg)
{
	struct doctor_contact *c = arg;

	c->contacts = contacts;
	c->lack = contact_lack(contacts, why, wall_ms());
	c->fn(c->arg);
}

void
doctor_contact_read(struct doctor_contact *c)
{
	contact_read(&c->reading, c->store, doctor_on_contacts, c);
}

void
doctor_contact_count(struct doctor_contact *c, const json_t *rec)
{
	c->hosts[contact_now(c->contacts, rec, wall_ms()).state]++;
}

void
doctor_contact_say(struct doctor_contact *c, bool all)
{
	if (c->lack != NULL)
		doctor_say_sentence(c->d, check, CHECK_WARN, c->lack);
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
