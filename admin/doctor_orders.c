/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether the newest order of a host is ahead of the clock. While the host's clock
 * stays ahead, or its state folder remembers the order, its answers come after it; once neither
 * does, they are dropped as older, until the clock has come that far. The heads of all records are
 * read for it, as far as that goes in a short time. */
#include "admin/doctor.h"

#include "admin/host_state.h"
#include "admin/record_view.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 5000

static const char check[] = "store orders";

static void
say_ahead(const struct doctor_orders *o)
{
	char span[UNITS_SPAN_SIZE], cure[400];

	snprintf(cure, sizeof(cure),
	    "see that the clock of %s is right, then: vogeler-admin forget-order %s", o->worst,
	    o->worst);
	units_span(o->ahead_ms, span);
	if (o->dropped > 0)
		doctor_say(o->d, check, CHECK_WARN, cure,
		    "the newest order of %s is %s ahead of the clock, and answers were dropped as "
		    "older, hosts=%zu, dropped=%" PRId64,
		    o->worst, span, o->n_ahead, o->dropped);
	else
		doctor_say(o->d, check, CHECK_WARN, cure,
		    "the newest order of %s is %s ahead of the clock, hosts=%zu: its answers are "
		    "stored, and would be dropped as older if its clock is set back and its state "
		    "folder is lost",
		    o->worst, span, o->n_ahead);
}

static void
end(struct doctor_orders *o, bool all)
{
	o->over = true;
	loop_timer_destroy(o->timer);
	o->timer = NULL;
	if (o->n_ahead > 0)
		say_ahead(o);
	else
		doctor_say(o->d, check, CHECK_OK, NULL,
		    "no newest order of a host is ahead of the clock, hosts=%zu%s", o->n,
		    all ? "" : ", there are more, not looked at");
	if (store_lists_slowly(o->store))
		doctor_say(o->d, "store lists", CHECK_WARN,
		    "run \"vogeler-admin setup\" with an administrator's user",
		    "every record is read whole to list the hosts: the view for it is not there");
	free(o->worst);
	o->worst = NULL;
	doctor_contact_say(o->contact, all);
	o->fn(o->arg);
}

/* Looks for a second machine under a name, of which the same heads tell. */
static void
look_for_machines(struct doctor_orders *o, const json_t *rec)
{
	static const char cure[] = "give one of them another [client] name in its vogeler.conf";
	const char *host = record_view_text(rec, "_id", "?");
	struct host_state_two two;
	char since[HOST_STATE_WHEN_SIZE];

	if (!host_state_two_machines(rec, wallclock_ms(), &two))
		return;
	host_state_when(two.since, wallclock_ms(), since);
	if (two.waits)
		doctor_say(o->d, "store hosts", CHECK_WARN, cure,
		    "%s: another machine has this name: the agent with the machine id %s waits for "
		    "its queue, which another agent reads, as it said last at %s",
		    host, two.other, since);
	else
		doctor_say(o->d, "store hosts", CHECK_WARN, cure,
		    "%s: another machine has this name: since %s those with the machine ids %s and "
		    "%s answer",
		    host, since, two.id, two.other);
}

static void
add(struct doctor_orders *o, const json_t *rec)
{
	int64_t dropped, ahead = record_view_order_ahead(rec, wallclock_ms(), &dropped);

	look_for_machines(o, rec);
	doctor_contact_count(o->contact, rec);
	o->n++;
	if (ahead == 0)
		return;
	o->n_ahead++;
	o->dropped += dropped;
	/* A host that loses answers is named before one that could. */
	if ((dropped > 0) < o->worst_drops ||
	    ((dropped > 0) == o->worst_drops && ahead <= o->ahead_ms))
		return;
	o->worst_drops = dropped > 0;
	o->ahead_ms = ahead;
	free(o->worst);
	o->worst = xstrdup(record_view_text(rec, "_id", ""));
}

static void
on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct doctor_orders *o = arg;

	if (o->over)
		return;
	if (found == STORE_FOUND)
		add(o, rec);
	else
		end(o, found == STORE_MISSING);
}

static void
on_time(void *arg)
{
	end(arg, false);
}

void
doctor_orders(struct doctor_orders *o)
{
	o->timer = loop_timer_create(o->d->v->loop, "doctor-orders", on_time, o);
	loop_timer_arm(o->timer, PATIENCE_MS);
	store_heads(o->store, on_listed, o);
}
