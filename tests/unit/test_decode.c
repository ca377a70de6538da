/* SPDX-License-Identifier: Apache-2.0 */
/* On the real loop and the real thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/read/decode.h"

#include "shared/amqp/broker.h"
#include "shared/base/ident.h"
#include "shared/event/loop.h"
#include "tests/unit/address_space.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#define SLOWER    10
#else
#define SANITIZED false
#define SLOWER    1
#endif

struct fixture {
	struct loop *loop;
	struct decode *intake;
	struct decode_options opt;
	char told[512]; /* owners in the order in which they were told of, and what was said */
	size_t stop_after;
	size_t n;
	struct delivery *slow[3];
};

static void
on_read(void *owner, struct delivery *d, struct decode_reading *r, void *arg)
{
	struct fixture *w = arg;
	size_t len = strlen(w->told);

	assert_non_null(d->message.body);
	snprintf(w->told + len, sizeof(w->told) - len, "%s:%s ", (const char *)owner,
	    r->verdict == DECODE_GOOD ? r->response.host : r->why);
	delivery_destroy(d);
	if (++w->n == w->stop_after)
		loop_stop(w->loop);
}

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	ident_init();
	w->loop = loop_create();
	w->intake = decode_create(w->loop, on_read, w);
	w->opt.limits.yaml = yamlx_limits_default;
	w->opt.limits.json.depth = JSONX_DEPTH_MAX;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	decode_destroy(w->intake);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

/* A response of about so many bytes: unit again and again in a list. */
static char *
body_of(const char *host, const char *unit, size_t bytes)
{
	char *text = malloc(bytes + 200), *p;
	size_t len = strlen(unit);

	assert_non_null(text);
	p = text + sprintf(text, "{\"syskey\":\"%s\",\"format\":\"raw\",\"p\":[0", host);
	while ((size_t)(p - text) + len < bytes) {
		memcpy(p, unit, len);
		p += len;
	}
	memcpy(p, "]}", 3);
	return text;
}

static struct delivery *
delivery_of(char *body)
{
	struct delivery *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	message_set_body(&d->message, body, strlen(body));
	return d;
}

static void
take(struct fixture *w, const char *owner, const char *host, size_t bytes)
{
	decode_take(w->intake, delivery_of(body_of(host, ",1", bytes)), &w->opt, (void *)owner);
}

static void
run_until(struct fixture *w, size_t n)
{
	w->stop_after = n;
	if (w->n < n)
		loop_run(w->loop);
}

static void
a_small_message_is_read_at_once(void **state)
{
	struct fixture *w = *state;

	take(w, "1", "web01", 1000);
	assert_string_equal(w->told, "1:web01 ");
	assert_int_equal(decode_pending(w->intake), 0);
}

static void
a_large_one_is_read_by_the_thread_and_its_host_waits(void **state)
{
	struct fixture *w = *state;

	take(w, "1", "web01", 1000);
	take(w, "2", "web02", 1000000);
	take(w, "3", "web02", 1000);
	take(w, "4", "web01", DECODE_SMALL + 1);
	take(w, "5", "web01", 1000);
	take(w, "6", "web03", 1000);
	assert_string_equal(w->told, "1:web01 6:web03 ");
	assert_int_equal(decode_pending(w->intake), 4);
	run_until(w, 6);
	assert_string_equal(w->told, "1:web01 6:web03 2:web02 3:web02 4:web01 5:web01 ");
	assert_int_equal(decode_pending(w->intake), 0);
	take(w, "7", "web01", 1000);
	assert_non_null(strstr(w->told, "7:web01"));
}

/* However much waits of one. */
static void
hosts_take_turns(void **state)
{
	struct fixture *w = *state;
	int i;

	for (i = 0; i < 8; i++)
		take(w, "a", "web01", 500000);
	take(w, "b", "web02", 500000);
	take(w, "c", "web03", 100000);
	take(w, "d", "web03", 1000);
	run_until(w, 11);
	assert_non_null(strstr(w->told, "a:web01 a:web01 b:web02 c:web03 a:web01"));
	assert_non_null(strstr(w->told, "c:web03 a:web01 d:web03 a:web01"));
}

static void
take_text(struct fixture *w, const char *owner, const char *body)
{
	decode_take(w->intake, delivery_of(strdup(body)), &w->opt, (void *)owner);
}

/* Wherever it is in the body, and however it is written. */
static void
the_host_is_found(void **state)
{
	struct fixture *w = *state;

	take(w, "1", "web01", 1000000);
	take_text(w, "2", "{\"a\":[1,{\"syskey\":\"x\"}],\"format\":\"raw\",\"syskey\":\"web01\"}");
	take_text(w, "3", "{\"syskey\":\"\\u0077eb01\",\"format\":\"raw\"}");
	take_text(w, "4", "{\"a\":\"\\\"syskey\",\"syskey\":\"web02\",\"format\":\"raw\"}");
	assert_string_equal(w->told, "4:web02 ");
	take_text(w, "5", "{\"syskey\":7}");
	take_text(w, "6", "[");
	run_until(w, 6);
	assert_non_null(strstr(w->told, "1:web01 2:web01 3:web01 "));
}

#define ALIASES_SIZE 4096

/* A text of unit bytes, n times, in few bytes of YAML. */
static char *
aliases(const char *host, int unit, int n)
{
	char *body = malloc(ALIASES_SIZE), *p = body;

	assert_non_null(body);
	p += sprintf(p, "{\"syskey\":\"%s\",\"format\":\"yaml\",\"p\":\"[&a x%0*d", host, unit, 1);
	while (n-- > 1)
		p += sprintf(p, ",*a");
	sprintf(p, "]\"}");
	return body;
}

/* It is small, and becomes large: more than a pass may do goes to the thread. */
static void
take_aliases(void *arg)
{
	struct fixture *w = arg;

	decode_take(w->intake, delivery_of(aliases("web01", 1000, 100)), &w->opt, (void *)"1");
	decode_take(w->intake, delivery_of(aliases("web02", 1000, 100)), &w->opt, (void *)"2");
	decode_take(w->intake, delivery_of(aliases("web03", 1000, 100)), &w->opt, (void *)"3");
	decode_take(w->intake, delivery_of(aliases("web04", 1000, 100)), &w->opt, (void *)"4");
	assert_int_equal(decode_pending(w->intake), 1);
}

static void
what_aliases_become_is_charged(void **state)
{
	struct fixture *w = *state;
	struct loop_timer *timer = loop_timer_create(w->loop, "test", take_aliases, w);

	loop_timer_arm(timer, 0);
	run_until(w, 4);
	loop_timer_destroy(timer);
	assert_string_equal(w->told, "1:web01 2:web02 3:web03 4:web04 ");
}

static void
what_aliases_make_too_large_is_read_by_the_thread(void **state)
{
	struct fixture *w = *state;

	decode_take(w->intake, delivery_of(aliases("web01", 1000, 1000)), &w->opt, (void *)"1");
	take(w, "2", "web01", 1000);
	assert_string_equal(w->told, "");
	run_until(w, 2);
	assert_string_equal(w->told, "1:web01 2:web01 ");
}

/* At any size that the rest may have: nothing is read by half, and nothing ends the program. */
static void
without_memory_it_is_refused_whole(void **state)
{
	static const char *const formats[] = {"json", "yaml", "output", "string", "raw"};
	struct decode_options opt = {
	    .limits = {.yaml = yamlx_limits_default, .json = {.depth = JSONX_DEPTH_MAX}}};
	struct rlimit before, limit;
	struct decode_reading r;
	unsigned int good = 0, refused = 0;

	if (SANITIZED)
		skip(); /* the sanitizer takes the address space itself */
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		char *body = malloc(7100000);
		size_t len = (size_t)sprintf(
		    body, "{\"syskey\":\"h\",\"format\":\"%s\",\"p\":\"", formats[i]);
		struct delivery *d;

		memset(body + len, 'x', 7000000);
		strcpy(body + len + 7000000, "\"}");
		d = delivery_of(body);
		for (size_t left = 0; left < 30000000; left += 1500000) {
			limit = before;
			limit.rlim_cur = address_space() + left;
			assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
			decode_read(&d->message, &opt, 1, &r);
			assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
			if (r.verdict == DECODE_GOOD)
				good++;
			else
				refused += strstr(r.why, "no memory to read") != NULL;
			decode_reading_finish(&r);
		}
		delivery_destroy(d);
	}
	assert_true(good > 0);
	assert_true(refused > 0);
	assert_int_equal(good + refused, 100);
}

static void
what_is_forgotten_is_not_told_of(void **state)
{
	struct fixture *w = *state;

	take(w, "1", "web01", 1000000);
	take(w, "2", "web01", 1000000);
	decode_clear(w->intake);
	assert_int_equal(decode_pending(w->intake), 0);
	take(w, "3", "web01", 1000);
	take(w, "4", "web01", 1000000);
	take(w, "5", "web01", 1000);
	run_until(w, 3);
	assert_string_equal(w->told, "3:web01 4:web01 5:web01 ");
}

static void
the_end_does_not_wait_for_all(void **state)
{
	struct fixture *w = *state;

	take(w, "1", "web01", 1000000);
	take(w, "2", "web01", 1000000);
	decode_destroy(w->intake);
	w->intake = NULL;
	assert_string_equal(w->told, "");
}

/* Each of these takes longer to read than a pass may. */
static const char *const slow_units[] = {",5e-324", ",{\"\":1}", ",{}"};
#define N_SLOW (sizeof(slow_units) / sizeof(slow_units[0]))

static void
take_slow_ones(void *arg)
{
	struct fixture *w = arg;
	size_t i;

	for (i = 0; i < N_SLOW; i++)
		decode_take(w->intake, w->slow[i], &w->opt, (void *)"slow");
}

static void
no_pass_takes_long(void **state)
{
	struct fixture *w = *state;
	struct loop_timer *timer = loop_timer_create(w->loop, "test", take_slow_ones, w);
	size_t i;

	for (i = 0; i < N_SLOW; i++)
		w->slow[i] = delivery_of(body_of("web01", slow_units[i], 2500000));
	loop_timer_arm(timer, 0);
	run_until(w, N_SLOW);
	loop_timer_destroy(timer);
	assert_in_range(loop_max_pass_us(w->loop), 0, 100000 * SLOWER);
}

static void
assert_reads(const char *type, const char *encoding, bool expected)
{
	struct decode_options opt = {
	    .limits = {.yaml = yamlx_limits_default, .json = {.depth = JSONX_DEPTH_MAX}}};
	struct decode_reading r;
	struct message m;

	message_init(&m);
	message_set_body(&m, body_of("web01", ",1", 100), 0);
	m.body_len = strlen(m.body);
	m.content_type = type == NULL ? NULL : strdup(type);
	m.content_encoding = encoding == NULL ? NULL : strdup(encoding);
	decode_read(&m, &opt, 1, &r);
	if ((r.verdict == DECODE_GOOD) != expected)
		fail_msg("%s, %s: %s", type, encoding, r.why);
	if (!expected)
		assert_non_null(strstr(r.why, encoding != NULL ? encoding : type));
	decode_reading_finish(&r);
	message_finish(&m);
}

static void
only_plain_text_is_taken_for_a_response(void **state)
{
	assert_reads(NULL, NULL, true);
	assert_reads("", "", true);
	assert_reads("application/json", "utf-8", true);
	assert_reads("Application/JSON; charset=utf-8", "UTF-8", true);
	assert_reads("text/plain", "identity", true);
	assert_reads("application/octet-stream", NULL, true);
	assert_reads("application/vnd.vogeler+json", NULL, true);
	assert_reads("application/jsonx", NULL, false);
	assert_reads("application/x-python-serialize", NULL, false);
	assert_reads("application/msgpack", NULL, false);
	assert_reads("image/png", NULL, false);
	assert_reads("application/json", "gzip", false);
	assert_reads(NULL, "deflate", false);
}

static void
a_response_has_so_many_results_at_most(void **state)
{
	struct decode_options opt = {
	    .limits = {.yaml = yamlx_limits_default, .json = {.depth = JSONX_DEPTH_MAX}}};
	int n;

	for (n = DECODE_RESULTS_MAX; n <= DECODE_RESULTS_MAX + 1; n++) {
		struct delivery *d = delivery_of(body_of("web01", ",1", 100));
		struct decode_reading r;
		struct buf body;
		size_t len;
		char *text;
		int i;

		buf_init(&body, 100000);
		assert_true(buf_printf(&body, "{\"syskey\":\"web01\",\"format\":\"raw\""));
		for (i = 0; i < n; i++)
			assert_true(buf_printf(&body, ",\"p%d\":1", i));
		assert_true(buf_append_char(&body, '}'));
		text = buf_take(&body, &len);
		message_set_body(&d->message, text, len);
		decode_read(&d->message, &opt, 1, &r);
		assert_int_equal(
		    r.verdict, n <= DECODE_RESULTS_MAX ? DECODE_GOOD : DECODE_MALFORMED);
		decode_reading_finish(&r);
		delivery_destroy(d);
	}
}

#define WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	/* The first goes first: a thread leaves address space behind that malloc() would take. */
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_memory_it_is_refused_whole),
	    WORLD(a_small_message_is_read_at_once),
	    WORLD(a_large_one_is_read_by_the_thread_and_its_host_waits),
	    WORLD(hosts_take_turns),
	    WORLD(the_host_is_found),
	    WORLD(what_aliases_become_is_charged),
	    WORLD(what_aliases_make_too_large_is_read_by_the_thread),
	    WORLD(what_is_forgotten_is_not_told_of),
	    WORLD(the_end_does_not_wait_for_all),
	    WORLD(no_pass_takes_long),
	    cmocka_unit_test(only_plain_text_is_taken_for_a_response),
	    cmocka_unit_test(a_response_has_so_many_results_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
