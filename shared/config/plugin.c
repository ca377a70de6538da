/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin.h; the directory and the compiled file are in plugin_dir.c. */
#include "shared/config/plugin.h"

#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/shellwords.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERR_SIZE 512

#define TIMEOUT_MIN_MS 100
/* The broker takes a command back after 30 minutes without an ack: the answer must be in by then.
 */
#define TIMEOUT_MAX_MS  (25 * 60 * 1000 - 1)
#define OUTPUT_MIN      1024
#define OUTPUT_MAX      (7 * 1024 * 1024) /* more cannot be sent (agent/outbox.h) */
#define CPU_MAX_MS      (24 * 3600 * 1000)
#define MEMORY_MIN      (1024 * 1024)
#define SIZE_LIMIT_MAX  ((uint64_t)INT64_MAX)
#define PROCESSES_MAX   4194304 /* as many as Linux has pids */
#define SHA256_DIGITS   64
#define INTERVAL_MIN_MS 1000
#define INTERVAL_MAX_MS (366ULL * 24 * 3600 * 1000)

/* One plugin on its way in. */
struct definition {
	struct plugin plugin;
	bool has_format;
	ini_file_error_fn *on_error;
	void *arg;
	bool bad;
};

static void definition_error(struct definition *d, unsigned int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
definition_error(struct definition *d, unsigned int line, const char *fmt, ...)
{
	struct trouble what;
	va_list ap;

	va_start(ap, fmt);
	trouble_vset(&what, TROUBLE_OTHER, NULL, fmt, ap);
	va_end(ap);
	d->bad = true;
	d->on_error(d->plugin.file, line, &what, d->arg);
}

static void
plugin_finish(struct plugin *p)
{
	free(p->name);
	free(p->alias);
	free(p->description);
	free(p->command);
	shellwords_free(p->argv);
	shellwords_free(p->env);
	free(p->env_text);
	free(p->user);
	free(p->sha256);
	free(p->success_text);
	free(p->file);
}

void
plugin_set_finish(struct plugin_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		plugin_finish(&set->plugins[i]);
	free(set->plugins);
	for (size_t i = 0; i < set->n_rivals; i++) {
		free(set->rivals[i].file);
		free(set->rivals[i].name);
	}
	free(set->rivals);
	*set = (struct plugin_set){0};
}

/* --- the keys --- */

typedef void key_fn(struct definition *d, const struct ini_file_entry *e, const char *value);

static void
read_name(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	free(d->plugin.name);
	d->plugin.name = xstrdup(value);
}

static void
read_description(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	d->plugin.description = xstrdup(value);
}

static void
read_alias(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	const char *wrong = name_plugin_error(value);

	if (wrong != NULL)
		definition_error(d, e->line, "command_alias '%s': %s", value, wrong);
	d->plugin.alias = xstrdup(value);
}

static void
read_command(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	char err[ERR_SIZE];

	/* The command is kept as written: here quotes and ';' are its own. */
	d->plugin.command = xstrdup(e->value);
	d->plugin.command_line = e->line;
	d->plugin.argv = shellwords_split(e->value, err, sizeof(err));
	if (d->plugin.argv == NULL)
		definition_error(d, e->line, "command: %s", err);
	else if (d->plugin.argv[0] == NULL || d->plugin.argv[0][0] == '\0')
		definition_error(d, e->line, "command: names no program");
}

static void
read_format(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	char good[128] = "";
	size_t len = 0;

	d->has_format = true;
	if (wire_format_parse(value, &d->plugin.format))
		return;
	for (int f = WIRE_OUTPUT; f <= WIRE_PYDICT; f++)
		len += (size_t)snprintf(good + len, sizeof(good) - len, "%s%s", len > 0 ? ", " : "",
		    wire_format_name((enum wire_format)f));
	definition_error(d, e->line, "result_format '%s' should be one of %s", value, good);
}

/* Says so. */
static bool
lacks_unit(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	char ask[UNITS_ASK_SIZE];

	if (units_ask(value, ask) == NULL)
		return false;
	definition_error(d, e->line, "%s '%s': %s", e->key, value, ask);
	return true;
}

static void
read_timeout(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	uint64_t ms;

	if (units_parse_ms(value, &ms) && ms >= TIMEOUT_MIN_MS && ms <= TIMEOUT_MAX_MS)
		d->plugin.timeout_ms = (uint32_t)ms;
	else if (!lacks_unit(d, e, value))
		definition_error(d, e->line,
		    "timeout '%s' should be a duration like 30s or 5min, from 100ms to below 25min",
		    value);
}

static void
read_max_output(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	uint64_t bytes;

	if (units_parse_bytes(value, &bytes) && bytes >= OUTPUT_MIN && bytes <= OUTPUT_MAX)
		d->plugin.max_output = bytes;
	else
		definition_error(d, e->line,
		    "max_output '%s' should be a size like 256KiB, from 1KiB to 7MiB", value);
}

/* Reads "none", and what parse reads between min and max. */
static void
read_limit(struct definition *d, const struct ini_file_entry *e, const char *value,
    bool (*parse)(const char *text, uint64_t *n), uint64_t min, uint64_t max, uint64_t *limit,
    const char *should)
{
	if (strcmp(value, "none") == 0)
		*limit = PLUGIN_UNLIMITED;
	else if (!parse(value, limit) || *limit < min || *limit > max)
		definition_error(
		    d, e->line, "%s '%s' should be %s, or \"none\"", e->key, value, should);
}

static bool
parse_seconds(const char *text, uint64_t *ms)
{
	return units_parse_ms(text, ms) && *ms % 1000 == 0;
}

static bool
parse_processes(const char *text, uint64_t *n)
{
	return units_parse_count(text, PROCESSES_MAX, n);
}

static void
read_max_cpu(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	if (lacks_unit(d, e, value))
		return;
	read_limit(d, e, value, parse_seconds, 1000, CPU_MAX_MS, &d->plugin.max_cpu_ms,
	    "whole seconds or minutes, from 1s to 1d");
}

static void
read_max_memory(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	read_limit(d, e, value, units_parse_bytes, MEMORY_MIN, SIZE_LIMIT_MAX,
	    &d->plugin.max_memory, "a size like 512MiB, from 1MiB");
}

static void
read_max_processes(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	read_limit(d, e, value, parse_processes, 1, PROCESSES_MAX, &d->plugin.max_processes,
	    "a number from 1 to 4194304");
}

static void
read_max_file(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	read_limit(d, e, value, units_parse_bytes, 1, SIZE_LIMIT_MAX, &d->plugin.max_file,
	    "a size like 10MiB");
}

static void
read_interval(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	uint64_t ms;

	if (units_parse_ms(value, &ms) && ms >= INTERVAL_MIN_MS && ms <= INTERVAL_MAX_MS)
		d->plugin.interval_ms = ms;
	else if (!lacks_unit(d, e, value))
		definition_error(d, e->line,
		    "interval '%s' should be a duration like 10min or 1d, from 1s to 366d", value);
}

static void
read_splay(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	d->plugin.has_splay = units_parse_ms(value, &d->plugin.splay_ms);
	if (!d->plugin.has_splay && !lacks_unit(d, e, value))
		definition_error(
		    d, e->line, "splay '%s' should be a duration like 30s or 10min", value);
}

/* POSIX XBD 8.1: letters, digits and '_', no digit first. */
static bool
is_assignment(const char *word)
{
	size_t len =
	    strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	return len > 0 && !(word[0] >= '0' && word[0] <= '9') && word[len] == '=';
}

static void
read_env(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	char err[ERR_SIZE];

	d->plugin.env_text = xstrdup(e->value);
	d->plugin.env = shellwords_split(e->value, err, sizeof(err));
	if (d->plugin.env == NULL) {
		definition_error(d, e->line, "env: %s", err);
		return;
	}
	for (size_t i = 0; d->plugin.env[i] != NULL; i++) {
		if (!is_assignment(d->plugin.env[i]))
			definition_error(
			    d, e->line, "env: '%s' should be NAME=value", d->plugin.env[i]);
	}
}

static void
read_user(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	d->plugin.user = xstrdup(value);
	d->plugin.user_line = e->line;
	if (value[0] == '\0')
		definition_error(d, e->line, "user: has no value");
}

static void
read_sha256(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	d->plugin.sha256 = xstrdup(value);
	if (strlen(value) != SHA256_DIGITS ||
	    strspn(value, "0123456789abcdefABCDEF") != SHA256_DIGITS)
		definition_error(d, e->line, "sha256 should be 64 hex digits, as sha256sum prints");
	for (char *p = d->plugin.sha256; *p != '\0'; p++)
		*p = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
}

static void
read_success(struct definition *d, const struct ini_file_entry *e, const char *value)
{
	char err[ERR_SIZE];
	char **words = shellwords_split(value, err, sizeof(err));
	uint64_t status;

	d->plugin.success_text = xstrdup(value);
	for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
		if (units_parse_count(words[i], UINT8_MAX, &status))
			d->plugin.success[status] = true;
		else
			definition_error(d, e->line,
			    "success_exit_status '%s' should be numbers from 0 to 255", value);
	}
	if (words == NULL)
		definition_error(d, e->line, "success_exit_status: %s", err);
	shellwords_free(words);
}

static const struct {
	const char *key;
	key_fn *read;
} keys[] = {
    {"command", read_command},
    {"command_alias", read_alias},
    {"description", read_description},
    {"env", read_env},
    {"interval", read_interval},
    {"max_cpu", read_max_cpu},
    {"max_file", read_max_file},
    {"max_memory", read_max_memory},
    {"max_output", read_max_output},
    {"max_processes", read_max_processes},
    {"name", read_name},
    {"result_format", read_format},
    {"sha256", read_sha256},
    {"splay", read_splay},
    {"success_exit_status", read_success},
    {"timeout", read_timeout},
    {"user", read_user},
};

static void
read_key(struct definition *d, const struct ini_file_entry *e)
{
	char *value = xstrdup(e->value);

	ini_file_unquote(value);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(keys[i].key, e->key) == 0) {
			keys[i].read(d, e, value);
			free(value);
			return;
		}
	}
	log_warn("plugin", "%s:%u: unknown key '%s' in [%s]", e->file, e->line, e->key, e->section);
	free(value);
}

/* --- the set --- */

const struct plugin *
plugin_find(const struct plugin_set *set, const char *name_or_alias)
{
	const struct plugin *by_alias = NULL;

	for (size_t i = 0; i < set->n; i++) {
		const struct plugin *p = &set->plugins[i];

		if (strcmp(p->name, name_or_alias) == 0)
			return p;
		if (p->alias != NULL && strcmp(p->alias, name_or_alias) == 0)
			by_alias = p;
	}
	return by_alias;
}

static void
check_taken(struct definition *d, struct plugin_set *set, const char *what, const char *name)
{
	const struct plugin *other = name != NULL ? plugin_find(set, name) : NULL;

	if (other == NULL)
		return;
	definition_error(d, d->plugin.line, "%s '%s' is taken by the plugin '%s' (%s:%u)", what,
	    name, other->name, other->file, other->line);
	set->rivals = xreallocarray(set->rivals, set->n_rivals + 1, sizeof(*set->rivals));
	set->rivals[set->n_rivals++] =
	    (struct plugin_rival){xstrdup(d->plugin.file), xstrdup(other->name), d->plugin.line};
}

static void
check_whole(struct definition *d, struct plugin_set *set)
{
	const char *wrong = name_plugin_error(d->plugin.name);

	if (wrong != NULL)
		definition_error(d, d->plugin.line, "'%s': %s", d->plugin.name, wrong);
	if (d->plugin.command == NULL)
		definition_error(d, d->plugin.line, "plugin '%s' has no command", d->plugin.name);
	if (!d->has_format)
		definition_error(
		    d, d->plugin.line, "plugin '%s' has no result_format", d->plugin.name);
	if (!d->bad && d->plugin.has_splay && d->plugin.splay_ms > d->plugin.interval_ms)
		definition_error(d, d->plugin.line, "plugin '%s' has a splay %s", d->plugin.name,
		    d->plugin.interval_ms == 0 ? "but no interval" : "longer than its interval");
	check_taken(d, set, "name", d->plugin.name);
	check_taken(d, set, "command_alias", d->plugin.alias);
}

static int
by_name(const void *a, const void *b)
{
	const struct plugin *pa = a, *pb = b;

	return strcmp(pa->name, pb->name);
}

static void
set_add(struct plugin_set *set, const struct plugin *p)
{
	set->plugins = xreallocarray(set->plugins, set->n + 1, sizeof(*set->plugins));
	set->plugins[set->n++] = *p;
	qsort(set->plugins, set->n, sizeof(*set->plugins), by_name);
}

/* The section that begins at entry first; its pieces may be scattered over the file. */
static bool
read_section(struct plugin_set *set, const struct ini_file *c, size_t first,
    ini_file_error_fn *on_error, void *arg)
{
	const struct ini_file_entry *head = &c->entries[first];
	struct definition d = {.on_error = on_error, .arg = arg};

	d.plugin.name = xstrdup(head->section);
	d.plugin.file = xstrdup(head->file);
	d.plugin.line = head->line;
	d.plugin.success[0] = true;
	for (size_t i = first; i < c->n; i++) {
		if (strcasecmp(c->entries[i].section, head->section) == 0)
			read_key(&d, &c->entries[i]);
	}
	check_whole(&d, set);
	if (d.bad)
		plugin_finish(&d.plugin);
	else
		set_add(set, &d.plugin);
	return !d.bad;
}

static bool
is_first_of_section(const struct ini_file *c, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (strcasecmp(c->entries[j].section, c->entries[i].section) == 0)
			return false;
	}
	return true;
}

/* ok: c was read. */
static size_t
read_sections(struct plugin_set *set, const char *path, struct ini_file *c, bool ok,
    ini_file_error_fn *on_error, void *arg)
{
	static const struct trouble left_out = {
	    TROUBLE_OTHER, "all of this file is left out until that is mended", ""};
	size_t bad = 0;

	if (!ok) {
		/* Nobody knows which plugins its broken lines belong to. */
		on_error(path, 0, &left_out, arg);
		return 1;
	}
	for (size_t i = 0; i < c->n; i++) {
		if (is_first_of_section(c, i))
			bad += !read_section(set, c, i, on_error, arg);
	}
	ini_file_finish(c);
	return bad;
}

size_t
plugin_read_file(struct plugin_set *set, const char *path, ini_file_error_fn *on_error, void *arg)
{
	struct ini_file c;
	bool ok = ini_file_read(&c, path, true, on_error, arg);

	return read_sections(set, path, &c, ok, on_error, arg);
}

size_t
plugin_read_text(struct plugin_set *set, const char *path, struct buf *text,
    ini_file_error_fn *on_error, void *arg)
{
	struct ini_file c;
	bool ok = ini_file_read_text(&c, path, text, true, on_error, arg);

	return read_sections(set, path, &c, ok, on_error, arg);
}
