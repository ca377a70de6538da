/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/prune.h"

#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct prune {
	struct loop *loop;
	struct store *store;
	struct loop_timer *timer;
	uint32_t ttl_s;
	uint64_t removed; /* since it last had nothing to do */
	bool asking;
	int64_t newest_ms; /* when the newest job was sent; 0 = there is none */
	int64_t before_ms; /* of this round; 0 = it is to be found out */
	struct ratelimit said_clocks;
};

/* Tells at its end what there is to be told of a round. */
static void
end_round(struct prune *p)
{
	if (p->removed > 0)
		log_info("prune", "store[%s]: old jobs removed, documents=%" PRIu64,
		    store_id(p->store), p->removed);
	p->removed = 0;
	p->before_ms = 0;
	loop_timer_arm(p->timer, PRUNE_INTERVAL_MS);
}

static void
on_pruned(const struct trouble *why, uint64_t n, bool more, void *arg)
{
	struct prune *p = arg;

	p->asking = false;
	if (why == NULL && (n > 0 || more)) {
		p->removed += n;
		loop_timer_arm(p->timer, PRUNE_PAUSE_MS);
		return;
	}
	if (why != NULL)
		log_info("prune", "store[%s]: old jobs stay for now: " TROUBLE_FMT,
		    store_id(p->store), TROUBLE_ARGS(why));
	end_round(p);
}

static void
ask(struct prune *p)
{
	p->asking = true;
	store_jobs_prune(p->store, p->before_ms, on_pruned, p);
}

/* false: told, and nothing is to be removed. */
static bool
choose_before(struct prune *p, int64_t now_ms)
{
	int64_t ahead_ms = now_ms - p->newest_ms, least = now_ms;
	char text[WALLCLOCK_TEXT_SIZE], ours[WALLCLOCK_TEXT_SIZE];
	uint32_t unlogged;

	if (p->newest_ms != 0 && p->newest_ms < least)
		least = p->newest_ms;
	p->before_ms = least - (int64_t)p->ttl_s * 1000;
	if (p->newest_ms == 0 || (ahead_ms <= PRUNE_CLOCKS_MS && ahead_ms >= -PRUNE_CLOCKS_MS))
		return true;
	wallclock_format(p->newest_ms, text);
	if (ratelimit_due(&p->said_clocks, text, loop_now(p->loop), &unlogged))
		log_warn("prune",
		    "store[%s]: old jobs stay: the newest was sent at %s, and here it is %s; if the "
		    "clock here or the sender's is wrong, correct it, and if no job was sent "
		    "since, the next one settles it",
		    store_id(p->store), text, wallclock_format(now_ms, ours));
	return false;
}

static void
on_newest(enum store_found found, const struct job *j, const struct trouble *why, void *arg)
{
	struct prune *p = arg;

	if (found == STORE_FOUND) {
		if (j->sent_at > p->newest_ms)
			p->newest_ms = j->sent_at;
		return;
	}
	p->asking = false;
	if (found == STORE_FAILED)
		log_info("prune", "store[%s]: old jobs stay for now: " TROUBLE_FMT,
		    store_id(p->store), TROUBLE_ARGS(why));
	if (found == STORE_FAILED || !choose_before(p, wallclock_ms()))
		end_round(p);
	else
		ask(p);
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
	if (p->before_ms != 0) {
		ask(p);
		return;
	}
	p->asking = true;
	p->newest_ms = 0;
	store_job_list(p->store, 1, on_newest, p);
}

struct prune *
prune_create(struct loop *loop, struct store *store, uint32_t ttl_s)
{
	struct prune *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
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
	p->before_ms = 0;
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
