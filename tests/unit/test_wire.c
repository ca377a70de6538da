/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/wire/wire.h"
#include "tests/unit/decoded.h"

#include "shared/base/xalloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0  INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */
#define DAY INT64_C(86400000)

static void
body(struct message *m, const char *text)
{
	message_set_body(m, xstrdup(text), strlen(text));
}

static void
names(void **state)
{
	enum wire_format f;
	enum wire_state s;
	int i;

	for (i = WIRE_OUTPUT; i <= WIRE_PYDICT; i++) {
		assert_true(wire_format_parse(wire_format_name((enum wire_format)i), &f));
		assert_int_equal(f, i);
	}
	for (i = WIRE_OK; i < WIRE_N_STATES; i++) {
		assert_true(wire_state_parse(wire_state_name((enum wire_state)i), &s));
		assert_int_equal(s, i);
	}
	assert_string_equal(wire_format_name(WIRE_PYLIST), "pylist");
	assert_string_equal(wire_state_name(WIRE_TIMEOUT), "timeout");
	assert_string_equal(wire_state_name(WIRE_CANCELLED), "cancelled");
	assert_false(wire_format_parse("Json", &f));
	assert_false(wire_format_parse("", &f));
	assert_false(wire_state_parse("dead", &s));
	assert_string_equal(wire_state_name((enum wire_state)77), "?");
}

static void
command_of_2010(void **state)
{
	struct message m;
	struct command c;
	char err[256];

	message_init(&m);
	body(&m, "\"facter\"");
	assert_true(wire_command_decode(&m, &c, err, sizeof(err)));
	assert_string_equal(c.plugin, "facter");
	assert_null(c.job);
	assert_null(c.reply_to);
	assert_int_equal(c.not_after, 0);
	assert_int_equal(c.sent_at, 0);
	command_finish(&c);
	message_finish(&m);
}

static void
command_both_ways(void **state)
{
	struct command c = {.plugin = (char *)"get_\"x\"\xc3\xa9",
	    .job = (char *)"job-1",
	    .reply_to = (char *)"amq.reply",
	    .user_id = (char *)"ops",
	    .not_after = T0 + 7 * DAY,
	    .sent_at = T0};
	struct command back;
	struct message m;
	int64_t not_after;
	char err[256];

	wire_command_encode(&c, &m);
	assert_string_equal(m.body, "\"get_\\\"x\\\"\xc3\xa9\"");
	assert_int_equal(m.body_len, strlen(m.body));
	assert_string_equal(m.app_id, "vogeler");
	assert_string_equal(m.content_type, "application/json");
	assert_true(m.persistent);
	assert_int_equal(m.timestamp, T0 / 1000);
	assert_string_equal(m.expiration, "691200000"); /* eight days */
	assert_true(message_int(&m, "not_after", &not_after));
	assert_int_equal(not_after, T0 + 7 * DAY);
	assert_true(wire_command_decode(&m, &back, err, sizeof(err)));
	assert_string_equal(back.plugin, c.plugin);
	assert_string_equal(back.job, "job-1");
	assert_string_equal(back.reply_to, "amq.reply");
	assert_string_equal(back.user_id, "ops");
	assert_int_equal(back.not_after, c.not_after);
	assert_int_equal(back.sent_at, T0 / 1000 * 1000);
	command_finish(&back);
	message_finish(&m);
}

static void
cancel_both_ways(void **state)
{
	struct command c = {.job = (char *)"job-2",
	    .cancels = (char *)"job-1",
	    .not_after = T0 + DAY,
	    .sent_at = T0};
	struct command back;
	struct message m;
	char err[256];

	wire_command_encode(&c, &m);
	assert_string_equal(m.body, "\"vogeler.cancel\"");
	assert_string_equal(m.message_id, "job-2");
	assert_string_equal(message_str(&m, "job"), "job-1");
	assert_true(wire_command_decode(&m, &back, err, sizeof(err)));
	assert_string_equal(back.plugin, WIRE_CANCEL_BODY);
	assert_string_equal(back.cancels, "job-1");
	assert_string_equal(back.job, "job-2");
	assert_int_equal(back.not_after, T0 + DAY);
	command_finish(&back);
	message_finish(&m);
}

/* The header is the cancel's alone. */
static void
job_of_no_cancel(void **state)
{
	struct message m;
	struct command c;
	char err[256];

	message_init(&m);
	body(&m, "\"facter\"");
	message_add_str(&m, "job", "job-1");
	assert_true(wire_command_decode(&m, &c, err, sizeof(err)));
	assert_null(c.cancels);
	command_finish(&c);
	message_finish(&m);
}

static void
cancel_of(const char *job)
{
	struct message m;
	struct command c;
	char err[256] = "";

	message_init(&m);
	body(&m, "\"vogeler.cancel\"");
	message_add_str(&m, "job", job);
	assert_false(wire_command_decode(&m, &c, err, sizeof(err)));
	assert_non_null(strstr(err, "cancel without the job"));
	assert_null(c.plugin);
	message_finish(&m);
}

static void
cancel_of_nothing(void **state)
{
	char longer[WIRE_JOB_MAX + 2];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	cancel_of(NULL);
	cancel_of("");
	cancel_of(longer);
}

static void
expires(int64_t sent_at, int64_t not_after, const char *expiration)
{
	struct command c = {.plugin = (char *)"ps", .sent_at = sent_at, .not_after = not_after};
	struct message m;

	wire_command_encode(&c, &m);
	if (expiration == NULL)
		assert_null(m.expiration);
	else
		assert_string_equal(m.expiration, expiration);
	message_finish(&m);
}

static void
expiration_of_a_command(void **state)
{
	expires(T0, 0, NULL);
	expires(0, T0, NULL);
	expires(T0, T0 + 1, "86400001");
	expires(T0, T0 - 5, "86400000");
	expires(T0, T0 + INT64_C(4294967295) - DAY, "4294967295");
	expires(T0, T0 + INT64_C(4294967296) - DAY, NULL);
}

static void
command_refused(const char *text, const char *why)
{
	struct message m;
	struct command c;
	char err[256] = "";

	message_init(&m);
	body(&m, text);
	assert_false(wire_command_decode(&m, &c, err, sizeof(err)));
	if (strstr(err, why) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err, why);
	assert_null(c.plugin);
	message_finish(&m);
}

static void
bad_commands(void **state)
{
	char *big = xcalloc(1, WIRE_COMMAND_MAX + 2);
	struct message m;
	struct command c;
	char err[256];

	command_refused("", "not JSON: empty");
	command_refused("facter", "not JSON: line 1");
	command_refused("[\"facter\"]", "not a JSON string");
	command_refused("7", "not a JSON string");
	command_refused("\"\"", "empty");
	command_refused("\"a\\u0000b\"", "not a JSON string");
	command_refused("\"a\\nb\"", "control character");
	memset(big, 'a', WIRE_COMMAND_MAX + 1);
	big[0] = big[WIRE_COMMAND_MAX] = '"';
	command_refused(big, "4097 bytes");
	free(big);

	message_init(&m);
	assert_false(wire_command_decode(&m, &c, err, sizeof(err)));
	body(&m, "\"ps\"");
	message_add_str(&m, "not_after", "tomorrow");
	assert_false(wire_command_decode(&m, &c, err, sizeof(err)));
	assert_non_null(strstr(err, "not_after"));
	message_finish(&m);
	message_init(&m);
	body(&m, "\"ps\"");
	message_add_int(&m, "not_after", -1);
	assert_false(wire_command_decode(&m, &c, err, sizeof(err)));
	message_finish(&m);
}

/* As Python's json.dumps wrote them. */
static void
response_of_2010(void **state)
{
	struct message m;
	struct response r;
	char err[256];

	message_init(&m);
	body(&m, "{\"facter\": \"---\\n  a: b\\n\", \"syskey\": \"web01.example.com\", "
		 "\"format\": \"yaml\"}");
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_string_equal(r.host, "web01.example.com");
	assert_int_equal(r.format, WIRE_YAML);
	assert_int_equal(r.n_values, 1);
	assert_string_equal(r.values[0].key, "facter");
	assert_int_equal(r.values[0].len, strlen("\"---\\n  a: b\\n\""));
	assert_memory_equal(r.values[0].json, "\"---\\n  a: b\\n\"", r.values[0].len);
	assert_int_equal(r.meta.state, WIRE_OK);
	assert_int_equal(r.meta.order, 0);
	assert_int_equal(r.meta.exit_status, -1);
	assert_int_equal(r.meta.duration_ms, -1);
	assert_null(r.meta.response_id);
	assert_null(r.meta.machine_id);
	assert_false(r.meta.truncated);
	response_finish(&r);
	message_finish(&m);
}

static void
several_results_in_order(void **state)
{
	static const char *const keys[] = {"zeta", "alpha", "last_error"};
	struct message m;
	struct response r;
	char err[256];
	size_t i;

	message_init(&m);
	body(&m, "{\"syskey\":\"h\",\"zeta\":[1,18446744073709551616],\"format\":\"pylist\","
		 "\"alpha\":null,\"last_error\":{\"message\":\"m\"}}");
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_int_equal(r.meta.state, WIRE_OK);
	assert_int_equal(r.n_values, 3);
	for (i = 0; i < 3; i++)
		assert_string_equal(r.values[i].key, keys[i]);
	response_finish(&r);
	message_finish(&m);
}

static void
failure_of_2010(void **state)
{
	struct message m;
	struct response r;
	json_t *all, *error;
	char err[256];

	message_init(&m);
	body(&m, "{\"syskey\": \"h\", \"last_error\": {\"timestamp\": \"2010-09-26 "
		 "06:16:29.609123\", \"message\": \"Plugin x is not authorized\"}, \"format\": "
		 "\"pydict\"}");
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_int_equal(r.meta.state, WIRE_FAILED);
	all = decoded(&r);
	error = json_object_get(all, "last_error");
	assert_string_equal(
	    json_string_value(json_object_get(error, "message")), "Plugin x is not authorized");
	json_decref(all);
	response_finish(&r);
	message_finish(&m);
}

static void
greeting_both_ways(void **state)
{
	struct message m;
	struct response r;
	char err[256];

	response_init(&r);
	r.host = xstrdup("web01");
	assert_true(wire_response_encode(&r, &m));
	assert_string_equal(m.body, "{\"syskey\":\"web01\",\"format\":\"pydict\"}");
	response_finish(&r);
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_string_equal(r.host, "web01");
	assert_int_equal(r.n_values, 0);
	assert_int_equal(r.meta.state, WIRE_OK);
	response_finish(&r);
	message_finish(&m);
}

static void
fill(struct response *r)
{
	struct response_meta *meta = &r->meta;

	response_init(r);
	r->host = xstrdup("web01");
	r->format = WIRE_OUTPUT;
	json_object_set_new(r->results, "ps", json_string("a\n\"b\"\n"));
	meta->response_id = xstrdup("resp");
	meta->job = xstrdup("job");
	meta->reply_to = xstrdup("reply");
	meta->user_id = xstrdup("web01");
	meta->plugin = xstrdup("ps");
	meta->machine_id = xstrdup("0123456789abcdef0123456789abcdef");
	meta->boot_id = xstrdup("00000000-0000-0000-0000-000000000000");
	meta->version = xstrdup("0.1.1");
	meta->stderr_tail = xstrdup("oops");
	meta->stdout_tail = xstrdup("out");
	meta->state = WIRE_TIMEOUT;
	meta->order = T0 + 1;
	meta->collected_at = T0;
	meta->duration_ms = 0;
	meta->exit_status = 0;
	meta->signal = 9;
	meta->truncated = true;
	meta->replaced = 3;
}

static void
response_both_ways(void **state)
{
	struct message m;
	struct response r, back;
	json_t *results;
	char err[256];

	fill(&r);
	assert_true(wire_response_encode(&r, &m));
	assert_string_equal(
	    m.body, "{\"syskey\":\"web01\",\"ps\":\"a\\n\\\"b\\\"\\n\",\"format\":\"output\"}");
	assert_int_equal(m.body_len, strlen(m.body));
	assert_string_equal(m.message_id, "resp");
	assert_string_equal(m.correlation_id, "job");
	assert_string_equal(m.app_id, "vogeler");
	assert_string_equal(m.content_type, "application/json");
	assert_int_equal(m.timestamp, T0 / 1000);
	assert_true(m.persistent);
	assert_null(m.expiration);
	assert_true(wire_response_decode(&m, &back, err, sizeof(err)));
	assert_string_equal(back.host, "web01");
	assert_int_equal(back.format, WIRE_OUTPUT);
	results = decoded(&back);
	assert_true(json_equal(results, r.results));
	json_decref(results);
	assert_string_equal(back.meta.response_id, "resp");
	assert_string_equal(back.meta.job, "job");
	assert_string_equal(back.meta.reply_to, "reply");
	assert_string_equal(back.meta.user_id, "web01");
	assert_string_equal(back.meta.plugin, "ps");
	assert_string_equal(back.meta.machine_id, r.meta.machine_id);
	assert_string_equal(back.meta.boot_id, r.meta.boot_id);
	assert_string_equal(back.meta.version, "0.1.1");
	assert_string_equal(back.meta.stderr_tail, "oops");
	assert_string_equal(back.meta.stdout_tail, "out");
	assert_int_equal(back.meta.state, WIRE_TIMEOUT);
	assert_int_equal(back.meta.order, T0 + 1);
	assert_int_equal(back.meta.collected_at, T0);
	assert_int_equal(back.meta.duration_ms, 0);
	assert_int_equal(back.meta.exit_status, 0);
	assert_int_equal(back.meta.signal, 9);
	assert_true(back.meta.truncated);
	assert_int_equal(back.meta.replaced, 3);
	response_finish(&back);
	response_finish(&r);
	message_finish(&m);
}

/* The names on the wire are a contract: a rename must not pass by changing both sides. */
static void
names_of_headers(void **state)
{
	static const char *const want[] = {"plugin", "state", "order", "exit_status", "signal",
	    "duration_ms", "collected_at", "truncated", "machine_id", "boot_id", "version",
	    "stdout_tail", "stderr_tail", "replaced"};
	struct message m;
	struct response r;
	size_t i;

	fill(&r);
	assert_true(wire_response_encode(&r, &m));
	assert_int_equal(m.n_headers, sizeof(want) / sizeof(want[0]));
	for (i = 0; i < m.n_headers; i++)
		assert_string_equal(m.headers[i].name, want[i]);
	response_finish(&r);
	message_finish(&m);
}

static void
odd_headers_say_nothing(void **state)
{
	struct message m;
	struct response r;
	char err[256];

	message_init(&m);
	body(&m, "{\"syskey\":\"h\",\"ps\":\"\",\"format\":\"raw\"}");
	message_add_str(&m, "order", "12 or so");
	message_add_int(&m, "exit_status", 256);
	message_add_int(&m, "signal", -1);
	message_add_int(&m, "duration_ms", -7);
	message_add_int(&m, "collected_at", INT64_MAX);
	message_add_str(&m, "state", "new-in-2030");
	message_add_str(&m, "truncated", "yes");
	message_add_str(&m, "machine_id",
	    "more than sixty-four bytes more than sixty-four bytes more than sixty-four bytes");
	m.timestamp = INT64_MAX;
	assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_int_equal(r.meta.order, 0);
	assert_int_equal(r.meta.exit_status, -1);
	assert_int_equal(r.meta.signal, 0);
	assert_int_equal(r.meta.duration_ms, -1);
	assert_int_equal(r.meta.collected_at, 0);
	assert_int_equal(r.meta.state, WIRE_OK);
	assert_false(r.meta.truncated);
	assert_null(r.meta.machine_id);
	response_finish(&r);
	message_finish(&m);
}

static void
poison(const char *text, const char *why)
{
	struct message m;
	struct response r;
	char err[256] = "";

	message_init(&m);
	body(&m, text);
	assert_false(wire_response_decode(&m, &r, err, sizeof(err)));
	if (strstr(err, why) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err, why);
	assert_null(r.host);
	assert_null(r.results);
	assert_int_equal(r.n_values, 0);
	message_finish(&m);
}

static void
what_is_poison(void **state)
{
	poison("", "not JSON");
	poison("{\"syskey\":", "not JSON");
	poison("[]", "not a JSON object");
	poison("{\"syskey\":\"h\",\"format\":\"raw\",\"a\":[1,}", "not JSON: line 1, column 37");
	poison("{\"syskey\":\"h\",\"format\":\"raw\"} x", "not JSON");
	poison("{\"syskey\":\"h\",\"format\":\"raw\",\"a\":1,\"a\":2}", "twice");
	poison("{\"syskey\":\"h\",\"format\":\"raw\",\"\\u0061\":1,\"a\":2}", "twice");
	poison("\"x\"", "not a JSON object");
	poison("{\"format\":\"raw\"}", "no syskey");
	poison("{\"syskey\":7,\"format\":\"raw\"}", "syskey is not a text");
	poison("{\"syskey\":\"a\\u0000b\",\"format\":\"raw\"}", "syskey is not a text");
	poison("{\"syskey\":\"_design/x\",\"format\":\"raw\"}", "host name");
	poison("{\"syskey\":\"all\",\"format\":\"raw\"}", "'all'");
	poison("{\"syskey\":\"h\"}", "no format");
	poison("{\"syskey\":\"h\",\"format\":\"xml\"}", "unknown format 'xml'");
	poison("{\"syskey\":\"h\",\"format\":null}", "unknown format");
	poison("{\"syskey\":\"h\",\"_id\":1,\"format\":\"raw\"}", "key '_id'");
	poison("{\"syskey\":\"h\",\"vogeler\":1,\"format\":\"raw\"}", "key 'vogeler'");
	poison("{\"syskey\":\"h\",\"created_at\":1,\"format\":\"raw\"}", "key 'created_at'");
	poison("{\"syskey\":\"h\",\"a b\":1,\"format\":\"raw\"}", "key 'a b'");
	poison("{\"syskey\":\"h\",\"\":1,\"format\":\"raw\"}", "key ''");
	poison("{\"syskey\":\"h\",\"last_error\":\"x\",\"format\":\"raw\"}", "key 'last_error'");
	poison("{\"syskey\":\"h\",\"syskey\":\"i\",\"format\":\"raw\"}", "twice");
}

static void
the_plugin_header_is_a_key_too(void **state)
{
	static const char *const no_run[] = {"refused", "cancelled", "superseded"};
	struct message m;
	struct response r;
	char err[256];

	message_init(&m);
	body(&m, "{\"syskey\":\"h\",\"last_error\":{\"message\":\"m\"},\"format\":\"pydict\"}");
	message_add_str(&m, "plugin", "vogeler");
	message_add_str(&m, "state", "failed");
	assert_false(wire_response_decode(&m, &r, err, sizeof(err)));
	assert_non_null(strstr(err, "header plugin 'vogeler'"));
	message_finish(&m);

	for (size_t i = 0; i < 3; i++) {
		message_init(&m);
		body(&m,
		    "{\"syskey\":\"h\",\"last_error\":{\"message\":\"m\"},\"format\":\"pydict\"}");
		message_add_str(&m, "plugin", "rm -rf /");
		message_add_str(&m, "state", no_run[i]);
		assert_true(wire_response_decode(&m, &r, err, sizeof(err)));
		assert_string_equal(r.meta.plugin, "rm -rf /");
		response_finish(&r);
		message_finish(&m);
	}
}

static void
what_cannot_be_sent(void **state)
{
	struct message m;
	struct response r;

	response_init(&r);
	assert_false(wire_response_encode(&r, &m)); /* no host */
	r.host = xstrdup("h");
	json_object_set_new(r.results, "format", json_string("x"));
	assert_false(wire_response_encode(&r, &m));
	message_finish(&m);
	response_finish(&r);
}

static void
last_error_as_in_2010(void **state)
{
	json_t *error = wire_last_error(T0, "boom \xff");

	assert_int_equal(json_object_size(error), 2);
	assert_string_equal(
	    json_string_value(json_object_get(error, "timestamp")), "2010-09-26 02:16:29.609000");
	assert_string_equal(
	    json_string_value(json_object_get(error, "message")), "boom \xef\xbf\xbd");
	json_decref(error);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(command_of_2010),
	    cmocka_unit_test(command_both_ways),
	    cmocka_unit_test(cancel_both_ways),
	    cmocka_unit_test(job_of_no_cancel),
	    cmocka_unit_test(cancel_of_nothing),
	    cmocka_unit_test(expiration_of_a_command),
	    cmocka_unit_test(bad_commands),
	    cmocka_unit_test(response_of_2010),
	    cmocka_unit_test(several_results_in_order),
	    cmocka_unit_test(failure_of_2010),
	    cmocka_unit_test(greeting_both_ways),
	    cmocka_unit_test(response_both_ways),
	    cmocka_unit_test(names_of_headers),
	    cmocka_unit_test(odd_headers_say_nothing),
	    cmocka_unit_test(what_is_poison),
	    cmocka_unit_test(the_plugin_header_is_a_key_too),
	    cmocka_unit_test(what_cannot_be_sent),
	    cmocka_unit_test(last_error_as_in_2010),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
