/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger_check.h. */
#include "bench/ledger_check.h"

#include "bench/bench.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum entry { ENTRY_NONE, ENTRY_OK, ENTRY_WRONG, ENTRY_DOUBLED };

struct ledger_check {
	struct bench *b;
	ledger_check_fn *fn;
	void *arg;
	uint32_t job, jobs;
	char id[IDENT_SIZE];   /* of job */
	unsigned char *seen;   /* by host: enum entry, of the job in hand */
	unsigned char *record; /* by host: its record was there */
	struct ledger_check_counts counts;
};

bool
ledger_check_close(const struct ledger_check_counts *c)
{
	return c->ok == c->expected && c->lost + c->doubled + c->wrong + c->missing + c->stale == 0;
}

/* ---- the ledger ---- */

static void next_job(struct ledger_check *k);

static bool
answers(const struct ledger_check *k, uint32_t host)
{
	return plan_conduct(&k->b->plan, host) != CONDUCT_OFFLINE;
}

static void
count_job(struct ledger_check *k)
{
	for (uint32_t host = 0; host < k->b->plan.hosts; host++) {
		k->counts.expected += answers(k, host);
		switch ((enum entry)k->seen[host]) {
		case ENTRY_NONE:
			k->counts.lost += answers(k, host);
			break;
		case ENTRY_OK:
			k->counts.ok++;
			break;
		case ENTRY_WRONG:
			k->counts.wrong++;
			break;
		case ENTRY_DOUBLED:
			k->counts.doubled++;
			break;
		}
	}
	memset(k->seen, ENTRY_NONE, k->b->plan.hosts);
}

static void
take_outcome(struct ledger_check *k, const struct outcome *o)
{
	char want[IDENT_SIZE];
	enum payload payload;
	uint32_t host;

	if (!plan_host_index(&k->b->plan, o->host, &host)) {
		k->counts.doubled++;
		return;
	}
	payload = plan_payload(&k->b->plan, host, k->job);
	ident_response(want, k->id, o->host, payload_name(payload));
	if (!answers(k, host) || o->response_id == NULL || strcmp(o->response_id, want) != 0)
		k->seen[host] = ENTRY_DOUBLED;
	else if (o->state != OUTCOME_OK)
		k->seen[host] = ENTRY_WRONG;
	else if (k->seen[host] == ENTRY_OK)
		k->counts.repeated++;
	else if (k->seen[host] == ENTRY_NONE)
		k->seen[host] = ENTRY_OK;
}

static void
on_outcome(enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct ledger_check *k = arg;

	switch (found) {
	case STORE_FOUND:
		take_outcome(k, o);
		return;
	case STORE_MISSING:
		count_job(k);
		k->job++;
		next_job(k);
		return;
	case STORE_FAILED:
		bench_fail(k->b, "the ledger: " TROUBLE_FMT, TROUBLE_ARGS(why));
		return;
	}
}

static void
next_job(struct ledger_check *k)
{
	if (k->job == k->jobs) {
		k->fn(&k->counts, k->arg);
		return;
	}
	plan_job(&k->b->plan, k->job, k->id);
	store_outcomes(k->b->store, k->id, on_outcome, k);
}

/* ---- the records ---- */

/* The newest job of that plugin; false: the host is never asked for it. */
static bool
newest_job(const struct plan *p, uint32_t host, enum payload payload, uint32_t *job)
{
	for (uint32_t j = p->jobs; j > 0 && j + PLAN_MIX > p->jobs; j--) {
		if (plan_payload(p, host, j - 1) == payload) {
			*job = j - 1;
			return true;
		}
	}
	return false;
}

static void
check_values(struct ledger_check *k, uint32_t host, const json_t *rec)
{
	const struct plan *p = &k->b->plan;
	char want[PAYLOAD_MARKER_SIZE];

	for (int i = 0; i < PAYLOAD_N && answers(k, host); i++) {
		const json_t *value = json_object_get(rec, payload_name((enum payload)i));
		uint32_t job;

		if (!newest_job(p, host, (enum payload)i, &job))
			continue;
		k->counts.values++;
		if (value == NULL)
			k->counts.missing++;
		else if (payload_marker_of(value) == NULL ||
			 strcmp(payload_marker_of(value), plan_marker(p, host, job, want)) != 0)
			k->counts.stale++;
	}
}

static void
check_absent(struct ledger_check *k)
{
	for (uint32_t host = 0; host < k->b->plan.hosts; host++) {
		if (!k->record[host])
			check_values(k, host, NULL);
	}
}

static void
on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct ledger_check *k = arg;
	const char *name;
	uint32_t host;

	switch (found) {
	case STORE_FOUND:
		name = json_string_value(json_object_get(rec, "_id"));
		if (name != NULL && plan_host_index(&k->b->plan, name, &host)) {
			k->record[host] = true;
			check_values(k, host, rec);
		}
		return;
	case STORE_MISSING:
		check_absent(k);
		next_job(k);
		return;
	case STORE_FAILED:
		bench_fail(k->b, "the records: " TROUBLE_FMT, TROUBLE_ARGS(why));
		return;
	}
}

/* ---- */

struct ledger_check *
ledger_check_create(struct bench *b, uint32_t extra, ledger_check_fn *fn, void *arg)
{
	struct ledger_check *k = xcalloc(1, sizeof(*k));

	k->b = b;
	k->fn = fn;
	k->arg = arg;
	k->jobs = b->plan.jobs + extra;
	k->seen = xcalloc(b->plan.hosts, 1);
	k->record = xcalloc(b->plan.hosts, 1);
	return k;
}

void
ledger_check_start(struct ledger_check *k)
{
	static const char *names[PAYLOAD_N];
	static const struct store_filter filter = {.plugins = names, .n = PAYLOAD_N};

	for (int i = 0; i < PAYLOAD_N; i++)
		names[i] = payload_name((enum payload)i);
	store_list(k->b->store, &filter, on_record, k);
}

void
ledger_check_destroy(struct ledger_check *k)
{
	if (k == NULL)
		return;
	free(k->seen);
	free(k->record);
	free(k);
}

json_t *
ledger_check_json(const struct ledger_check_counts *c)
{
	return json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "closed",
	    ledger_check_close(c), "expected", (json_int_t)c->expected, "ok", (json_int_t)c->ok,
	    "lost", (json_int_t)c->lost, "doubled", (json_int_t)c->doubled, "wrong",
	    (json_int_t)c->wrong, "repeated", (json_int_t)c->repeated, "values",
	    (json_int_t)c->values, "missing", (json_int_t)c->missing, "stale",
	    (json_int_t)c->stale);
}

static void
verb_on_books(const struct ledger_check_counts *c, void *arg)
{
	struct bench *b = arg;

	json_object_set_new(b->report, "books", ledger_check_json(c));
	bench_done(b, ledger_check_close(c) ? BENCH_OK : BENCH_BOOKS);
}

void
verb_books(struct bench *b)
{
	struct ledger_check *k;

	if (b->store_uri.scheme == URI_NULL) {
		bench_fail(b, "books: null:// keeps nothing that could be looked up");
		return;
	}
	k = ledger_check_create(b, b->extra, verb_on_books, b);
	ledger_check_start(k);
	loop_run(b->loop);
	store_close(b->store);
	b->store = NULL;
	ledger_check_destroy(k);
}
