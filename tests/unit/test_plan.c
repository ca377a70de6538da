/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bench/plan.h"
#include "daemon/read/convert.h"
#include "shared/base/buf.h"
#include "shared/wire/wire.h"

#include <stdlib.h>
#include <string.h>

static const struct plan base = {
    .run = 1795374000000, .seed = 7, .hosts = 10, .jobs = 7, .payload = PAYLOAD_LINES};

static void
names_and_ids_come_back(void **state)
{
	char name[PLAN_NAME_SIZE], id[IDENT_SIZE];
	uint32_t i;

	plan_host(&base, 9, name);
	assert_true(plan_host_index(&base, name, &i));
	assert_int_equal(i, 9);
	assert_false(plan_host_index(&base, "bench-00010", &i)); /* there are ten */
	assert_false(plan_host_index(&base, "bench-9", &i));
	assert_false(plan_host_index(&base, "web01", &i));
	plan_job(&base, 123456, id);
	assert_int_equal(strlen(id), IDENT_SIZE - 1);
	assert_true(plan_job_index(&base, id, &i));
	assert_int_equal(i, 123456);
	id[0] ^= 1;
	assert_false(plan_job_index(&base, id, &i));
}

/* Each host answers each job once, whatever the order. */
static void
check_all(const struct plan *p)
{
	unsigned int seen[10][7] = {{0}};
	uint32_t host, job;

	for (uint64_t k = 0; k < 70; k++) {
		plan_at(p, k, &host, &job);
		assert_true(host < 10 && job < 7);
		seen[host][job]++;
	}
	for (host = 0; host < 10; host++)
		for (job = 0; job < 7; job++)
			assert_int_equal(seen[host][job], 1);
}

static void
order_of_a_backlog(void **state)
{
	struct plan p = base;
	uint32_t host, job;

	check_all(&p);
	p.mix = true;
	check_all(&p);
	p.together = true;
	check_all(&p); /* a group of five jobs, and one of two */
	plan_at(&p, 4, &host, &job);
	assert_int_equal(host, 0);
	assert_int_equal(job, 4);
}

static void
mix_asks_for_all_five(void **state)
{
	struct plan p = base;
	unsigned int seen = 0;

	p.mix = true;
	for (uint32_t job = 0; job < PLAN_MIX; job++)
		seen |= 1U << plan_payload(&p, 3, job);
	assert_int_equal(seen, (1U << PLAN_MIX) - 1);
}

static void
facts_are_asked_of_all_hosts_in_turn(void **state)
{
	struct plan p = base;
	bool seen[8] = {false};

	p.hosts = sizeof(seen) / sizeof(seen[0]);
	assert_true(plan_parse_profile(&p, "facts"));
	assert_string_equal(plan_profile_name(&p), "facts");
	for (uint32_t job = 0; job < PLAN_MIX; job++)
		for (uint32_t host = 0; host < p.hosts; host++)
			assert_int_equal(plan_payload(&p, host, job), PAYLOAD_FACT_1 + job);
	for (uint64_t k = p.hosts; k < 2 * p.hosts; k++) {
		uint32_t host = plan_shuffled_host(&p, k);

		assert_true(host < p.hosts);
		assert_false(seen[host]);
		seen[host] = true;
	}
}

static void
shares_of_conduct_are_exact(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct plan p = {.run = 1, .seed = seed, .hosts = 200, .jobs = 1};
		unsigned int n[CONDUCT_N] = {0};

		p.offline = 5;
		p.slow = 10;
		p.twice = 20;
		p.poison = 1;
		for (uint32_t host = 0; host < p.hosts; host++)
			n[plan_conduct(&p, host)]++;
		assert_int_equal(n[CONDUCT_OFFLINE], 10);
		assert_int_equal(n[CONDUCT_SLOW], 20);
		assert_int_equal(n[CONDUCT_TWICE], 40);
		assert_int_equal(n[CONDUCT_POISON], 2);
		assert_int_equal(n[CONDUCT_GOOD], 128);
	}
}

static void
unchanged_answers(void **state)
{
	struct plan p = base;
	unsigned int same = 0;

	p.jobs = 1000;
	p.unchanged = 75;
	for (uint32_t job = 1; job < p.jobs; job++)
		same += plan_version(&p, 1, job) < job;
	assert_in_range(same, 680, 820);
	p.unchanged = 100;
	assert_int_equal(plan_version(&p, 1, 999), 0);
	p.unchanged = 0;
	assert_int_equal(plan_version(&p, 1, 999), 999);
}

/* What is sent is what the collector understands, and its marker is found in what it makes of it.
 */
static void
check_payload(enum payload payload, size_t low, size_t high)
{
	struct plan p = base;
	struct message m, again;
	struct response r;
	struct result **results;
	struct convert_limits limits = {
	    .yaml = {.depth = 64, .nodes = 100000, .bytes = 1 << 20}, .json = {.depth = 64}};
	char err[256], marker[PAYLOAD_MARKER_SIZE];
	json_t *value;
	size_t n;

	p.payload = payload;
	plan_message(&p, 3, 2, &m);
	plan_message(&p, 3, 2, &again);
	assert_int_equal(m.body_len, again.body_len);
	assert_memory_equal(m.body, again.body, m.body_len);
	assert_in_range(m.body_len, low, high);
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_string_equal(r.host, "bench-00003");
	n = convert_response(&r, &limits, 1, &results);
	assert_int_equal(n, 1);
	assert_null(results[0]->error);
	value = json_loadb(results[0]->value, results[0]->value_len, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	assert_string_equal(payload_marker_of(value), plan_marker(&p, 3, 2, marker));
	assert_string_not_equal(payload_marker_of(value), plan_marker(&p, 3, 1, marker));
	json_decref(value);
	convert_free(results, n);
	response_finish(&r);
	message_finish(&m);
	message_finish(&again);
}

static void
payloads(void **state)
{
	check_payload(PAYLOAD_SMALL, 200, 400);
	check_payload(PAYLOAD_LINES, 2000, 2600);
	check_payload(PAYLOAD_FACTER, 3000, 4000);
	check_payload(PAYLOAD_PS, 16000, 18000);
	check_payload(PAYLOAD_PACKAGES, 30000, 34000);
	check_payload(PAYLOAD_OHAI, 130000, 170000);
	check_payload(PAYLOAD_FACT_3, 600, 800);
}

static void
bad_plans(void **state)
{
	struct plan p = base;
	char err[128];

	assert_true(plan_check(&p, err, sizeof(err)));
	p.hosts = PLAN_HOSTS_MAX + 1;
	assert_false(plan_check(&p, err, sizeof(err)));
	p = base;
	p.slow = 60;
	p.twice = 41;
	assert_false(plan_check(&p, err, sizeof(err)));
	assert_false(plan_parse_profile(&p, "nonsense"));
	assert_true(plan_parse_profile(&p, "mix"));
	assert_string_equal(plan_profile_name(&p), "mix");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_ids_come_back),
	    cmocka_unit_test(order_of_a_backlog),
	    cmocka_unit_test(mix_asks_for_all_five),
	    cmocka_unit_test(facts_are_asked_of_all_hosts_in_turn),
	    cmocka_unit_test(shares_of_conduct_are_exact),
	    cmocka_unit_test(unchanged_answers),
	    cmocka_unit_test(payloads),
	    cmocka_unit_test(bad_plans),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
