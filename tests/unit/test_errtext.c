/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/errtext.h"
#include "shared/base/trouble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

static void
errors_become_plain_phrases(void **state)
{
	assert_string_equal("connection refused", errtext_errno(ECONNREFUSED));
	assert_string_equal("connection timed out", errtext_errno(ETIMEDOUT));
	assert_string_equal("Permission denied", errtext_errno(EACCES));
	assert_string_equal("unknown error", errtext_errno(123456));
}

static void
resolves(int rc, int err, const char *what, enum trouble_kind kind)
{
	struct trouble t;

	errtext_resolve(rc, err, &t);
	if (what != NULL)
		assert_string_equal(what, t.what);
	assert_string_not_equal(t.what, "");
	assert_int_equal(kind, t.kind);
}

static void
resolver_failures_become_plain_phrases(void **state)
{
	resolves(EAI_NONAME, 0, "no such host", TROUBLE_NAMES);
	resolves(EAI_AGAIN, 0, "the name server does not answer", TROUBLE_NAMES);
	resolves(EAI_FAIL, 0, NULL, TROUBLE_NAMES);
	resolves(EAI_SYSTEM, EMFILE, "too many open files", TROUBLE_OTHER);
	resolves(EAI_SOCKTYPE, 0, NULL, TROUBLE_OTHER);
}

static void
assert_said(const char *text, const char *expected)
{
	char *said = errtext_of_host(text);

	assert_string_equal(said, expected);
	free(said);
}

static void
hosts_of_2010_are_told_in_plain_words(void **state)
{
#define OF_2010 "Plugin ps is not authorized for this host. Ignoring"
	assert_said(OF_2010, "this host has no plugin ps");
	assert_said(OF_2010 ".", "this host has no plugin ps");
	assert_said(OF_2010 ". Registered here: a b", "this host has no plugin ps; it has: a b");
	assert_said("Plugin is not authorized for this host. Ignoring",
	    "Plugin is not authorized for this host. Ignoring");
	assert_said("exit status 2", "exit status 2");
	assert_said("", "");
}

static void
what_stands_beside_its_plugin_does_not_name_it(void **state)
{
	static const struct {
		const char *plugin, *text, *said;
	} cases[] = {
	    {"df", "df: exit status 2: df: no disk", "exit status 2: df: no disk"},
	    {"df", "df exits: 2", "df exits: 2"},
	    {"df", "dfx: exit status 2", "dfx: exit status 2"},
	    {"", ": odd", ": odd"},
	    {"ps", OF_2010, "this host has no plugin ps"},
	    {"df", "", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *said = errtext_of_plugin(cases[i].plugin, cases[i].text);

		assert_string_equal(said, cases[i].said);
		free(said);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(errors_become_plain_phrases),
	    cmocka_unit_test(hosts_of_2010_are_told_in_plain_words),
	    cmocka_unit_test(what_stands_beside_its_plugin_does_not_name_it),
	    cmocka_unit_test(resolver_failures_become_plain_phrases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
