/* SPDX-License-Identifier: Apache-2.0 */
/* log: the README's format, journald's, escaping, levels; one write() a line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAIN "^\\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}: %s\\] vogelerd "

static int saved_stderr;
/* A datagram socket: each write() on one end is one read() on the other. */
static int ends[2];

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
	regfree(&re);
}

static int
capture(void **state)
{
	saved_stderr = dup(STDERR_FILENO);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0)
		return -1;
	dup2(ends[1], STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	unsetenv("VOGELER_TRACE");
	log_init("vogelerd");
	log_set_level(LOG_LEVEL_WARN);
	return 0;
}

static int
release(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* What one write() wrote, "" if nothing was. */
static const char *
next_write(void)
{
	static char text[70000];
	ssize_t n = read(ends[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
format_of_the_readme(void **state)
{
	char pattern[300];

	log_warn("server", "broker[%s]: blocked, reason=%s", "amqp://h", "memory");
	snprintf(pattern, sizeof(pattern),
	    PLAIN "\\(server\\) - broker\\[amqp://h\\]: blocked, reason=memory\n$", "WARN");
	assert_matches(next_write(), pattern);
	assert_string_equal(next_write(), "");
}

static void
time_is_local(void **state)
{
	/* Python's logging, and so 2010, writes local time: 14 hours and more between these. */
	char east[32], west[32];

	setenv("TZ", "AAA-14", 1);
	log_init("vogelerd");
	log_warn("x", "y");
	snprintf(east, sizeof(east), "%.14s", next_write());
	setenv("TZ", "BBB+12", 1);
	log_init("vogelerd");
	log_warn("x", "y");
	snprintf(west, sizeof(west), "%.14s", next_write());
	unsetenv("TZ");
	assert_true(strncmp(east, west, 11) > 0); /* not the same day */
}

static void
under_journald(void **state)
{
	const char *const expected[] = {"<7>vogelerd (s) - m\n", "<6>vogelerd (s) - m\n",
	    "<4>vogelerd (s) - m\n", "<3>vogelerd (s) - m\n", "<2>vogelerd (s) - m\n"};
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(
	    stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("vogelerd");
	log_set_level(LOG_LEVEL_DEBUG);
	for (int i = 0; i < 5; i++) {
		log_msg((enum log_level)(LOG_LEVEL_DEBUG + i), "s", "m");
		assert_string_equal(next_write(), expected[i]);
	}

	/* It is inherited by who has redirected stderr elsewhere. */
	snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
	    (unsigned long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("vogelerd");
	log_warn("s", "m");
	assert_matches(next_write(), "^\\[");
	setenv("JOURNAL_STREAM", "rubbish", 1);
	log_init("vogelerd");
	log_warn("s", "m");
	assert_matches(next_write(), "^\\[");
}

static const char *
logged(const char *text)
{
	const char *line;

	log_warn("s", "%s", text);
	line = strstr(next_write(), " - ");
	return line != NULL ? line + 3 : "(nothing)";
}

static void
hostile_bytes_are_escaped(void **state)
{
	assert_string_equal(logged("a\nb\r\tc\x1b[2J\x7f"), "a\\x0ab\\x0d\\x09c\\x1b[2J\\u007f\n");
	assert_string_equal(logged("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xa6"),
	    "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xa6\n");
	assert_string_equal(logged("x\xff\xfe"), "x\\xff\\xfe\n");
	assert_string_equal(logged("cut \xe2\x82"), "cut \\xe2\\x82\n");
	assert_string_equal(logged("\xc0\xaf"), "\\xc0\\xaf\n");          /* overlong */
	assert_string_equal(logged("\xe0\x80\xaf"), "\\xe0\\x80\\xaf\n"); /* overlong */
	assert_string_equal(logged("\xed\xa0\x80"), "\\xed\\xa0\\x80\n"); /* surrogate */
	assert_string_equal(logged("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80\n");
	assert_string_equal(logged("\xc2\x9b"
				   "2J"),
	    "\\u009b"
	    "2J\n"); /* CSI as C1 */
	assert_string_equal(logged("\xe2\x80\xae"
				   "gpj.exe"),
	    "\\u202egpj.exe\n"); /* bidi */
	assert_string_equal(logged("100%s"), "100%s\n");
}

static void
levels_filter(void **state)
{
	log_info("s", "no");
	log_debug("s", "no");
	log_trace("s", "no");
	assert_string_equal(next_write(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_trace("s", "no");
	assert_string_equal(next_write(), "");
	log_debug("s", "yes");
	assert_matches(next_write(), ": DEBUG\\]");
	setenv("VOGELER_TRACE", "1", 1);
	log_init("vogelerd");
	log_trace("s", "yes");
	assert_matches(next_write(), ": DEBUG\\]");
	log_set_level(LOG_LEVEL_INFO);
	log_trace("s", "no");
	log_debug("s", "no");
	assert_string_equal(next_write(), "");
	log_set_level(LOG_LEVEL_CRITICAL);
	log_error("s", "no");
	assert_string_equal(next_write(), "");
	log_critical("s", "yes");
	assert_matches(next_write(), ": CRITICAL\\]");
}

static void
level_names(void **state)
{
	enum log_level l = LOG_LEVEL_ERROR;

	assert_true(log_level_parse("debug", &l));
	assert_int_equal(l, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("INFO", &l));
	assert_int_equal(l, LOG_LEVEL_INFO);
	assert_true(log_level_parse("Warning", &l));
	assert_int_equal(l, LOG_LEVEL_WARN);
	assert_true(log_level_parse("WARN", &l));
	assert_int_equal(l, LOG_LEVEL_WARN);
	assert_true(log_level_parse("CRITICAL", &l));
	assert_int_equal(l, LOG_LEVEL_CRITICAL);
	assert_false(log_level_parse("", &l));
	assert_false(log_level_parse("WARN ", &l));
	assert_false(log_level_parse("TRACE", &l));
	assert_int_equal(l, LOG_LEVEL_CRITICAL);
}

static void
keeps_errno(void **state)
{
	errno = EXDEV;
	log_warn("s", "m");
	assert_int_equal(errno, EXDEV);
	close(STDERR_FILENO); /* the write fails */
	log_warn("s", "m");
	assert_int_equal(errno, EXDEV);
	dup2(ends[1], STDERR_FILENO);
}

static void
a_long_line_is_one_write(void **state)
{
	char *text = malloc(100001);
	const char *line;

	assert_non_null(text);
	memset(text, 'x', 100000);
	text[100000] = '\0';
	log_warn("s", "%s", text);
	line = next_write();
	assert_true(strlen(line) <= 4096);
	assert_true(strlen(line) > 4000);
	assert_string_equal(line + strlen(line) - 4, "...\n");
	assert_string_equal(next_write(), "");
	/* Escaping makes it four times as long: still cut at a whole escape. */
	memset(text, 1, 3000);
	text[3000] = '\0';
	log_warn("s", "%s", text);
	line = next_write();
	assert_true(strlen(line) <= 4096);
	assert_matches(line, "(\\\\x01)+\\.\\.\\.\n$");
	free(text);
}

static void
fatal_logs_and_exits(void **state)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		fatal("main", "cannot go on: %s", "reason");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_matches(next_write(), ": CRITICAL\\] vogelerd \\(main\\) - cannot go on: reason\n$");
}

/* Standard error is a pipe or a terminal that nobody reads, and a few that are read late. */

static void
set_stderr(int fd)
{
	saved_stderr = dup(STDERR_FILENO);
	assert_true(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_init("vogelerd");
	log_set_level(LOG_LEVEL_WARN);
}

static void
restore_stderr(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
}

#define FLOOD 3000 /* lines of over 100 bytes: more than a pipe and the buffer hold */

static void
flood(void)
{
	for (int i = 0; i < FLOOD; i++)
		log_warn("flood", "line=%d %080d", i, 0);
}

/* All that comes from fd until nothing waits any more. */
static const char *
read_all(int fd)
{
	static char text[FLOOD * 200];
	size_t len = 0;
	bool over = false;
	ssize_t n;

	for (;;) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n > 0)
			len += (size_t)n;
		else if (over)
			break;
		else
			over = log_flush();
	}
	text[len] = '\0';
	return text;
}

/* Each line is whole and in its place. Returns how many of the flood there are, and in *told how
 * many were said to have been dropped. */
static int
count_flood(const char *text, int *told)
{
	int lines = 0, next = 0, n;

	for (; *text != '\0'; text += strcspn(text, "\n") + 1) {
		if (sscanf(text, "%*[^-]-%*[^-]-%*[^-]- line=%d ", &n) == 1) {
			assert_int_equal(n, next);
			next++;
			lines++;
		} else {
			assert_int_equal(
			    sscanf(text, "%*[^-]-%*[^-]-%*[^-]- %d lines were dropped", &n), 1);
			next += n;
			*told += n;
		}
	}
	assert_int_equal(next, FLOOD);
	return lines;
}

static void
assert_flood_of(int reader, int writer)
{
	uint64_t before = log_dropped();
	const char *text;
	int told = 0, lines, flags = fcntl(writer, F_GETFL);

	set_stderr(writer);
	flood();
	text = read_all(reader);
	restore_stderr();
	lines = count_flood(text, &told);
	assert_true(lines > 100);
	assert_true(told > 0);
	assert_int_equal(lines + told, FLOOD);
	assert_int_equal(log_dropped() - before, told);
	/* Who shares the open file with us finds it as it was. */
	assert_int_equal(fcntl(writer, F_GETFL), flags);
}

static void
a_pipe_that_nobody_reads_holds_up_nobody(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_flood_of(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void
a_socket_that_nobody_reads_holds_up_nobody(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_flood_of(fds[0], fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void
a_stopped_terminal_holds_up_nobody(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	assert_flood_of(master, slave);
	close(master);
	close(slave);
}

/* A file has one place to write at for all who share it. */
static void
a_file_is_written_on_where_it_ends(void **state)
{
	char path[] = "/tmp/vogeler-log-XXXXXX", text[1000];
	int fd = mkstemp(path);
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "before\n", 7), 7);
	set_stderr(fd);
	log_warn("server", "one");
	assert_int_equal(write(fd, "between\n", 8), 8);
	log_warn("server", "two");
	restore_stderr();
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_matches(text, "^before\n.* - one\nbetween\n.* - two\n$");
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(format_of_the_readme, capture, release),
	    cmocka_unit_test_setup_teardown(time_is_local, capture, release),
	    cmocka_unit_test_setup_teardown(under_journald, capture, release),
	    cmocka_unit_test_setup_teardown(hostile_bytes_are_escaped, capture, release),
	    cmocka_unit_test_setup_teardown(levels_filter, capture, release),
	    cmocka_unit_test(level_names),
	    cmocka_unit_test_setup_teardown(keeps_errno, capture, release),
	    cmocka_unit_test_setup_teardown(a_long_line_is_one_write, capture, release),
	    cmocka_unit_test_setup_teardown(fatal_logs_and_exits, capture, release),
	    cmocka_unit_test(a_pipe_that_nobody_reads_holds_up_nobody),
	    cmocka_unit_test(a_socket_that_nobody_reads_holds_up_nobody),
	    cmocka_unit_test(a_stopped_terminal_holds_up_nobody),
	    cmocka_unit_test(a_file_is_written_on_where_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
