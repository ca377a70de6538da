/* See registry.h. */
#include "agent/registry.h"

#include "shared/buf.h"
#include "shared/cli.h"
#include "shared/log.h"
#include "shared/xalloc.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
log_broken(const char *file, unsigned int line, const char *text, void *arg)
{
	char *shown = cli_complaint(file, line, text); /* a plugin may be given a URI */

	log_error("plugins", "%s", shown);
	free(shown);
}

static void
print_broken(const char *file, unsigned int line, const char *text, void *arg)
{
	char *shown = cli_complaint(file, line, text);

	cli_complain("vogeler-agent", "%s", shown);
	free(shown);
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
read_dir(struct plugin_set *set, const char *dir, conf_error_fn *on_error)
{
	int broken;

	*set = (struct plugin_set){0};
	broken = plugin_read_dir(set, dir, on_error, NULL);
	if (broken < 0) /* told to on_error */
		plugin_set_finish(set);
	return broken;
}

/* What comes into force is what was written, and not what is found there by then. */
static bool
compile(struct plugin_set *set, const char *path)
{
	char err[512];
	struct buf text;
	bool ok = plugin_write_compiled(set, path, &text, err, sizeof(err));

	plugin_set_finish(set);
	*set = (struct plugin_set){0};
	if (!ok) {
		log_error("plugins", "cannot compile the plugins: %s", err);
	} else if (plugin_read_text(set, path, &text, log_broken, NULL) != 0) {
		log_error("plugins", "%s cannot be read back; the plugins stay as they were", path);
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
	broken = read_dir(&set, plugin_dir, log_broken);
	if (broken < 0)
		return false;
	if (broken > 0 && whole) {
		plugin_set_finish(&set);
		return false;
	}
	xasprintf(&path, "%s/%s", state_dir, REGISTRY_COMPILED);
	ok = compile(&set, path);
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

bool
registry_read(struct registry *r, const char *plugin_dir)
{
	struct plugin_set set;
	int broken = read_dir(&set, plugin_dir, print_broken);

	if (broken < 0)
		return false;
	plugin_set_finish(&r->set);
	r->set = set;
	r->broken = (size_t)broken;
	return true;
}

const struct plugin *
registry_find(const struct registry *r, const char *name_or_alias)
{
	return plugin_find(&r->set, name_or_alias);
}
