/* Whether somebody looks which hosts are in contact, and how many are. */
#include "admin/doctor.h"

#include "shared/phrase.h"
#include "shared/wall.h"

#include <stdlib.h>
#include <string.h>

static const char check[] = "store contact";

static void
doctor_on_contacts(struct contacts *contacts, const char *why, void *arg)
{
	struct doctor_contact *c = arg;
	char *lack = contact_lack(contacts, why, wall_ms());

	if (lack != NULL)
		doctor_say_sentence(c->d, check, CHECK_WARN, lack);
	else
		doctor_say(c->d, check, CHECK_OK, NULL, "hosts online=%zu, offline=%zu, never=%zu",
		    contacts_count(contacts, CONTACT_ONLINE),
		    contacts_count(contacts, CONTACT_OFFLINE),
		    contacts_count(contacts, CONTACT_NEVER));
	free(lack);
	contacts_destroy(contacts);
	c->fn(c->arg);
}

void
doctor_contact(struct doctor_contact *c)
{
	contact_read(&c->reading, c->store, doctor_on_contacts, c);
}
