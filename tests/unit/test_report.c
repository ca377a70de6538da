/* SPDX-License-Identifier: Apache-2.0 */
/* From the end of a run to the response, as each is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/report.h"
#include "shared/amqp/frame.h"
#include "shared/base/ident.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1285467389609)

static const struct report_origin origin = {"web01", "machine", "boot"};

struct fixture {
	struct report_request req;
	struct child_event done;
	struct buf out;
	struct response r;
	struct message m;
	bool reported;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	ident_init();
	f->req = (struct report_request){"facter", "job-1", "reply", WIRE_OUTPUT};
	f->done.kind = CHILD_DONE;
	f->done.outcome = CHILD_EXITED;
	f->done.success = 1;
	f->done.duration_ms = 1234;
	f->done.output_max = 1048576;
	f->done.timeout_ms = 60500;
	buf_init(&f->out, 1U << 22);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->reported) {
		response_finish(&f->r);
		message_finish(&f->m);
	}
	buf_finish(&f->out);
	free(f);
	return 0;
}

static void
print(struct fixture *f, const char *bytes, size_t len)
{
	assert_true(buf_append(&f->out, bytes, len));
}

static void
complain(struct fixture *f, const char *text)
{
	f->done.length = (uint32_t)strlen(text);
	f->done.stderr_bytes = f->done.length;
	memcpy(f->done.data, text, f->done.length);
}

static void
encode(struct fixture *f)
{
	struct response back;
	char err[256];

	f->reported = true;
	assert_true(wire_response_encode(&f->r, &f->m));
	/* What we send is no poison. */
	if (!wire_response_decode(&f->m, &back, err, sizeof(err)))
		fail_msg("%s", err);
	response_finish(&back);
}

static void
report(struct fixture *f)
{
	report_run(&f->r, &origin, &f->req, &f->done, &f->out, 77, NOW);
	encode(f);
}

static void
assert_failure(struct fixture *f, enum wire_state state, const char *text)
{
	const json_t *error = json_object_get(f->r.results, "last_error");

	assert_int_equal(f->r.meta.state, state);
	assert_int_equal(f->r.format, WIRE_PYDICT);
	assert_int_equal(json_object_size(f->r.results), 1);
	assert_string_equal(json_string_value(json_object_get(error, "message")), text);
	assert_string_equal(f->r.meta.plugin, "facter");
}

static void
a_good_run(void **state)
{
	struct fixture *f = *state;
	char id[IDENT_SIZE];

	print(f, "a\nb\n", 4);
	complain(f, "a warning\n");
	report(f);
	assert_string_equal(
	    f->m.body, "{\"syskey\":\"web01\",\"facter\":\"a\\nb\\n\",\"format\":\"output\"}");
	assert_int_equal(f->r.meta.state, WIRE_OK);
	assert_int_equal(f->r.meta.exit_status, 0);
	assert_int_equal(f->r.meta.duration_ms, 1234);
	assert_int_equal(f->r.meta.order, 77);
	assert_int_equal(f->r.meta.collected_at, NOW);
	assert_null(f->r.meta.stderr_tail);
	assert_string_equal(f->r.meta.machine_id, "machine");
	assert_string_equal(f->r.meta.boot_id, "boot");
	assert_string_equal(f->r.meta.version, VOGELER_VERSION);
	assert_string_equal(f->m.correlation_id, "job-1");
	assert_string_equal(f->m.reply_to, "reply");
	assert_true(f->m.persistent);
	/* A rerun after a crash has the same id. */
	ident_response(id, "job-1", "web01", "facter");
	assert_string_equal(f->m.message_id, id);
}

static void
ok_empty(void **state)
{
	struct fixture *f = *state;

	report(f);
	assert_int_equal(f->r.meta.state, WIRE_OK);
	assert_string_equal(
	    f->m.body, "{\"syskey\":\"web01\",\"facter\":\"\",\"format\":\"output\"}");
}

static void
without_a_job(void **state)
{
	struct fixture *f = *state;

	f->req.job = NULL;
	f->req.reply_to = NULL;
	report(f);
	assert_int_equal(strlen(f->m.message_id), IDENT_SIZE - 1);
	assert_null(f->m.correlation_id);
	assert_null(f->m.reply_to);
}

static void
bytes_that_are_not_text(void **state)
{
	struct fixture *f = *state;
	int64_t replaced = 0;

	print(f, "a\xff\0\xfe z", 6);
	report(f);
	assert_int_equal(f->r.meta.state, WIRE_OK);
	assert_string_equal(f->m.body,
	    "{\"syskey\":\"web01\",\"facter\":\"a\xef\xbf\xbd\\u0000\xef\xbf\xbd z\",\"format\":\"output\"}");
	assert_true(message_int(&f->m, "replaced", &replaced));
	assert_int_equal(replaced, 2);
}

static void
pydict_is_json_already(void **state)
{
	struct fixture *f = *state;

	f->req.format = WIRE_PYDICT;
	print(f, "{\"a\": [1]}\n", 11);
	report(f);
	assert_string_equal(
	    f->m.body, "{\"syskey\":\"web01\",\"facter\":{\"a\":[1]},\"format\":\"pydict\"}");
}

static void
pylist_that_is_none_stays_text(void **state)
{
	struct fixture *f = *state;

	f->req.format = WIRE_PYLIST;
	print(f, "[1,", 3);
	report(f);
	assert_string_equal(
	    f->m.body, "{\"syskey\":\"web01\",\"facter\":\"[1,\",\"format\":\"pylist\"}");
}

static void
a_bad_exit_status(void **state)
{
	struct fixture *f = *state;
	int64_t status = 0;

	f->done.exit_status = 1;
	f->done.success = 0;
	print(f, "half of it", 10);
	complain(f, "\n  no such fact: x\nsecond line\n");
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: exit status 1: no such fact: x");
	assert_true(message_int(&f->m, "exit_status", &status));
	assert_int_equal(status, 1);
	assert_string_equal(message_str(&f->m, "state"), "failed");
	assert_string_equal(message_str(&f->m, "stdout_tail"), "half of it");
	assert_string_equal(
	    message_str(&f->m, "stderr_tail"), "\n  no such fact: x\nsecond line\n");
}

static void
a_declared_exit_status_is_a_success(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 4;
	print(f, "out\n", 4);
	report(f);
	assert_int_equal(f->r.meta.state, WIRE_OK);
	assert_int_equal(f->r.meta.exit_status, 4);
}

static void
exit_status_without_a_word(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 3;
	f->done.success = 0;
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: exit status 3");
	assert_null(f->r.meta.stderr_tail);
	assert_null(f->r.meta.stdout_tail);
}

static void
a_signal(void **state)
{
	struct fixture *f = *state;

	f->done.outcome = CHILD_SIGNALED;
	f->done.exit_status = -1;
	f->done.success = 0;
	f->done.signal = SIGSEGV;
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: killed by signal 11 (Segmentation fault)");
	assert_int_equal(f->r.meta.signal, SIGSEGV);
	assert_int_equal(f->r.meta.exit_status, -1);
}

static void
timeout(void **state)
{
	struct fixture *f = *state;

	f->done.outcome = CHILD_TIMEOUT;
	f->done.exit_status = -1;
	f->done.success = 0;
	f->done.signal = SIGTERM;
	report(f);
	assert_failure(f, WIRE_TIMEOUT, "facter: not done after 60.5 s, its timeout");
	assert_string_equal(message_str(&f->m, "state"), "timeout");
}

static void
overflow_keeps_the_head(void **state)
{
	struct fixture *f = *state;
	bool truncated = false;

	f->done.outcome = CHILD_OVERFLOW;
	f->done.exit_status = -1;
	f->done.success = 0;
	f->done.signal = SIGPIPE;
	print(f, "HEAD", 4);
	for (int i = 0; i < 100; i++)
		print(f, "0123456789012345678901234567890123456789", 40);
	report(f);
	assert_failure(f, WIRE_FAILED,
	    "facter: more than 1048576 bytes of output, its max_output (the plugin's own, else that of [client])");
	assert_true(message_bool(&f->m, "truncated", &truncated));
	assert_true(truncated);
	assert_int_equal(strlen(f->r.meta.stdout_tail), REPORT_TAIL_MAX);
	assert_memory_equal(f->r.meta.stdout_tail, "HEAD", 4);
}

/* What is replaced in the tails is counted; a character that the cut went through is not. */
static void
tails_that_are_not_text(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 3;
	f->done.success = 0;
	print(f, "\xe4\xf6\n", 3);
	f->done.length = f->done.stderr_bytes = 4;
	memcpy(f->done.data, "n\xe4h\n", 4);
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: exit status 3: n\xef\xbf\xbdh");
	assert_int_equal(f->r.meta.replaced, 3);
	assert_string_equal(f->r.meta.stderr_tail, "n\xef\xbf\xbdh\n");
}

static void
a_cut_goes_through_no_character(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 3;
	f->done.success = 0;
	for (int i = 0; i < 1001; i++)
		print(f, "\xe2\x82\xac", 3);
	report(f);
	assert_int_equal(f->r.meta.replaced, 0);
	assert_int_equal(strlen(f->r.meta.stdout_tail), REPORT_TAIL_MAX / 3 * 3);
	response_finish(&f->r);
	message_finish(&f->m);
	f->done.outcome = CHILD_OVERFLOW;
	report(f);
	assert_int_equal(f->r.meta.replaced, 0);
	assert_int_equal(strlen(f->r.meta.stdout_tail), REPORT_TAIL_MAX / 3 * 3);
}

static void
not_started(void **state)
{
	struct fixture *f = *state;

	f->done.outcome = CHILD_NOT_STARTED;
	f->done.error = ENOENT;
	f->done.exit_status = -1;
	f->done.success = 0;
	complain(f, "cannot run \"x\": No such file or directory");
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: cannot run \"x\": No such file or directory");
	assert_null(f->r.meta.stderr_tail);
}

/* The line that the tail begins with has lost its beginning. */
static void
first_whole_line_of_a_cut_tail(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 1;
	f->done.success = 0;
	complain(f, "alf a line\nwhole line\n");
	f->done.stderr_bytes = 100000;
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: exit status 1: whole line");
}

static void
tails_are_text_and_short(void **state)
{
	struct fixture *f = *state;

	f->done.exit_status = 1;
	f->done.success = 0;
	f->done.length = 4096;
	f->done.stderr_bytes = 4096;
	memset(f->done.data, 0xff, 4096);
	f->done.data[4095] = '\0';
	report(f);
	assert_int_equal(strlen(f->r.meta.stderr_tail), 3 * (REPORT_TAIL_MAX - 1) + 1);
	assert_int_equal(f->r.meta.stderr_tail[3 * (REPORT_TAIL_MAX - 1)], ' ');
}

static void
a_refusal(void **state)
{
	struct fixture *f = *state;

	f->req.plugin = "rm -rf /; $(id)";
	report_without_result(
	    &f->r, &origin, &f->req, WIRE_REFUSED, "Plugin is not authorized", 78, NOW);
	encode(f);
	assert_string_equal(f->m.body,
	    "{\"syskey\":\"web01\",\"last_error\":{\"message\":\"Plugin is not authorized\","
	    "\"timestamp\":\"2010-09-26 02:16:29.609000\"},\"format\":\"pydict\"}");
	assert_string_equal(message_str(&f->m, "state"), "refused");
	assert_string_equal(f->m.correlation_id, "job-1");
	assert_int_equal(f->r.meta.order, 78);
	assert_int_equal(f->r.meta.duration_ms, -1);
}

/* Without what the outbox can do without (outbox.c) any answer fits the smallest frame there is. */
static void
fits_the_smallest_frame(void **state)
{
	struct fixture *f = *state;
	struct frame_codec *codec = frame_codec_create(); /* not tuned: FRAME_MIN_BYTES */
	char most[UINT8_MAX + 1] = "", id[64 + 1] = "";
	const struct report_origin largest = {"web01", id, id};

	memset(most, 'x', sizeof(most) - 1);
	memset(id, 'x', sizeof(id) - 1);
	f->req.job = f->req.reply_to = most;
	f->done.success = 0;
	f->done.exit_status = 1;
	f->done.length = f->done.stderr_bytes = REPORT_TAIL_MAX;
	memset(f->done.data, 0xff, REPORT_TAIL_MAX);
	report_run(&f->r, &largest, &f->req, &f->done, &f->out, INT64_MAX, NOW);
	encode(f);
	f->m.user_id = strdup(most); /* of the login */
	assert_int_equal(frame_message_size(codec, &f->m), 0);
	assert_true(message_drop(&f->m, "stderr_tail"));
	message_drop(&f->m, "plugin");
	assert_true(frame_message_size(codec, &f->m) > 0);
	frame_codec_destroy(codec);
}

static void
unsendable(void **state)
{
	struct fixture *f = *state;

	report_unsendable(&f->r, &origin, &f->req, 79, NOW);
	encode(f);
	assert_failure(f, WIRE_FAILED, "facter: its output is too large to be sent");
}

/* Not read first: so much takes seconds, and gigabytes. */
static void
too_large_to_be_sent_is_not_read(void **state)
{
	struct fixture *f = *state;

	f->req.format = WIRE_PYLIST;
	buf_finish(&f->out);
	buf_init(&f->out, 8U << 20);
	for (size_t i = 0; i < (8U << 20); i += 1024) {
		char page[1024] = "";

		print(f, page, sizeof(page));
	}
	report(f);
	assert_failure(f, WIRE_FAILED, "facter: its output is too large to be sent");
	assert_true(f->r.meta.truncated);
	assert_null(f->r.meta.stdout_tail);
}

static void
greeting(void **state)
{
	struct fixture *f = *state;

	report_greeting(&f->r, &origin, NOW);
	encode(f);
	assert_string_equal(f->m.body, "{\"syskey\":\"web01\",\"format\":\"pydict\"}");
	assert_null(f->m.correlation_id);
}

static void
waiting(void **state)
{
	struct fixture *f = *state;

	report_waiting(&f->r, &origin, NOW);
	encode(f);
	assert_non_null(strstr(f->m.body, "\"message\":\"" WIRE_WAITING ": "));
	assert_string_equal(message_str(&f->m, "state"), "failed");
	assert_string_equal(message_str(&f->m, "machine_id"), origin.machine_id);
	assert_null(message_str(&f->m, "plugin"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_good_run),
	    TEST(ok_empty),
	    TEST(without_a_job),
	    TEST(bytes_that_are_not_text),
	    TEST(pydict_is_json_already),
	    TEST(pylist_that_is_none_stays_text),
	    TEST(a_bad_exit_status),
	    TEST(a_declared_exit_status_is_a_success),
	    TEST(exit_status_without_a_word),
	    TEST(a_signal),
	    TEST(timeout),
	    TEST(overflow_keeps_the_head),
	    TEST(tails_that_are_not_text),
	    TEST(a_cut_goes_through_no_character),
	    TEST(not_started),
	    TEST(first_whole_line_of_a_cut_tail),
	    TEST(tails_are_text_and_short),
	    TEST(a_refusal),
	    TEST(fits_the_smallest_frame),
	    TEST(unsendable),
	    TEST(too_large_to_be_sent_is_not_read),
	    TEST(greeting),
	    TEST(waiting),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
