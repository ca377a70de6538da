/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder and its lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/statedir.h"
#include "shared/base/trouble.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	char top[64], dir[96], lock[128];
	struct trouble trouble;
	struct statedir_lock lock_held;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->lock_held = (struct statedir_lock)STATEDIR_UNLOCKED;
	strcpy(f->top, "/tmp/vogeler-statedir-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->dir, sizeof(f->dir), "%s/state", f->top);
	snprintf(f->lock, sizeof(f->lock), "%s/lock", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	statedir_close(&f->lock_held);
	unlink(f->lock);
	if (rmdir(f->dir) != 0)
		unlink(f->dir);
	assert_int_equal(rmdir(f->top), 0);
	free(f);
	return 0;
}

static enum statedir_result
open_dir(struct fixture *f, struct statedir_lock *lock)
{
	return statedir_open(f->dir, lock, &f->trouble);
}

static void
is_made_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(open_dir(f, &f->lock_held), STATEDIR_OK);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fcntl(f->lock_held.file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void
second_is_told_who_has_it(void **state)
{
	struct fixture *f = *state;
	char pid[32];
	struct statedir_lock second;

	assert_int_equal(open_dir(f, &f->lock_held), STATEDIR_OK);
	assert_int_equal(open_dir(f, &second), STATEDIR_BUSY);
	snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_non_null(strstr(f->trouble.what, pid));
	assert_non_null(strstr(f->trouble.what, f->dir));
	statedir_close(&f->lock_held);
	assert_int_equal(open_dir(f, &f->lock_held), STATEDIR_OK);
}

/* A killed agent leaves the file, not the lock. */
static void
free_again_after_a_kill(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(open_dir(f, &f->lock_held) == STATEDIR_OK ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(access(f->lock, F_OK), 0);
	assert_int_equal(open_dir(f, &f->lock_held), STATEDIR_OK);
}

static void
errors_name_the_folder(void **state)
{
	struct fixture *f = *state;
	int fd;
	struct statedir_lock lock;

	assert_int_equal(statedir_open("/nonexistent/a/b", &lock, &f->trouble), STATEDIR_ERROR);
	assert_non_null(strstr(f->trouble.what, "/nonexistent/a/b"));
	assert_string_equal(f->trouble.cure, "make the folder above it");
	fd = open(f->dir, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(open_dir(f, &lock), STATEDIR_ERROR);
	assert_non_null(strstr(f->trouble.what, "it is not a folder"));
}

static void
open_to_others_is_refused(void **state)
{
	struct fixture *f = *state;
	struct statedir_lock lock;

	assert_int_equal(mkdir(f->dir, 0700), 0);
	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_int_equal(open_dir(f, &lock), STATEDIR_ERROR);
	assert_non_null(strstr(f->trouble.what, "others may write to it (mode 0777)"));
}

/* Its owner can put another file in the place of each that is there. Only root can give a folder
 * away; for anybody else the test says SKIPPED. */
static void
of_another_user_is_refused(void **state)
{
	struct fixture *f = *state;
	struct statedir_lock lock;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(f->dir, 0700), 0);
	assert_int_equal(chown(f->dir, 1, 0), 0);
	assert_int_equal(open_dir(f, &lock), STATEDIR_ERROR);
	assert_non_null(
	    strstr(f->trouble.what, "owned by neither root nor the user this runs as (owner 1)"));
	assert_int_equal(strncmp(f->trouble.cure, "chown it", 8), 0);
	assert_int_not_equal(access(f->lock, F_OK), 0);
}

static int
open_as_user_1(struct fixture *f)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(setuid(1) == 0 ? (int)open_dir(f, &f->lock_held) : 99);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Root's is as good as one's own. */
static void
of_root_or_oneself_is_taken(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->top, 0755), 0);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	assert_int_equal(chown(f->dir, 1, 1), 0);
	assert_int_equal(open_as_user_1(f), STATEDIR_OK);
	assert_int_equal(chown(f->dir, 0, 0), 0);
	assert_int_equal(open_as_user_1(f), STATEDIR_OK); /* the lock is there */
	assert_int_equal(chown(f->dir, 2, 1), 0);
	assert_int_equal(open_as_user_1(f), STATEDIR_ERROR);
}

/* A link in place of the lock is not followed. */
static void
lock_is_no_link(void **state)
{
	struct fixture *f = *state;
	struct statedir_lock lock;

	assert_int_equal(mkdir(f->dir, 0700), 0);
	assert_int_equal(symlink("/tmp/vogeler-never-made", f->lock), 0);
	assert_int_equal(open_dir(f, &lock), STATEDIR_ERROR);
	assert_int_not_equal(access("/tmp/vogeler-never-made", F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(is_made_private),
	    TEST(second_is_told_who_has_it),
	    TEST(free_again_after_a_kill),
	    TEST(errors_name_the_folder),
	    TEST(open_to_others_is_refused),
	    TEST(of_another_user_is_refused),
	    TEST(of_root_or_oneself_is_taken),
	    TEST(lock_is_no_link),
	};

	return cmocka_run_group_tests_name("statedir", tests, NULL, NULL);
}
