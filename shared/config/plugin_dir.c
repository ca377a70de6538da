/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of plugins and the file it is compiled into: the second half of plugin.h. */
#include "shared/base/trouble.h"
#include "shared/config/plugin.h"

#include "shared/base/buf.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPILED_MAX (1024 * 1024) /* what ini_file_read takes */

/* --- the directory --- */

/* Always false, to be returned. */
static bool
refuse(struct trouble *why, const char *what, const char *cure)
{
	trouble_set(why, TROUBLE_OTHER, cure, "%s", what);
	return false;
}

/* Says whether a file or directory is to be trusted: who can write it can run commands as us. */
static bool
is_trusted(const struct stat *st, struct trouble *why)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse(
		    why, "refused: owned by neither root nor the user this runs as", "chown root");
	if ((st->st_mode & S_IWOTH) != 0)
		return refuse(why, "refused: everyone may write it", "chmod o-w");
	if ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && st->st_gid != getegid())
		return refuse(why, "refused: another group may write it", "chmod g-w");
	return true;
}

static bool
is_good_file(const char *path, struct trouble *why)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return refuse(why, strerror(errno), NULL);
	if (S_ISLNK(st.st_mode))
		return refuse(why, "refused: a symbolic link", "put the file itself there");
	if (!S_ISREG(st.st_mode))
		return refuse(why, "refused: not a regular file", NULL);
	if (st.st_nlink > 1)
		return refuse(why, "refused: it has another name elsewhere (a hard link)",
		    "put a copy there");
	return is_trusted(&st, why);
}

static int
is_plugin_file(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	/* Names match as the glob of 2010, "*.cfg": no hidden files. */
	return e->d_name[0] != '.' && len > 4 && strcmp(e->d_name + len - 4, ".cfg") == 0;
}

/* Sorts by length: of two files with one plugin the first read has it, and a copy ("ps (copy).cfg",
 * "ps-old.cfg", "Copy of ps.cfg") has a longer name than what it was made from. */
static int
by_length(const struct dirent **a, const struct dirent **b)
{
	size_t x = strlen((*a)->d_name), y = strlen((*b)->d_name);

	if (x != y)
		return x < y ? -1 : 1;
	return strcmp((*a)->d_name, (*b)->d_name); /* alphasort() depends on the locale */
}

/* Keeps errno. */
static void
cannot_read(const char *dir, ini_file_error_fn *on_error, void *arg)
{
	int saved = errno;
	struct trouble why;

	trouble_set(&why, TROUBLE_OTHER,
	    "make it so that this user can, or name another with -p or [global] plugin_path",
	    "cannot read the plugin directory: %s", strerror(saved));
	on_error(dir, 0, &why, arg);
	errno = saved;
}

static bool
directory_is_good(const char *dir, ini_file_error_fn *on_error, void *arg)
{
	struct trouble why;
	struct stat st;

	if (stat(dir, &st) != 0) {
		cannot_read(dir, on_error, arg);
		return false;
	}
	if (is_trusted(&st, &why))
		return true;
	on_error(dir, 0, &why, arg);
	errno = EPERM;
	return false;
}

int
plugin_read_dir(struct plugin_set *set, const char *dir, ini_file_error_fn *on_error, void *arg)
{
	struct dirent **list;
	size_t bad = 0;
	int n;

	if (!directory_is_good(dir, on_error, arg))
		return -1;
	n = scandir(dir, &list, is_plugin_file, by_length);
	if (n < 0) {
		cannot_read(dir, on_error, arg);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		struct trouble why;
		char *path;

		xasprintf(&path, "%s/%s", dir, list[i]->d_name);
		if (is_good_file(path, &why)) {
			bad += plugin_read_file(set, path, on_error, arg);
		} else {
			on_error(path, 0, &why, arg);
			bad++;
		}
		free(path);
		free(list[i]);
	}
	free(list);
	return (int)bad;
}

/* --- the compiled file --- */

static bool
write_line(struct buf *b, const char *key, const char *value)
{
	return value == NULL || buf_printf(b, "%s = %s\n", key, value);
}

static bool
write_ms(struct buf *b, const char *key, bool given, uint64_t ms)
{
	char text[UNITS_TEXT_SIZE];

	return !given || write_line(b, key, units_format_ms(ms, text));
}

static bool
write_quoted(struct buf *b, const char *key, const char *value)
{
	char *quoted = value != NULL ? ini_file_quote(value) : NULL;
	bool ok = write_line(b, key, quoted);

	free(quoted);
	return ok;
}

static bool
write_limit(struct buf *b, const char *key, uint64_t value,
    const char *(*format)(uint64_t value, char out[UNITS_TEXT_SIZE]))
{
	char text[UNITS_TEXT_SIZE];

	if (value == 0)
		return true;
	return write_line(b, key, value == PLUGIN_UNLIMITED ? "none" : format(value, text));
}

static const char *
format_count(uint64_t n, char out[UNITS_TEXT_SIZE])
{
	snprintf(out, UNITS_TEXT_SIZE, "%llu", (unsigned long long)n);
	return out;
}

static bool
write_limits(struct buf *b, const struct plugin *p)
{
	return write_limit(b, "max_cpu", p->max_cpu_ms, units_format_ms) &&
	       write_limit(b, "max_memory", p->max_memory, units_format_bytes) &&
	       write_limit(b, "max_processes", p->max_processes, format_count) &&
	       write_limit(b, "max_file", p->max_file, units_format_bytes);
}

static bool
write_plugin(struct buf *b, const struct plugin *p)
{
	char number[UNITS_TEXT_SIZE];

	return buf_printf(b, "\n# %s:%u\n[%s]\n", p->file, p->line, p->name) &&
	       write_line(b, "name", p->name) && write_quoted(b, "description", p->description) &&
	       write_line(b, "command", p->command) &&
	       write_line(b, "result_format", wire_format_name(p->format)) &&
	       write_line(b, "command_alias", p->alias) &&
	       write_ms(b, "timeout", p->timeout_ms != 0, p->timeout_ms) &&
	       write_ms(b, "interval", p->interval_ms != 0, p->interval_ms) &&
	       write_ms(b, "splay", p->has_splay, p->splay_ms) &&
	       write_line(b, "max_output",
		   p->max_output != 0 ? units_format_bytes(p->max_output, number) : NULL) &&
	       write_limits(b, p) && write_line(b, "env", p->env_text) &&
	       write_quoted(b, "user", p->user) && write_line(b, "sha256", p->sha256) &&
	       write_line(b, "success_exit_status", p->success_text);
}

/* Through a temporary file beside it, on disk before the name changes. errno on failure. */
static bool
replace_file(const char *path, const struct buf *b)
{
	char *temp;
	int fd, saved;
	bool ok;

	xasprintf(&temp, "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		free(temp);
		return false;
	}
	ok = buf_write_all(fd, b->data, b->len) && fsync(fd) == 0;
	saved = errno;
	close(fd);
	if (ok && rename(temp, path) != 0) {
		ok = false;
		saved = errno;
	}
	if (!ok)
		unlink(temp);
	free(temp);
	errno = saved;
	return ok;
}

bool
plugin_write_compiled(
    const struct plugin_set *set, const char *path, struct buf *text, char *err, size_t err_size)
{
	bool ok;

	buf_init(text, COMPILED_MAX);
	ok = buf_append_str(
	    text, "# Compiled from the plugin folder at start and reload: do not edit.\n");
	for (size_t i = 0; ok && i < set->n; i++)
		ok = write_plugin(text, &set->plugins[i]);
	if (!ok) {
		snprintf(err, err_size, "%s: the plugins are more than 1 MiB", path);
	} else if (!replace_file(path, text)) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		ok = false;
	}
	return ok;
}
