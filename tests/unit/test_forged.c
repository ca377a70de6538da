/* SPDX-License-Identifier: Apache-2.0 */
/* forged: what the store is told of answers that nobody vouches for, and what is read of it. */
#include "daemon/forged.h"

#include "shared/base/xalloc.h"
#include "shared/store/forgeries.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct forged *forged;
};

static int
setup(void **state)
{
	struct fixture *w = xcalloc(1, sizeof(*w));

	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	w->forged = forged_create(w->loop, fake_store_base(w->store));
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	forged_destroy(w->forged);
	fake_store_destroy(w->store);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct forgeries
stored(struct fixture *w)
{
	struct forgeries f;

	forgeries_load(&f, fake_store_notes(w->store));
	return f;
}

static void
a_flood_is_a_note_now_and_then(void **state)
{
	struct fixture *w = *state;
	struct forgeries f;

	assert_int_equal(stored(w).at_ms, 0);
	forged_saw(w->forged, "web02", "user \"web02\" wrote in the name of \"web01\"", false);
	fake_advance(w->loop, 1);
	f = stored(w);
	assert_int_equal(f.refused, 1);
	assert_int_equal(f.untold, 0);
	assert_string_equal(f.sender, "web02");
	assert_string_equal(f.why, "user \"web02\" wrote in the name of \"web01\"");
	assert_true(f.at_ms > 0 && f.since_ms == f.at_ms);
	for (int i = 0; i < 1000; i++)
		forged_saw(w->forged, NULL, "no user_id vouches for syskey \"web01\"", true);
	fake_advance(w->loop, FORGED_NOTE_MS - 2);
	assert_int_equal(stored(w).refused, 1);
	fake_advance(w->loop, 2);
	f = stored(w);
	assert_int_equal(f.refused, 1001);
	assert_int_equal(f.untold, 1000);
	assert_string_equal(f.sender, "");
	assert_int_equal(fake_store_note_puts(w->store), 2);
	fake_advance(w->loop, 10 * FORGED_NOTE_MS);
	assert_int_equal(fake_store_note_puts(w->store), 2); /* nothing new */
}

static void
a_store_that_fails_is_told_later(void **state)
{
	struct fixture *w = *state;

	fake_store_notes_are(w->store, false);
	forged_saw(w->forged, "web02", "as the test says", false);
	fake_advance(w->loop, 3 * FORGED_NOTE_MS);
	assert_int_equal(stored(w).refused, 0);
	fake_store_notes_are(w->store, true);
	fake_advance(w->loop, FORGED_NOTE_MS);
	assert_int_equal(stored(w).refused, 1);
}

/* Whoever is refused decides how long names are, and of what bytes. */
static void
long_and_garbled(void **state)
{
	struct forgeries f = {0}, g;
	char why[2000];
	json_t *note;

	for (size_t i = 0; i + 1 < sizeof(why); i += 2)
		memcpy(why + i, "\xc3\xa9", 2);
	why[1998] = '\0';
	forgeries_add(&f, why, why, true, 1795374000000);
	note = forgeries_note(&f);
	forgeries_load(&g, note);
	assert_int_equal(g.refused, 1);
	assert_memory_equal(g.why, why, 500);
	json_object_set_new(json_object_get(note, FORGERIES_NOTE), "at", json_integer(7));
	forgeries_load(&g, note);
	assert_int_equal(g.at_ms, 0);
	json_decref(note);
	forgeries_load(&g, NULL);
	assert_int_equal(g.at_ms, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_flood_is_a_note_now_and_then, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_that_fails_is_told_later, setup, teardown),
	    cmocka_unit_test(long_and_garbled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
