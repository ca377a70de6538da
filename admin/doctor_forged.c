/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether answers came lately that nobody vouches for: a mistake, or a stolen
 * password. */
#include "admin/doctor.h"

#include "admin/host_state.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/store/forgeries.h"
#include "shared/store/store.h"

#include <inttypes.h>

#define LATELY_MS (INT64_C(7) * 24 * 3600 * 1000)

static const char check[] = "store forged";

static void
say(struct doctor *d, const struct forgeries *f)
{
	char since[WALLCLOCK_TEXT_SIZE], at[WALLCLOCK_TEXT_SIZE], when[HOST_STATE_WHEN_SIZE],
	    text[HOST_STATE_AT_SIZE], untold[80] = "";

	if (f->untold > 0)
		snprintf(untold, sizeof(untold),
		    "; those whose jobs were not told, and wait on=%" PRIu64, f->untold);
	doctor_say(d, check, CHECK_WARN,
	    "see the dead letters (their headers x-sender and x-reason): is it a host with "
	    "another's name, or has somebody a password? Give each host a user of its own "
	    "(docs/running.md), and this one a new password",
	    "refused answers that nobody vouches for=%" PRIu64
	    ", the first at %s, the last at %s: %s, sender=%s%s",
	    f->refused, host_state_at(wallclock_format(f->since_ms, since), text),
	    host_state_when(wallclock_format(f->at_ms, at), wallclock_ms(), when), f->why,
	    f->sender[0] == '\0' ? "?" : f->sender, untold);
}

static void
doctor_on_forgeries(enum store_found found, json_t *notes, const struct trouble *why, void *arg)
{
	struct doctor_forged *c = arg;
	struct forgeries f;

	forgeries_load(&f, notes);
	if (found != STORE_FOUND)
		doctor_say(c->d, check, CHECK_WARN, NULL,
		    "whether answers came that nobody vouches for cannot be read: " TROUBLE_FMT,
		    TROUBLE_ARGS(why));
	else if (f.at_ms != 0 && wallclock_ms() - f.at_ms < LATELY_MS)
		say(c->d, &f);
	else
		doctor_say(c->d, check, CHECK_OK, NULL,
		    "no answer came in the last 7 days that nobody vouches for");
	c->fn(c->arg);
}

void
doctor_forged(struct doctor_forged *c)
{
	store_notes(c->store, FORGERIES_NOTE, doctor_on_forgeries, c);
}
