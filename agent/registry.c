/* SPDX-License-Identifier: Apache-2.0 */
/* See registry.h. */
#include "agent/registry.h"

#include "agent/statedir.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/config/plugin_lint.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 65536

void
registry_init(struct registry *r)
{
	*r = (struct registry){0};
}

void
registry_finish(struct registry *r)
{
	plugin_set_finish(&r->set);
	registry_init(r);
}

static void
complain(struct registry *r, const struct trouble *what)
{
	log_error("plugins", TROUBLE_FMT, TROUBLE_ARGS(what));
	if (r->n_complaints++ == 0)
		r->complaint = *what;
}

static void
forget_complaints(struct registry *r)
{
	r->complaint = (struct trouble){0};
	r->n_complaints = 0;
}

static void
on_broken(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	struct trouble placed = *what;

	complain_place(&placed, file, line); /* a plugin may be given a URI */
	complain(arg, &placed);
}

static void
log_warning(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	struct trouble placed = *what;

	complain_place(&placed, file, line);
	log_warn("plugins", TROUBLE_FMT, TROUBLE_ARGS(&placed));
}

static void
print_broken(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	struct trouble placed = *what;

	complain_place(&placed, file, line);
	complain_trouble("vogeler-agent", &placed);
}

static void
print_warning(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	struct trouble warning = *what;

	trouble_prefix(&warning, "warning: ");
	print_broken(file, line, &warning, arg);
}

static bool
append_name(struct buf *b, const char *name)
{
	return (b->len == 0 || buf_append_str(b, ", ")) && buf_append_str(b, name);
}

char *
registry_names(const struct registry *r)
{
	struct buf names;

	buf_init(&names, NAMES_MAX);
	for (size_t i = 0; i < r->set.n; i++) {
		if (!append_name(&names, r->set.plugins[i].name))
			break;
	}
	return buf_take(&names, NULL);
}

static void
announce(const struct registry *r)
{
	char *names = registry_names(r);

	log_info("plugins", "Found plugins: %s", names[0] != '\0' ? names : "none");
	free(names);
	for (size_t i = 0; i < r->set.n; i++) {
		const struct plugin *p = &r->set.plugins[i];

		log_info("plugins",
		    "Registering plugin: %s, command='%s', result_format=%s, command_alias=%s",
		    p->name, p->command, wire_format_name(p->format),
		    p->alias != NULL ? p->alias : "none");
	}
	log_info("plugins", "Authorizing registered plugins");
	if (r->set.n == 0)
		log_warn("plugins", "No plugins are registered: every command will be refused");
}

static int
read_dir(struct plugin_set *set, const char *dir, ini_file_error_fn *on_error, void *arg)
{
	int broken;

	*set = (struct plugin_set){0};
	broken = plugin_read_dir(set, dir, on_error, arg);
	if (broken < 0) /* told to on_error */
		plugin_set_finish(set);
	return broken;
}

/* Puts into force what was written, and not what is found there by then. At the start it does so
 * also when there was no room to write it: nothing else is in force. */
static bool
compile(struct registry *r, struct plugin_set *set, const char *path, bool at_start)
{
	char err[512];
	struct trouble why;
	struct buf text;
	bool ok = plugin_write_compiled(set, path, &text, err, sizeof(err));
	int error = errno;

	plugin_set_finish(set);
	*set = (struct plugin_set){0};
	if (!ok && at_start && text.len > 0 && statedir_is_full(error)) {
		log_error("plugins", "cannot write the compiled plugins: %s" TROUBLE_CURE "%s", err,
		    statedir_cure(error));
		ok = true;
	} else if (!ok) {
		trouble_set(&why, TROUBLE_OTHER, NULL, "cannot compile the plugins: %s", err);
		complain(r, &why);
	}
	if (ok && plugin_read_text(set, path, &text, on_broken, r) != 0) {
		trouble_set(&why, TROUBLE_OTHER, NULL,
		    "%s cannot be read back; the plugins stay as they were", path);
		complain(r, &why);
		plugin_set_finish(set);
		ok = false;
	}
	buf_finish(&text);
	return ok;
}

/* whole: not without those that are broken. */
static bool
load(struct registry *r, const char *plugin_dir, const char *state_dir, bool whole)
{
	struct plugin_set set;
	char *path;
	int broken;
	bool ok;

	log_info("plugins", "Vogeler is parsing plugins");
	forget_complaints(r);
	broken = read_dir(&set, plugin_dir, on_broken, r);
	if (broken < 0)
		return false;
	if (broken > 0 && whole) {
		plugin_set_finish(&set);
		return false;
	}
	plugin_lint_set(&set, log_warning, NULL); /* before compiling: that has other lines */
	xasprintf(&path, "%s/%s", state_dir, REGISTRY_COMPILED);
	ok = compile(r, &set, path, !whole);
	free(path);
	if (!ok)
		return false;
	plugin_set_finish(&r->set);
	r->set = set;
	r->broken = (size_t)broken;
	announce(r);
	return true;
}

bool
registry_load(struct registry *r, const char *plugin_dir, const char *state_dir)
{
	return load(r, plugin_dir, state_dir, false);
}

bool
registry_reload(struct registry *r, const char *plugin_dir, const char *state_dir)
{
	return load(r, plugin_dir, state_dir, true);
}

/* A finding is what is wrong with definitions, kept until it is known which of it is to be told. */
struct finding {
	char *file; /* owned */
	unsigned int line;
	struct trouble what;
};

struct findings {
	struct finding *items;
	size_t n;
};

static void
keep_broken(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	struct findings *f = arg;

	f->items = xreallocarray(f->items, f->n + 1, sizeof(*f->items));
	f->items[f->n++] = (struct finding){xstrdup(file), line, *what};
}

/* Says whether it is in the same file, or of a second definition of it elsewhere, which may be the
 * one that is meant. */
static bool
is_about(const struct finding *f, const struct plugin_set *set, const struct plugin *p)
{
	for (size_t i = 0; i < set->n_rivals; i++) {
		const struct plugin_rival *rival = &set->rivals[i];

		if (rival->line == f->line && strcmp(rival->file, f->file) == 0 &&
		    strcmp(rival->name, p->name) == 0)
			return true;
	}
	return strcmp(f->file, p->file) == 0;
}

/* only: NULL for all. */
static void
print_findings(struct findings *f, const struct plugin_set *set, const struct plugin *only)
{
	for (size_t i = 0; i < f->n; i++) {
		struct finding *at = &f->items[i];

		if (only == NULL || is_about(at, set, only))
			print_broken(at->file, at->line, &at->what, NULL);
		free(at->file);
	}
	free(f->items);
}

bool
registry_read(struct registry *r, const char *plugin_dir, const char *name)
{
	struct findings findings = {0};
	const struct plugin *only = NULL;
	struct plugin_set set;
	int broken = read_dir(&set, plugin_dir, keep_broken, &findings);

	if (broken >= 0 && name != NULL)
		only = plugin_find(&set, name);
	print_findings(&findings, &set, only);
	if (broken < 0)
		return false;
	if (only != NULL)
		plugin_lint(only, print_warning, NULL);
	else if (name == NULL)
		plugin_lint_set(&set, print_warning, NULL);
	plugin_set_finish(&r->set);
	r->set = set;
	r->broken = (size_t)broken;
	return true;
}

static void
tell_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	cli_tell_check(LOG_LEVEL_ERROR, file, line, what, NULL);
}

static void
tell_warning(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	cli_tell_check(LOG_LEVEL_WARN, file, line, what, NULL);
}

bool
registry_check(const char *plugin_dir, bool may_miss)
{
	struct plugin_set set;
	int broken;

	if (may_miss && access(plugin_dir, F_OK) != 0 && errno == ENOENT) {
		printable_line(
		    stdout, "note: %s is not there: vogeler-agent run will need it", plugin_dir);
		return true;
	}
	broken = read_dir(&set, plugin_dir, tell_error, NULL);
	if (broken < 0)
		return false;
	plugin_lint_set(&set, tell_warning, NULL);
	if (broken == 0)
		printable_line(stdout, "%s: ok, plugins: %zu", plugin_dir, set.n);
	plugin_set_finish(&set);
	return broken == 0;
}

const struct plugin *
registry_find(const struct registry *r, const char *name_or_alias)
{
	return plugin_find(&r->set, name_or_alias);
}
