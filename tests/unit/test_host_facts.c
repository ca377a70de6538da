/* SPDX-License-Identifier: Apache-2.0 */
/* What values say about their host, of each program that tells, and of values of any other shape.
 */
#include "admin/host_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
expect(const char *text, const char *os, const char *address)
{
	json_t *rec = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	char *its_os = host_facts_os(rec);
	const char *its = host_facts_address(rec);

	assert_non_null(rec);
	if (os == NULL)
		assert_null(its_os);
	else
		assert_string_equal(its_os, os);
	if (address == NULL)
		assert_null(its);
	else
		assert_string_equal(its, address);
	free(its_os);
	json_decref(rec);
}

static void
os_release_lines(void **state)
{
	expect(
	    "{\"os-release\":[\"NAME=Some\",\"PRETTY_NAME=\\\"Debian GNU/Linux 12 (bookworm)\\\"\"]}",
	    "Debian GNU/Linux 12 (bookworm)", NULL);
	expect("{\"os-release\":[\"NAME='Alpine Linux'\",\"VERSION_ID=3.20\"]}",
	    "Alpine Linux 3.20", NULL);
	expect("{\"os-release\":[\"NAME=Arch\"]}", "Arch", NULL);
	expect("{\"os-release\":[\"PRETTY_NAME=\\\"a \\\\\\\"b\\\\\\\" \\\\$c\\\"\"]}",
	    "a \"b\" $c", NULL);
	expect("{\"os-release\":[\"PRETTY_NAME=\\\"\\\"\",\"NAME=\\\"\\\"\"]}", NULL, NULL);
	expect("{\"os-release\":[\"PRETTY_NAME=\",\"NAMELESS=x\",7]}", NULL, NULL);
}

static void
facter_of_each_age(void **state)
{
	expect("{\"facter\":{\"os\":{\"name\":\"Debian\",\"release\":{\"full\":\"12.5\"}},"
	       "\"networking\":{\"ip\":\"192.0.2.7\",\"ip6\":\"2001:db8::7\"}}}",
	    "Debian 12.5", "192.0.2.7");
	expect(
	    "{\"facter\":{\"os\":{\"name\":\"Debian\",\"distro\":{\"description\":\"Debian 12\"}},"
	    "\"networking\":{\"ip6\":\"2001:db8::7\"}}}",
	    "Debian 12", "2001:db8::7");
	expect("{\"facter\":{\"operatingsystem\":\"CentOS\",\"operatingsystemrelease\":\"5.5\","
	       "\"ipaddress\":\"192.0.2.8\"}}",
	    "CentOS 5.5", "192.0.2.8");
	expect("{\"facter\":{\"operatingsystem\":\"CentOS\",\"ipaddress\":\"\"}}", "CentOS", NULL);
}

static void
ohai(void **state)
{
	expect("{\"ohai\":{\"platform\":\"ubuntu\",\"platform_version\":\"24.04\","
	       "\"ipaddress\":\"192.0.2.9\"}}",
	    "ubuntu 24.04", "192.0.2.9");
}

#define LINK(family, scope, local)                                                                 \
	"{\"addr_info\":[{\"family\":\"" family "\",\"scope\":\"" scope "\",\"local\":\"" local    \
	"\"}]}"

static void
addresses_of_interfaces(void **state)
{
	expect("{\"network\":[" LINK("inet", "host", "127.0.0.1") "," LINK(
		   "inet6", "global", "2001:db8::7") "," LINK("inet", "global",
		   "192.0.2.7") "," LINK("inet", "global", "172.17.0.1") "]}",
	    NULL, "192.0.2.7");
	expect("{\"network\":[" LINK("inet", "host", "127.0.0.1") "," LINK(
		   "inet6", "link", "fe80::7") "," LINK("inet6", "global", "2001:db8::7") "]}",
	    NULL, "2001:db8::7");
	expect("{\"network\":[" LINK("inet", "host", "127.0.0.1") "]}", NULL, NULL);
}

/* A value of one of these names may be of any plugin. */
static void
other_shapes(void **state)
{
	expect("{}", NULL, NULL);
	expect("{\"facter\":null,\"ohai\":7,\"os-release\":\"NAME=x\",\"network\":\"eth0\"}", NULL,
	    NULL);
	expect("{\"facter\":[\"os\"],\"ohai\":{\"platform\":{},\"ipaddress\":1},\"os-release\":{},"
	       "\"network\":[1,{\"addr_info\":7},{\"addr_info\":[null,{}]}]}",
	    NULL, NULL);
	expect("{\"facter\":{\"os\":\"Linux\",\"networking\":[]}}", NULL, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(os_release_lines),
	    cmocka_unit_test(facter_of_each_age),
	    cmocka_unit_test(ohai),
	    cmocka_unit_test(addresses_of_interfaces),
	    cmocka_unit_test(other_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
