/* SPDX-License-Identifier: Apache-2.0 */
/* listen: addresses that may stand in the configuration, and those that may not. */
#include "shared/event/listen_addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>

static void
ip4(void **state)
{
	const struct sockaddr_in *sin;
	struct listen_addr a;
	char err[256];

	assert_true(listen_addr_parse("127.0.0.1:22010", &a, err, sizeof(err)));
	sin = (const struct sockaddr_in *)&a.addr;
	assert_int_equal(a.len, sizeof(*sin));
	assert_int_equal(sin->sin_family, AF_INET);
	assert_int_equal(ntohs(sin->sin_port), 22010);
	assert_int_equal(ntohl(sin->sin_addr.s_addr), INADDR_LOOPBACK);
}

static void
ip6(void **state)
{
	const struct sockaddr_in6 *sin6;
	struct listen_addr a;
	char err[256];

	assert_true(listen_addr_parse("[::1]:65535", &a, err, sizeof(err)));
	sin6 = (const struct sockaddr_in6 *)&a.addr;
	assert_int_equal(a.len, sizeof(*sin6));
	assert_int_equal(sin6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(sin6->sin6_port), 65535);
	assert_memory_equal(&sin6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
}

static void
loopback(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {{"127.0.0.1:1", true}, {"127.255.0.9:1", true}, {"[::1]:1", true},
	    {"[::ffff:127.0.0.1]:1", true}, {"0.0.0.0:1", false}, {"[::]:1", false},
	    {"126.0.0.1:1", false}, {"128.0.0.1:1", false}, {"[::2]:1", false},
	    {"[::ffff:10.0.0.1]:1", false}};
	struct listen_addr a;
	char err[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(listen_addr_parse(cases[i].text, &a, err, sizeof(err)));
		assert_int_equal(listen_addr_is_loopback(&a), cases[i].is);
	}
}

static void
refused(void **state)
{
	static const char *const bad[] = {"", ":", "22010", "127.0.0.1",
	    "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 1",
	    "127.0.0.1:1x", "localhost:22010", ":22010", "[]:1", "[:1", "[::1]", "::1:22010",
	    "[::1:22010", "[127.0.0.1]:1",
	    "127.0.0.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1:1"};
	struct listen_addr a;
	char err[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		assert_false(listen_addr_parse(bad[i], &a, err, sizeof(err)));
		assert_non_null(strstr(err, "like 127.0.0.1:22010"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ip4),
	    cmocka_unit_test(ip6),
	    cmocka_unit_test(loopback),
	    cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
