/* SPDX-License-Identifier: Apache-2.0 */
/* See contact_tracker.h.
 *
 *   NEW -- first round is over --> LOADING -- the book is there --> KEEPING
 *    ^                                |
 *    +------- the store fails --------+ */
#include "daemon/contact_tracker.h"

#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/contacts.h"
#include "shared/store/store.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum rollcall_state { ROLLCALL_NEW, ROLLCALL_LOADING, ROLLCALL_KEEPING };

/* A sighting is what is known of a host beside the book. */
struct sighting {
	UT_hash_handle hh;
	bool had_turn; /* in this round, or in those that wait for the book */
	bool online;   /* at that turn */
	bool back;     /* seen online since the broker has been there */
	bool missed;   /* at its latest turn */
	int64_t until; /* the look before the first that missed it; wall, 0 = none did */
	char host[];
};

struct contact_tracker {
	struct loop *loop;
	struct store *store;
	enum rollcall_state state;
	struct contacts *book;
	struct sighting *seen;
	bool whole, looked;     /* of the round that waits for the book */
	bool there;             /* the broker: a whole round has found it */
	int64_t return_ms;      /* that agents have from then on to come back to it, */
	struct mono return_end; /* which ends the time */
	json_t *storing;        /* what is on its way into the store; NULL = nothing */
	bool complained;
	int64_t look_storing, look_stored; /* wall; of the latest look that the store knows */
	struct loop_timer *end;            /* of the patience in contact_tracker_end() */
	bool end_due;                      /* that it ends is to be stored */
	void (*on_end)(void *arg);
	void *end_arg;
	struct contact_tracker_status status;
};

/* Forgets those that had no turn, or all. */
static void
forget_sightings(struct contact_tracker *r, bool all)
{
	struct sighting *s, *next;

	HASH_ITER (hh, r->seen, s, next) {
		if (s->had_turn && !all)
			continue;
		HASH_DEL(r->seen, s);
		free(s);
	}
}

static void
contact_tracker_on_end(void *arg)
{
	struct contact_tracker *r = arg;
	void (*fn)(void *end_arg) = r->on_end;

	r->on_end = NULL;
	loop_timer_disarm(r->end);
	if (fn != NULL)
		fn(r->end_arg);
}

struct contact_tracker *
contact_tracker_create(struct loop *loop, struct store *store, int64_t return_ms)
{
	struct contact_tracker *r = xcalloc(1, sizeof(*r));

	r->loop = loop;
	r->store = store;
	r->return_ms = return_ms;
	r->book = contacts_create();
	r->end = loop_timer_create(loop, "contact", contact_tracker_on_end, r);
	return r;
}

void
contact_tracker_destroy(struct contact_tracker *r)
{
	if (r == NULL)
		return;
	forget_sightings(r, true);
	loop_timer_destroy(r->end);
	contacts_destroy(r->book);
	json_decref(r->storing);
	free(r);
}

void
contact_tracker_saw(struct contact_tracker *r, const char *host, uint32_t consumers)
{
	struct sighting *s;

	HASH_FIND_STR(r->seen, host, s);
	if (s == NULL) {
		size_t size = strlen(host) + 1;

		s = xcalloc(1, sizeof(*s) + size);
		memcpy(s->host, host, size);
		HASH_ADD_KEYPTR(hh, r->seen, s->host, size - 1, s);
	}
	s->had_turn = true;
	s->online = consumers > 0;
	if (s->online)
		s->back = true;
}

/* ---- into the store ---- */

static void store_changes(struct contact_tracker *r);

static void
on_stored(const struct trouble *why, const char *done, void *arg)
{
	struct contact_tracker *r = arg;

	if (why == NULL) {
		r->complained = false;
		r->look_stored = r->look_storing;
	} else {
		if (!r->complained)
			log_warn("contact",
			    "cannot store which hosts are in contact, and tries again each "
			    "round: " TROUBLE_FMT,
			    TROUBLE_ARGS(why));
		r->complained = true;
		contacts_return_changes(r->book, r->storing);
	}
	json_decref(r->storing);
	r->storing = NULL;
	if (r->on_end == NULL)
		return;
	if (r->end_due)
		store_changes(r);
	else
		contact_tracker_on_end(r);
}

static void
store_changes(struct contact_tracker *r)
{
	int64_t look = contacts_looked_at(r->book);
	bool due = llabs(look - r->look_stored) >= CONTACT_TRACKER_LOOK_MS;

	if (r->storing != NULL || !(due || r->end_due || contacts_are_changed(r->book)))
		return;
	r->look_storing = look;
	r->end_due = false;
	r->storing = contacts_take_changes(r->book);
	store_notes_put(r->store, r->storing, on_stored, r);
}

/* ---- the book ---- */

static bool
had_turn(const char *host, void *arg)
{
	const struct contact_tracker *r = arg;
	struct sighting *s;

	HASH_FIND_STR(r->seen, host, s);
	return s != NULL && s->had_turn;
}

/* Since when it is offline, if it is: it was online at the look before the first that missed it. */
static void
note_miss(const struct contact_tracker *r, struct sighting *s, const struct contact *was)
{
	int64_t last = contacts_looked_at(r->book);

	s->missed = !s->online;
	if (s->online)
		s->until = 0;
	else if (s->until == 0)
		s->until = last > was->since_ms ? last : was->since_ms;
}

static bool
is_away(const struct contact_tracker *r, const struct sighting *s, bool missed_before)
{
	if (!missed_before)
		return false;
	return s->back || (r->there && mono_reached(loop_now(r->loop), r->return_end));
}

static void
enter_sighting(struct contact_tracker *r, struct sighting *s, int64_t now)
{
	struct contact was = contacts_get(r->book, s->host), is = was;
	bool missed_before = s->missed;

	note_miss(r, s, &was);
	if (s->online && was.state != CONTACT_ONLINE)
		is = (struct contact){CONTACT_ONLINE, now};
	else if (s->online || !is_away(r, s, missed_before))
		is = was;
	else if (was.state == CONTACT_UNKNOWN)
		is = (struct contact){CONTACT_NEVER, 0};
	else if (was.state == CONTACT_ONLINE)
		is = (struct contact){CONTACT_OFFLINE, s->until};
	if (is.state == was.state)
		return;
	log_debug("contact", "%s: %s -> %s", s->host, contact_state_name(was.state),
	    contact_state_name(is.state));
	contacts_set(r->book, s->host, is);
}

static void
count(struct contact_tracker *r, int64_t now)
{
	const struct sighting *s;

	r->status = (struct contact_tracker_status){.looked_wall_ms = now};
	for (s = r->seen; s != NULL; s = s->hh.next) {
		enum contact_state state = contacts_get(r->book, s->host).state;

		r->status.online += state == CONTACT_ONLINE;
		r->status.offline += state == CONTACT_OFFLINE;
		r->status.never += state == CONTACT_NEVER;
	}
}

/* All that were seen had their turn. */
static void
enter_look(struct contact_tracker *r, int64_t now)
{
	forget_sightings(r, false);
	contacts_retain(r->book, had_turn, r);
	count(r, now);
	contacts_look(r->book, now);
	if (!r->there)
		r->return_end = mono_add(loop_now(r->loop), r->return_ms);
	r->there = true;
}

static void
enter_round(struct contact_tracker *r)
{
	int64_t now = wallclock_ms();
	struct sighting *s;

	if (!r->looked)
		contact_tracker_broker_down(r);
	for (s = r->seen; s != NULL; s = s->hh.next) {
		if (s->had_turn)
			enter_sighting(r, s, now);
	}
	if (r->whole && r->looked)
		enter_look(r, now);
	for (s = r->seen; s != NULL; s = s->hh.next)
		s->had_turn = false;
	store_changes(r);
}

static void
on_loaded(enum store_found found, json_t *notes, const struct trouble *why, void *arg)
{
	struct contact_tracker *r = arg;

	if (found != STORE_FOUND) {
		log_info("contact", "which hosts were in contact cannot be read now: " TROUBLE_FMT,
		    TROUBLE_ARGS(why));
		r->state = ROLLCALL_NEW;
		return;
	}
	contacts_load(r->book, notes);
	r->state = ROLLCALL_KEEPING;
	enter_round(r);
}

void
contact_tracker_round_over(struct contact_tracker *r, bool whole, bool looked)
{
	r->whole = whole;
	r->looked = looked;
	switch (r->state) {
	case ROLLCALL_NEW:
		r->state = ROLLCALL_LOADING;
		store_notes(r->store, CONTACTS_PREFIX, on_loaded, r);
		return;
	case ROLLCALL_LOADING:
		return; /* with the answer */
	case ROLLCALL_KEEPING:
		enter_round(r);
		return;
	}
}

/* Who was not seen while it went down is not missed for that; and a round that waits for the book
 * is of the time before. */
void
contact_tracker_broker_down(struct contact_tracker *r)
{
	struct sighting *s;

	r->there = false;
	r->looked = false;
	for (s = r->seen; s != NULL; s = s->hh.next)
		s->back = s->missed = false;
}

void
contact_tracker_end(struct contact_tracker *r, void (*fn)(void *arg), void *arg)
{
	bool keeping = r->state == ROLLCALL_KEEPING;

	r->on_end = fn;
	r->end_arg = arg;
	loop_timer_arm(r->end, keeping ? CONTACT_TRACKER_END_MS : 0);
	if (!keeping)
		return;
	r->end_due = true;
	contacts_end(r->book);
	store_changes(r);
}

bool
contact_tracker_is_online(const struct contact_tracker *r, const char *host)
{
	return contacts_get(r->book, host).state == CONTACT_ONLINE;
}

void
contact_tracker_status(const struct contact_tracker *r, struct contact_tracker_status *out)
{
	*out = r->status;
}
