/* SPDX-License-Identifier: Apache-2.0 */
/* See verbs.h. */
#include "agent/verbs.h"

#include "agent/agent.h"
#include "agent/reader.h"
#include "agent/registry.h"
#include "agent/report.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "shared/base/printable.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/exec/children.h"
#include "shared/print/table.h"
#include "shared/wire/jsonx.h"
#include <bsd/string.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX       (320U * 1024 * 1024) /* body and value, indented */
#define EXIT_INTERRUPTED 130

static const char *
or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

/* A splay says when the first run is: without an interval there is none. */
static void
add_row(struct table *table, const struct plugin *p)
{
	char interval[UNITS_TEXT_SIZE] = "-", splay[UNITS_TEXT_SIZE] = "-";

	if (p->interval_ms != 0) {
		units_format_ms(p->interval_ms, interval);
		units_format_ms(schedule_splay(p), splay);
	}
	table_row(table);
	table_cell(table, 0, p->name);
	table_cell(table, 1, or_dash(p->alias));
	table_cell(table, 2, wire_format_name(p->format));
	table_cell(table, 3, interval);
	table_cell(table, 4, splay);
	table_cell(table, 5, or_dash(p->description));
	table_cell(table, 6, p->command);
}

static void
print_table(const struct registry *r)
{
	struct table *table = table_create();

	table_column(table, "NAME", TABLE_WHOLE);
	table_column(table, "ALIAS", TABLE_WHOLE);
	table_column(table, "FORMAT", TABLE_WHOLE);
	table_column(table, "INTERVAL", TABLE_WHOLE);
	table_column(table, "SPLAY", TABLE_WHOLE);
	table_column(table, "DESCRIPTION", TABLE_WORDS);
	table_column(table, "COMMAND", TABLE_WORDS);
	for (size_t i = 0; i < r->set.n; i++)
		add_row(table, &r->set.plugins[i]);
	table_print(stdout, table);
	table_destroy(table);
}

int
verbs_list(const char *plugin_dir)
{
	struct registry r;
	int status = 1;

	registry_init(&r);
	if (!registry_read(&r, plugin_dir, NULL))
		goto out;
	if (r.set.n == 0)
		printable_line(stdout, "No plugins are registered in %s", plugin_dir);
	else
		print_table(&r);
	status = r.broken > 0 ? 1 : 0;
out:
	registry_finish(&r);
	return status;
}

struct trial {
	struct loop *loop;
	struct children *children;
	struct buf out;
	struct child_event done;
	bool interrupted;
};

static void
on_child(const struct child_event *ev, void *arg)
{
	struct trial *t = arg;

	if (ev->kind == CHILD_OUTPUT && !buf_append(&t->out, ev->data, ev->length))
		abort(); /* the children hold to the same cap */
	if (ev->kind != CHILD_DONE)
		return;
	t->done = *ev;
	loop_stop(t->loop);
}

static void
on_interrupt(int signo, void *arg)
{
	struct trial *t = arg;
	struct child_request req = {.op = CHILD_OP_KILL, .id = 1};

	t->interrupted = true;
	children_request(t->children, &req);
}

static void
run_trial(
    struct trial *t, const struct registry *r, const struct plugin *p, const struct options *o)
{
	struct child_defaults defaults = {o->plugin_timeout_ms, o->plugin_max_output};
	struct child_request req = {.op = CHILD_OP_RUN, .id = 1};

	*t = (struct trial){.loop = loop_create()};
	buf_init(&t->out, p->max_output != 0 ? p->max_output : o->plugin_max_output);
	t->children = children_create(t->loop, on_child, t);
	children_set_plugins(t->children, &r->set, &defaults);
	loop_signal(t->loop, SIGINT, on_interrupt, t);
	loop_signal(t->loop, SIGTERM, on_interrupt, t);
	strlcpy(req.plugin, p->name, sizeof(req.plugin));
	children_request(t->children, &req);
	loop_run(t->loop);
	children_destroy(t->children);
	loop_destroy(t->loop);
}

static void
print_text_property(const char *name, const char *value)
{
	if (value != NULL)
		printable_line(stderr, "%s: %s", name, value);
}

static void
print_properties(const struct message *m)
{
	print_text_property("message_id", m->message_id);
	print_text_property("app_id", m->app_id);
	print_text_property("content_type", m->content_type);
	for (size_t i = 0; i < m->n_headers; i++)
		print_text_property(m->headers[i].name, m->headers[i].value);
	fflush(stderr);
}

/* {"body": what would be sent, "value": what the collector would make of it, if anything}. */
static bool
print_answer(const struct message *m, json_t *value)
{
	struct buf text;
	char err[256];
	json_t *body = jsonx_parse(m->body, m->body_len, NULL, err, sizeof(err));
	json_t *answer = json_object();
	bool ok = body != NULL && answer != NULL && json_object_set_new(answer, "body", body) == 0;

	ok = ok && (value == NULL || json_object_set(answer, "value", value) == 0);
	buf_init(&text, ANSWER_MAX);
	ok = ok && jsonx_write_pretty(&text, answer) && buf_append(&text, "\n", 1);
	if (ok)
		printable_put(stdout, text.data, PRINTABLE_KEEP_BREAKS);
	else
		complain_line("vogeler-agent", "the answer cannot be shown");
	fflush(stdout);
	buf_finish(&text);
	json_decref(answer);
	return ok;
}

/* Prints what is wrong last. Returns the exit status. */
static int
print_response(const struct cli *cli, const struct response *r, const struct plugin *p)
{
	struct reading reading = {.outcome = READER_REFUSED};
	struct message m;
	bool shown = false;

	if (wire_response_encode(r, &m)) {
		print_properties(&m);
		if (r->meta.state == WIRE_OK)
			reader_read(&reading, cli, p->name, r->format,
			    json_object_get(r->results, p->name));
		shown = print_answer(&m, reading.value);
	}
	message_finish(&m);
	if (reading.said != NULL)
		fputs(reading.said, stderr);
	reading_finish(&reading);
	if (reading.outcome == READER_REFUSED)
		return VERBS_EXIT_FAILED;
	return shown && reading.outcome == READER_OK ? 0 : 1;
}

static int
print_trial(const struct cli *cli, const struct trial *t, const struct plugin *p, const char *host)
{
	char *machine_id = sequence_read_id("/etc/machine-id");
	char *boot_id = sequence_read_id("/proc/sys/kernel/random/boot_id");
	struct report_origin origin = {host, machine_id, boot_id};
	struct report_request req = {p->name, NULL, NULL, p->format};
	struct response r;
	int status;

	report_run(&r, &origin, &req, &t->done, &t->out, 0, wallclock_ms());
	status = print_response(cli, &r, p);
	response_finish(&r);
	free(machine_id);
	free(boot_id);
	return status;
}

int
verbs_exec(struct cli *cli, const char *plugin_dir, const char *name)
{
	const struct plugin *p;
	struct registry r;
	struct trial t;
	char *host = agent_host(cli);
	int status = 1;

	registry_init(&r);
	if (host == NULL || !registry_read(&r, plugin_dir, name))
		goto out;
	p = registry_find(&r, name);
	if (p == NULL) {
		char *names = registry_names(&r);

		complain_line("vogeler-agent", "there is no plugin '%s' in %s; there are: %s", name,
		    plugin_dir, names[0] != '\0' ? names : "none");
		free(names);
		status = VERBS_EXIT_FAILED;
		goto out;
	}
	run_trial(&t, &r, p, &cli->options);
	status = t.interrupted ? EXIT_INTERRUPTED : print_trial(cli, &t, p, host);
	buf_finish(&t.out);
out:
	registry_finish(&r);
	free(host);
	return status;
}
