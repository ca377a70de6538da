/* SPDX-License-Identifier: Apache-2.0 */
/* See reader.h. */
#include "agent/reader.h"

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/wire/jsonx.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM       "vogeler-agent"
#define VALUE_MAX     (256 * 1024 * 1024) /* the text of the value, indented */
#define SAID_MAX      65536
#define ARGS_MAX      12
#define N_FILES       3 /* its standard input, output and error */
#define EXIT_UNPARSED 2 /* of vogeler-convert */

/* Beside this program, whatever PATH is; malloced. NULL: not known. */
static char *
reader_path(void)
{
	char self[PATH_MAX], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	xasprintf(&path, "%.*s/%s", (int)(slash - self), self, READER_PROGRAM);
	return path;
}

/* The files are in memory and no pipes, so that neither side waits for the other. */
static int
make_file(const char *data, size_t len)
{
	int fd = memfd_create("value", MFD_CLOEXEC), saved;

	if (fd < 0 || (buf_write_all(fd, data, len) && lseek(fd, 0, SEEK_SET) == 0))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The program's exit status; -1: it did not run, or not to its end; errno. */
static int
run(const char *const argv[], const int files[N_FILES])
{
	char **args = (char **)(uintptr_t)argv; /* posix_spawn(3) changes nothing in them */
	posix_spawn_file_actions_t actions;
	int error = 0, status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -1;
	for (int fd = 0; fd < N_FILES && error == 0; fd++)
		error = posix_spawn_file_actions_adddup2(&actions, files[fd], fd);
	if (error == 0)
		error = posix_spawn(&pid, argv[0], &actions, NULL, args, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0) {
		errno = error;
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	errno = EINTR;
	return -1;
}

/* Never NULL. */
static char *
take_text(int fd, size_t max, size_t *len)
{
	char path[64];
	struct buf text;
	int error;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	buf_init(&text, max);
	if (!buf_read_file(&text, path, &error))
		complain_line(
		    PROGRAM, "cannot take the answer of %s: %s", READER_PROGRAM, strerror(error));
	return buf_take(&text, len);
}

static json_t *
take_value(int fd)
{
	char err[256];
	size_t len;
	char *text = take_text(fd, VALUE_MAX, &len);
	json_t *value = jsonx_parse(text, len, NULL, err, sizeof(err));

	if (value == NULL)
		complain_line(PROGRAM, "what %s printed is no value: %s", READER_PROGRAM, err);
	free(text);
	return value;
}

static void
ask(struct reading *reading, const char *const argv[], const int files[N_FILES])
{
	int status = files[0] >= 0 && files[1] >= 0 && files[2] >= 0 ? run(argv, files) : -1;

	reading->outcome = READER_FAILED;
	if (status < 0) {
		xasprintf(&reading->said,
		    "%s: the output was not read as the collector will read it: %s: %s" TROUBLE_CURE
		    "install it beside vogeler-agent\n",
		    PROGRAM, argv[0], strerror(errno));
		return;
	}
	reading->said = take_text(files[STDERR_FILENO], SAID_MAX, NULL);
	if (status == EXIT_UNPARSED)
		reading->outcome = READER_REFUSED;
	else if (status == 0)
		reading->value = take_value(files[STDOUT_FILENO]);
	if (reading->value != NULL)
		reading->outcome = READER_OK;
}

void
reading_finish(struct reading *reading)
{
	json_decref(reading->value);
	free(reading->said);
}

void
reader_read(struct reading *reading, const struct cli *cli, const char *plugin,
    enum wire_format format, json_t *text)
{
	const char *argv[ARGS_MAX];
	int files[N_FILES];
	size_t n = 0;
	char *path;

	*reading = (struct reading){.outcome = READER_OK};
	if (!json_is_string(text)) {
		reading->value = json_incref(text);
		return;
	}
	path = reader_path();
	argv[n++] = path != NULL ? path : READER_PROGRAM;
	argv[n++] = "--loglevel";
	argv[n++] = "ERROR"; /* what is odd in the file was told by us */
	if (cli->config_path != NULL) {
		argv[n++] = "-c";
		argv[n++] = cli->config_path;
	}
	argv[n++] = "-p";
	argv[n++] = plugin;
	argv[n++] = wire_format_name(format);
	argv[n] = NULL;
	files[0] = make_file(json_string_value(text), json_string_length(text));
	files[1] = make_file("", 0);
	files[2] = make_file("", 0);
	ask(reading, argv, files);
	for (int i = 0; i < N_FILES; i++) {
		if (files[i] >= 0)
			close(files[i]);
	}
	free(path);
}
