/* SPDX-License-Identifier: Apache-2.0 */
/* host_binder: each host has its turn, in lots, and what is told in the end. */
#include "shared/amqp/host_binder.h"
#include "shared/base/trouble.h"

#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOT   ((size_t)HOST_BINDER_LOT)
#define HOSTS (LOT * HOST_BINDER_LANES + 50)

struct fixture {
	struct loop *loop;
	struct host_binder *binder;
	struct host_binder_result told; /* absent and why: as long as the binder lives */
	unsigned int n_told;
	bool destroy; /* in fn */
	host_binder_look_fn *look;
	char seen[4096]; /* "HOST=CONSUMERS " */
};

static void
on_told(const struct host_binder_result *r, void *arg)
{
	struct fixture *w = arg;

	w->told = *r;
	w->n_told++;
	if (w->destroy) {
		host_binder_destroy(w->binder);
		w->binder = NULL;
	}
}

static int
setup(void **state)
{
	struct fixture *w = xcalloc(1, sizeof(*w));

	w->loop = loop_create();
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	host_binder_destroy(w->binder);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static void
begin(struct fixture *w, size_t n)
{
	struct broker_options opt;
	struct uri uri = {0};
	struct trouble why = {0};
	char **hosts = xcalloc(n + 1, sizeof(*hosts));

	for (size_t i = 0; i < n; i++)
		xasprintf(&hosts[i], "web%04zu", i);
	assert_true(uri_parse("amqp://a:b@127.0.0.1/v", &uri, &why));
	broker_options_default(&opt);
	opt.role = "bindings";
	opt.uris = &uri;
	opt.n_uris = 1;
	w->binder = host_binder_start(w->loop, &opt, "commands", hosts, n, w->look, on_told, w);
	uri_finish(&uri);
}

/* Of a lane, from 0. */
static struct broker *
connection_of(size_t lane)
{
	char role[32] = "bindings";

	if (lane > 0)
		snprintf(role, sizeof(role), "bindings %zu", lane + 1);
	return fake_broker(role);
}

static struct broker *
connection(void)
{
	return connection_of(0);
}

static size_t
connections(void)
{
	size_t n = 0;

	for (size_t lane = 0; lane < HOST_BINDER_LANES; lane++)
		n += connection_of(lane) != NULL;
	return n;
}

/* The lot of a lane, of n hosts from first on, ends with all of them bound. */
static void
bind_lot(struct fixture *w, size_t lane, size_t first, size_t n)
{
	struct broker *b = connection_of(lane);
	const struct topology *t = fake_broker_topology(b);
	char name[16];

	assert_string_equal(fake_broker_log(b), "start; ");
	assert_int_equal(t->n, n);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "web%04zu", first + i);
		assert_string_equal(t->items[i].name, name);
		assert_int_equal(t->items[i].n_bindings, 2);
		assert_string_equal(t->items[i].bindings[0].exchange, "commands");
		fake_broker_bound(b, i, BROKER_BOUND, NULL);
	}
	fake_broker_up(b);
	assert_string_equal(fake_broker_log(b), "start; stop; ");
	fake_advance(w->loop, 0);
}

static void
lots_with_pauses_in_lanes(void **state)
{
	struct fixture *w = *state;
	size_t last = HOST_BINDER_LANES - 1; /* which is the first that is done */

	begin(w, HOSTS);
	assert_int_equal(connections(), HOST_BINDER_LANES);
	bind_lot(w, last, last * LOT, LOT);
	assert_int_equal(connections(), HOST_BINDER_LANES - 1);
	fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
	bind_lot(w, last, HOST_BINDER_LANES * LOT, 50);
	for (size_t lane = 0; lane < last; lane++) {
		fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
		assert_int_equal(w->n_told, 0);
		bind_lot(w, lane, lane * LOT, LOT);
	}
	assert_int_equal(connections(), 0);
	assert_int_equal(w->n_told, 1);
	assert_true(w->told.complete);
	assert_int_equal(w->told.bound, HOSTS);
	assert_int_equal(w->told.no_queue + w->told.forbidden, 0);
	assert_string_equal(w->told.why, "");
}

/* Two lanes pause, and what is left is one lot. */
static void
a_lane_that_comes_too_late_ends(void **state)
{
	struct fixture *w = *state;

	begin(w, HOSTS);
	bind_lot(w, 0, 0, LOT);
	bind_lot(w, 1, LOT, LOT);
	fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
	assert_int_equal(connections(), HOST_BINDER_LANES - 1);
	bind_lot(w, 0, HOST_BINDER_LANES * LOT, 50);
	for (size_t lane = 2; lane < HOST_BINDER_LANES; lane++)
		bind_lot(w, lane, lane * LOT, LOT);
	assert_int_equal(w->n_told, 1);
	assert_true(w->told.complete);
	assert_int_equal(w->told.bound, HOSTS);
	assert_int_equal(fake_next_timer(w->loop), -1);
}

/* In the order of hosts, whichever lane is done first. */
static void
who_is_absent_is_in_order(void **state)
{
	struct fixture *w = *state;

	begin(w, 2 * LOT);
	fake_broker_bound(connection_of(1), 3, BROKER_BOUND_NO_QUEUE, "no queue");
	fake_broker_bound(connection_of(0), 5, BROKER_BOUND_NO_QUEUE, "no queue");
	for (size_t lane = 0; lane < 2; lane++) {
		fake_broker_up(connection_of(lane));
		fake_advance(w->loop, 0);
	}
	assert_int_equal(w->n_told, 1);
	assert_int_equal(w->told.no_queue, 2);
	assert_string_equal(w->told.absent[0], "web0005");
	assert_string_equal(w->told.absent[1], "web0253");
}

static void
who_has_no_queue(void **state)
{
	struct fixture *w = *state;
	struct broker *b;

	begin(w, 4);
	b = connection();
	fake_broker_bound(b, 0, BROKER_BOUND, NULL);
	fake_broker_bound(b, 1, BROKER_BOUND_NO_QUEUE, "no queue 'web0001'");
	fake_broker_bound(b, 2, BROKER_BOUND, NULL);
	fake_broker_bound(b, 3, BROKER_BOUND_NO_QUEUE, "no queue 'web0003'");
	fake_broker_up(b);
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_told, 1);
	assert_true(w->told.complete);
	assert_int_equal(w->told.bound, 2);
	assert_int_equal(w->told.no_queue, 2);
	assert_string_equal(w->told.absent[0], "web0001");
	assert_string_equal(w->told.absent[1], "web0003");
}

/* Of one host it may be that host's; of so many in a row it is the user's. */
static void
a_user_that_may_not(void **state)
{
	struct fixture *w = *state;
	struct broker *b;

	begin(w, 2 * HOST_BINDER_FORBIDDEN + 1);
	b = connection();
	for (size_t i = 0; i < HOST_BINDER_FORBIDDEN - 1; i++)
		fake_broker_bound(b, i, BROKER_BOUND_FORBIDDEN, "access refused");
	fake_broker_bound(b, HOST_BINDER_FORBIDDEN - 1, BROKER_BOUND, NULL);
	for (size_t i = 0; i < HOST_BINDER_FORBIDDEN - 1; i++)
		fake_broker_bound(
		    b, HOST_BINDER_FORBIDDEN + i, BROKER_BOUND_FORBIDDEN, "access refused");
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_told, 0);
	fake_broker_bound(
	    b, 2 * HOST_BINDER_FORBIDDEN - 1, BROKER_BOUND_FORBIDDEN, "refused again");
	assert_null(connection());
	assert_int_equal(w->n_told, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_told, 1);
	assert_false(w->told.complete);
	assert_int_equal(w->told.bound, 1);
	assert_int_equal(w->told.forbidden, 2 * HOST_BINDER_FORBIDDEN - 1);
	assert_string_equal(w->told.why, "refused again");
}

static void
a_connection_that_fails(void **state)
{
	struct fixture *w = *state;

	w->destroy = true;
	begin(w, HOSTS);
	bind_lot(w, 0, 0, LOT);
	fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
	fake_broker_bound(connection(), 0, BROKER_BOUND, NULL);
	fake_broker_down(connection());
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_told, 1);
	assert_false(w->told.complete);
	assert_int_equal(w->told.bound, LOT + 1);
	assert_int_equal(connections(), 0);
	assert_int_equal(fake_next_timer(w->loop), -1);
}

static void
of_no_hosts(void **state)
{
	struct fixture *w = *state;

	begin(w, 0);
	assert_null(connection());
	assert_int_equal(w->n_told, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_told, 1);
	assert_true(w->told.complete);
}

/* Whoever started it leaves: in a lot, in a pause, before the end was told. */
static void
it_ends_at_any_time(void **state)
{
	struct fixture *w = *state;

	for (int when = 0; when < 3; when++) {
		begin(w, HOSTS);
		if (when > 0)
			bind_lot(w, 0, 0, LOT);
		if (when > 1) {
			fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
			fake_broker_down(connection());
		}
		host_binder_destroy(w->binder);
		w->binder = NULL;
		assert_int_equal(connections(), 0);
		fake_advance(w->loop, 60000);
		assert_int_equal(w->n_told, 0);
	}
}

static void
on_look(const char *host, uint32_t consumers, void *arg)
{
	struct fixture *w = arg;

	snprintf(w->seen + strlen(w->seen), sizeof(w->seen) - strlen(w->seen), "%s=%u ", host,
	    (unsigned int)consumers);
}

static void
who_reads_the_queues(void **state)
{
	struct fixture *w = *state;
	struct broker *b;

	w->look = on_look;
	begin(w, 3);
	b = connection();
	fake_broker_consumers(b, 0, 1);
	fake_broker_bound(b, 0, BROKER_BOUND, NULL);
	fake_broker_bound(b, 1, BROKER_BOUND_NO_QUEUE, "no queue 'web0001'");
	fake_broker_consumers(b, 2, 0);
	fake_broker_bound(b, 2, BROKER_BOUND_FORBIDDEN, "access refused");
	fake_broker_up(b);
	fake_advance(w->loop, 0);
	assert_string_equal(w->seen, "web0000=1 web0001=0 web0002=0 ");
	assert_true(w->told.looked && w->told.complete);
}

/* Who may not bind may look: all are looked at, and none is bound. */
static void
looking_goes_on_without_binding(void **state)
{
	struct fixture *w = *state;
	struct broker *b;
	const struct topology *t;

	w->look = on_look;
	begin(w, HOST_BINDER_FORBIDDEN + 2);
	b = connection();
	for (size_t i = 0; i < HOST_BINDER_FORBIDDEN; i++) {
		fake_broker_consumers(b, i, 0);
		fake_broker_bound(b, i, BROKER_BOUND_FORBIDDEN, "access refused");
	}
	assert_null(connection());
	w->seen[0] = '\0';
	fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
	b = connection();
	t = fake_broker_topology(b);
	assert_int_equal(t->n, HOST_BINDER_FORBIDDEN + 2);
	assert_int_equal(t->items[0].n_bindings, 0);
	for (size_t i = 0; i < t->n; i++) {
		fake_broker_consumers(b, i, 1);
		fake_broker_bound(b, i, BROKER_BOUND, NULL);
	}
	fake_broker_up(b);
	fake_advance(w->loop, 0);
	assert_non_null(strstr(w->seen, "web0000=1 "));
	assert_non_null(strstr(w->seen, "web0010=1 web0011=1 "));
	assert_int_equal(w->n_told, 1);
	assert_true(w->told.looked);
	assert_false(w->told.complete);
	assert_int_equal(w->told.bound, 0);
	assert_int_equal(w->told.forbidden, HOST_BINDER_FORBIDDEN);
	assert_string_equal(w->told.why, "access refused");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(lots_with_pauses_in_lanes, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_lane_that_comes_too_late_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_absent_is_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_has_no_queue, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_user_that_may_not, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_connection_that_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(of_no_hosts, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_ends_at_any_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_reads_the_queues, setup, teardown),
	    cmocka_unit_test_setup_teardown(looking_goes_on_without_binding, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
