/* SPDX-License-Identifier: Apache-2.0 */
/* On a real server, which tests/with-postgres starts. */
#include "shared/store/pg/pg_session.h"

#include "shared/base/ident.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <bsd/string.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 60000

struct fixture {
	struct loop *loop;
	struct pg_session *session;
	unsigned int ready, down;
	enum pg_fault fault; /* of the last on_down */
	struct trouble why;
};

/* A task whose statements are an array. */
struct run {
	struct pg_task task; /* first */
	struct fixture *f;
	const struct pg_query *queries;
	unsigned int n, results;
	char seen[8][40]; /* the first column of each result's first row, as text */
	bool ended;
	enum pg_fault fault;
	struct trouble why;
	enum { KEEP, DESTROY_IN_RESULT, DESTROY_IN_END } destroy;
};

static void
on_patience(void *arg)
{
	fail_msg("nothing for %d s", PATIENCE_MS / 1000);
}

static void
wait_for(struct fixture *f, const bool *done, const unsigned int *count, unsigned int more_than)
{
	struct loop_timer *patience = loop_timer_create(f->loop, "patience", on_patience, NULL);

	loop_timer_arm(patience, PATIENCE_MS);
	while (done != NULL ? !*done : *count <= more_than)
		loop_run(f->loop);
	loop_timer_destroy(patience);
}

static void
on_ready(struct pg_session *s, void *arg)
{
	struct fixture *f = arg;

	f->ready++;
	loop_stop(f->loop);
}

static void
on_down(struct pg_session *s, enum pg_fault fault, const struct trouble *why, void *arg)
{
	struct fixture *f = arg;

	f->down++;
	f->fault = fault;
	f->why = *why;
	loop_stop(f->loop);
}

static void
run_send(struct pg_task *t, struct pg_session *s)
{
	struct run *r = (struct run *)t;

	for (unsigned int i = 0; i < r->n; i++)
		pg_session_query(s, &r->queries[i]);
}

static void
run_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct run *r = (struct run *)t;

	assert_int_equal(n, r->results++);
	if (n < 8 && PQntuples(res) > 0)
		strlcpy(r->seen[n], PQgetvalue(res, 0, 0), sizeof(r->seen[n]));
	if (r->destroy == DESTROY_IN_RESULT) {
		pg_session_destroy(r->f->session);
		r->f->session = NULL;
		r->ended = true;
		loop_stop(r->f->loop);
	}
}

static void
run_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct run *r = (struct run *)t;

	assert_false(r->ended);
	r->ended = true;
	r->fault = fault;
	assert_int_equal(fault == PG_FAULT_NONE, why == NULL);
	if (why != NULL)
		r->why = *why;
	if (r->destroy == DESTROY_IN_END) {
		pg_session_destroy(r->f->session);
		r->f->session = NULL;
	}
	loop_stop(r->f->loop);
}

static void
begin(struct fixture *f, struct run *r)
{
	r->task =
	    (struct pg_task){.send = run_send, .on_result = run_on_result, .on_end = run_on_end};
	r->f = f;
	pg_session_run(f->session, &r->task);
}

static void
run(struct fixture *f, struct run *r)
{
	begin(f, r);
	wait_for(f, &r->ended, NULL, 0);
}

#define RUN(queries_)                                                                              \
	(struct run)                                                                               \
	{                                                                                          \
		.queries = (queries_), .n = sizeof(queries_) / sizeof((queries_)[0])               \
	}

static void
make(struct fixture *f, const char *text, uint32_t statement_timeout_ms)
{
	static const struct pg_session_handlers handlers = {
	    .on_ready = on_ready, .on_down = on_down};
	struct pg_session_options opt;
	struct trouble why;
	struct uri uri;

	*f = (struct fixture){.loop = loop_create()};
	if (!uri_parse(text, &uri, &why))
		fail_msg("%s", why.what);
	pg_session_options_default(&opt);
	opt.uri = &uri;
	opt.program = "a test";
	opt.connect_timeout_ms = strchr(text, ',') != NULL ? 300 : opt.connect_timeout_ms;
	if (statement_timeout_ms != 0)
		opt.statement_timeout_ms = statement_timeout_ms;
	f->session = pg_session_create(f->loop, &opt, &handlers, f);
	uri_finish(&uri);
	pg_session_start(f->session);
	assert_int_equal(f->ready + f->down, 0); /* never from inside */
}

static void
connect_to(struct fixture *f, const char *text, uint32_t statement_timeout_ms)
{
	make(f, text, statement_timeout_ms);
	wait_for(f, NULL, &f->ready, 0);
	assert_int_equal(f->down, 0);
}

static void
connect_here(struct fixture *f)
{
	connect_to(f, getenv("VOGELER_TEST_PG_URI"), 0);
}

static void
finish(struct fixture *f)
{
	pg_session_destroy(f->session);
	loop_destroy(f->loop);
}

static void
one(struct fixture *f, const char *sql, char *out, size_t size)
{
	struct pg_query queries[] = {{.sql = sql, .text_results = true}};
	struct run r = RUN(queries);

	run(f, &r);
	if (r.fault != PG_FAULT_NONE)
		fail_msg("%s: " TROUBLE_FMT, sql, TROUBLE_ARGS(&r.why));
	if (out != NULL)
		strlcpy(out, r.seen[0], size);
}

static void
expect(struct fixture *f, const char *sql, const char *want)
{
	char out[200];

	one(f, sql, out, sizeof(out));
	assert_string_equal(out, want);
}

/* ---- tests ---- */

static void
a_task_is_one_transaction_in_order(void **state)
{
	const char *const one_[] = {"1"}, *const two[] = {"2"};
	struct pg_query queries[] = {
	    {.sql = "CREATE TEMP TABLE t (n int)"},
	    {.name = "put", .sql = "INSERT INTO t VALUES ($1::int)", .n = 1, .values = one_},
	    {.name = "put", .sql = "INSERT INTO t VALUES ($1::int)", .n = 1, .values = two},
	    {.sql = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t", .text_results = true},
	    {.sql = "SELECT count(DISTINCT pg_current_xact_id_if_assigned()) FROM t",
		.text_results = true},
	};
	struct pg_query again[] = {queries[1],
	    {.sql = "SELECT count(*) FROM pg_prepared_statements", .text_results = true}};
	struct run r = RUN(queries), r2 = RUN(again);
	struct fixture f;

	connect_here(&f);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_NONE);
	assert_int_equal(r.results, 5);
	assert_string_equal(r.seen[3], "1 2");
	run(&f, &r2);
	assert_int_equal(r2.fault, PG_FAULT_NONE);
	assert_string_equal(r2.seen[1], "1"); /* prepared once */
	expect(&f, "SELECT count(*) FROM t", "3");
	expect(&f, "SHOW application_name", "a test");
	expect(&f, "SHOW statement_timeout", "30s");
	finish(&f);
}

static void
what_is_refused_is_told_by_its_place_and_undoes_the_rest(void **state)
{
	const char *const good[] = {"1"}, *const bad[] = {"x"};
	struct pg_query queries[] = {
	    {.name = "put", .sql = "INSERT INTO t VALUES ($1::int)", .n = 1, .values = good},
	    {.name = "put", .sql = "INSERT INTO t VALUES ($1::int)", .n = 1, .values = bad},
	    {.name = "later", .sql = "SELECT 1"},
	    {.name = "put", .sql = "INSERT INTO t VALUES ($1::int)", .n = 1, .values = good},
	};
	struct pg_query later[] = {queries[2], queries[0]};
	struct run r = RUN(queries), r2 = RUN(later);
	struct fixture f;

	connect_here(&f);
	one(&f, "CREATE TEMP TABLE t (n int)", NULL, 0);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_REJECT);
	assert_int_equal(r.task.failed, 1);
	assert_int_equal(r.results, 1);
	assert_non_null(strstr(r.why.what, "(SQLSTATE 22P02)"));
	assert_non_null(strstr(r.why.what, "/postgres"));
	expect(&f, "SELECT count(*) FROM t", "0");
	/* What was not prepared for that is prepared the next time. */
	run(&f, &r2);
	assert_int_equal(r2.fault, PG_FAULT_NONE);
	assert_int_equal(f.down, 0);
	finish(&f);
}

static void
a_commit_that_is_refused_is_no_success(void **state)
{
	struct pg_query queries[] = {
	    {.sql = "INSERT INTO t VALUES (1)"}, {.sql = "INSERT INTO t VALUES (1)"}};
	struct run r = RUN(queries);
	struct fixture f;

	connect_here(&f);
	one(&f, "CREATE TEMP TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)", NULL, 0);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_REJECT);
	assert_int_equal(r.task.failed, PG_TASK_WHOLE);
	expect(&f, "SELECT count(*) FROM t", "0");
	finish(&f);
}

static void
much_in_both_directions(void **state)
{
	enum { N = 40, SIZE = 1024 * 1024 };
	struct pg_query queries[N];
	const char *values[1];
	char *big = xcalloc(1, SIZE + 1);
	struct fixture f;
	struct run r = RUN(queries);

	memset(big, 'x', SIZE);
	values[0] = big;
	for (unsigned int i = 0; i < N; i++)
		queries[i] = (struct pg_query){
		    .name = "echo", .sql = "SELECT $1::text", .n = 1, .values = values};
	connect_here(&f);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_NONE);
	assert_int_equal(r.results, N);
	finish(&f);
	free(big);
}

static void
a_slow_statement_ends_and_the_session_goes_on(void **state)
{
	struct pg_query queries[] = {{.sql = "SELECT pg_sleep(60)"}};
	struct run r = RUN(queries);
	struct fixture f;

	connect_to(&f, getenv("VOGELER_TEST_PG_URI"), 100);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_RETRY);
	assert_non_null(strstr(r.why.what, "57014"));
	expect(&f, "SELECT 1", "1");
	assert_int_equal(f.down, 0);
	finish(&f);
}

static void
a_session_that_is_ended_comes_back(void **state)
{
	struct pg_query queries[] = {{.name = "one", .sql = "SELECT 1", .text_results = true},
	    {.sql = "SELECT pg_terminate_backend(pg_backend_pid())"}, {.sql = "SELECT 2"}};
	struct pg_query again[] = {queries[0]};
	struct run r = RUN(queries), r2 = RUN(again);
	struct fixture f;

	connect_here(&f);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_RETRY);
	assert_int_equal(r.task.failed, PG_TASK_WHOLE);
	assert_non_null(strstr(r.why.what, "57P01"));
	wait_for(&f, NULL, &f.down, 0);
	wait_for(&f, NULL, &f.ready, f.ready);
	run(&f, &r2);
	assert_int_equal(r2.fault, PG_FAULT_NONE);
	assert_string_equal(r2.seen[0], "1");
	finish(&f);
}

static void
a_session_that_waits_notices_its_end(void **state)
{
	struct fixture f, other;
	char sql[100], pid[40];

	connect_here(&f);
	connect_here(&other);
	one(&f, "SELECT pg_backend_pid()", pid, sizeof(pid));
	snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%s)", pid);
	one(&other, sql, NULL, 0);
	wait_for(&f, NULL, &f.down, 0);
	assert_int_equal(f.fault, PG_FAULT_RETRY);
	wait_for(&f, NULL, &f.ready, f.ready);
	finish(&other);
	finish(&f);
}

static void
a_server_that_takes_no_writes_is_left(void **state)
{
	struct pg_query queries[] = {
	    {.sql = "SET LOCAL transaction_read_only = on"}, {.sql = "CREATE TABLE never (n int)"}};
	struct run r = RUN(queries);
	struct fixture f;

	connect_here(&f);
	run(&f, &r);
	assert_int_equal(r.fault, PG_FAULT_RETRY);
	assert_non_null(strstr(r.why.what, "25006"));
	wait_for(&f, NULL, &f.down, 0);
	wait_for(&f, NULL, &f.ready, f.ready);
	finish(&f);
}

static void
expect_down(
    struct fixture *f, const char *uri, enum pg_fault fault, const char *what, const char *cure)
{
	make(f, uri, 0);
	wait_for(f, NULL, &f->down, 0);
	print_message("%s\n  " TROUBLE_FMT "\n", uri, TROUBLE_ARGS(&f->why));
	assert_int_equal(f->fault, fault);
	assert_non_null(strstr(f->why.what, what));
	assert_non_null(strstr(f->why.cure, cure));
	assert_null(strstr(f->why.what, "secret"));
	finish(f);
}

static void
what_cannot_be_reached_is_told_with_the_cure(void **state)
{
	const char *port = getenv("PGPORT"), *host = getenv("PGHOST");
	struct fixture f;
	char uri[300];

	snprintf(uri, sizeof(uri), "pg://:%s/nowhere?host=%s", port, host);
	expect_down(&f, uri, PG_FAULT_MISSING, "3D000", "createdb");
	snprintf(uri, sizeof(uri), "pg://nobody@:%s/postgres?host=%s", port, host);
	expect_down(&f, uri, PG_FAULT_DENIED, "28000", "pg_hba.conf");
	snprintf(uri, sizeof(uri), "pg://nobody:secret@127.0.0.1:%s/postgres", port);
	expect_down(&f, uri, PG_FAULT_DENIED, "28P01", "PGPASSFILE");
	expect_down(&f, "pg://nobody:secret@127.0.0.1:1/postgres", PG_FAULT_RETRY,
	    "onnection refused", "start PostgreSQL");
	expect_down(
	    &f, "pg:///postgres?host=/nowhere", PG_FAULT_RETRY, "o such file", "start PostgreSQL");
	expect_down(&f, "pg://no.such.name.invalid/postgres", PG_FAULT_RETRY,
	    "no.such.name.invalid", "DNS");
}

/* A socket to which one can connect, and which says nothing. */
static int
silent_port(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void
make_role(struct fixture *f, const char *sql)
{
	connect_here(f);
	one(f, sql, NULL, 0);
	finish(f);
}

static void
servers_are_tried_in_turn(void **state)
{
	const char *port = getenv("PGPORT");
	struct fixture f;
	uint16_t silent;
	int fd = silent_port(&silent);
	char uri[300];

	make_role(&f, "CREATE ROLE turn LOGIN PASSWORD 'secret'");
	/* One refuses, one is silent, one has no such database, one is good. */
	snprintf(uri, sizeof(uri),
	    "pg://turn:secret@127.0.0.1:1,127.0.0.1:%u,127.0.0.1:%s/postgres", (unsigned int)silent,
	    port);
	connect_to(&f, uri, 0);
	assert_non_null(strstr(pg_session_where(f.session), port));
	finish(&f);
	/* Of all that fail each is told, and the cure is that of the one who refuses the login. */
	snprintf(uri, sizeof(uri), "pg://turn:wrong@127.0.0.1:%s,127.0.0.1:%u,127.0.0.1:1/postgres",
	    port, (unsigned int)silent);
	make(&f, uri, 0);
	wait_for(&f, NULL, &f.down, 0);
	assert_int_equal(f.fault, PG_FAULT_DENIED);
	assert_non_null(strstr(f.why.what, "28P01"));
	assert_non_null(strstr(f.why.what, "no answer within 300 ms while "));
	assert_non_null(strstr(f.why.what, "onnection refused"));
	assert_non_null(strstr(f.why.cure, "PGPASSFILE"));
	assert_null(strstr(f.why.what, "wrong"));
	finish(&f);
	close(fd);
	make_role(&f, "DROP ROLE turn");
}

static void
of_several_servers_one_that_takes_writes_is_chosen(void **state)
{
	const char *port = getenv("PGPORT");
	struct fixture f;
	char uri[300];

	make_role(&f, "CREATE ROLE looker LOGIN PASSWORD 'secret'");
	make_role(&f, "ALTER ROLE looker SET default_transaction_read_only = on");
	snprintf(uri, sizeof(uri), "pg://looker:secret@127.0.0.1:%s,127.0.0.1:1/postgres", port);
	make(&f, uri, 0);
	wait_for(&f, NULL, &f.down, 0);
	assert_non_null(strstr(f.why.what, "takes no writes"));
	finish(&f);
	snprintf(uri, sizeof(uri),
	    "pg://looker:secret@127.0.0.1:%s,127.0.0.1:1/postgres?target_session_attrs=any", port);
	connect_to(&f, uri, 0);
	finish(&f);
	snprintf(uri, sizeof(uri), "pg://looker:secret@127.0.0.1:%s/postgres", port);
	connect_to(&f, uri, 0); /* of one there is no choice */
	finish(&f);
	make_role(&f, "DROP ROLE looker");
}

static void
without_a_password_it_is_told_where_it_belongs(void **state)
{
	struct fixture f;
	char uri[300];

	setenv("PGPASSFILE", "/dev/null", 1);
	snprintf(uri, sizeof(uri), "pg://nobody@127.0.0.1:%s/postgres", getenv("PGPORT"));
	expect_down(&f, uri, PG_FAULT_DENIED, "wants a password", "PGPASSFILE");
	unsetenv("PGPASSFILE");
}

static void
another_login_is_tried_at_once(void **state)
{
	struct trouble why;
	struct fixture f;
	struct uri uri;
	char text[300];

	make_role(&f, "CREATE ROLE later LOGIN PASSWORD 'secret'");
	snprintf(text, sizeof(text), "pg://later:wrong@127.0.0.1:%s/postgres", getenv("PGPORT"));
	make(&f, text, 0);
	wait_for(&f, NULL, &f.down, 0);
	snprintf(text, sizeof(text), "pg://later:secret@127.0.0.1:%s/postgres", getenv("PGPORT"));
	assert_true(uri_parse(text, &uri, &why));
	pg_session_set_login(f.session, &uri);
	uri_finish(&uri);
	assert_int_equal(f.ready, 0); /* never from inside */
	wait_for(&f, NULL, &f.ready, 0);
	assert_int_equal(f.down, 1);
	finish(&f);
	make_role(&f, "DROP ROLE later");
}

static void
what_is_acknowledged_is_on_disk_whatever_the_server_is_told(void **state)
{
	struct fixture f;

	make_role(&f, "ALTER ROLE CURRENT_USER SET synchronous_commit = off");
	connect_here(&f);
	expect(&f, "SHOW synchronous_commit", "on");
	finish(&f);
	make_role(&f, "ALTER ROLE CURRENT_USER SET synchronous_commit = remote_write");
	connect_here(&f);
	expect(&f, "SHOW synchronous_commit", "remote_write");
	finish(&f);
	make_role(&f, "ALTER ROLE CURRENT_USER RESET synchronous_commit");
}

static void
it_may_be_destroyed_from_its_callbacks(void **state)
{
	struct pg_query queries[] = {{.sql = "SELECT 1"}, {.sql = "SELECT 2"}};
	struct fixture f;
	struct run r = RUN(queries);

	connect_here(&f);
	r.destroy = DESTROY_IN_RESULT;
	run(&f, &r);
	assert_int_equal(r.results, 1);
	loop_destroy(f.loop);

	r = RUN(queries);
	connect_here(&f);
	r.destroy = DESTROY_IN_END;
	run(&f, &r);
	assert_int_equal(r.results, 2);
	loop_destroy(f.loop);

	r = RUN(queries);
	connect_here(&f);
	begin(&f, &r);
	assert_ptr_equal(pg_session_task(f.session), &r.task);
	finish(&f); /* with work in hand, of which nobody is told */
	assert_false(r.ended);
}

/* Two loops by turns, as two programs would. */
static void
stop_soon(void *arg)
{
	loop_stop(arg);
}

static void
turn(struct fixture *f)
{
	struct loop_timer *t = loop_timer_create(f->loop, "turn", stop_soon, f->loop);

	loop_timer_arm(t, 20);
	loop_run(f->loop);
	loop_timer_destroy(t);
}

static void
run_loops(struct fixture *a, struct fixture *b, const struct run *ra, const struct run *rb)
{
	for (int i = 0; i < PATIENCE_MS / 20 && !(ra->ended && rb->ended); i++)
		turn(i % 2 == 0 ? a : b);
	assert_true(ra->ended && rb->ended);
}

static void
a_deadlock_is_over_for_one_of_two(void **state)
{
	struct pg_query ab[] = {{.sql = "UPDATE pair SET n = 0 WHERE id = 1"},
	    {.sql = "SELECT pg_sleep(0.3)"}, {.sql = "UPDATE pair SET n = 0 WHERE id = 2"}};
	struct pg_query ba[] = {ab[2], ab[1], ab[0]};
	struct run one_ = RUN(ab), two = RUN(ba);
	struct fixture f, other;

	make_role(&f, "CREATE TABLE pair (id int, n int)");
	make_role(&f, "INSERT INTO pair VALUES (1, 0), (2, 0)");
	connect_here(&f);
	connect_here(&other);
	begin(&f, &one_);
	begin(&other, &two);
	run_loops(&f, &other, &one_, &two);
	assert_int_equal((one_.fault == PG_FAULT_NONE) + (two.fault == PG_FAULT_NONE), 1);
	assert_int_equal((one_.fault == PG_FAULT_RETRY) + (two.fault == PG_FAULT_RETRY), 1);
	assert_non_null(
	    strstr(one_.fault == PG_FAULT_NONE ? two.why.what : one_.why.what, "40P01"));
	finish(&other);
	finish(&f);
	make_role(&f, "DROP TABLE pair");
}

/* ---- a connection that is cut ---- */

/* Passes on what comes over one socket to the server's, so many bytes of it, and of what comes
 * back; then both ends are gone. */
struct cutter {
	pthread_t thread;
	char folder[32];
	int listener;
	atomic_uint there, back; /* bytes that are let through; UINT32_MAX = all */
	atomic_bool over;
};

static socklen_t
socket_address(struct sockaddr_un *a, const char *folder, const char *port)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/.s.PGSQL.%s", folder, port);
	return sizeof(*a);
}

/* false: that was all. */
static bool
pass_on(int from, int to, unsigned int *left)
{
	char data[8192];
	size_t most = *left < sizeof(data) ? *left : sizeof(data);
	ssize_t n = most == 0 ? 0 : read(from, data, most);

	if (n <= 0 || write(to, data, (size_t)n) != n)
		return false;
	if (*left != UINT32_MAX)
		*left -= (unsigned int)n;
	return *left > 0;
}

static void
serve(struct cutter *c, int client)
{
	struct sockaddr_un a;
	socklen_t len = socket_address(&a, getenv("PGHOST"), getenv("PGPORT"));
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int there = atomic_load(&c->there), back = atomic_load(&c->back);
	struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	bool goes_on = connect(server, (struct sockaddr *)(void *)&a, len) == 0;

	while (goes_on && !atomic_load(&c->over) && poll(fds, 2, 100) >= 0) {
		if (fds[0].revents != 0)
			goes_on = pass_on(client, server, &there);
		if (goes_on && fds[1].revents != 0)
			goes_on = pass_on(server, client, &back);
	}
	close(server);
	close(client);
}

static void *
cut(void *arg)
{
	struct cutter *c = arg;
	int client;

	while ((client = accept(c->listener, NULL, NULL)) >= 0)
		serve(c, client);
	return NULL;
}

static void
cutter_start(struct cutter *c)
{
	struct sockaddr_un a;
	socklen_t len;

	*c = (struct cutter){.there = UINT32_MAX, .back = UINT32_MAX};
	strlcpy(c->folder, "/tmp/vogeler-cut.XXXXXX", sizeof(c->folder));
	assert_non_null(mkdtemp(c->folder));
	len = socket_address(&a, c->folder, "1");
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c->listener, (struct sockaddr *)(void *)&a, len), 0);
	assert_int_equal(listen(c->listener, 64), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, cut, c), 0);
}

static void
cutter_stop(struct cutter *c)
{
	struct sockaddr_un a;

	atomic_store(&c->over, true);
	shutdown(c->listener, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->listener);
	socket_address(&a, c->folder, "1");
	unlink(a.sun_path);
	rmdir(c->folder);
}

/* A session of its own for one task. true: it was told that the task is committed. */
static bool
try_once(const struct cutter *c, unsigned int id)
{
	char uri[100], sql[100], sql2[100];
	struct pg_query queries[] = {{.name = "a", .sql = sql}, {.name = "b", .sql = sql2}};
	struct run r = RUN(queries);
	struct fixture f;

	snprintf(sql, sizeof(sql), "INSERT INTO cut VALUES (%u, 0)", id);
	snprintf(sql2, sizeof(sql2), "INSERT INTO cut VALUES (%u, 1)", id);
	snprintf(uri, sizeof(uri), "pg://:1/postgres?host=%s", c->folder);
	make(&f, uri, 0);
	while (f.ready == 0 && f.down == 0)
		loop_run(f.loop);
	if (f.down > 0) {
		assert_int_equal(f.fault, PG_FAULT_RETRY);
		assert_true(f.why.what[0] != '\0' && f.why.cure[0] != '\0');
		r.fault = PG_FAULT_RETRY;
	} else {
		run(&f, &r);
		assert_true(r.fault == PG_FAULT_NONE || r.fault == PG_FAULT_RETRY);
	}
	finish(&f);
	return r.fault == PG_FAULT_NONE;
}

/* Each run cuts at others of the places: at all of them it would take minutes. */
#define CUT_STEP 4

/* Wherever it is cut, what was told as committed is there, and what is there is there whole. */
static void
what_is_told_as_committed_is_there(void **state)
{
	struct cutter c;
	struct fixture f;
	unsigned int id = 1, told = 0, cuts = 0;
	char sql[100];

	make_role(&f, "CREATE TABLE cut (id int, n int, PRIMARY KEY (id, n))");
	cutter_start(&c);
	connect_here(&f);
	for (int direction = 0; direction < 2; direction++) {
		for (unsigned int at = 1 + ident_random32() % CUT_STEP;; at += CUT_STEP, id++) {
			atomic_uint *limit = direction == 0 ? &c.there : &c.back;
			bool committed;

			atomic_store(&c.there, UINT32_MAX);
			atomic_store(&c.back, UINT32_MAX);
			atomic_store(limit, at);
			committed = try_once(&c, id);
			told += committed;
			cuts += !committed;
			if (committed) {
				snprintf(
				    sql, sizeof(sql), "SELECT count(*) FROM cut WHERE id = %u", id);
				expect(&f, sql, "2");
				id++;
				break;
			}
		}
	}
	print_message("cut at %u places\n", cuts);
	assert_int_equal(told, 2);
	expect(&f,
	    "SELECT count(*) FROM (SELECT FROM cut GROUP BY id HAVING count(*) <> 2) AS half", "0");
	assert_true(cuts > 1000 / CUT_STEP);
	finish(&f);
	cutter_stop(&c);
	make_role(&f, "DROP TABLE cut");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_task_is_one_transaction_in_order),
	    cmocka_unit_test(what_is_refused_is_told_by_its_place_and_undoes_the_rest),
	    cmocka_unit_test(a_commit_that_is_refused_is_no_success),
	    cmocka_unit_test(much_in_both_directions),
	    cmocka_unit_test(a_slow_statement_ends_and_the_session_goes_on),
	    cmocka_unit_test(a_session_that_is_ended_comes_back),
	    cmocka_unit_test(a_session_that_waits_notices_its_end),
	    cmocka_unit_test(a_server_that_takes_no_writes_is_left),
	    cmocka_unit_test(what_cannot_be_reached_is_told_with_the_cure),
	    cmocka_unit_test(servers_are_tried_in_turn),
	    cmocka_unit_test(of_several_servers_one_that_takes_writes_is_chosen),
	    cmocka_unit_test(without_a_password_it_is_told_where_it_belongs),
	    cmocka_unit_test(another_login_is_tried_at_once),
	    cmocka_unit_test(what_is_acknowledged_is_on_disk_whatever_the_server_is_told),
	    cmocka_unit_test(it_may_be_destroyed_from_its_callbacks),
	    cmocka_unit_test(a_deadlock_is_over_for_one_of_two),
	    cmocka_unit_test(what_is_told_as_committed_is_there),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
