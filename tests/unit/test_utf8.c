/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/utf8.h"

#include <cmocka.h>
#include <string.h>

static void
every_code_point_is_written_and_read_back(void **state)
{
	char text[UTF8_CHAR_MAX];
	uint32_t code;
	size_t n;

	for (code = 0; code <= 0x10ffff; code++) {
		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		n = utf8_write(code, text);
		assert_int_equal(utf8_char(text, n), n);
		assert_int_equal(n > 1 ? utf8_char(text, n - 1) : 0, 0); /* cut */
	}
}

static void
what_is_no_character_has_no_length(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf",
	    "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x92("};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(utf8_char(bad[i], strlen(bad[i])), 0);
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
	}
}

static void
a_bad_byte_is_seen_wherever_it_is(void **state)
{
	char text[32];
	size_t i;

	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("1234567\xc3\xbc 1234567\xf0\x9f\x92\xa9", 21));
	for (i = 0; i < sizeof(text); i++) {
		memset(text, 'a', sizeof(text));
		assert_true(utf8_is_valid(text, sizeof(text)));
		text[i] = '\xfc';
		assert_false(utf8_is_valid(text, sizeof(text)));
	}
}

static void
hexadecimal_digits_are_all_read_or_none(void **state)
{
	(void)state;
	assert_int_equal(utf8_hex("00fF", 4), 0xff);
	assert_int_equal(utf8_hex("ffffffff", 8), 0xffffffff);
	assert_int_equal(utf8_hex("12g4", 4), -1);
	assert_int_equal(utf8_hex("\x10\x11\x12\x13", 4), -1);
}

static void
surrogates_are_a_character_as_a_pair_alone(void **state)
{
	(void)state;
	assert_int_equal(utf8_pair(0xd800, 0xdc00), 0x10000);
	assert_int_equal(utf8_pair(0xdbff, 0xdfff), 0x10ffff);
	assert_int_equal(utf8_pair(0xdc00, 0xd800), 0);
	assert_int_equal(utf8_pair(0xd7ff, 0xdc00), 0);
	assert_int_equal(utf8_pair(0xd800, 0xe000), 0);
	assert_true(utf8_is_surrogate(0xd800) && utf8_is_surrogate(0xdfff));
	assert_false(utf8_is_surrogate(0xd7ff) || utf8_is_surrogate(0xe000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hexadecimal_digits_are_all_read_or_none),
	    cmocka_unit_test(surrogates_are_a_character_as_a_pair_alone),
	    cmocka_unit_test(every_code_point_is_written_and_read_back),
	    cmocka_unit_test(what_is_no_character_has_no_length),
	    cmocka_unit_test(a_bad_byte_is_seen_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
