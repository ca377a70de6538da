/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that is printed is obeyed by a terminal, and nothing makes one line look like another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/printable.h"
#include "shared/wire/jsonx.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
assert_shown(const char *text, enum printable_breaks breaks, const char *expected)
{
	char *got = printable_text(text, breaks);

	assert_string_equal(got, expected);
	free(got);
}

static void
text_stays(void **state)
{
	assert_shown("exit status 2: caf\303\251", PRINTABLE_BLANK, "exit status 2: caf\303\251");
	assert_shown("\342\202\254 \360\237\230\200 \\x1b", PRINTABLE_ESCAPE,
	    "\342\202\254 \360\237\230\200 \\x1b");
	assert_shown("\302\240", PRINTABLE_BLANK, "\302\240"); /* the first behind C1 */
	assert_shown("", PRINTABLE_BLANK, "");
}

static void
controls_are_escaped(void **state)
{
	assert_shown("\033[2J\033]0;x\007", PRINTABLE_BLANK, "\\x1b[2J\\x1b]0;x\\x07");
	assert_shown("a\177b", PRINTABLE_BLANK, "a\\u007fb");
	assert_shown("\302\200 \302\233\062J \302\237", PRINTABLE_BLANK,
	    "\\u0080 \\u009b2J \\u009f"); /* C1 */
	assert_shown("\377\300x\303", PRINTABLE_BLANK, "\\xff\\xc0x\\xc3");
	assert_shown("\342\202", PRINTABLE_BLANK, "\\xe2\\x82");
	assert_shown("\355\240\200", PRINTABLE_BLANK, "\\xed\\xa0\\x80"); /* a surrogate */
}

static void
bidi_controls_are_escaped(void **state)
{
	static const char *const all[] = {"\330\234", "\342\200\216", "\342\200\217",
	    "\342\200\252", "\342\200\253", "\342\200\254", "\342\200\255", "\342\200\256",
	    "\342\201\246", "\342\201\247", "\342\201\250", "\342\201\251", "\342\200\250",
	    "\342\200\251"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char *got = printable_text(all[i], PRINTABLE_BLANK);

		assert_int_equal(strlen(got), 6);
		assert_memory_equal(got, "\\u", 2);
		free(got);
	}
	assert_shown("\342\200\255", PRINTABLE_BLANK, "\\u202d");
}

static void
invisible(void **state)
{
	assert_shown("a\302\255b", PRINTABLE_BLANK, "a\\u00adb");
	assert_shown("a\342\200\213b", PRINTABLE_BLANK, "a\\u200bb");
	assert_shown("a\342\201\240b\342\201\257", PRINTABLE_BLANK, "a\\u2060b\\u206f");
	assert_shown("\357\273\277a", PRINTABLE_BLANK, "\\ufeffa");
	assert_shown("\363\240\201\201", PRINTABLE_BLANK, "\\udb40\\udc41");
	assert_shown("\342\200\215", PRINTABLE_BLANK, "\342\200\215");
}

static void
breaks(void **state)
{
	assert_shown("a\nb\tc\rd", PRINTABLE_BLANK, "a b c d");
	assert_shown("a\nb\tc\rd", PRINTABLE_ESCAPE, "a\\x0ab\\x09c\\x0dd");
	assert_shown("a\nb\tc\rd", PRINTABLE_KEEP_BREAKS, "a\nb\tc\\x0dd");
}

/* What is shown of a record can be given to jq, and is the same. */
static void
json_means_the_same(void **state)
{
	static const char text[] = "\033\177\302\233\342\200\256 \303\251\360\237\230\200";
	json_t *value = json_pack("{s:s}", text, text), *again;
	struct buf out;
	char *shown, err[256];

	buf_init(&out, 4096);
	assert_true(jsonx_write_pretty(&out, value));
	shown = printable_text(out.data, PRINTABLE_KEEP_BREAKS);
	assert_null(strpbrk(shown, "\033\177"));
	again = jsonx_parse(shown, strlen(shown), NULL, err, sizeof(err));
	assert_true(json_equal(value, again));
	json_decref(again);
	json_decref(value);
	free(shown);
	buf_finish(&out);
}

static void
widths(void **state)
{
	assert_int_equal(printable_width(""), 0);
	assert_int_equal(printable_width("caf\303\251"), 4);
	assert_int_equal(printable_width("\346\227\245\346\234\254"), 4); /* two wide ones */
	assert_int_equal(printable_width("e\314\201"), 1);                /* combining */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_stays),
	    cmocka_unit_test(controls_are_escaped),
	    cmocka_unit_test(bidi_controls_are_escaped),
	    cmocka_unit_test(invisible),
	    cmocka_unit_test(breaks),
	    cmocka_unit_test(json_means_the_same),
	    cmocka_unit_test(widths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
