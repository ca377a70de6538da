/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/xalloc.h"
#include "shared/store/couch/pack.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
comes_back_as_it_was(void **state)
{
	struct pack *p = pack_create();

	(void)state;
	for (size_t len = 256; len < 3000000; len = len * 3 + 1) {
		char *text = xcalloc(1, len + 1), *back;
		size_t packed_len;
		void *packed;

		for (size_t i = 0; i < len; i++)
			text[i] = (char)('a' + i % 7 + i / 1000 % 3);
		packed = pack_text(p, text, len, &packed_len);
		assert_non_null(packed);
		assert_true(packed_len < len / 2);
		back = pack_open(p, packed, packed_len, len);
		assert_string_equal(back, text);
		free(back);
		free(packed);
		free(text);
	}
	pack_destroy(p);
	pack_destroy(NULL);
}

static void
what_does_not_pay_is_left(void **state)
{
	struct pack *p = pack_create();
	char noise[5000];
	size_t len;

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)rand();
	assert_null(pack_text(p, noise, sizeof(noise), &len));
	memset(noise, 'x', sizeof(noise));
	assert_null(pack_text(p, noise, 100, &len)); /* too small */
	assert_null(pack_text(p, "", 0, &len));
	pack_destroy(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comes_back_as_it_was),
	    cmocka_unit_test(what_does_not_pay_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
