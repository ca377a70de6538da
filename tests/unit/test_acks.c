/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/acks.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct loop *loop;
	struct acks *acks;
	char sent[4096]; /* "ack 3 multiple; nack 5 multiple requeue; " */
};

static void
note(struct fixture *w, const char *verb, struct broker_tag tag, bool multiple, bool requeue)
{
	size_t len = strlen(w->sent);

	snprintf(w->sent + len, sizeof(w->sent) - len, "%s %" PRIu64 "%s%s; ", verb, tag.tag,
	    multiple ? " multiple" : "", requeue ? " requeue" : "");
}

static void
on_ack(struct broker_tag tag, bool multiple, void *arg)
{
	note(arg, "ack", tag, multiple, false);
}

static void
on_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg)
{
	note(arg, "nack", tag, multiple, requeue);
}

static const struct acks_handlers handlers = {.ack = on_ack, .nack = on_nack};

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	w->loop = loop_create();
	w->acks = acks_create(w->loop, &handlers, w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	acks_destroy(w->acks);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct broker_tag
tag(uint64_t n, uint32_t epoch)
{
	return (struct broker_tag){.tag = n, .epoch = epoch};
}

static void
add(struct fixture *w, uint64_t first, uint64_t last)
{
	for (; first <= last; first++)
		acks_add(w->acks, tag(first, 1));
}

static void
assert_sent(struct fixture *w, const char *expected)
{
	assert_string_equal(w->sent, expected);
	w->sent[0] = '\0';
}

static void
those_done_together_are_acked_together(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 4);
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(3, 1), ACKS_HOLE_MS);
	assert_sent(w, "");
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 3 multiple; ");
	acks_done(w->acks, tag(4, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 4; ");
	assert_int_equal(acks_outstanding(w->acks), 0);
}

static void
multiple_never_passes_the_lowest_unstored(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 5);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(4, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(5, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 2 multiple; ");
	assert_int_equal(acks_outstanding(w->acks), 3);
	acks_done(w->acks, tag(3, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 5 multiple; ");
}

static void
behind_a_hole_they_wait_but_not_for_ever(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 3);
	acks_done(w->acks, tag(3, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, ACKS_HOLE_MS - 1);
	assert_sent(w, "");
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 1);
	assert_sent(w, "ack 3; ");
	fake_advance(w->loop, ACKS_HOLE_MS);
	assert_sent(w, "ack 2; ");
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 1; ");
}

static void
those_that_must_not_wait_are_acked_behind_a_hole(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 5);
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(5, 1), 0);
	acks_done(w->acks, tag(4, 1), 0);
	assert_sent(w, "");
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 4; ack 5; ");
	fake_advance(w->loop, ACKS_HOLE_MS - 1);
	assert_sent(w, "");
	fake_advance(w->loop, 1);
	assert_sent(w, "ack 2; ");
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(3, 1), 0);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 3 multiple; ");
}

static void
a_front_that_moves_does_not_forget_those_behind(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 3);
	acks_done(w->acks, tag(3, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, ACKS_HOLE_MS / 2);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 1; ");
	fake_advance(w->loop, ACKS_HOLE_MS / 2);
	assert_sent(w, "ack 3; ");
}

static void
another_epoch_voids_the_tags_of_the_last(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 2);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_add(w->acks, tag(1, 2));
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 10 * ACKS_HOLE_MS);
	assert_sent(w, "");
	assert_int_equal(acks_outstanding(w->acks), 1);
	acks_done(w->acks, tag(1, 2), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 1; ");
}

static void
giving_back_acks_what_is_done_and_requeues_the_rest_once(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 5);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(4, 1), ACKS_HOLE_MS);
	acks_give_back(w->acks);
	assert_sent(w, "ack 1; ack 4; nack 5 multiple requeue; ");
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	acks_give_back(w->acks);
	fake_advance(w->loop, 10 * ACKS_HOLE_MS);
	assert_sent(w, "");
	assert_int_equal(acks_outstanding(w->acks), 0);
}

static void
done_twice_is_acked_once(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 1);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(9, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 0);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	fake_advance(w->loop, 10 * ACKS_HOLE_MS);
	assert_sent(w, "ack 1; ");
}

static void
flushing_leaves_only_what_is_not_done(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 4);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(3, 1), ACKS_HOLE_MS);
	acks_flush(w->acks);
	assert_sent(w, "ack 1; ack 3; ");
	assert_int_equal(acks_outstanding(w->acks), 2);
}

static void
what_is_kept_holds_up_nothing_behind_it(void **state)
{
	struct fixture *w = *state;

	add(w, 1, 6);
	acks_done(w->acks, tag(1, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(2, 1), ACKS_HOLE_MS);
	acks_keep(w->acks, tag(4, 1));
	acks_keep(w->acks, tag(3, 1));
	acks_done(w->acks, tag(5, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(6, 1), ACKS_HOLE_MS);
	acks_done(w->acks, tag(4, 1), ACKS_HOLE_MS); /* it is not for that */
	fake_advance(w->loop, 0);
	assert_sent(w, "ack 2 multiple; ack 5; ack 6; ");
	add(w, 7, 8);
	acks_return(w->acks, tag(4, 1));
	acks_return(w->acks, tag(7, 1)); /* not kept */
	assert_sent(w, "nack 4 requeue; ");
	acks_give_back(w->acks);
	assert_sent(w, "nack 8 multiple requeue; ");
	add(w, 9, 10);
	acks_keep(w->acks, tag(10, 1));
	acks_done(w->acks, tag(9, 1), ACKS_HOLE_MS);
	acks_give_back(w->acks);
	assert_sent(w, "ack 9; nack 10 multiple requeue; ");
	assert_int_equal(acks_outstanding(w->acks), 0);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(those_done_together_are_acked_together),
	    WITH_WORLD(multiple_never_passes_the_lowest_unstored),
	    WITH_WORLD(behind_a_hole_they_wait_but_not_for_ever),
	    WITH_WORLD(those_that_must_not_wait_are_acked_behind_a_hole),
	    WITH_WORLD(a_front_that_moves_does_not_forget_those_behind),
	    WITH_WORLD(another_epoch_voids_the_tags_of_the_last),
	    WITH_WORLD(giving_back_acks_what_is_done_and_requeues_the_rest_once),
	    WITH_WORLD(done_twice_is_acked_once),
	    WITH_WORLD(flushing_leaves_only_what_is_not_done),
	    WITH_WORLD(what_is_kept_holds_up_nothing_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
