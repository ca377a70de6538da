/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: how large a message may be, and how much waits. What is told is caught here. */
#include "admin/doctor.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/queue_args.h"
#include "shared/config/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1024) * 1024)

static char said[2048]; /* "status: text; cure" of each */

void
doctor_say(struct doctor *d, const char *check, enum check_status status, const char *cure,
    const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warn", "FAIL", "skip"};
	size_t n = strlen(said);
	va_list ap;

	n += (size_t)snprintf(said + n, sizeof(said) - n, "%s: ", names[status]);
	va_start(ap, fmt);
	n += (size_t)vsnprintf(said + n, sizeof(said) - n, fmt, ap);
	va_end(ap);
	snprintf(said + n, sizeof(said) - n, "; %s\n", cure == NULL ? "" : cure);
}

void
doctor_skip(struct doctor *d, const char *const *checks, const char *why)
{
	doctor_say(d, checks[0], CHECK_SKIP, NULL, "%s", why);
}

static const char *
told_of_size(unsigned int release, uint64_t learned, uint64_t ours)
{
	struct options options = {.message_max_bytes = ours};
	struct doctor d = {.options = &options};

	said[0] = '\0';
	doctor_message_size(&d, release, learned);
	return said;
}

static void
assert_starts(const char *text, const char *start)
{
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, start);
}

static void
by_the_release(void **state)
{
	assert_starts(told_of_size(3, 0, 128 * MIB), "ok: the broker takes messages of 128MiB");
	assert_starts(told_of_size(4, 0, 16 * MIB), "ok: the broker takes messages of 16MiB");
	assert_starts(told_of_size(4, 0, 16 * MIB + 1), "warn: message_max_bytes = ");
	assert_non_null(strstr(said, "has no effect above 16MiB"));
	assert_non_null(strstr(said, "raise max_message_size"));
	assert_starts(told_of_size(5, 0, 17 * MIB), "warn: ");
	assert_starts(told_of_size(0, 0, 8 * MIB), "skip: ");
}

/* Somebody was refused a message: that counts, above and below what the release says. */
static void
as_an_agent_was_told(void **state)
{
	assert_starts(told_of_size(3, 65536, 8 * MIB),
	    "warn: message_max_bytes = 8MiB has no effect above 64KiB");
	assert_non_null(strstr(said, "as it told the agent here"));
	assert_starts(
	    told_of_size(4, 32 * MIB, 32 * MIB), "ok: the broker takes messages of 32MiB");
	assert_starts(told_of_size(0, 4 * MIB, 8 * MIB), "warn: ");
}

static void
much_that_waits(void **state)
{
	struct broker_look look = {.messages = QUEUE_LARGE_BYTES / QUEUE_MEAN_BYTES - 1};
	struct doctor d = {0};

	said[0] = '\0';
	doctor_backlog(&d, "master.in", &look);
	assert_string_equal(said, "");
	look.messages++;
	doctor_backlog(&d, "master.in", &look);
	assert_starts(said, "warn: 131072 responses wait in master.in: about 256 MiB, an estimate");
	said[0] = '\0';
	look.messages = UINT32_MAX;
	doctor_backlog(&d, "vogeler.fresh", &look);
	assert_non_null(strstr(said, "vogeler.fresh: about 8388607 MiB"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_the_release),
	    cmocka_unit_test(as_an_agent_was_told),
	    cmocka_unit_test(much_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
