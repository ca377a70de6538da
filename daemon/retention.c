/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/retention.h"

#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

struct retention {
	struct store *store;
	struct loop_timer *timer;
	struct options_keep keep;
	uint64_t removed; /* since it last had nothing to do */
	bool asking;
};

static bool
keeps_all(const struct options_keep *keep)
{
	return keep->age_s == OPTIONS_KEEP_ALL && keep->count == OPTIONS_KEEP_ALL;
}

static void
on_pruned(const struct trouble *why, uint64_t n, bool more, void *arg)
{
	struct retention *r = arg;

	r->asking = false;
	r->removed += n;
	if (why == NULL && (n > 0 || more)) {
		loop_timer_arm(r->timer, RETENTION_PAUSE_MS);
		return;
	}
	if (why != NULL)
		log_info("retention", "store[%s]: old values stay for now: " TROUBLE_FMT,
		    store_id(r->store), TROUBLE_ARGS(why));
	if (r->removed > 0)
		log_info("retention", "store[%s]: old values removed, n=%" PRIu64,
		    store_id(r->store), r->removed);
	r->removed = 0;
	loop_timer_arm(r->timer, RETENTION_INTERVAL_MS);
}

static void
on_time(void *arg)
{
	struct retention *r = arg;

	if (r->asking)
		return;
	if (keeps_all(&r->keep)) {
		loop_timer_arm(r->timer, RETENTION_INTERVAL_MS);
		return;
	}
	r->asking = true;
	store_history_prune(r->store, &r->keep, on_pruned, r);
}

struct retention *
retention_create(struct loop *loop, struct store *store, const struct options_keep *keep)
{
	struct retention *r = xcalloc(1, sizeof(*r));

	r->store = store;
	r->keep = *keep;
	r->timer = loop_timer_create(loop, "retention", on_time, r);
	if (store_has_history(store))
		loop_timer_arm(r->timer, RETENTION_FIRST_MS);
	return r;
}

void
retention_set_keep(struct retention *r, const struct options_keep *keep)
{
	if (keep->age_s == r->keep.age_s && keep->count == r->keep.count)
		return;
	r->keep = *keep;
	if (store_has_history(r->store))
		loop_timer_arm(r->timer, 0);
}

void
retention_destroy(struct retention *r)
{
	if (r == NULL)
		return;
	loop_timer_destroy(r->timer);
	free(r);
}
