/* See show.h. */
#include "agent/show.h"

#include "agent/agent.h"
#include "agent/child.h"
#include "agent/order.h"
#include "agent/registry.h"
#include "agent/report.h"
#include "agent/schedule.h"
#include "shared/jsonx.h"
#include "shared/loop.h"
#include "shared/units.h"
#include "shared/wall.h"
#include <bsd/string.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX         (64U * 1024 * 1024)
#define EXIT_INTERRUPTED 130

struct table {
	int name, alias, format, interval, splay, description; /* widths */
};

struct row {
	const char *name, *alias, *format, *interval, *splay, *description, *command;
	char times[2][UNITS_TEXT_SIZE]; /* what interval and splay point to */
};

static int
wider(int width, const char *text)
{
	int len = (int)strlen(text);

	return len > width ? len : width;
}

static const char *
or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

/* A splay says when the first run is: without an interval there is none. */
static void
fill_row(struct row *row, const struct plugin *p)
{
	bool planned = p->interval_ms != 0;

	*row = (struct row){.name = p->name,
	    .alias = or_dash(p->alias),
	    .format = wire_format_name(p->format),
	    .interval = "-",
	    .splay = "-",
	    .description = or_dash(p->description),
	    .command = p->command};
	if (planned)
		row->interval = units_format_ms(p->interval_ms, row->times[0]);
	if (planned)
		row->splay = units_format_ms(schedule_splay(p), row->times[1]);
}

static void
print_row(const struct table *t, const struct row *r)
{
	printf("%-*s  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", t->name, r->name, t->alias, r->alias,
	    t->format, r->format, t->interval, r->interval, t->splay, r->splay, t->description,
	    r->description, r->command);
}

static void
widen(struct table *t, const struct row *r)
{
	t->name = wider(t->name, r->name);
	t->alias = wider(t->alias, r->alias);
	t->format = wider(t->format, r->format);
	t->interval = wider(t->interval, r->interval);
	t->splay = wider(t->splay, r->splay);
	t->description = wider(t->description, r->description);
}

static void
print_table(const struct registry *r)
{
	const struct row head = {
	    "NAME", "ALIAS", "FORMAT", "INTERVAL", "SPLAY", "DESCRIPTION", "COMMAND", {"", ""}};
	struct table t = {0};
	struct row row;

	widen(&t, &head);
	for (size_t i = 0; i < r->set.n; i++) {
		fill_row(&row, &r->set.plugins[i]);
		widen(&t, &row);
	}
	print_row(&t, &head);
	for (size_t i = 0; i < r->set.n; i++) {
		fill_row(&row, &r->set.plugins[i]);
		print_row(&t, &row);
	}
}

int
show_list(const char *plugin_dir)
{
	struct registry r;
	int status = 1;

	registry_init(&r);
	if (!registry_read(&r, plugin_dir))
		goto out;
	if (r.set.n == 0)
		printf("No plugins are registered in %s\n", plugin_dir);
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
		fprintf(stderr, "%s: %s\n", name, value);
}

static void
print_header(const struct header *h)
{
	print_text_property(h->name, h->value);
}

static bool
print_message(const struct message *m)
{
	struct buf text;
	char err[256];
	json_t *body = jsonx_parse(m->body, m->body_len, NULL, err, sizeof(err));
	bool ok;

	print_text_property("message_id", m->message_id);
	print_text_property("app_id", m->app_id);
	print_text_property("content_type", m->content_type);
	for (size_t i = 0; i < m->n_headers; i++)
		print_header(&m->headers[i]);
	fflush(stderr);
	buf_init(&text, BODY_MAX);
	ok = body != NULL && jsonx_write_pretty(&text, body);
	if (ok)
		printf("%s\n", text.data);
	else
		fprintf(stderr, "vogeler-agent: the body cannot be shown\n");
	buf_finish(&text);
	json_decref(body);
	return ok;
}

static int
print_trial(const struct trial *t, const struct plugin *p, const char *host)
{
	char *machine_id = order_read_id("/etc/machine-id");
	char *boot_id = order_read_id("/proc/sys/kernel/random/boot_id");
	struct report_origin origin = {host, machine_id, boot_id};
	struct report_request req = {p->name, NULL, NULL, p->format};
	struct response r;
	struct message m;
	bool ok;

	report_run(&r, &origin, &req, &t->done, &t->out, 0, wall_ms());
	ok = r.meta.state == WIRE_OK;
	if (!wire_response_encode(&r, &m) || !print_message(&m))
		ok = false;
	message_finish(&m);
	response_finish(&r);
	free(machine_id);
	free(boot_id);
	return ok ? 0 : SHOW_EXIT_FAILED;
}

int
show_exec(struct cli *cli, const char *plugin_dir, const char *name)
{
	const struct plugin *p;
	struct registry r;
	struct trial t;
	char *host = agent_host(cli);
	int status = 1;

	registry_init(&r);
	if (host == NULL || !registry_read(&r, plugin_dir))
		goto out;
	p = registry_find(&r, name);
	if (p == NULL) {
		char *names = registry_names(&r);

		cli_complain("vogeler-agent", "there is no plugin '%s' in %s; there are: %s", name,
		    plugin_dir, names[0] != '\0' ? names : "none");
		free(names);
		status = SHOW_EXIT_FAILED;
		goto out;
	}
	run_trial(&t, &r, p, &cli->options);
	status = t.interrupted ? EXIT_INTERRUPTED : print_trial(&t, p, host);
	buf_finish(&t.out);
out:
	registry_finish(&r);
	free(host);
	return status;
}
