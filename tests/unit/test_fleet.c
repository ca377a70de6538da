/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "agent/report.h"
#include "bench/fleet.h"
#include "daemon/read/convert.h"
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/config/plugin.h"
#include "shared/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#define BEGAN  INT64_C(1795374000000)
#define MINUTE 60000

static const struct fleet fleet = {
    .seed = 1, .began = BEGAN, .hosts = 200, .failing = 2, .hanging = 1, .silent = 2};

static struct plugin_set plugins;

static char *
print(uint32_t host, const char *plugin, int64_t wallclock_ms)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_true(fleet_print(&fleet, host, plugin, wallclock_ms, &out));
	return buf_take(&out, NULL);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
each_name_is_there_once(void **state)
{
	char(*names)[FLEET_NAME_SIZE] = calloc(10000, FLEET_NAME_SIZE);

	for (uint32_t i = 0; i < 10000; i++)
		fleet_host(&fleet, i, names[i]);
	qsort(names, 10000, FLEET_NAME_SIZE, by_name);
	for (uint32_t i = 1; i < 10000; i++)
		assert_string_not_equal(names[i - 1], names[i]);
	fleet_host(&fleet, 0, names[0]);
	assert_string_equal(names[0], "web01");
	free(names);
}

static void
shares_of_trouble_are_as_asked(void **state)
{
	unsigned int n[FLEET_SILENT + 1] = {0};

	for (uint32_t i = 0; i < 200; i++)
		n[fleet_trouble(&fleet, i)]++;
	assert_int_equal(n[FLEET_FAILING], 4);
	assert_int_equal(n[FLEET_HANGING], 2);
	assert_int_equal(n[FLEET_SILENT], 4);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(fleet_trouble(&fleet, i), FLEET_WELL);
}

/* The answer as the collector would read it; the caller frees. */
static struct response
answer(uint32_t host, const char *plugin)
{
	const struct report_origin origin = {.host = "web01"};
	const struct report_request req = {
	    .plugin = plugin,
	    .job = "01a20506-77ae-73dc-8994-ecbe752139c8",
	    .format = plugin_find(&plugins, plugin)->format,
	};
	static struct message m; /* what is read is in it */
	struct response sent, read;
	struct child_event done;
	struct buf out;
	char err[256];

	buf_init(&out, 1 << 20);
	fleet_run(&fleet, host, plugin, BEGAN + 1, &done, &out);
	report_run(&sent, &origin, &req, &done, &out, BEGAN + 1, BEGAN + 1);
	buf_finish(&out);
	message_finish(&m);
	assert_true(wire_response_encode(&sent, &m));
	assert_true(wire_response_decode(&m, &read, err, sizeof(err)));
	response_finish(&sent);
	return read;
}

static void
every_plugin_answers_what_the_collector_can_read(void **state)
{
	for (unsigned int i = 0; i < FLEET_PLUGINS; i++) {
		struct response r = answer(0, fleet_plugin(i));
		struct result **results;

		assert_int_equal(r.meta.state, WIRE_OK);
		assert_string_equal(r.meta.job, "01a20506-77ae-73dc-8994-ecbe752139c8");
		assert_int_equal(convert_response(&r, NULL, BEGAN, &results), 1);
		assert_null(results[0]->unparsed);
		assert_non_null(results[0]->value);
		assert_true(results[0]->value[0] == '[' || results[0]->value[0] == '{');
		convert_free(results, 1);
		response_finish(&r);
	}
}

static void
plugins_are_defined_with_their_aliases(void **state)
{
	assert_int_equal(plugins.n, FLEET_PLUGINS);
	assert_null(plugin_find(&plugins, "nosuch"));
	assert_string_equal(plugin_find(&plugins, "get_facts")->name, "facter");
}

static uint32_t
first_with(enum fleet_trouble trouble)
{
	uint32_t i = 0;

	while (fleet_trouble(&fleet, i) != trouble)
		i++;
	return i;
}

static void
trouble_is_of_one_plugin(void **state)
{
	struct response r = answer(first_with(FLEET_FAILING), "packages");

	assert_int_equal(r.meta.state, WIRE_FAILED);
	assert_int_equal(r.meta.exit_status, 2);
	assert_non_null(strstr(r.meta.stderr_tail, "dpkg-query"));
	response_finish(&r);
	r = answer(first_with(FLEET_FAILING), "facter");
	assert_int_equal(r.meta.state, WIRE_OK);
	response_finish(&r);
	r = answer(first_with(FLEET_HANGING), "facter");
	assert_int_equal(r.meta.state, WIRE_TIMEOUT);
	response_finish(&r);
	assert_int_equal(
	    fleet_delay_ms(&fleet, first_with(FLEET_HANGING), "facter"), FLEET_TIMEOUT_MS);
}

/* The same moment prints the same; an hour later packages have been updated and hardware has not.
 */
static void
it_changes_as_a_fleet_does(void **state)
{
	char *now = print(5, "packages", BEGAN), *again = print(5, "packages", BEGAN);
	char *later = print(5, "packages", BEGAN + 120 * MINUTE);

	assert_string_equal(now, again);
	assert_string_not_equal(now, later);
	free(now);
	free(again);
	free(later);
	now = print(5, "disks", BEGAN);
	later = print(5, "disks", BEGAN + 120 * MINUTE);
	assert_string_equal(now, later);
	free(now);
	free(later);
}

static void
hosts_differ(void **state)
{
	char *one = print(0, "packages", BEGAN), *other = print(4, "packages", BEGAN);

	assert_non_null(strstr(one, "\nnginx "));
	assert_null(strstr(other, "\nnginx "));
	assert_non_null(strstr(one, "\nopenssl "));
	free(one);
	free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_name_is_there_once),
	    cmocka_unit_test(shares_of_trouble_are_as_asked),
	    cmocka_unit_test(every_plugin_answers_what_the_collector_can_read),
	    cmocka_unit_test(plugins_are_defined_with_their_aliases),
	    cmocka_unit_test(trouble_is_of_one_plugin),
	    cmocka_unit_test(it_changes_as_a_fleet_does),
	    cmocka_unit_test(hosts_differ),
	};

	int failed;

	ident_init();
	fleet_define(&plugins);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	plugin_set_finish(&plugins);
	return failed;
}
