/* SPDX-License-Identifier: Apache-2.0 */
/* This checks a PostgreSQL server: does it let us in, would it keep what it has acknowledged, is it
 * the one that takes writes, has it connections to spare, and do its clock and ours agree? */
#include "admin/doctor.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/pg/pg_session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
	USER,
	VERSION,
	TLS,
	READ_ONLY,
	FSYNC,
	FULL_PAGE_WRITES,
	CONNECTIONS,
	CONNECTIONS_MAX,
	CLOCK_MS,
};

static const char question[] =
    "SELECT current_user, current_setting('server_version'),"
    " (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()),"
    " pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',"
    " current_setting('fsync'), current_setting('full_page_writes'),"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

static const char *const links[] = {"store login", "store role", "store durability",
    "store connections", "store clock", "store database", "store write", NULL};
enum { LINK_LOGIN, LINK_ROLE, LINK_DURABILITY, LINK_CONNECTIONS, LINK_CLOCK };

struct doctor_pg {
	struct pg_task task; /* first */
	struct doctor *d;
	struct pg_session *session;
	bool is_tcp;
	doctor_pg_fn *fn;
	void *arg;
};

static void
end(struct doctor_pg *p, bool ok)
{
	doctor_pg_fn *fn = p->fn;
	void *arg = p->arg;

	pg_session_destroy(p->session);
	loop_defer_free(p->d->v->loop, p, free);
	fn(ok, arg);
}

static void
fail(struct doctor_pg *p, const struct trouble *why)
{
	doctor_say_trouble(p->d, links[LINK_LOGIN], CHECK_FAIL, why);
	doctor_skip(p->d, links + 1, "not reached");
	end(p, false);
}

/* ---- what it says of itself ---- */

static bool
is(const PGresult *res, enum column column, const char *text)
{
	return strcmp(PQgetvalue(res, 0, (int)column), text) == 0;
}

static long long
number(const PGresult *res, enum column column)
{
	return strtoll(PQgetvalue(res, 0, (int)column), NULL, 10);
}

static void
say_login(struct doctor_pg *p, const PGresult *res)
{
	bool clear = p->is_tcp && !is(res, TLS, "t");

	doctor_say(p->d, links[LINK_LOGIN], clear ? CHECK_WARN : CHECK_OK,
	    clear ? "with sslmode=verify-full in the URI it is in TLS or not at all" : NULL,
	    "as %s, PostgreSQL %s%s", PQgetvalue(res, 0, USER), PQgetvalue(res, 0, VERSION),
	    clear       ? "; in the clear"
	    : p->is_tcp ? ", in TLS"
			: "");
}

static void
say_role(struct doctor_pg *p, const PGresult *res)
{
	if (is(res, READ_ONLY, "t"))
		doctor_say(p->d, links[LINK_ROLE], CHECK_WARN,
		    "name all servers in the URI (pg://user@db1,db2/database): the one that takes "
		    "writes is found",
		    "it is a replica, or takes no writes for now");
	else
		doctor_say(p->d, links[LINK_ROLE], CHECK_OK, NULL, "it takes writes");
}

/* Whether a commit is waited for is said by each session, and ours do. */
static void
say_durability(struct doctor_pg *p, const PGresult *res)
{
	const char *off = !is(res, FSYNC, "on")              ? "fsync"
			  : !is(res, FULL_PAGE_WRITES, "on") ? "full_page_writes"
							     : NULL;
	char cure[128];

	snprintf(cure, sizeof(cure), "ALTER SYSTEM SET %s = on; SELECT pg_reload_conf()",
	    off == NULL ? "" : off);
	if (off != NULL)
		doctor_say(p->d, links[LINK_DURABILITY], CHECK_WARN, cure,
		    "%s is off: a crash of its machine can damage the database, and lose what was "
		    "acknowledged",
		    off);
	else
		doctor_say(p->d, links[LINK_DURABILITY], CHECK_OK, NULL,
		    "fsync and full_page_writes are on");
}

static void
say_connections(struct doctor_pg *p, const PGresult *res)
{
	long long used = number(res, CONNECTIONS), max = number(res, CONNECTIONS_MAX);
	unsigned int wanted = p->d->options->pg_connections;

	if (used + wanted > max)
		doctor_say(p->d, links[LINK_CONNECTIONS], CHECK_WARN,
		    "raise max_connections of the server, or lower [pg] connections",
		    "%lld of %lld are in use, and a collector wants %u", used, max, wanted);
	else
		doctor_say(p->d, links[LINK_CONNECTIONS], CHECK_OK, NULL, "%lld of %lld are in use",
		    used, max);
}

static void
say_clock(struct doctor_pg *p, const PGresult *res)
{
	doctor_say_clock(p->d, links[LINK_CLOCK], wallclock_ms() - number(res, CLOCK_MS));
}

static void
doctor_pg_send(struct pg_task *t, struct pg_session *s)
{
	pg_session_query(s, &(struct pg_query){.sql = question, .text_results = true});
}

static void
doctor_pg_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct doctor_pg *p = (struct doctor_pg *)t;

	assert(PQntuples(res) == 1);
	say_login(p, res);
	say_role(p, res);
	say_durability(p, res);
	say_connections(p, res);
	say_clock(p, res);
}

static void
doctor_pg_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct doctor_pg *p = (struct doctor_pg *)t;

	if (fault != PG_FAULT_NONE)
		fail(p, why);
	else
		end(p, true);
}

/* ---- the connection ---- */

static void
doctor_pg_on_ready(struct pg_session *s, void *arg)
{
	struct doctor_pg *p = arg;

	p->task = (struct pg_task){
	    .send = doctor_pg_send, .on_result = doctor_pg_on_result, .on_end = doctor_pg_on_end};
	pg_session_run(s, &p->task);
}

static void
doctor_pg_on_down(struct pg_session *s, enum pg_fault fault, const struct trouble *why, void *arg)
{
	fail(arg, why);
}

void
doctor_pg(struct doctor *d, const struct uri *uri, doctor_pg_fn *fn, void *arg)
{
	static const struct pg_session_handlers handlers = {
	    .on_ready = doctor_pg_on_ready, .on_down = doctor_pg_on_down};
	struct doctor_pg *p = xcalloc(1, sizeof(*p));
	struct pg_session_options opt;

	pg_session_options_default(&opt);
	opt.uri = uri;
	opt.program = "vogeler-admin";
	p->d = d;
	p->is_tcp = uri->host != NULL && uri->host[0] != '/';
	p->fn = fn;
	p->arg = arg;
	p->session = pg_session_create(d->v->loop, &opt, &handlers, p);
	pg_session_start(p->session);
}
