/* SPDX-License-Identifier: Apache-2.0 */
/* See options_load.h. */
#include "shared/config/options_load.h"

#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_table.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ERR_SIZE 512

static char **
string_field(struct options *o, const struct option_row *row)
{
	return (char **)((char *)o + row->offset);
}

void
options_init(struct options *o)
{
	struct trouble why;

	*o = (struct options){0};
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		if (row->fallback != NULL && !option_parse(row, o, row->fallback, &why))
			fatal("options", "default of %s.%s: %s", row->section, row->key, why.what);
	}
	o->node_name = name_of_this_host();
}

void
options_finish(struct options *o)
{
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		if (!option_has_string(row))
			continue;
		free(*string_field(o, row));
		*string_field(o, row) = NULL; /* dbhost has three rows */
	}
	hostgroups_finish(&o->groups);
	free(o->qhost_source);
	free(o->dbhost_source);
	*o = (struct options){0};
}

static void
copy(struct options *dst, const struct options *src)
{
	struct options strings = *src;

	*dst = *src;
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		if (option_has_string(row))
			*string_field(dst, row) = NULL;
	}
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		if (option_has_string(row) && *string_field(dst, row) == NULL)
			*string_field(dst, row) = xstrdup_null(*string_field(&strings, row));
	}
	dst->qhost_source = xstrdup_null(src->qhost_source);
	dst->dbhost_source = xstrdup_null(src->dbhost_source);
	hostgroups_copy(&dst->groups, &src->groups);
}

static void
replace(char **field, const char *value)
{
	char *old = *field;

	*field = xstrdup_null(value);
	free(old);
}

/* --- loading a file --- */

struct options_loading {
	struct options next; /* becomes the options when all is well */
	const struct ini_file *conf;
	options_note_fn *note;
	void *arg;
	bool bad;
};

static void
tell(struct options_loading *l, enum log_level level, const struct ini_file_entry *e,
    const struct trouble *what)
{
	if (level == LOG_LEVEL_ERROR)
		l->bad = true;
	l->note(level, e->file, e->line, what, l->arg);
}

static void note(struct options_loading *l, enum log_level level, const struct ini_file_entry *e,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void
note(struct options_loading *l, enum log_level level, const struct ini_file_entry *e,
    const char *fmt, ...)
{
	struct trouble what;
	va_list ap;

	va_start(ap, fmt);
	trouble_vset(&what, TROUBLE_OTHER, NULL, fmt, ap);
	va_end(ap);
	tell(l, level, e, &what);
}

static void
load_group(struct options_loading *l, const struct ini_file_entry *e)
{
	char err[ERR_SIZE];

	if (!hostgroups_set(
		&l->next.groups, e->section, e->key, e->value, e->file, e->line, err, sizeof(err)))
		note(l, LOG_LEVEL_ERROR, e, "[%s] %s: %s", e->section, e->key, err);
}

static void
load_entry(struct options_loading *l, const struct ini_file_entry *e)
{
	const struct option_row *row = option_find(e->section, e->key);
	char text[ERR_SIZE];
	struct trouble why;

	if (hostgroups_section(e->section) != NULL) {
		load_group(l, e);
		return;
	}
	if (row == NULL) {
		option_suggest(e->section, e->key, text, sizeof(text));
		note(l, LOG_LEVEL_WARN, e, "unknown key '%s' in [%s]%s", e->key, e->section, text);
		return;
	}
	if (!option_parse(row, &l->next, e->value, &why)) {
		trouble_prefix(&why, "[%s] %s: ", e->section, e->key);
		tell(l, LOG_LEVEL_ERROR, e, &why);
		return;
	}
	if (row->type == OPTION_IGNORED || row->type == OPTION_AMQP)
		note(l, LOG_LEVEL_INFO, e,
		    "[%s] %s has no effect: accepted for the sake of old files", e->section,
		    e->key);
	if (row->type == OPTION_BROKERS)
		replace(&l->next.qhost_source, OPTIONS_FILE_SOURCE);
}

static bool
backend_matches(const char *backend, const char *dsn)
{
	size_t len = strlen(backend);

	/* "couch" is couchs:// as well. */
	return strncasecmp(dsn, backend, len) == 0 &&
	       (strncmp(dsn + len, "://", 3) == 0 || strncasecmp(dsn + len, "s://", 4) == 0);
}

/* Chooses which of the file's store URIs holds: [persistence] dsn; else that of the backend's
 * section; else, without a backend, whichever is there. */
static void
choose_store(struct options_loading *l)
{
	const struct ini_file_entry *backend = ini_file_find(l->conf, "persistence", "backend");
	const struct ini_file_entry *dsn = ini_file_find(l->conf, "persistence", "dsn");
	const struct ini_file_entry *couch = ini_file_find(l->conf, "couch", "dsn");
	const struct ini_file_entry *pg = ini_file_find(l->conf, "pg", "dsn");
	const struct ini_file_entry *sqlite = ini_file_find(l->conf, "sqlite", "dsn");
	const char *value;

	if (dsn != NULL && backend != NULL && !backend_matches(backend->value, dsn->value))
		note(l, LOG_LEVEL_ERROR, dsn, "[persistence] dsn is no %s:// URI, but backend = %s",
		    backend->value, backend->value);
	if (dsn == NULL && backend != NULL)
		dsn = strcmp(backend->value, "sqlite") == 0  ? sqlite
		      : strcmp(backend->value, "pg") == 0    ? pg
		      : strcmp(backend->value, "couch") == 0 ? couch
							     : NULL;
	else if (dsn == NULL)
		dsn = couch != NULL ? couch : pg != NULL ? pg : sqlite;
	if (dsn != NULL)
		value = dsn->value;
	else if (backend != NULL && strcmp(backend->value, "null") == 0)
		value = "null://";
	else
		return;
	replace(&l->next.dbhost, value);
	replace(&l->next.dbhost_source, OPTIONS_FILE_SOURCE);
}

bool
options_load(struct options *o, const struct ini_file *c, options_note_fn *note_fn, void *arg)
{
	struct options_loading l = {.conf = c, .note = note_fn, .arg = arg};
	char *dbhost = xstrdup_null(o->dbhost);

	copy(&l.next, o);
	for (size_t i = 0; i < c->n; i++)
		load_entry(&l, &c->entries[i]);
	/* Each dsn was tried on the field: put back what stood there, then choose. */
	replace(&l.next.dbhost, dbhost);
	free(dbhost);
	if (!l.bad)
		choose_store(&l);
	if (l.bad) {
		options_finish(&l.next);
		return false;
	}
	options_finish(o);
	*o = l.next;
	return true;
}

/* --- single values --- */

bool
options_set_qhost(struct options *o, const char *value, const char *source, struct trouble *why)
{
	if (!option_parse(option_find("amqp", "dsn"), o, value, why))
		return false;
	replace(&o->qhost_source, source);
	return true;
}

bool
options_set_dbhost(struct options *o, const char *value, const char *source, struct trouble *why)
{
	if (!option_parse(option_find("persistence", "dsn"), o, value, why))
		return false;
	replace(&o->dbhost_source, source);
	return true;
}

static bool
set(struct options *o, const char *section, const char *key, const char *value, struct trouble *why)
{
	const struct option_row *row = option_find(section, key);
	char text[ERR_SIZE];

	if (hostgroups_section(section) != NULL) {
		if (hostgroups_set(&o->groups, section, key, value, NULL, 0, text, sizeof(text)))
			return true;
		trouble_set(why, TROUBLE_OTHER, NULL, "%s.%s: %s", section, key, text);
		return false;
	}
	if (row == NULL) {
		option_suggest(section, key, text, sizeof(text));
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "unknown option '%s.%s'%s", section, key, text);
		return false;
	}
	if (row->type == OPTION_BACKEND || row->type == OPTION_AMQP ||
	    row->type == OPTION_IGNORED) {
		trouble_set(why, TROUBLE_OTHER, NULL, "'%s.%s' has no effect here%s", section, key,
		    row->type == OPTION_BACKEND ? "; give the store as persistence.dsn=URI" : "");
		return false;
	}
	if (!option_parse(row, o, value, why)) {
		trouble_prefix(why, "%s.%s: ", section, key);
		return false;
	}
	if (row->type == OPTION_BROKERS)
		replace(&o->qhost_source, "command-line options");
	if (row->type == OPTION_STORE)
		replace(&o->dbhost_source, "command-line options");
	return true;
}

bool
options_set(struct options *o, const char *assignment, struct trouble *why)
{
	const char *equal = strchr(assignment, '=');
	char *section, *dot;
	bool ok;

	section =
	    xstrndup(assignment, equal != NULL ? (size_t)(equal - assignment) : strlen(assignment));
	dot = strrchr(section, '.'); /* the name of a group may have some, a key has none */
	if (equal == NULL || dot == NULL) {
		trouble_set(why, TROUBLE_OTHER, NULL,
		    "should be section.key=value, as in global.log_level=DEBUG");
		free(section);
		return false;
	}
	*dot = '\0';
	ok = set(o, section, dot + 1, equal + 1, why);
	free(section);
	return ok;
}

/* --- a reload --- */

/* dbhost has three rows: this one is of where every kind of store may stand. */
static bool
is_main_row(const struct option_row *row)
{
	return row->type != OPTION_STORE || strcmp(row->section, "persistence") == 0;
}

static bool
same_brokers(const char *a, const char *b)
{
	struct uri *old = NULL, *new = NULL;
	size_t n_old = 0, n_new = 0;
	struct trouble why;
	bool same = a != NULL && b != NULL && uri_parse_brokers(a, &old, &n_old, &why) &&
		    uri_parse_brokers(b, &new, &n_new, &why) &&
		    uri_list_same_places(old, n_old, new, n_new);

	uri_list_free(old, n_old);
	uri_list_free(new, n_new);
	return same;
}

static bool
same_store(const char *a, const char *b)
{
	struct uri old = {0}, new = {0};
	struct trouble why;
	bool same = a != NULL && b != NULL && uri_parse(a, &old, &why) &&
		    uri_parse(b, &new, &why) && uri_same_place(&old, &new);

	uri_finish(&old);
	uri_finish(&new);
	return same;
}

static void
swap_source(const struct option_row *row, struct options *a, struct options *b)
{
	char **x = row->type == OPTION_BROKERS ? &a->qhost_source : &a->dbhost_source;
	char **y = row->type == OPTION_BROKERS ? &b->qhost_source : &b->dbhost_source;
	char *t = *x;

	*x = *y;
	*y = t;
}

/* false: it has changed, and now has the old one. */
static bool
take(const struct option_row *row, struct options *now, struct options *fresh,
    enum options_program program)
{
	switch (row->changes[program]) {
	case OPTION_UNUSED:
		return true;
	case OPTION_RESTART:
		return option_equal(row, now, fresh);
	case OPTION_RELOAD:
		break;
	case OPTION_LOGIN:
		if (!is_main_row(row) || option_equal(row, now, fresh))
			return true;
		if (!(row->type == OPTION_BROKERS ? same_brokers : same_store)(
			*string_field(now, row), *string_field(fresh, row)))
			return false;
		swap_source(row, now, fresh);
		break;
	}
	option_swap(row, now, fresh);
	return true;
}

/* URIs are named by what they are of: they need not be from the file. */
static void
name_row(FILE *out, const char **section, const struct option_row *row)
{
	const char *comma = (*section)[0] != '\0' ? ", " : "";

	if (row->type == OPTION_BROKERS || row->type == OPTION_STORE) {
		fprintf(out, "%sthe %s (but for user and password)", comma,
		    row->type == OPTION_BROKERS ? "broker" : "store");
		*section = "?"; /* the next one names its own again */
	} else if (strcmp(*section, row->section) == 0) {
		fprintf(out, "%s%s", comma, row->key);
	} else {
		fprintf(out, "%s[%s] %s", comma, row->section, row->key);
		*section = row->section;
	}
}

char *
options_take(struct options *now, struct options *fresh, enum options_program program)
{
	const char *section = "";
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		fatal("options", "out of memory");
	for (size_t i = 0; i < option_n_rows; i++) {
		if (!take(&option_rows[i], now, fresh, program))
			name_row(out, &section, &option_rows[i]);
	}
	fclose(out);
	if (text != NULL && text[0] != '\0')
		return text;
	free(text);
	return NULL;
}

/* --- printing --- */

static bool
is_printed(const struct option_row *row)
{
	return row->type != OPTION_BACKEND && row->type != OPTION_AMQP &&
	       row->type != OPTION_IGNORED && is_main_row(row);
}

static void
dump_groups(const struct hostgroups *g, FILE *out)
{
	for (size_t i = 0; i < g->n; i++) {
		char *hosts = g->list[i].hosts == NULL ? NULL : ini_file_quote(g->list[i].hosts);
		char *where = g->list[i].where == NULL ? NULL : ini_file_quote(g->list[i].where);

		fprintf(out, "\n[group %s]\n", g->list[i].name);
		if (hosts != NULL)
			fprintf(out, "hosts = %s\n", hosts);
		if (where != NULL)
			fprintf(out, "where = %s\n", where);
		free(hosts);
		free(where);
	}
}

void
options_dump(const struct options *o, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];
		char *value;

		if (!is_printed(row))
			continue;
		if (strcmp(section, row->section) != 0)
			fprintf(out, "%s[%s]\n", section[0] != '\0' ? "\n" : "", row->section);
		section = row->section;
		value = option_print(row, o);
		if (value != NULL)
			fprintf(out, "%s = %s\n", row->key, value);
		else
			fprintf(out, "# %s is not set\n", row->key);
		free(value);
	}
	dump_groups(&o->groups, out);
}

void
options_list(FILE *out)
{
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		fprintf(out, "%s.%s %s %s\n", row->section, row->key, option_type_name(row->type),
		    row->fallback != NULL ? row->fallback : "-");
	}
}
