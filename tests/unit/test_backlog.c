/* SPDX-License-Identifier: Apache-2.0 */
/* Which host is written next, and what of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/backlog.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL 1000000

static struct backlog *bl;
static struct mono now;

static int
setup(void **state)
{
	bl = backlog_create();
	now.ms = 1000;
	return 0;
}

static int
teardown(void **state)
{
	backlog_destroy(bl);
	return 0;
}

/* owner: a letter, as text shows it. */
static void
add(const char *host, char owner, bool fresh)
{
	struct result **list = calloc(1, sizeof(*list));
	struct result *r = calloc(1, sizeof(*r));

	result_init(r);
	r->plugin = strdup("facter");
	r->value = calloc(1, 11);
	r->value_len = 10;
	list[0] = r;
	backlog_add(bl, host, list, 1, (void *)(uintptr_t)owner, fresh, now);
}

/* "web01:abc": the host and the owners, in the order of the write. */
static const char *
text_of(const struct backlog_write *w)
{
	static char text[256];
	const struct backlog_item *item;
	size_t len;

	if (w == NULL)
		return "";
	snprintf(text, sizeof(text), "%s:", w->write.host);
	TAILQ_FOREACH (item, &w->items, link) {
		len = strlen(text);
		snprintf(text + len, sizeof(text) - len, "%c", (char)(uintptr_t)item->owner);
	}
	return text;
}

static struct backlog_write *
take(const char *expected, size_t max_bytes)
{
	struct backlog_write *w = backlog_take(bl, max_bytes);

	assert_string_equal(text_of(w), expected);
	return w;
}

static void
write_all(const char *expected)
{
	backlog_finish(bl, take(expected, ALL));
}

static void
the_host_that_is_ready_longest_is_first(void **state)
{
	add("h1", 'a', false);
	add("h2", 'b', false);
	add("h1", 'c', false);
	assert_int_equal(backlog_ready(bl), 2);
	write_all("h1:ac");
	write_all("h2:b");
	assert_null(backlog_take(bl, ALL));
	assert_int_equal(backlog_ready_bytes(bl), 0);
}

static void
fresh_hosts_are_before_stale_ones(void **state)
{
	add("h1", 'a', false);
	add("h2", 'b', false);
	add("h3", 'c', true);
	add("h4", 'd', true);
	add("h2", 'e', true); /* which makes it fresh */
	assert_int_equal(backlog_ready(bl), 4);
	write_all("h3:c");
	write_all("h4:d");
	write_all("h2:be");
	write_all("h1:a");
	assert_int_equal(backlog_ready(bl), 0);
	assert_int_equal(backlog_ready_bytes(bl), 0);
}

static void
stale_hosts_get_their_turn(void **state)
{
	char host[16];
	size_t stale = 0;

	add("old", 'a', false);
	for (int i = 0; i < 10 * (BACKLOG_FRESH_RUN + 1); i++) {
		struct backlog_write *w;

		snprintf(host, sizeof(host), "new%d", i);
		add(host, 'b', true);
		w = backlog_take(bl, ALL);
		if (strcmp(w->write.host, "old") == 0) {
			stale++;
			add("old", 'a', false); /* there are always more */
		}
		backlog_finish(bl, w);
	}
	assert_int_equal(stale, 10);
}

static void
what_is_fresh_of_a_host_does_not_wait_for_its_stale_items(void **state)
{
	size_t one;

	add("h1", 'a', false);
	one = backlog_ready_bytes(bl);
	add("h1", 'b', false);
	add("h1", 'c', false);
	add("h1", 'd', true);
	add("h1", 'e', true);
	assert_int_equal(backlog_ready_bytes(bl), 5 * one);
	/* Both fresh ones and the oldest of the others, which comes first in the write. */
	backlog_finish(bl, take("h1:ade", 3 * one));
	backlog_finish(bl, take("h1:bc", 3 * one));
}

static void
what_becomes_fresh_behind_a_write_goes_next(void **state)
{
	struct backlog_write *w;

	add("h1", 'a', false);
	w = take("h1:a", ALL);
	add("h2", 'b', false);
	add("h1", 'c', true);
	backlog_finish(bl, w);
	write_all("h1:c");
	write_all("h2:b");
}

static void
what_returns_is_as_fresh_as_before(void **state)
{
	struct backlog_write *w;

	add("h1", 'a', false);
	add("h1", 'b', true);
	w = take("h1:ab", ALL);
	add("h2", 'c', false);
	add("h1", 'd', false);
	add("h1", 'e', true);
	backlog_return(bl, w, mono_add(now, 10));
	assert_int_equal(backlog_ready(bl), 1);
	backlog_wake(bl, mono_add(now, 10));
	write_all("h1:adbe");
	write_all("h2:c");
}

/* Fresh ones that come meanwhile join the search: they are taken before some of the suspects. */
static void
suspects_are_written_one_by_one(void **state)
{
	struct backlog_write *w;

	add("h1", 'a', false);
	add("h1", 'b', false);
	add("h1", 'c', true);
	w = take("h1:abc", ALL);
	add("h1", 'd', true);
	backlog_return_singly(bl, w, now);
	add("h1", 'e', true);
	add("h1", 'f', false);
	write_all("h1:c");
	write_all("h1:d");
	write_all("h1:e");
	write_all("h1:a");
	write_all("h1:b");
	write_all("h1:f");
	assert_null(backlog_take(bl, ALL));
}

static void
the_oldest_is_found_in_both_lanes(void **state)
{
	struct mono since;

	assert_false(backlog_oldest(bl, &since));
	add("h1", 'a', false);
	now.ms += 5;
	add("h1", 'b', true);
	add("h2", 'c', true);
	assert_true(backlog_oldest(bl, &since));
	assert_int_equal(since.ms, 1000);
	write_all("h1:ab");
	assert_true(backlog_oldest(bl, &since));
	assert_int_equal(since.ms, 1005);
}

static void
clearing_forgets_both_lanes(void **state)
{
	struct backlog_write *w;

	add("h1", 'a', false);
	add("h2", 'b', true);
	add("h2", 'c', false);
	w = take("h2:cb", ALL);
	add("h2", 'd', true);
	backlog_clear(bl);
	assert_int_equal(backlog_ready(bl), 0);
	assert_int_equal(backlog_ready_bytes(bl), 0);
	backlog_finish(bl, w);
	assert_null(backlog_take(bl, ALL));
}

#define WITH_BACKLOG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_BACKLOG(the_host_that_is_ready_longest_is_first),
	    WITH_BACKLOG(fresh_hosts_are_before_stale_ones),
	    WITH_BACKLOG(stale_hosts_get_their_turn),
	    WITH_BACKLOG(what_is_fresh_of_a_host_does_not_wait_for_its_stale_items),
	    WITH_BACKLOG(what_becomes_fresh_behind_a_write_goes_next),
	    WITH_BACKLOG(what_returns_is_as_fresh_as_before),
	    WITH_BACKLOG(suspects_are_written_one_by_one),
	    WITH_BACKLOG(the_oldest_is_found_in_both_lanes),
	    WITH_BACKLOG(clearing_forgets_both_lanes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
