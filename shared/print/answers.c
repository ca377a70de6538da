/* SPDX-License-Identifier: Apache-2.0 */
/* See answers.h. A value is kept as its canonical text, once for all hosts that have it: a tree may
 * be a hundred times as large. Of one that takes more than a line no more than its hash is kept
 * once it is printed. */
#include "shared/print/answers.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/printable.h"
#include "shared/base/xalloc.h"
#include "shared/print/table.h"
#include "shared/target/ranges.h"
#include "shared/target/target.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_MAX ((size_t)64 * 1024 * 1024) /* a record is 7 MB; indenting multiplies that */
#define TOO_LARGE "too large to be shown"

struct group {
	char *text; /* what they say; NULL: it was printed, and is not needed again */
	bool block; /* it takes more than a line */
	struct hosts hosts;
	size_t printed; /* of hosts, the first so many, */
	size_t pieces;  /* in so many goes */
	char *first;    /* of these; NULL = none */
};

struct groups {
	json_t *index; /* hash of a text: its number in list */
	struct group *list;
	size_t n;
};

struct answers {
	struct groups said, lacking;
	size_t count;
	size_t waiting;      /* bytes of texts of groups that were not printed */
	bool blocks;         /* some value does not fit into a line */
	bool printed, after; /* something was printed; the last was a block */
	struct table *table; /* of lines, in pieces */
};

/* --- collecting --- */

/* false: there was one with this text. */
static bool
groups_add(struct groups *g, const char *text, bool block, const char *host)
{
	char hash[IDENT_HASH_SIZE];
	const json_t *number;
	struct group *group;

	ident_hash(hash, text, strlen(text));
	number = json_object_get(g->index, hash);
	if (number == NULL) {
		json_object_set_new_nocheck(g->index, hash, json_integer((json_int_t)g->n));
		g->list = xreallocarray(g->list, g->n + 1, sizeof(*g->list));
		group = &g->list[g->n++];
		*group = (struct group){.text = xstrdup(text), .block = block};
	} else {
		group = &g->list[json_integer_value(number)];
	}
	hosts_add(&group->hosts, host);
	return number == NULL;
}

static void
groups_finish(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		hosts_finish(&g->list[i].hosts);
		free(g->list[i].text);
		free(g->list[i].first);
	}
	free(g->list);
	json_decref(g->index);
}

struct answers *
answers_create(void)
{
	struct answers *a = xcalloc(1, sizeof(*a));

	a->said.index = json_object();
	a->lacking.index = json_object();
	return a;
}

void
answers_destroy(struct answers *a)
{
	if (a == NULL)
		return;
	groups_finish(&a->said);
	groups_finish(&a->lacking);
	table_destroy(a->table);
	free(a);
}

static bool
fits_into_line(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value) &&
	       (!json_is_string(value) || strchr(json_string_value(value), '\n') == NULL);
}

void
answers_add(struct answers *a, const char *host, const json_t *value)
{
	struct buf text;

	buf_init(&text, VALUE_MAX);
	if (jsonx_write(&text, value)) {
		bool block = !fits_into_line(value);

		if (groups_add(&a->said, text.data, block, host))
			a->waiting += text.len;
		a->blocks |= block;
		a->count++;
	} else {
		answers_lack(a, host, TOO_LARGE);
	}
	buf_finish(&text);
}

void
answers_lack(struct answers *a, const char *host, const char *why)
{
	groups_add(&a->lacking, why, false, host);
}

size_t
answers_count(const struct answers *a)
{
	return a->count;
}

size_t
answers_different(const struct answers *a)
{
	return a->said.n;
}

bool
answers_are_scattered(const struct answers *a)
{
	for (size_t i = 0; i < a->said.n; i++) {
		if (a->said.list[i].pieces > 1)
			return true;
	}
	return false;
}

size_t
answers_waiting(const struct answers *a)
{
	return a->waiting;
}

/* --- printing --- */

static int
compare(const void *x, const void *y)
{
	const struct group *a = x, *b = y;

	if (a->hosts.n != b->hosts.n)
		return a->hosts.n > b->hosts.n ? -1 : 1;
	return strcmp(a->hosts.names[0], b->hosts.names[0]);
}

/* The numbers of the index are of no use any more. */
static void
groups_sort(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++)
		hosts_sort(&g->list[i].hosts);
	if (g->n > 0)
		qsort(g->list, g->n, sizeof(*g->list), compare);
}

/* "web01", "12 hosts: web[01-12]"; malloced. */
static char *
describe_names(char *const *list, size_t n)
{
	char *names = ranges_some((const char *const *)list, n), *text;

	if (n == 1)
		return names;
	xasprintf(&text, "%zu hosts: %s", n, names);
	free(names);
	return text;
}

static char *
describe_hosts(const struct hosts *h)
{
	return describe_names(h->names, h->n);
}

static json_t *
parse(const struct group *g)
{
	char err[256];
	json_t *value = jsonx_parse_stored(g->text, strlen(g->text), err, sizeof(err));

	return value != NULL ? value : json_string(g->text);
}

void
answers_print_value(FILE *out, const json_t *value)
{
	struct buf text;

	buf_init(&text, VALUE_MAX);
	if (json_is_string(value))
		printable_put(out, json_string_value(value), PRINTABLE_KEEP_BREAKS);
	else if (jsonx_write_pretty(&text, value))
		printable_put(out, text.data, PRINTABLE_KEEP_BREAKS);
	else
		fputs(TOO_LARGE, out);
	putc('\n', out);
	buf_finish(&text);
}

static void
print_block(FILE *out, const char *hosts, const struct group *g)
{
	json_t *value = parse(g);

	printable_line(out, "%s", hosts);
	answers_print_value(out, value);
	json_decref(value);
}

static void
print_blocks(FILE *out, const struct groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		char *hosts = describe_hosts(&g->list[i].hosts);

		if (i > 0)
			putc('\n', out);
		print_block(out, hosts, &g->list[i]);
		free(hosts);
	}
}

/* A text of one line as it is, an empty one as "". Malloced. */
static char *
line_of(const struct group *g)
{
	json_t *value = parse(g);
	const char *text = json_string_value(value);
	char *line =
	    printable_text(text != NULL && text[0] != '\0' ? text : g->text, PRINTABLE_BLANK);

	json_decref(value);
	return line;
}

static struct table *
begin_table(void)
{
	struct table *table = table_create();

	table_column(table, "HOST", TABLE_WORDS);
	table_column(table, "VALUE", TABLE_WORDS);
	return table;
}

static void
add_row(struct table *table, const char *hosts, const struct group *g)
{
	char *value = line_of(g);

	table_row(table);
	table_cell(table, 0, hosts);
	table_cell(table, 1, value);
	free(value);
}

static void
print_table(FILE *out, const struct groups *g)
{
	struct table *table = begin_table();

	for (size_t i = 0; i < g->n; i++) {
		char *hosts = describe_hosts(&g->list[i].hosts);

		add_row(table, hosts, &g->list[i]);
		free(hosts);
	}
	table_print(out, table);
	table_destroy(table);
}

/* --- in pieces --- */

static int
by_name(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

static bool
is_waiting(const struct group *g)
{
	return g->printed < g->hosts.n;
}

/* Takes those of its hosts that were not printed yet; malloced. They are from here on. */
static char *
take_hosts(struct group *g)
{
	char **names = &g->hosts.names[g->printed], *hosts;
	size_t n = g->hosts.n - g->printed;

	qsort(names, n, sizeof(*names), by_name);
	hosts = describe_names(names, n);
	if (g->first == NULL)
		g->first = xstrdup(names[0]);
	g->printed = g->hosts.n;
	g->pieces++;
	return hosts;
}

/* A blank line before a block and behind one. */
static void
part_from_last(FILE *out, struct answers *a, bool block)
{
	if (a->printed && (a->after || block))
		putc('\n', out);
	a->printed = true;
	a->after = block;
}

static void
print_new_rows(FILE *out, struct answers *a)
{
	bool any = false;

	if (a->table == NULL)
		a->table = begin_table();
	for (size_t i = 0; i < a->said.n; i++) {
		struct group *g = &a->said.list[i];
		char *hosts;

		if (g->block || !is_waiting(g))
			continue;
		hosts = take_hosts(g);
		add_row(a->table, hosts, g);
		free(hosts);
		any = true;
	}
	if (!any)
		return;
	part_from_last(out, a, false);
	table_print_more(out, a->table);
}

static void
print_new_block(FILE *out, struct answers *a, struct group *g)
{
	char *hosts = take_hosts(g);

	part_from_last(out, a, g->text != NULL);
	if (g->text != NULL)
		print_block(out, hosts, g);
	else
		printable_line(out, "%s: as %s", hosts, g->first);
	free(g->text);
	g->text = NULL;
	free(hosts);
}

void
answers_print_new(FILE *out, struct answers *a)
{
	print_new_rows(out, a);
	for (size_t i = 0; i < a->said.n; i++) {
		if (a->said.list[i].block && is_waiting(&a->said.list[i]))
			print_new_block(out, a, &a->said.list[i]);
	}
	a->waiting = 0;
}

/* --- all --- */

void
answers_print(FILE *out, struct answers *a)
{
	if (a->printed) {
		answers_print_new(out, a);
		return;
	}
	groups_sort(&a->said);
	if (a->blocks)
		print_blocks(out, &a->said);
	else if (a->said.n > 0)
		print_table(out, &a->said);
}

void
answers_tell_lack(struct answers *a, answers_lack_fn *fn, void *arg)
{
	groups_sort(&a->lacking);
	for (size_t i = 0; i < a->lacking.n; i++) {
		char *hosts = describe_hosts(&a->lacking.list[i].hosts), *line;

		xasprintf(&line, "%s: %s", hosts, a->lacking.list[i].text);
		fn(line, arg);
		free(line);
		free(hosts);
	}
}

json_t *
answers_object(const char *host, const json_t *value, const char *why)
{
	json_t *o = json_object();

	jsonx_set_str(o, "host", host);
	if (value != NULL)
		json_object_set(o, "value", (json_t *)value);
	else
		jsonx_set_str(o, "error", why);
	return o;
}
