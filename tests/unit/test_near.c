/* SPDX-License-Identifier: Apache-2.0 */
/* Which name was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/near.h"

#include <cmocka.h>

#define N(list) (sizeof(list) / sizeof((list)[0]))

static const char *const hosts[] = {
    "db01.example.com", "h1", "proxy", "web01", "web02", "web02.example.com", "web10", "Mail"};

static void
check(const char *typed, const char *meant)
{
	const char *near = near_host(typed, hosts, N(hosts));

	if (meant == NULL)
		assert_null(near);
	else
		assert_string_equal(near == NULL ? "none" : near, meant);
}

static void
a_host_in_other_letters_or_without_its_domain(void **state)
{
	check("WEB01", "web01");
	check("mail", "Mail");
	check("db01", "db01.example.com");
	check("DB01", "db01.example.com");
	check("h1.example.com", "h1");
	check("WEB02", "web02"); /* before the one with a domain */
	check("Web02.Example.Com", "web02.example.com");
}

static void
a_host_with_other_zeros_or_slips(void **state)
{
	check("web1", "web01");
	check("web001", "web01");
	check("h01", "h1");
	check("web010", "web10");
	check("wbe01", "web01");
	check("PORXY", "proxy");
	check("DB1", "db01.example.com");
	check("db01.exmaple.com", "db01.example.com");
}

static void
another_number_is_another_host(void **state)
{
	check("web03", NULL);
	check("web", NULL);
	check("web011", NULL);
	check("web20", NULL);
	check("h2", NULL);
	check("db02.example.com", NULL); /* though all but two letters is web02.example.com */
	assert_null(near_host("r1n10", (const char *const[]){"r11n0"}, 1));
}

static void
what_is_far_is_not_meant(void **state)
{
	char longest[254] = {0};

	check("", NULL);
	check("nowhere", NULL);
	check("xyz01", NULL); /* of so short a name that is another */
	check("a1", NULL);
	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = 'a';
	check(longest, NULL);
	assert_null(near_host("web01", NULL, 0));
}

static void
words_a_slip_away(void **state)
{
	static const char *const words[] = {"df", "packages", "os-release"};

	assert_string_equal(near_name("pakages", words, N(words)), "packages");
	assert_string_equal(near_name("os_release", words, N(words)), "os-release");
	assert_int_equal(near_distance("facter", "fatcer"), 1);
	assert_int_equal(near_distance("ca", "abc"), 3); /* no letter is moved twice */
	assert_int_equal(near_distance("", "abc"), 3);
	assert_int_equal(near_distance("kitten", "sitting"), 3);
	assert_null(near_name("ps", words, N(words)));
	assert_null(near_name("uptime", words, N(words)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_in_other_letters_or_without_its_domain),
	    cmocka_unit_test(a_host_with_other_zeros_or_slips),
	    cmocka_unit_test(another_number_is_another_host),
	    cmocka_unit_test(what_is_far_is_not_meant),
	    cmocka_unit_test(words_a_slip_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
