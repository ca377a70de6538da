#include "daemon/prune.h"

#include "shared/log.h"
#include "shared/loop.h"
#include "shared/store/store.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct prune {
	struct store *store;
	struct loop_timer *timer;
	uint32_t ttl_s;
	uint64_t removed; /* since it last had nothing to do */
	bool asking;
};

/* What of a round there is to be told is told at its end. */
static void
end_round(struct prune *p)
{
	if (p->removed > 0)
		log_info("prune", "store[%s]: old jobs removed, documents=%" PRIu64,
		    store_id(p->store), p->removed);
	p->removed = 0;
	loop_timer_arm(p->timer, PRUNE_INTERVAL_MS);
}

static void
on_pruned(bool ok, const char *what, void *arg)
{
	struct prune *p = arg;

	p->asking = false;
	if (ok && strcmp(what, "0") != 0) {
		p->removed += strtoull(what, NULL, 10);
		loop_timer_arm(p->timer, PRUNE_PAUSE_MS);
		return;
	}
	if (!ok)
		log_info("prune", "store[%s]: old jobs stay for now: %s", store_id(p->store), what);
	end_round(p);
}

static void
on_time(void *arg)
{
	struct prune *p = arg;

	if (p->asking)
		return;
	if (p->ttl_s == 0) {
		end_round(p);
		return;
	}
	p->asking = true;
	store_jobs_prune(p->store, wall_ms() - (int64_t)p->ttl_s * 1000, on_pruned, p);
}

struct prune *
prune_create(struct loop *loop, struct store *store, uint32_t ttl_s)
{
	struct prune *p = xcalloc(1, sizeof(*p));

	p->store = store;
	p->ttl_s = ttl_s;
	p->timer = loop_timer_create(loop, "prune", on_time, p);
	loop_timer_arm(p->timer, 0);
	return p;
}

void
prune_set_ttl(struct prune *p, uint32_t ttl_s)
{
	if (ttl_s == p->ttl_s)
		return;
	p->ttl_s = ttl_s;
	loop_timer_arm(p->timer, 0);
}

void
prune_destroy(struct prune *p)
{
	if (p == NULL)
		return;
	loop_timer_destroy(p->timer);
	free(p);
}
