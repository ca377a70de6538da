/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether all that is in the file can be read. See sqlite.h. */
#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/mono.h"
#include "shared/base/name.h"
#include "shared/base/xalloc.h"
#include "shared/event/worker.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMED      3     /* hosts; the others are counted */
#define LOOK_EVERY 10000 /* instructions of SQLite, at the clock */

/* Each reads all pages of what it names, those of long values too. */
static const struct part {
	const char *name, *sql;
	bool index;    /* nothing but what the tables have */
	bool of_hosts; /* hosts are known by reading them which it concerns */
} parts[] = {
    {"table host", "SELECT total(length(last_error)) FROM host NOT INDEXED", false, true},
    {"index sqlite_autoindex_host_1",
	"SELECT count(*) FROM host INDEXED BY sqlite_autoindex_host_1 WHERE name >= ''", true,
	true},
    {"table plugin", "SELECT total(length(name)) FROM plugin NOT INDEXED", false, true},
    {"index sqlite_autoindex_plugin_1",
	"SELECT count(*) FROM plugin INDEXED BY sqlite_autoindex_plugin_1 WHERE name >= ''", true,
	false},
    {"table machine", "SELECT total(length(boot_id)) FROM machine NOT INDEXED", false, true},
    {"index sqlite_autoindex_machine_1",
	"SELECT count(*) FROM machine INDEXED BY sqlite_autoindex_machine_1 WHERE machine_id >= ''",
	true, false},
    {"table fresh", "SELECT total(length(meta)) FROM fresh NOT INDEXED", false, true},
    {"index fresh_by_host", "SELECT count(*) FROM fresh INDEXED BY fresh_by_host WHERE host > -1",
	true, true},
    {"table version", "SELECT total(length(v)) FROM version", false, true},
    {"table version_of", "SELECT total(seq) FROM version_of", false, false},
    {"table version_new", "SELECT total(host) FROM version_new", false, false},
    {"table latest", "SELECT total(length(v)) FROM latest NOT INDEXED", false, true},
    {"index sqlite_autoindex_latest_1",
	"SELECT count(*) FROM latest INDEXED BY sqlite_autoindex_latest_1 WHERE plugin > -1", true,
	true},
    {"table unparsed", "SELECT total(length(v)) FROM unparsed NOT INDEXED", false, true},
    {"index sqlite_autoindex_unparsed_1",
	"SELECT count(*) FROM unparsed INDEXED BY sqlite_autoindex_unparsed_1 WHERE plugin > -1",
	true, true},
    {"table notes", "SELECT total(length(value)) FROM notes", false, false},
    {"table job", "SELECT total(length(job)) FROM job NOT INDEXED", false, true},
    {"index sqlite_autoindex_job_1",
	"SELECT count(*) FROM job INDEXED BY sqlite_autoindex_job_1 WHERE name >= ''", true, false},
    {"index job_by_time", "SELECT count(*) FROM job INDEXED BY job_by_time WHERE sent_at > -1",
	true, false},
    {"table outcome", "SELECT total(length(why)) FROM outcome NOT INDEXED", false, false},
    {"index outcome_stray",
	"SELECT count(*) FROM outcome INDEXED BY outcome_stray WHERE stray = 1 AND host > -1", true,
	false},
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

/* One bit tells a text from a blob, or a number from either: such a row can be read, but nobody
 * finds it, for it is behind or before all that is asked for. */
static const struct lost {
	const char *table, *where, *odd;
} losts[] = {
    {"host", "typeof(name) <> 'text'", "name is no text"},
    {"plugin", "typeof(name) <> 'text'", "name is no text"},
    {"fresh", "typeof(plugin) <> 'integer' OR typeof(host) <> 'integer'", "key is no number"},
    {"version_of",
	"typeof(plugin) <> 'integer' OR typeof(host) <> 'integer' OR typeof(seq) <> 'integer'",
	"key is no number"},
    {"version_new", "typeof(plugin) <> 'integer' OR typeof(host) <> 'integer'", "key is no number"},
    {"job", "typeof(name) <> 'text'", "name is no text"},
    {"outcome", "typeof(job) <> 'integer' OR typeof(host) <> 'integer'", "key is no number"},
};
#define N_LOST (sizeof(losts) / sizeof(losts[0]))

/* Run on the thread, done on the loop. */
struct check {
	struct sqlite_store *s;
	store_done_fn *fn;
	void *arg;
	struct mono end;
	bool late, failed; /* failed: for what is no damage, db->why */
	bool of_hosts, of_tables;
	char damaged[256];  /* parts, "" = none */
	char *names[NAMED]; /* the first of the hosts that cannot be read */
	size_t n_hosts;
	const struct lost *lost; /* the first table with rows that nobody finds */
	int64_t n_lost;
	struct trouble why;
	char done[160]; /* when nothing is wrong */
};

static int
is_late(void *arg)
{
	struct check *c = arg;

	c->late = mono_reached(mono_now(), c->end);
	return c->late;
}

/* ---- parts ---- */

static void
note_part(struct check *c, const struct part *p)
{
	if (c->damaged[0] != '\0')
		strlcat(c->damaged, ", ", sizeof(c->damaged));
	strlcat(c->damaged, p->name, sizeof(c->damaged));
	c->of_hosts = c->of_hosts || p->of_hosts;
	c->of_tables = c->of_tables || !p->index;
}

static void
check_part(struct check *c, const struct part *p)
{
	struct sqldb *db = &c->s->db;

	if (sqldb_can_read(db, p->sql) || c->late)
		return;
	if (db->fault == SQLDB_FAULT_ROW)
		note_part(c, p);
	else
		c->failed = true;
}

static void
look_for_lost(struct check *c, const struct lost *l)
{
	char sql[160];
	int64_t n = 0;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE %s", l->table, l->where);
	if (!sqldb_query_int(&c->s->db, sql, &n) || n == 0)
		return; /* what cannot be read has been told of as a part */
	if (c->lost == NULL)
		c->lost = l;
	c->n_lost += n;
}

/* ---- hosts ---- */

static void
note_host(struct check *c, const char *host)
{
	if (c->n_hosts < NAMED)
		c->names[c->n_hosts] = xstrdup(host);
	c->n_hosts++;
}

static char *
first_of(struct sqldb *db, enum stmt which, const char *after)
{
	char *host = NULL;
	size_t len;

	db->fault = SQLDB_FAULT_NONE;
	sqldb_bind_str(db, which, 1, after);
	if (which == STMT_HOSTS_AFTER)
		sqldb_bind_int(db, which, 2, 1);
	if (sqldb_step(db, which) == SQLITE_ROW) {
		host = xstrdup_null(sqldb_column_text(db, which, 0, &len));
		sqldb_done(db, which);
	}
	return host;
}

/* Looks in the table for what cannot be found by the index. */
static char *
next_host(struct sqldb *db, const char *after)
{
	char *host = first_of(db, STMT_HOSTS_AFTER, after);

	if (host == NULL && db->fault == SQLDB_FAULT_ROW)
		host = first_of(db, STMT_HOST_AFTER_BY_TABLE, after);
	return host;
}

static void
check_hosts(struct check *c)
{
	struct sqldb *db = &c->s->db;
	char *host = next_host(db, ""), *next;
	size_t bytes = 0;

	while (host != NULL && !c->late) {
		json_t *rec = NULL;

		if (sqlite_read(db, host, &rec, &bytes) == STORE_FAILED && !c->late)
			note_host(c, host);
		json_decref(rec);
		next = next_host(db, host);
		free(host);
		host = next;
	}
	free(host);
}

/* ---- what is said ---- */

static void
say_damage(struct check *c)
{
	char *names = names_some((const char *const *)c->names, c->n_hosts, NAMED), *hosts;

	if (c->n_hosts > 0)
		xasprintf(&hosts, "; %zu host%s cannot be read: %s", c->n_hosts,
		    c->n_hosts == 1 ? "" : "s", names);
	else
		hosts = xstrdup("");
	trouble_set(&c->why, TROUBLE_OTHER,
	    c->of_tables ? SQLDB_CURE_DAMAGED
			 : "stop the collector; sqlite3 FILE .recover | sqlite3 NEW makes it anew, "
			   "put NEW in its place",
	    "%s: damaged: %s%s%s", c->s->db.path, c->damaged, hosts,
	    c->of_tables ? "" : ", no data");
	free(hosts);
	free(names);
}

static void
say_lost(struct check *c)
{
	trouble_set(&c->why, TROUBLE_OTHER, NULL,
	    "%s: damaged: %" PRId64 " row%s whose %s any more, so that nobody finds %s, in table "
	    "%s",
	    c->s->db.path, c->n_lost, c->n_lost == 1 ? "" : "s", c->lost->odd,
	    c->n_lost == 1 ? "it" : "them", c->lost->table);
	trouble_set_cure(&c->why,
	    "put a backup in its place, or remove what is lost: sqlite3 FILE \"DELETE FROM %s "
	    "WHERE %s\"",
	    c->lost->table, c->lost->where);
}

static void
say(struct check *c)
{
	if (c->failed)
		c->why = c->s->db.why;
	else if (c->damaged[0] != '\0')
		say_damage(c);
	else if (c->lost != NULL)
		say_lost(c);
	else if (c->late)
		snprintf(c->done, sizeof(c->done),
		    "nothing is damaged of what could be read in %d s; for all of it: sqlite3 FILE "
		    "'PRAGMA integrity_check'",
		    STORE_CHECK_MS / 1000);
	else
		snprintf(c->done, sizeof(c->done), "all of it can be read");
}

static void
check_run(void *arg)
{
	struct check *c = arg;
	struct sqldb *db = &c->s->db;
	struct trouble why;

	/* A file that was to be opened anew, and could not be. */
	if (db->handle == NULL) {
		c->failed = true;
		say(c);
		return;
	}
	c->end = mono_add(mono_now(), STORE_CHECK_MS);
	sqlite3_progress_handler(db->handle, LOOK_EVERY, is_late, c);
	for (size_t i = 0; i < N_PARTS && !c->late && !c->failed; i++)
		check_part(c, &parts[i]);
	for (size_t i = 0; i < N_LOST && !c->late && !c->failed; i++)
		look_for_lost(c, &losts[i]);
	why = db->why;
	if (c->of_hosts && !c->failed)
		check_hosts(c);
	db->why = why;
	sqlite3_progress_handler(db->handle, 0, NULL, NULL);
	say(c);
}

static void
check_done(void *arg)
{
	struct check *c = arg;

	if (!c->s->closed)
		c->fn(c->why.kind != TROUBLE_NONE ? &c->why : NULL,
		    c->why.kind != TROUBLE_NONE ? NULL : c->done, c->arg);
	for (size_t i = 0; i < NAMED; i++)
		free(c->names[i]);
	free(c);
}

void
sqlite_check(struct store *base, store_done_fn *fn, void *arg)
{
	struct check *c = xcalloc(1, sizeof(*c));

	c->s = (struct sqlite_store *)base;
	c->fn = fn;
	c->arg = arg;
	worker_submit(c->s->worker, check_run, check_done, c);
}
