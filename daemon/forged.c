/* SPDX-License-Identifier: Apache-2.0 */
/* See forged.h. */
#include "daemon/forged.h"

#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/forgeries.h"
#include "shared/store/store.h"

#include <stdlib.h>

struct forged {
	struct store *store;
	struct loop_timer *timer; /* from one note to the next */
	struct forgeries book;
	bool changed; /* since the last note */
	bool storing; /* the store has not answered to that */
};

static void
on_noted(const struct trouble *why, const char *done, void *arg)
{
	struct forged *f = arg;

	f->storing = false;
	if (why == NULL)
		return;
	log_info("inbox", "cannot store that answers were refused, and tries again: " TROUBLE_FMT,
	    TROUBLE_ARGS(why));
	f->changed = true; /* the timer is armed */
}

/* Armed until a period has passed without anything new. */
static void
on_timer(void *arg)
{
	struct forged *f = arg;
	json_t *note;

	if (!f->changed && !f->storing)
		return;
	loop_timer_arm(f->timer, FORGED_NOTE_MS);
	if (f->storing)
		return;
	f->changed = false;
	f->storing = true;
	note = forgeries_note(&f->book);
	store_notes_put(f->store, note, on_noted, f);
	json_decref(note);
}

struct forged *
forged_create(struct loop *loop, struct store *store)
{
	struct forged *f = xcalloc(1, sizeof(*f));

	f->store = store;
	f->timer = loop_timer_create(loop, "forged", on_timer, f);
	return f;
}

void
forged_destroy(struct forged *f)
{
	if (f == NULL)
		return;
	loop_timer_destroy(f->timer);
	free(f);
}

void
forged_saw(struct forged *f, const char *sender, const char *why, bool untold)
{
	forgeries_add(&f->book, sender, why, untold, wallclock_ms());
	f->changed = true;
	if (!loop_timer_armed(f->timer))
		loop_timer_arm(f->timer, 0);
}
