/* SPDX-License-Identifier: Apache-2.0 */
/* message: headers by name, what their text means, limits, size. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/amqp/message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
headers_by_name(void **state)
{
	struct message m;
	int64_t i = 7;
	bool b = false;

	message_init(&m);
	message_add_str(&m, "plugin", "facter");
	message_add_int(&m, "order", INT64_MAX);
	message_add_bool(&m, "truncated", true);
	message_add_str(&m, "absent", NULL);
	assert_int_equal(m.n_headers, 3);
	assert_string_equal(message_str(&m, "plugin"), "facter");
	assert_true(message_int(&m, "order", &i));
	assert_true(i == INT64_MAX);
	assert_true(message_bool(&m, "truncated", &b));
	assert_true(b);

	assert_string_equal(message_str(&m, "order"), "9223372036854775807");
	assert_string_equal(message_str(&m, "truncated"), "true");
	assert_null(message_str(&m, "absent"));
	i = 7;
	assert_false(message_int(&m, "plugin", &i));
	assert_false(message_int(&m, "truncated", &i));
	assert_true(i == 7);
	assert_false(message_bool(&m, "order", &b));
	message_finish(&m);
	message_finish(&m); /* twice is fine */
}

/* A number is its digits and nothing else, so that a limit is not read out of something else. */
static void
text_that_is_no_number(void **state)
{
	static const char *const none[] = {"", "-", "+1", " 1", "1 ", "1.0", "0x10", "1e3", "--1",
	    "9223372036854775808", "-9223372036854775809", "99999999999999999999999999"};
	struct message m;
	int64_t i = 7;
	bool b = true;

	for (size_t n = 0; n < sizeof(none) / sizeof(none[0]); n++) {
		message_init(&m);
		message_add_str(&m, "n", none[n]);
		assert_false(message_int(&m, "n", &i));
		assert_false(message_bool(&m, "n", &b));
		assert_true(i == 7 && b);
		message_finish(&m);
	}
	message_init(&m);
	message_add_int(&m, "low", INT64_MIN);
	message_add_str(&m, "zeros", "-007");
	assert_true(message_int(&m, "low", &i) && i == INT64_MIN);
	assert_true(message_int(&m, "zeros", &i) && i == -7);
	message_finish(&m);
}

static void
headers_are_taken_away_by_name(void **state)
{
	struct message m;
	int64_t i;

	message_init(&m);
	message_add_str(&m, "a", "1");
	message_add_int(&m, "b", 2);
	message_add_bool(&m, "a", true);
	message_add_str(&m, "c", "3");
	assert_true(message_drop(&m, "a"));
	assert_int_equal(m.n_headers, 2);
	assert_true(message_int(&m, "b", &i));
	assert_string_equal(message_str(&m, "c"), "3");
	assert_false(message_drop(&m, "a"));
	assert_true(message_drop(&m, "c"));
	assert_true(message_drop(&m, "b"));
	assert_int_equal(m.n_headers, 0);
	message_finish(&m);
}

static void
too_many_headers_are_dropped(void **state)
{
	struct message m;
	char name[32];
	int64_t i;

	message_init(&m);
	for (int n = 0; n < MESSAGE_HEADERS_MAX + 10; n++) {
		snprintf(name, sizeof(name), "h%d", n);
		message_add_int(&m, name, n);
	}
	message_add_str(&m, "s", "x");
	message_add_bool(&m, "b", true);
	assert_int_equal(m.n_headers, MESSAGE_HEADERS_MAX);
	assert_true(message_int(&m, "h63", &i));
	assert_false(message_int(&m, "h64", &i));
	message_finish(&m);
}

static void
body_and_size(void **state)
{
	struct message m;
	size_t empty;

	message_init(&m);
	empty = message_size(&m);
	message_set_body(&m, strdup("first"), 5);
	message_set_body(&m, strdup("second"), 6); /* the first is freed: asan would tell */
	assert_string_equal(m.body, "second");
	assert_int_equal(m.body_len, 6);
	assert_true(message_size(&m) >= empty + 6);
	m.user_id = strdup("0123456789");
	message_add_str(&m, "0123456789", "0123456789");
	assert_true(message_size(&m) >= empty + 6 + 30);
	message_finish(&m);
	assert_null(m.body);
	assert_int_equal(m.body_len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(headers_by_name),
	    cmocka_unit_test(text_that_is_no_number),
	    cmocka_unit_test(headers_are_taken_away_by_name),
	    cmocka_unit_test(too_many_headers_are_dropped),
	    cmocka_unit_test(body_and_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
