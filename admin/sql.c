/* SPDX-License-Identifier: Apache-2.0 */
/* "sql SELECT": one question to the views of pg://, as a table, CSV or JSON.
 *
 * It is asked as vogeler_read, in a transaction that only reads. That keeps one from harm and from
 * tables that change from version to version; it is no lock, since whoever may log in as somebody
 * may ask as that one by other programs too. */
#include "admin/csv.h"
#include "admin/verb.h"

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/print/table.h"
#include "shared/store/pg/pg_args.h"
#include "shared/store/pg/pg_session.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS     30000
#define CANCEL_WAIT_MS 3000

enum sql_state {
	SQL_CONNECTING,
	SQL_ASKING,
	SQL_HINTING, /* the question is answered: do the plugins that it names have values for SQL?
		      */
	SQL_CANCELLING,
	SQL_ENDED,
};

struct sql {
	struct pg_task task; /* first */
	struct verb_context *v;
	struct uri uri;
	struct pg_session *session;
	struct loop_timer *deadline;
	enum sql_state state; /* sql_enter() alone writes it */
	bool is_reader;       /* the role is taken on: what fails from then on is the question */
	PGresult *rows;
	int status, signo;
};

static void
sql_finish(void *arg)
{
	struct sql *q = arg;

	pg_session_destroy(q->session);
	loop_timer_destroy(q->deadline);
	PQclear(q->rows);
	uri_finish(&q->uri);
	free(q);
}

static void
sql_enter(struct sql *q, enum sql_state next)
{
	q->state = next;
	switch (next) {
	case SQL_CONNECTING:
		pg_session_start(q->session);
		return;
	case SQL_ASKING:
	case SQL_HINTING:
		pg_session_run(q->session, &q->task);
		return;
	case SQL_CANCELLING:
		pg_session_cancel(q->session);
		loop_timer_arm(q->deadline, CANCEL_WAIT_MS);
		return;
	case SQL_ENDED:
		q->v->cancel = NULL;
		verb_done(q->v, q->status);
		return;
	}
}

static void
sql_end(struct sql *q, int status)
{
	q->status = status;
	sql_enter(q, SQL_ENDED);
}

/* ---- what comes back ---- */

/* Says whether all of a type's texts but NaN and Infinity are JSON as they are. */
static bool
is_json_type(Oid type)
{
	switch (type) {
	case 16:   /* boolean */
	case 20:   /* bigint */
	case 21:   /* smallint */
	case 23:   /* int */
	case 114:  /* json */
	case 700:  /* real */
	case 701:  /* double precision */
	case 1700: /* numeric */
	case 3802: /* jsonb */
		return true;
	default:
		return false;
	}
}

static bool
is_number_type(Oid type)
{
	return is_json_type(type) && type != 16 && type != 114 && type != 3802;
}

static void
print_string(FILE *out, const char *text)
{
	json_t *s = json_string(text);

	json_dumpf(s, out, JSON_ENCODE_ANY);
	json_decref(s);
}

static void
print_value(FILE *out, Oid type, const char *text)
{
	if (type == 16)
		fputs(text[0] == 't' ? "true" : "false", out);
	else if (is_json_type(type) &&
		 (!is_number_type(type) || strspn(text, "-0123456789.eE+") == strlen(text)))
		fputs(text, out);
	else
		print_string(out, text);
}

static const char *
cell(const PGresult *rows, int row, int column)
{
	return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static void
print_json(FILE *out, const PGresult *rows)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		for (int c = 0; c < PQnfields(rows); c++) {
			fputs(c == 0 ? "{" : ", ", out);
			print_string(out, PQfname(rows, c));
			fputs(": ", out);
			if (PQgetisnull(rows, row, c))
				fputs("null", out);
			else
				print_value(out, PQftype(rows, c), PQgetvalue(rows, row, c));
		}
		fputs("}\n", out);
	}
}

static void
print_csv(FILE *out, const PGresult *rows)
{
	for (int c = 0; c < PQnfields(rows); c++)
		csv_cell(out, (size_t)c, PQfname(rows, c));
	putc('\n', out);
	for (int row = 0; row < PQntuples(rows); row++) {
		for (int c = 0; c < PQnfields(rows); c++)
			csv_cell(out, (size_t)c, cell(rows, row, c));
		putc('\n', out);
	}
}

static void
print_table(FILE *out, const PGresult *rows)
{
	struct table *table = table_create();

	for (int c = 0; c < PQnfields(rows); c++)
		table_column(table, PQfname(rows, c),
		    is_number_type(PQftype(rows, c)) ? TABLE_RIGHT : TABLE_WORDS);
	for (int row = 0; row < PQntuples(rows); row++) {
		table_row(table);
		for (int c = 0; c < PQnfields(rows); c++) {
			const char *text = cell(rows, row, c);

			table_cell(table, (size_t)c, text == NULL ? "-" : text);
		}
	}
	table_print(out, table);
	table_destroy(table);
}

/* An object has no two members of one name. NULL: there are no such. */
static const char *
name_that_is_there_twice(const PGresult *rows)
{
	for (int c = 0; c < PQnfields(rows); c++)
		for (int k = 0; k < c; k++)
			if (strcmp(PQfname(rows, c), PQfname(rows, k)) == 0)
				return PQfname(rows, c);
	return NULL;
}

static bool
print_rows(const struct sql *q)
{
	const char *twice = q->v->json ? name_that_is_there_twice(q->rows) : NULL;

	if (twice != NULL) {
		complain_line("vogeler-admin",
		    "sql: two columns are named %s" TROUBLE_CURE "name them: SELECT ... AS name",
		    twice);
		return false;
	}
	if (q->v->json)
		print_json(stdout, q->rows);
	else if (q->v->csv)
		print_csv(stdout, q->rows);
	else if (PQntuples(q->rows) > 0)
		print_table(stdout, q->rows);
	fflush(stdout);
	return true;
}

/* ---- the question ---- */

/* Nobody has to write "vogeler.", and times are those of the other verbs. */
static const char role_sql[] =
    "SELECT set_config('role', 'vogeler_read', true),"
    " set_config('transaction_read_only', 'on', true), set_config('timezone', 'UTC', true),"
    " set_config('search_path', 'vogeler, public', true)";

/* Of some names those of plugins that hosts have, and of which no value has a copy. */
static const char hint_sql[] =
    "SELECT n FROM unnest($1::text[]) WITH ORDINALITY AS k(n, i)"
    " WHERE EXISTS (SELECT FROM vogeler.v_result WHERE plugin = n)"
    " AND NOT EXISTS (SELECT FROM vogeler.v_result WHERE plugin = n AND value IS NOT NULL)"
    " GROUP BY n ORDER BY min(i)";

/* Adds what stands between single quotes. */
static size_t
add_literals(struct buf *names, const char *text)
{
	size_t n = 0;

	for (const char *p = strchr(text, '\''); p != NULL; p = strchr(p, '\'')) {
		const char *behind = strchr(p + 1, '\'');
		char *name;

		if (behind == NULL)
			break;
		name = xstrndup(p + 1, (size_t)(behind - p - 1));
		pg_array_add(names, name);
		free(name);
		n++;
		p = behind + 1;
	}
	return n;
}

static void
sql_send(struct pg_task *t, struct pg_session *s)
{
	const struct sql *q = (const struct sql *)t;
	struct buf names;
	const char *values[1];

	pg_session_query(s, &(struct pg_query){.sql = role_sql, .text_results = true});
	if (q->state == SQL_ASKING) {
		pg_session_query(s, &(struct pg_query){.sql = q->v->args[0], .text_results = true});
		return;
	}
	pg_array_init(&names);
	add_literals(&names, q->v->args[0]);
	values[0] = pg_array_end(&names);
	pg_session_query(
	    s, &(struct pg_query){.sql = hint_sql, .n = 1, .values = values, .text_results = true});
	buf_finish(&names);
}

static void
sql_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct sql *q = (struct sql *)t;

	if (n == 0) {
		q->is_reader = true;
		return;
	}
	PQclear(q->rows);
	q->rows = PQcopyResult(res, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	if (q->rows == NULL)
		xalloc_fail(0);
}

/* Says whether what came may lack what SQL cannot see: no row, or a column in which nothing is. */
static bool
looks_empty(const PGresult *rows)
{
	for (int c = 0; c < PQnfields(rows); c++) {
		int row = 0;

		while (row < PQntuples(rows) && PQgetisnull(rows, row, c))
			row++;
		if (row == PQntuples(rows))
			return true;
	}
	return false;
}

static bool
names_any(const char *text)
{
	struct buf names;
	size_t n;

	pg_array_init(&names);
	n = add_literals(&names, text);
	buf_finish(&names);
	return n > 0;
}

static void
tell_hint(const struct sql *q)
{
	for (int row = 0; row < PQntuples(q->rows); row++)
		complain_line("vogeler-admin",
		    "SQL cannot look into the values of %s" TROUBLE_CURE
		    "name it in [pg] sql_values of the collector; or ask with vogeler-admin query",
		    PQgetvalue(q->rows, row, 0));
}

static void
sql_take_rows(struct sql *q)
{
	bool empty = PQntuples(q->rows) == 0;

	if (!print_rows(q)) {
		sql_end(q, VERB_TROUBLE);
		return;
	}
	if (empty)
		complain_line("vogeler-admin", "nothing comes out");
	q->status = empty ? VERB_NO_SUCH_HOST : VERB_OK;
	if (looks_empty(q->rows) && names_any(q->v->args[0]))
		sql_enter(q, SQL_HINTING);
	else
		sql_end(q, q->status);
}

/* The server's own words, without what a store would do about them. */
static void
fail_question(struct sql *q, const struct trouble *why)
{
	struct trouble told = *why;

	told.cure[0] = '\0';
	if (strcmp(q->task.state, "57014") == 0)
		trouble_set_cure(&told, "--timeout=5min lets it take longer");
	else if (strcmp(q->task.state, "42501") == 0 || strcmp(q->task.state, "42P01") == 0 ||
		 strcmp(q->task.state, "42703") == 0)
		trouble_set_cure(&told, "v_host, v_result, v_history, v_change and v_job may be "
					"asked, and docs/postgresql.md says what is in them");
	trouble_prefix(&told, "sql: ");
	complain_trouble("vogeler-admin", &told);
	q->status = VERB_TROUBLE;
	if (strcmp(q->task.state, "42703") == 0 && names_any(q->v->args[0]))
		sql_enter(q, SQL_HINTING);
	else
		sql_end(q, q->status);
}

static void
fail_otherwise(struct sql *q, const struct trouble *why)
{
	struct trouble told = *why;

	if (strncmp(q->task.state, "42", 2) == 0 || strncmp(q->task.state, "22", 2) == 0)
		trouble_set_cure(&told,
		    "as an administrator of the server: CREATE ROLE vogeler_read; GRANT vogeler_read "
		    "TO the user who asks; then run \"vogeler-admin setup\"");
	verb_fail_trouble(q->v, &told, "sql");
	sql_end(q, VERB_TROUBLE);
}

static void
sql_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct sql *q = (struct sql *)t;

	switch (q->state) {
	case SQL_ASKING:
		if (fault == PG_FAULT_NONE)
			sql_take_rows(q);
		else if (q->is_reader && q->task.state[0] != '\0')
			fail_question(q, why);
		else
			fail_otherwise(q, why);
		return;
	case SQL_HINTING:
		if (fault == PG_FAULT_NONE)
			tell_hint(q);
		sql_end(q, q->status);
		return;
	case SQL_CANCELLING:
		sql_end(q, 128 + q->signo);
		return;
	case SQL_CONNECTING:
	case SQL_ENDED:
		return;
	}
}

/* ---- the connection ---- */

static void
sql_on_ready(struct pg_session *s, void *arg)
{
	struct sql *q = arg;

	if (q->state == SQL_CONNECTING)
		sql_enter(q, SQL_ASKING);
}

static void
sql_on_down(struct pg_session *s, enum pg_fault fault, const struct trouble *why, void *arg)
{
	struct sql *q = arg;

	if (q->state != SQL_CONNECTING)
		return;
	verb_fail_trouble(q->v, why, "sql");
	sql_end(q, VERB_TROUBLE);
}

static void
sql_on_deadline(void *arg)
{
	struct sql *q = arg;

	sql_end(q, 128 + q->signo);
}

static void
sql_cancel(int signo, void *arg)
{
	struct sql *q = arg;

	q->signo = signo;
	if (q->state == SQL_ASKING || q->state == SQL_HINTING)
		sql_enter(q, SQL_CANCELLING);
	else
		sql_end(q, 128 + signo);
}

/* Of all statements those that give rows and write nothing: a COPY would come in another way. */
static bool
is_question(const char *text)
{
	static const char *const words[] = {"SELECT", "WITH", "TABLE", "VALUES", "EXPLAIN", "SHOW"};

	text += strspn(text, " \t\r\n(");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);

		if (strncasecmp(text, words[i], len) == 0 &&
		    strspn(text + len, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") ==
			0)
			return true;
	}
	return false;
}

void
verb_sql(struct verb_context *v)
{
	static const struct pg_session_handlers handlers = {
	    .on_ready = sql_on_ready, .on_down = sql_on_down};
	struct pg_session_options opt;
	struct sql *q;

	if (v->json && v->csv)
		cli_usage_error(v->cli, "--json or --csv, not both");
	if (!is_question(v->args[0]))
		cli_usage_error(v->cli,
		    "sql: a question begins with SELECT, WITH, TABLE, VALUES, EXPLAIN or SHOW");
	q = xcalloc(1, sizeof(*q));
	q->v = v;
	v->finish = sql_finish;
	v->finish_arg = q;
	cli_store(v->cli, &q->uri);
	if (q->uri.scheme != URI_PG) {
		verb_fail(v, "sql: the store is not PostgreSQL" TROUBLE_CURE
			     "ask with \"vogeler-admin query\", which every store answers");
		return;
	}
	pg_session_options_default(&opt);
	opt.uri = &q->uri;
	opt.program = "vogeler-admin";
	opt.statement_timeout_ms = v->timeout_given ? (uint32_t)v->timeout_ms : TIMEOUT_MS;
	q->task =
	    (struct pg_task){.send = sql_send, .on_result = sql_on_result, .on_end = sql_on_end};
	q->deadline = loop_timer_create(v->loop, "sql-cancel", sql_on_deadline, q);
	q->session = pg_session_create(v->loop, &opt, &handlers, q);
	v->cancel = sql_cancel;
	v->cancel_arg = q;
	sql_enter(q, SQL_CONNECTING);
}
