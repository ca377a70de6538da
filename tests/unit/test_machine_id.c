/* SPDX-License-Identifier: Apache-2.0 */
/* The machine has one id, whatever the system has in its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/machine_id.h"
#include "shared/base/ident.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	char dir[64], system[128], own[128];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	ident_init();
	strcpy(f->dir, "/tmp/vogeler-machine-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->system, sizeof(f->system), "%s/system", f->dir);
	snprintf(f->own, sizeof(f->own), "%s/%s", f->dir, MACHINE_ID_FILE);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->system);
	unlink(f->own);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void
the_systems_own(void **state)
{
	struct fixture *f = *state;
	char *id;

	write_file(f->system, "0123456789abcdef0123456789abcdef\n");
	id = machine_id(f->system, f->dir);
	assert_string_equal(id, "0123456789abcdef0123456789abcdef");
	assert_int_not_equal(access(f->own, F_OK), 0);
	free(id);
}

static void
made_once(struct fixture *f)
{
	char *id = machine_id(f->system, f->dir), *again = machine_id(f->system, f->dir);

	assert_non_null(id);
	assert_int_equal(strlen(id), 32);
	assert_int_equal(strspn(id, "0123456789abcdef"), 32);
	assert_string_equal(id, again);
	free(id);
	free(again);
}

static void
made_once_and_kept(void **state)
{
	made_once(*state);
}

static void
uninitialized_is_none(void **state)
{
	struct fixture *f = *state;

	write_file(f->system, "uninitialized\n");
	made_once(f);
}

static void
a_torn_one_is_made_again(void **state)
{
	struct fixture *f = *state;

	write_file(f->system, "");
	write_file(f->own, "");
	made_once(f);
}

static void
what_cannot_be_kept_is_none(void **state)
{
	struct fixture *f = *state;

	assert_null(machine_id(f->system, "/nonexistent"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_systems_own),
	    TEST(made_once_and_kept),
	    TEST(uninitialized_is_none),
	    TEST(a_torn_one_is_made_again),
	    TEST(what_cannot_be_kept_is_none),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
