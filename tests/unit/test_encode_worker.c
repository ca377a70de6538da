/* SPDX-License-Identifier: Apache-2.0 */
/* Much output becomes the same message on the thread as little does on the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/encode_worker.h"
#include "agent/outbox.h"
#include "agent/report.h"
#include "shared/base/ident.h"
#include "shared/event/loop.h"
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1285467389609)

static const struct report_origin origin = {"web01", "machine", "boot"};

struct fixture {
	struct loop *loop;
	struct encode_worker *maker;
	struct report_request req;
	struct child_event done;
	struct buf out;
	struct made made[4];
	size_t n, stop_after;
	bool making; /* inside encode_worker_make() */
};

static void
on_made(struct made *made, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->making);
	f->made[f->n++] = *made;
	message_init(&made->m);
	if (f->n == f->stop_after)
		loop_stop(f->loop);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	ident_init();
	f->req = (struct report_request){"facter", "job-1", "reply", WIRE_PYLIST};
	f->done = (struct child_event){
	    .kind = CHILD_DONE, .outcome = CHILD_EXITED, .success = 1, .duration_ms = 12};
	f->loop = loop_create();
	f->maker = encode_worker_create(f->loop, on_made, f);
	buf_init(&f->out, 64U << 20);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	encode_worker_destroy(f->maker);
	loop_destroy(f->loop);
	buf_finish(&f->out);
	for (size_t i = 0; i < f->n; i++)
		message_finish(&f->made[i].m);
	free(f);
	return 0;
}

/* head, then unit n times, then tail. */
static void
print(struct fixture *f, const char *head, const char *unit, size_t n, const char *tail)
{
	assert_true(buf_append_str(&f->out, head));
	for (size_t i = 0; i < n; i++)
		assert_true(buf_append_str(&f->out, unit));
	assert_true(buf_append_str(&f->out, tail));
}

static void
begin(struct fixture *f, struct response *r)
{
	report_begin(r, &origin, &f->req, &f->done, &f->out, 77, NOW);
	assert_int_equal(r->meta.state, WIRE_OK);
}

static void
make(struct fixture *f, uint64_t id)
{
	struct response r;

	begin(f, &r);
	f->making = true;
	encode_worker_make(f->maker, id, &r, &f->out);
	f->making = false;
	response_finish(&r);
	buf_finish(&f->out);
	buf_init(&f->out, 64U << 20);
}

static void
wait_made(struct fixture *f, size_t n)
{
	f->stop_after = n;
	loop_run(f->loop);
	assert_int_equal(f->n, n);
}

static void
takes_what_is_much(void **state)
{
	struct fixture *f = *state;

	assert_false(encode_worker_takes(f->maker, ENCODE_WORKER_SMALL));
	assert_true(encode_worker_takes(f->maker, ENCODE_WORKER_SMALL + 1));
	assert_false(encode_worker_takes(NULL, SIZE_MAX));
}

static void
makes_what_the_loop_would(void **state)
{
	struct fixture *f = *state;
	struct response r;
	struct message m;

	print(f, "[{\"b\": 1, \"a\": 2}", ", 1.50, \"x\\ny\"", 20000, "]\n");
	begin(f, &r);
	report_value(&r, &f->out);
	assert_true(report_try_encode(&r, &m));
	make(f, 5);
	wait_made(f, 1);
	assert_int_equal(f->made[0].id, 5);
	assert_true(f->made[0].bytes > ENCODE_WORKER_SMALL);
	assert_true(f->made[0].sendable);
	assert_int_equal(f->made[0].m.body_len, m.body_len);
	assert_memory_equal(f->made[0].m.body, m.body, m.body_len);
	assert_string_equal(f->made[0].m.message_id, m.message_id);
	assert_string_equal(f->made[0].m.correlation_id, "job-1");
	assert_string_equal(message_str(&f->made[0].m, "plugin"), "facter");
	assert_int_equal(f->made[0].m.n_headers, m.n_headers);
	message_finish(&m);
	response_finish(&r);
}

static void
text_goes_the_same_way(void **state)
{
	struct fixture *f = *state;
	int64_t replaced;

	f->req.format = WIRE_OUTPUT;
	print(f, "", "\xff", 100000, "");
	make(f, 1);
	wait_made(f, 1);
	assert_true(f->made[0].sendable);
	assert_true(message_int(&f->made[0].m, "replaced", &replaced));
	assert_int_equal(replaced, 100000);
}

static void
what_cannot_be_sent_is_none(void **state)
{
	struct fixture *f = *state;

	f->req.format = WIRE_OUTPUT;
	print(f, "", "\x01", REPORT_MESSAGE_MAX / 2, ""); /* each is six bytes as JSON */
	make(f, 1);
	wait_made(f, 1);
	assert_false(f->made[0].sendable);
	assert_null(f->made[0].m.body);
}

static void
all_are_told_on_the_way_out(void **state)
{
	struct fixture *f = *state;

	for (uint64_t id = 1; id <= 3; id++) {
		print(f, "[0", ",1", 50000, "]");
		make(f, id);
	}
	assert_int_equal(f->n, 0);
	encode_worker_destroy(f->maker);
	f->maker = NULL;
	assert_int_equal(f->n, 3);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(f->made[id - 1].id, id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(takes_what_is_much),
	    TEST(makes_what_the_loop_would),
	    TEST(text_goes_the_same_way),
	    TEST(what_cannot_be_sent_is_none),
	    TEST(all_are_told_on_the_way_out),
	};

	return cmocka_run_group_tests_name("maker", tests, NULL, NULL);
}
