/* SPDX-License-Identifier: Apache-2.0 */
/* ident: layout of the UUIDs, order in time, stability. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/ident.h"
#include <regex.h>
#include <string.h>

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
	regfree(&re);
}

static void
jobs_are_uuid7(void **state)
{
	char a[IDENT_SIZE], b[IDENT_SIZE];

	/* The time of RFC 9562 A.6. */
	ident_job(a, 0x017F22E279B0);
	assert_matches(a, "^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
	ident_job(b, 0x017F22E279B0);
	assert_string_not_equal(a, b);
	ident_job(b, 0x017F22E279B1);
	assert_true(strcmp(a, b) < 0);
}

static void
responses_are_derived(void **state)
{
	char a[IDENT_SIZE], b[IDENT_SIZE];

	ident_response(a, "job", "web01", "facter");
	assert_matches(a, "^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$");
	ident_response(b, "job", "web01", "facter");
	assert_string_equal(a, b);
	/* Fixed for ever: an agent of another version must come to the same id. */
	assert_string_equal(a, "6529a212-9d4a-8b45-b683-b98108e42e0d");
	ident_response(b, "job", "web0", "1facter");
	assert_string_not_equal(a, b);
	ident_response(b, "job2", "web01", "facter");
	assert_string_not_equal(a, b);
	ident_response(b, "job", "web02", "facter");
	assert_string_not_equal(a, b);
	ident_response(b, "job", "web01", "ohai");
	assert_string_not_equal(a, b);
}

static void
hashes_are_blake2b_256(void **state)
{
	char h[IDENT_HASH_SIZE];

	/* As "printf abc | b2sum -l 256" says. */
	ident_hash(h, "abc", 3);
	assert_string_equal(h, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	ident_hash(h, "", 0);
	assert_string_equal(h, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

static void
random_numbers_differ(void **state)
{
	uint32_t first = ident_random32();
	int same = 0;

	for (int i = 0; i < 10; i++)
		same += ident_random32() == first;
	assert_true(same < 10);
}

static int
setup(void **state)
{
	ident_init();
	ident_init(); /* twice is fine */
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(jobs_are_uuid7),
	    cmocka_unit_test(responses_are_derived),
	    cmocka_unit_test(hashes_are_blake2b_256),
	    cmocka_unit_test(random_numbers_differ),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
