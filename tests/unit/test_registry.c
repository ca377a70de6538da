/* SPDX-License-Identifier: Apache-2.0 */
/* What may run here: compiled from the plugin folder, reloaded whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/registry.h"
#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACTER                                                                                     \
	"[facter]\nname = facter\ndescription = Uses facter to return facts\n"                     \
	"command = facter -y\nresult_format = yaml\ncommand_alias = get_facts\n"
#define PS     "[ps]\nname = ps\ndescription = d\ncommand = ps -ef\nresult_format = output\n"
#define BROKEN "[broken]\nname = broken\ndescription = d\ncommand = x\nresult_format = nonsense\n"

struct fixture {
	char top[64], plugins[96], state[96];
	struct registry registry;
	char log[8192];
	int saved_stderr;
};

/* Somebody who may write to the state folder: what is there as soon as a file was renamed. */
static const char *put_instead;

/* In place of libc's, for the program under test. */
int
rename(const char *from, const char *to)
{
	int rc = renameat(AT_FDCWD, from, AT_FDCWD, to);
	FILE *out;

	if (rc != 0 || put_instead == NULL)
		return rc;
	out = fopen(to, "we");
	assert_non_null(out);
	fputs(put_instead, out);
	assert_int_equal(fclose(out), 0);
	return 0;
}

/* stderr, where the log goes, into a file until log_end() reads it. */
static void
log_begin(struct fixture *f)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/log", f->top);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fflush(stderr);
	f->saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

static const char *
log_end(struct fixture *f)
{
	ssize_t n;

	fflush(stderr);
	n = pread(STDERR_FILENO, f->log, sizeof(f->log) - 1, 0);
	assert_true(n >= 0);
	f->log[n] = '\0';
	assert_true(dup2(f->saved_stderr, STDERR_FILENO) >= 0);
	close(f->saved_stderr);
	return f->log;
}

static void
remove_file(const char *dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static void
write_plugin(struct fixture *f, const char *name, const char *text)
{
	char path[160];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", f->plugins, name);
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->top, "/tmp/vogeler-registry-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->plugins, sizeof(f->plugins), "%s/plugins", f->top);
	snprintf(f->state, sizeof(f->state), "%s/state", f->top);
	assert_int_equal(mkdir(f->plugins, 0755), 0);
	assert_int_equal(mkdir(f->state, 0700), 0);
	log_init("test");
	log_set_level(LOG_LEVEL_INFO);
	registry_init(&f->registry);
	write_plugin(f, "a.cfg", FACTER);
	write_plugin(f, "b.cfg", PS);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	registry_finish(&f->registry);
	remove_file(f->plugins, "a.cfg");
	remove_file(f->plugins, "b.cfg");
	remove_file(f->plugins, "c.cfg");
	remove_file(f->state, REGISTRY_COMPILED);
	remove_file(f->top, "log");
	rmdir(f->plugins);
	rmdir(f->state);
	assert_int_equal(rmdir(f->top), 0);
	free(f);
	return 0;
}

static bool
load(struct fixture *f)
{
	bool ok;

	log_begin(f);
	ok = registry_load(&f->registry, f->plugins, f->state);
	log_end(f);
	return ok;
}

static void
assert_logged(struct fixture *f, const char *text)
{
	if (strstr(f->log, text) == NULL)
		fail_msg("\"%s\" is not in the log:\n%s", text, f->log);
}

static void
loads_through_the_compiled_file(void **state)
{
	struct fixture *f = *state;
	const struct plugin *p;
	char path[160];

	assert_true(load(f));
	snprintf(path, sizeof(path), "%s/%s", f->state, REGISTRY_COMPILED);
	assert_int_equal(access(path, R_OK), 0);
	assert_int_equal(f->registry.set.n, 2);
	assert_int_equal(f->registry.broken, 0);
	p = registry_find(&f->registry, "get_facts");
	assert_non_null(p);
	assert_ptr_equal(p, registry_find(&f->registry, "facter"));
	assert_string_equal(p->command, "facter -y");
	assert_int_equal(p->format, WIRE_YAML);
	assert_null(registry_find(&f->registry, "rm"));
}

static void
what_was_written_is_in_force_and_not_what_is_found_there(void **state)
{
	struct fixture *f = *state;

	put_instead = "[facter]\nname = facter\ndescription = d\ncommand = rm -rf /\n"
		      "result_format = yaml\n";
	assert_true(load(f));
	put_instead = NULL;
	assert_int_equal(f->registry.set.n, 2);
	assert_string_equal(registry_find(&f->registry, "facter")->command, "facter -y");
	assert_non_null(registry_find(&f->registry, "ps"));
}

/* As in the README of 2010. */
static void
tells_what_it_found(void **state)
{
	struct fixture *f = *state;

	assert_true(load(f));
	assert_logged(f, "INFO] test (plugins) - Vogeler is parsing plugins");
	assert_logged(f, "INFO] test (plugins) - Found plugins: facter, ps");
	assert_logged(f, "Registering plugin: facter, command='facter -y', result_format=yaml");
	assert_logged(f, "Authorizing registered plugins");
}

static void
broken_one_is_named_and_the_others_go_on(void **state)
{
	struct fixture *f = *state;

	write_plugin(f, "c.cfg", BROKEN);
	assert_true(load(f));
	assert_int_equal(f->registry.broken, 1);
	assert_int_equal(f->registry.set.n, 2);
	assert_logged(f, "ERROR] test (plugins) - ");
	assert_logged(f, "/c.cfg:5: ");
}

static void
editing_changes_nothing_until_the_reload(void **state)
{
	struct fixture *f = *state;

	assert_true(load(f));
	remove_file(f->plugins, "b.cfg");
	assert_non_null(registry_find(&f->registry, "ps"));
	assert_true(load(f));
	assert_null(registry_find(&f->registry, "ps"));
}

static void
reload_is_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	bool ok;

	assert_true(load(f));
	remove_file(f->plugins, "b.cfg");
	write_plugin(f, "c.cfg", BROKEN);
	log_begin(f);
	ok = registry_reload(&f->registry, f->plugins, f->state);
	log_end(f);
	assert_false(ok);
	assert_logged(f, "/c.cfg:5: ");
	assert_non_null(registry_find(&f->registry, "ps"));
	assert_int_equal(f->registry.broken, 0);
	assert_int_equal(f->registry.n_complaints, 1);
	assert_non_null(strstr(f->registry.complaint.what, "/c.cfg:5: result_format 'nonsense'"));
	remove_file(f->plugins, "c.cfg");
	assert_true(registry_reload(&f->registry, f->plugins, f->state));
	assert_int_equal(f->registry.n_complaints, 0);
	assert_int_equal(f->registry.complaint.kind, TROUBLE_NONE);
	assert_null(registry_find(&f->registry, "ps"));
}

static void
unreadable_folder_keeps_the_old_set(void **state)
{
	struct fixture *f = *state;
	char moved[128];

	assert_true(load(f));
	snprintf(moved, sizeof(moved), "%s/moved", f->top);
	assert_int_equal(rename(f->plugins, moved), 0);
	assert_false(load(f));
	assert_logged(f, f->plugins);
	assert_logged(f, strerror(ENOENT));
	assert_int_equal(f->registry.set.n, 2);
	assert_int_equal(rename(moved, f->plugins), 0);
}

static void
unwritable_state_keeps_the_old_set(void **state)
{
	struct fixture *f = *state;

	assert_true(load(f));
	write_plugin(f, "c.cfg", BROKEN);
	remove_file(f->plugins, "b.cfg");
	remove_file(f->state, REGISTRY_COMPILED);
	assert_int_equal(rmdir(f->state), 0);
	assert_false(load(f));
	assert_logged(f, f->state);
	assert_non_null(registry_find(&f->registry, "ps"));
	assert_int_equal(f->registry.broken, 0);
	assert_int_equal(f->registry.n_complaints, 2); /* the first is the broken plugin's */
}

static void
none_is_a_warning(void **state)
{
	struct fixture *f = *state;
	char *names;

	remove_file(f->plugins, "a.cfg");
	remove_file(f->plugins, "b.cfg");
	assert_true(load(f));
	assert_logged(f, "WARN] test (plugins) - No plugins are registered");
	names = registry_names(&f->registry);
	assert_string_equal(names, "");
	free(names);
}

static void
writable_by_others_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[160];

	snprintf(path, sizeof(path), "%s/b.cfg", f->plugins);
	assert_int_equal(chmod(path, 0666), 0);
	assert_true(load(f));
	assert_logged(f, path);
	assert_null(registry_find(&f->registry, "ps"));
	assert_non_null(registry_find(&f->registry, "facter"));
}

static void
read_leaves_no_compiled_file(void **state)
{
	struct fixture *f = *state;
	char *names;

	write_plugin(f, "c.cfg", BROKEN);
	log_begin(f);
	assert_true(registry_read(&f->registry, f->plugins, NULL));
	log_end(f);
	assert_logged(f, "/c.cfg:5: ");
	assert_int_equal(f->registry.broken, 1);
	names = registry_names(&f->registry);
	assert_string_equal(names, "facter, ps");
	free(names);
	assert_int_equal(rmdir(f->state), 0); /* it is empty */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(loads_through_the_compiled_file),
	    TEST(what_was_written_is_in_force_and_not_what_is_found_there),
	    TEST(tells_what_it_found),
	    TEST(broken_one_is_named_and_the_others_go_on),
	    TEST(editing_changes_nothing_until_the_reload),
	    TEST(reload_is_whole_or_not_at_all),
	    TEST(unreadable_folder_keeps_the_old_set),
	    TEST(unwritable_state_keeps_the_old_set),
	    TEST(none_is_a_warning),
	    TEST(writable_by_others_is_refused),
	    TEST(read_leaves_no_compiled_file),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
