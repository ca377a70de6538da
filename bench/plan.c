/* SPDX-License-Identifier: Apache-2.0 */
/* See plan.h. */
#include "bench/plan.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (1024 * 1024)

static const struct {
	const char *name;
	enum payload payloads[PLAN_MIX];
} mixes[] = {
    [PLAN_MIX_SIZES] = {"mix",
	{PAYLOAD_SMALL, PAYLOAD_LINES, PAYLOAD_FACTER, PAYLOAD_PS, PAYLOAD_PACKAGES}},
    [PLAN_MIX_FACTS] = {"facts",
	{PAYLOAD_FACT_1, PAYLOAD_FACT_2, PAYLOAD_FACT_3, PAYLOAD_FACT_4, PAYLOAD_FACT_5}},
};

bool
plan_check(const struct plan *p, char *err, size_t err_size)
{
	if (p->hosts < 1 || p->hosts > PLAN_HOSTS_MAX)
		snprintf(err, err_size, "hosts: 1 to %d", PLAN_HOSTS_MAX);
	else if (p->jobs < 1)
		snprintf(err, err_size, "jobs: at least 1");
	else if (p->run < 1 || p->run >= INT64_C(1) << 47)
		snprintf(err, err_size, "run: a time in milliseconds");
	else if (p->unchanged > 100)
		snprintf(err, err_size, "unchanged: at most 100 percent");
	else if (p->offline + p->slow + p->twice + p->poison > 100)
		snprintf(err, err_size, "offline, slow, twice and poison: 100 percent together");
	else
		return true;
	return false;
}

bool
plan_parse_profile(struct plan *p, const char *text)
{
	for (p->mix = PLAN_MIX_FACTS; p->mix > PLAN_ONE_PAYLOAD; p->mix--)
		if (strcmp(text, mixes[p->mix].name) == 0)
			return true;
	return payload_parse(text, &p->payload);
}

const char *
plan_profile_name(const struct plan *p)
{
	return p->mix ? mixes[p->mix].name : payload_name(p->payload);
}

uint32_t
plan_plugins(const struct plan *p)
{
	return p->mix ? PLAN_MIX : 1;
}

void
plan_host(const struct plan *p, uint32_t host, char out[PLAN_NAME_SIZE])
{
	snprintf(out, PLAN_NAME_SIZE, "bench-%05" PRIu32, host);
}

bool
plan_host_index(const struct plan *p, const char *name, uint32_t *host)
{
	char again[PLAN_NAME_SIZE];
	unsigned int i;

	if (sscanf(name, "bench-%5u", &i) != 1 || i >= p->hosts)
		return false;
	plan_host(p, i, again);
	*host = i;
	return strcmp(again, name) == 0;
}

/* RFC 9562 5.7: the time is that of the run, so that the same plan gives the same ids. */
void
plan_job(const struct plan *p, uint32_t job, char out[IDENT_SIZE])
{
	uint64_t run = (uint64_t)p->run;

	snprintf(out, IDENT_SIZE, "%08x-%04x-7%03x-8%03x-%04x%08x", (unsigned int)(run >> 16),
	    (unsigned int)(run & 0xffff), (unsigned int)(p->seed & 0xfff),
	    (unsigned int)(p->seed >> 12 & 0xfff), 0xbe9cU, job);
}

bool
plan_job_index(const struct plan *p, const char *id, uint32_t *job)
{
	char again[IDENT_SIZE];
	unsigned int i;

	if (strlen(id) != IDENT_SIZE - 1 || sscanf(id + 28, "%8x", &i) != 1)
		return false;
	plan_job(p, i, again);
	*job = i;
	return strcmp(again, id) == 0;
}

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	return b == 0 ? a : gcd(b, a % b);
}

/* A permutation of 0..n-1 without a table: i * step + offset mod n, step prime to n. */
static uint64_t
shuffled(uint64_t i, uint64_t n, uint64_t seed)
{
	uint64_t step = (seed * 2654435761U) % n | 1;

	while (gcd(step, n) != 1)
		step++;
	return (i * (step % n) + seed) % n;
}

enum conduct
plan_conduct(const struct plan *p, uint32_t host)
{
	uint64_t place = shuffled(host, p->hosts, p->seed % 1000003 + 1) * 100;
	const unsigned int shares[CONDUCT_N] = {
	    [CONDUCT_OFFLINE] = p->offline,
	    [CONDUCT_SLOW] = p->slow,
	    [CONDUCT_TWICE] = p->twice,
	    [CONDUCT_POISON] = p->poison,
	};
	uint64_t end = 0;

	for (int c = CONDUCT_OFFLINE; c < CONDUCT_N; c++) {
		end += (uint64_t)shares[c] * p->hosts;
		if (place < end)
			return (enum conduct)c;
	}
	return CONDUCT_GOOD;
}

void
plan_at(const struct plan *p, uint64_t k, uint32_t *host, uint32_t *job)
{
	uint64_t group = p->mix && p->together ? PLAN_MIX : 1;
	uint64_t first = k / (group * p->hosts) * group;

	/* The last group may be short. */
	if (first + group > p->jobs)
		group = p->jobs - first;
	k -= first * p->hosts;
	*host = (uint32_t)(k / group);
	*job = (uint32_t)(first + k % group);
}

uint32_t
plan_shuffled_host(const struct plan *p, uint64_t k)
{
	uint64_t job = k / p->hosts;

	return (uint32_t)shuffled(k % p->hosts, p->hosts, (p->seed + job) % 1000003 + 1);
}

enum payload
plan_payload(const struct plan *p, uint32_t host, uint32_t job)
{
	switch (p->mix) {
	case PLAN_ONE_PAYLOAD:
		break;
	case PLAN_MIX_SIZES:
		return mixes[p->mix].payloads[((uint64_t)host + job) % PLAN_MIX];
	case PLAN_MIX_FACTS:
		return mixes[p->mix].payloads[job % PLAN_MIX];
	}
	return p->payload;
}

static bool
repeats(const struct plan *p, uint32_t host, uint32_t job)
{
	uint64_t z = (p->seed + host) * UINT64_C(0x9e3779b97f4a7c15) + job;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (z >> 32) % 100 < p->unchanged;
}

uint32_t
plan_version(const struct plan *p, uint32_t host, uint32_t job)
{
	uint32_t step = plan_plugins(p);

	while (job >= step && repeats(p, host, job))
		job -= step;
	return job;
}

int64_t
plan_order(const struct plan *p, uint32_t job)
{
	return p->run + job;
}

const char *
plan_marker(const struct plan *p, uint32_t host, uint32_t job, char out[PAYLOAD_MARKER_SIZE])
{
	struct payload_key key = {.seed = p->seed, .version = plan_version(p, host, job)};
	char name[PLAN_NAME_SIZE];

	plan_host(p, host, name);
	key.host = name;
	return payload_marker(plan_payload(p, host, job), &key, out);
}

static json_t *
value_of(const struct plan *p, uint32_t host, uint32_t job, const char *name)
{
	struct payload_key key = {
	    .seed = p->seed, .host = name, .version = plan_version(p, host, job)};
	struct buf text;
	json_t *value;

	buf_init(&text, TEXT_MAX);
	if (!payload_write(&text, plan_payload(p, host, job), &key))
		xalloc_fail(0);
	value = json_stringn(text.data, text.len);
	buf_finish(&text);
	return value;
}

void
plan_message(const struct plan *p, uint32_t host, uint32_t job, struct message *m)
{
	enum payload payload = plan_payload(p, host, job);
	char name[PLAN_NAME_SIZE], id[IDENT_SIZE], response_id[IDENT_SIZE];
	struct response r;

	plan_host(p, host, name);
	plan_job(p, job, id);
	ident_response(response_id, id, name, payload_name(payload));
	response_init(&r);
	r.host = xstrdup(name);
	r.format = payload_format(payload);
	json_object_set_new(r.results, payload_name(payload), value_of(p, host, job, name));
	r.meta.response_id = xstrdup(response_id);
	r.meta.job = xstrdup(id);
	r.meta.plugin = xstrdup(payload_name(payload));
	r.meta.machine_id = xstrdup(name);
	r.meta.state = WIRE_OK;
	r.meta.order = plan_order(p, job);
	r.meta.collected_at = plan_order(p, job);
	r.meta.duration_ms = 1;
	r.meta.exit_status = 0;
	if (!wire_response_encode(&r, m))
		xalloc_fail(0);
	response_finish(&r);
}
