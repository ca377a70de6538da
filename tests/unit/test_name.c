/* SPDX-License-Identifier: Apache-2.0 */
/* name: hosts and plugins. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/name.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* n bytes of 'a' with a dot after each 63. */
static char *
long_name(char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = i % 64 == 63 ? '.' : 'a';
	out[n] = '\0';
	return out;
}

static void
good_hosts(void **state)
{
	const char *const good[] = {"web01", "web01.example.com", "WEB01.Example.com", "1", "3com",
	    "10.0.0.1", "a-b.c--d", "xn--bcher-kva.example", "allhosts", "master", "master.in.x",
	    "broadcasts", "amq", "amqp", "my-vogeler", "All"};
	char name[300];

	for (size_t i = 0; i < N(good); i++) {
		if (name_host_error(good[i]) != NULL)
			fail_msg("%s: %s", good[i], name_host_error(good[i]));
	}
	assert_null(name_host_error(long_name(name, 253)));
	assert_null(name_host_error(long_name(name, 63)));
}

static void
bad_hosts(void **state)
{
	const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a.b-.c", "a_b",
	    "a b", "a/b", "_design/x", "a\nb", "a*", "#", "b\xc3\xbc", "all", "master.in",
	    "vogeler", "vogeler.dead", "vogeler.example.com", "vogelerhost", "broadcasts.all",
	    "broadcasts.x", "amq.gen-x"};
	char name[300];

	for (size_t i = 0; i < N(bad); i++) {
		if (name_host_error(bad[i]) == NULL)
			fail_msg("\"%s\" passed", bad[i]);
	}
	assert_non_null(name_host_error(long_name(name, 254)));
	memset(name, 'a', 64);
	name[64] = '\0';
	assert_non_null(name_host_error(name));
}

static void
good_plugins(void **state)
{
	const char *const good[] = {
	    "facter", "ps", "os-release", "rpm_qa", "a.b", "9", "-x", "Format", "vogeler2"};
	char name[100];

	for (size_t i = 0; i < N(good); i++)
		assert_null(name_plugin_error(good[i]));
	memset(name, 'a', 63);
	name[63] = '\0';
	assert_null(name_plugin_error(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_non_null(name_plugin_error(name));
}

static void
bad_plugins(void **state)
{
	const char *const bad[] = {"", "_id", "_", ".x", "a b", "a/b", "a\n", "\xc3\xbc", "syskey",
	    "format", "last_error", "system_name", "doc_type", "created_at", "updated_at",
	    "vogeler"};

	for (size_t i = 0; i < N(bad); i++) {
		if (name_plugin_error(bad[i]) == NULL)
			fail_msg("\"%s\" passed", bad[i]);
	}
}

static void
reserved_keys(void **state)
{
	assert_true(name_is_reserved("_rev"));
	assert_true(name_is_reserved("syskey"));
	assert_true(name_is_reserved("updated_at"));
	assert_false(name_is_reserved(""));
	assert_false(name_is_reserved("facter"));
	assert_false(name_is_reserved("formats"));
}

static void
this_host_is_uname(void **state)
{
	char *name = name_of_this_host();
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	assert_string_equal(name, u.nodename);
	free(name);
}

static void
the_first_of_some_names(void **state)
{
	static const char *const names[] = {"web02", "web01", "db"};
	static const struct {
		size_t n, max;
		const char *text;
	} rows[] = {
	    {0, 3, ""}, {1, 3, "web02"}, {3, 3, "web02, web01, db"},
	    {3, 2, "web02, web01 and 1 more"}, {3, 1, "web02 and 2 more"},
	    {70, 3, "web02, web01, db and 67 more"}, /* of which there are three */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = names_some(names, rows[i].n, rows[i].max);

		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_hosts),
	    cmocka_unit_test(bad_hosts),
	    cmocka_unit_test(good_plugins),
	    cmocka_unit_test(bad_plugins),
	    cmocka_unit_test(reserved_keys),
	    cmocka_unit_test(this_host_is_uname),
	    cmocka_unit_test(the_first_of_some_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
