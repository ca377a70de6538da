/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_session.h.
 *
 *        START              RESOLVED            CONNECTED             SET_UP
 *   IDLE -----> RESOLVING ---------> CONNECTING ---------> SETTING_UP ------> READY <----+
 *                ^     |              ^     |                 |                |  | RUN  | DONE
 *                |     +--------------+-----+-----------------+                |  v      |
 *                |     |   FAILED, DEADLINE: the next address or server        |  BUSY --+
 *     RETRY,     |     v   none left                        FAILED, DEADLINE   |  |
 *     LOGIN      BACKOFF <-----------------------------------------------------+--+
 *
 * A server on a socket has no name to be resolved: RESOLVING is left out.
 * pg_session_destroy() leads to DESTROYED from anywhere, and nothing leads out of it.
 *
 * No step is taken inside a call of the owner's but START, RUN and LOGIN, none of which tells him
 * anything: what fails in them is found by the timer SOON. */
#include "shared/store/pg/pg_session.h"

#include "shared/base/backoff.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/resolver.h"
#include "shared/event/worker.h"
#include "shared/store/pg/pg_pipeline.h"
#include "shared/store/pg/pg_route.h"

#include <assert.h>
#include <bsd/string.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEADY_MS      10000 /* up for so long, it was no accident: the next retry is soon */
#define ANSWER_MORE_MS 10000 /* the server says itself that a statement took too long: by then */
#define VERSION_MIN    130000

enum state {
	IDLE,
	RESOLVING,
	CONNECTING,
	SETTING_UP,
	READY,
	BUSY,
	BACKOFF,
	DESTROYED,
	N_STATES,
};

enum event {
	EV_START,
	EV_RESOLVED,
	EV_CONNECTED,
	EV_SET_UP,
	EV_RUN,
	EV_DONE,
	EV_FAILED, /* refusal says why */
	EV_DEADLINE,
	EV_RETRY,
	EV_LOGIN,
	N_EVENTS,
};

struct pg_session {
	struct loop *loop;
	const char *program;
	uint32_t connect_timeout_ms, statement_timeout_ms, reconnect_max_ms;
	struct pg_session_handlers handlers;
	void *arg;

	enum state state; /* session_enter() alone writes it */
	struct pg_route route;
	char where[PG_WHERE_SIZE];
	struct loop_timer *deadline, *retry, *soon;
	struct resolver *resolver;
	struct backoff backoff;
	struct mono up_since;

	PGconn *pq;
	struct loop_watch *watch;
	int watched_fd;
	unsigned int watched;
	struct pg_pipeline pipeline;
	struct pg_task *task; /* SETTING_UP: set_up; BUSY: the owner's */
	struct pg_task set_up;
	char timeout_text[16], transaction_timeout_text[16];
	bool read_only; /* as it said when it was set up */
	bool send_failed;
	struct worker *canceller; /* NULL = nothing was cancelled yet */

	struct pg_refusal refusal; /* of this round: the one that somebody can cure comes first */
};

static void session_step(struct pg_session *s, enum event ev);
static void session_enter(struct pg_session *s, enum state next, const char *reason);

static const char *
state_name(enum state state)
{
	switch (state) {
	case IDLE:
		return "IDLE";
	case RESOLVING:
		return "RESOLVING";
	case CONNECTING:
		return "CONNECTING";
	case SETTING_UP:
		return "SETTING_UP";
	case READY:
		return "READY";
	case BUSY:
		return "BUSY";
	case BACKOFF:
		return "BACKOFF";
	case DESTROYED:
		return "DESTROYED";
	case N_STATES:
		break;
	}
	return "?";
}

static const char *
event_name(enum event ev)
{
	switch (ev) {
	case EV_START:
		return "start";
	case EV_RESOLVED:
		return "resolved";
	case EV_CONNECTED:
		return "connected";
	case EV_SET_UP:
		return "set up";
	case EV_RUN:
		return "run";
	case EV_DONE:
		return "done";
	case EV_FAILED:
		return "failed";
	case EV_DEADLINE:
		return "deadline";
	case EV_RETRY:
		return "retry";
	case EV_LOGIN:
		return "another login";
	case N_EVENTS:
		break;
	}
	return "?";
}

/* ---- what failed ---- */

static const char *
update_where(struct pg_session *s)
{
	return pg_route_where(
	    &s->route, s->pq == NULL ? NULL : PQuser(s->pq), s->where, sizeof(s->where));
}

/* Of a round that fails at several addresses all is said, with the cure of what is worst: a server
 * that refuses the login comes before one that is off. */
static void
add_refusal(struct pg_session *s, const struct pg_refusal *more)
{
	struct pg_refusal *r = &s->refusal, old = *r, worst;

	assert(more->fault != PG_FAULT_NONE);
	worst = more->fault > old.fault ? *more : old;
	*r = worst;
	if (old.fault != PG_FAULT_NONE)
		trouble_set(&r->trouble, TROUBLE_OTHER, worst.trouble.cure, "%s; %s",
		    old.trouble.what, more->trouble.what);
}

static void
fail(struct pg_session *s, const struct pg_refusal *why)
{
	add_refusal(s, why);
	session_step(s, EV_FAILED);
}

/* libpq says why. */
static void
fail_by_message(struct pg_session *s, enum pg_phase phase)
{
	struct pg_refusal why = {0};

	/* What the server said of its own accord before it went is more than that it went. */
	if (s->task != NULL && s->pipeline.refusal.fault != PG_FAULT_NONE)
		why = s->pipeline.refusal;
	else
		pg_refusal_of_message(&why, update_where(s), phase, PQerrorMessage(s->pq));
	fail(s, &why);
}

static void
add_simple_refusal(struct pg_session *s, enum pg_fault fault, const char *cure, const char *what)
{
	struct pg_refusal why = {.fault = fault};

	trouble_set(&why.trouble, TROUBLE_OTHER, cure, "%s: %s", update_where(s), what);
	add_refusal(s, &why);
}

/* ---- libpq's side ---- */

static void on_io(int fd, unsigned int events, void *arg);

static void
unwatch(struct pg_session *s)
{
	loop_watch_destroy(s->watch);
	s->watch = NULL;
	s->watched = 0;
}

/* The socket may be another than before, with the same number: while connecting always anew. */
static void
watch(struct pg_session *s, unsigned int events)
{
	int fd = PQsocket(s->pq);

	if (s->watch != NULL && s->state != CONNECTING && s->watched == events &&
	    s->watched_fd == fd)
		return;
	unwatch(s);
	if (fd < 0)
		return;
	s->watch = loop_watch_create(s->loop, fd, events, on_io, s);
	s->watched = events;
	s->watched_fd = fd;
}

static void
drop_connection(struct pg_session *s)
{
	unwatch(s);
	loop_timer_disarm(s->soon);
	PQfinish(s->pq);
	s->pq = NULL;
	s->send_failed = false;
	pg_pipeline_finish(&s->pipeline);
}

static void
on_notice(void *arg, const char *text)
{
	struct pg_session *s = arg;

	log_debug("pg", "%s: %.*s", s->where, (int)strcspn(text, "\n"), text);
}

static enum pg_phase
phase_of(const struct pg_session *s)
{
	switch (PQstatus(s->pq)) {
	case CONNECTION_NEEDED:
	case CONNECTION_STARTED:
	case CONNECTION_BAD: /* at once */
		return PG_PHASE_CONNECT;
	case CONNECTION_SSL_STARTUP:
		return PG_PHASE_TLS;
	default:
		return PG_PHASE_LOGIN;
	}
}

static void
poll_connect(struct pg_session *s)
{
	enum pg_phase phase = phase_of(s);

	switch (PQconnectPoll(s->pq)) {
	case PGRES_POLLING_READING:
		watch(s, LOOP_READ);
		return;
	case PGRES_POLLING_WRITING:
		watch(s, LOOP_WRITE);
		return;
	case PGRES_POLLING_OK:
		session_step(s, EV_CONNECTED);
		return;
	case PGRES_POLLING_ACTIVE:
	case PGRES_POLLING_FAILED:
		break;
	}
	/* It has closed its socket, and the number may be somebody else's by now. */
	unwatch(s);
	if (PQconnectionNeedsPassword(s->pq))
		phase = PG_PHASE_PASSWORD;
	fail_by_message(s, phase);
}

static void
flush(struct pg_session *s)
{
	int rc = PQflush(s->pq);

	if (rc < 0)
		s->send_failed = true;
	watch(s, rc == 1 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* Gives s->task its turn, whose statements go out. */
static void
begin_task(struct pg_session *s)
{
	pg_pipeline_begin(&s->pipeline);
	s->task->send(s->task, s);
	if (PQpipelineSync(s->pq) == 0)
		s->send_failed = true;
	flush(s);
	if (s->send_failed)
		loop_timer_arm(s->soon, 0);
}

void
pg_session_query(struct pg_session *s, const struct pg_query *q)
{
	assert(s->task != NULL);
	if (!s->send_failed && !pg_pipeline_query(&s->pipeline, s->pq, q))
		s->send_failed = true;
}

/* Takes what has arrived; any result may lead to the owner destroying us. */
static void
take_results(struct pg_session *s)
{
	while ((s->state == BUSY || s->state == SETTING_UP) && PQisBusy(s->pq) == 0) {
		PGresult *res = PQgetResult(s->pq);
		enum pg_got got = PG_GOT_NOTHING;
		unsigned int n = 0;

		if (res == NULL) {
			/* The end of one statement's; the next follows, or nothing did. */
			if (PQisBusy(s->pq) != 0 || PQstatus(s->pq) == CONNECTION_BAD)
				return;
			res = PQgetResult(s->pq);
			if (res == NULL)
				return;
		}
		got = pg_pipeline_take(&s->pipeline, s->where, res, &n);
		if (got == PG_GOT_RESULT && s->task->on_result != NULL &&
		    s->pipeline.refusal.fault == PG_FAULT_NONE)
			s->task->on_result(s->task, n, res);
		PQclear(res);
		if (got == PG_GOT_SYNC)
			session_step(s, s->state == SETTING_UP ? EV_SET_UP : EV_DONE);
	}
}

static void
arm_answer_deadline(struct pg_session *s)
{
	loop_timer_arm(s->deadline, (int64_t)s->statement_timeout_ms + ANSWER_MORE_MS);
}

static void
exchange(struct pg_session *s)
{
	if (s->send_failed || PQconsumeInput(s->pq) == 0) {
		take_results(s); /* it may have said why */
		if (s->pq != NULL)
			fail_by_message(s, PG_PHASE_USE);
		return;
	}
	if (s->state == BUSY)
		arm_answer_deadline(s);
	flush(s);
	take_results(s);
	if (s->pq != NULL && (s->send_failed || PQstatus(s->pq) == CONNECTION_BAD))
		fail_by_message(s, PG_PHASE_USE);
}

static void
on_ready_for_io(struct pg_session *s)
{
	if (s->state == CONNECTING)
		poll_connect(s);
	else
		exchange(s);
}

static void
on_io(int fd, unsigned int events, void *arg)
{
	on_ready_for_io(arg);
}

static void
on_soon(void *arg)
{
	on_ready_for_io(arg);
}

static void
on_deadline(void *arg)
{
	session_step(arg, EV_DEADLINE);
}

static void
on_retry(void *arg)
{
	session_step(arg, EV_RETRY);
}

static void
on_resolved(struct addrinfo *list, const struct trouble *t, void *arg)
{
	struct pg_session *s = arg;
	struct pg_refusal why = {.fault = PG_FAULT_RETRY};

	s->resolver = NULL;
	if (list != NULL) {
		pg_route_set_addresses(&s->route, list);
		session_step(s, EV_RESOLVED);
		return;
	}
	why.trouble = *t;
	if (t->kind == TROUBLE_NAMES)
		trouble_set_cure(
		    &why.trouble, "check the name in the URI of the store, and this machine's DNS");
	trouble_prefix(&why.trouble, "%s: ", update_where(s));
	fail(s, &why);
}

/* ---- setting up ---- */

/* An acknowledgement is given for what is on disk, whatever the server's own setting is. All who
 * write wait for each other's commits, which take no seconds: who waits longer is told (55P03). */
static const char set_up_sql[] =
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',"
    " set_config('statement_timeout', $1, false), set_config('lock_timeout', '5s', false),"
    /* All that is asked for stands behind a key. A plan is made once, perhaps of tables that are
     * still empty and not yet analysed, and would go on reading them whole when they are not. */
    " set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),"
    " set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false),"
    " CASE current_setting('synchronous_commit') WHEN 'off'"
    " THEN set_config('synchronous_commit', 'on', false) END,"
    /* Of one that is stopped in the middle, others would wait for its locks. */
    " CASE WHEN current_setting('server_version_num')::int >= 170000"
    " THEN set_config('transaction_timeout', $2, false) END";

static struct pg_session *
session_of(struct pg_task *set_up)
{
	return (struct pg_session *)(void *)((char *)set_up - offsetof(struct pg_session, set_up));
}

static void
set_up_send(struct pg_task *t, struct pg_session *s)
{
	const char *values[] = {s->timeout_text, s->transaction_timeout_text};

	pg_session_query(s,
	    &(struct pg_query){.sql = set_up_sql, .n = 2, .values = values, .text_results = true});
}

static void
set_up_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	session_of(t)->read_only = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;
}

/* ---- transitions ---- */

struct pg_transition {
	enum { NOTHING, GO, DO } kind;
	enum state next;                                  /* GO */
	void (*act)(struct pg_session *s, enum event ev); /* DO */
};

static void
go_to_place(struct pg_session *s, const char *reason)
{
	session_enter(s, pg_route_is_socket(&s->route) ? CONNECTING : RESOLVING, reason);
}

static void
begin_round(struct pg_session *s, enum event ev)
{
	pg_route_begin(&s->route);
	s->refusal.fault = PG_FAULT_NONE;
	go_to_place(s, event_name(ev));
}

static void
try_next(struct pg_session *s, enum event ev)
{
	if (pg_route_next_address(&s->route))
		session_enter(s, CONNECTING, "next address");
	else if (pg_route_next_place(&s->route))
		go_to_place(s, "next server");
	else
		session_enter(s, BACKOFF, s->refusal.trouble.what);
}

static void
miss_connect(struct pg_session *s, enum event ev)
{
	char what[100];

	snprintf(what, sizeof(what), "no answer within %u ms while %s", s->connect_timeout_ms,
	    s->state == RESOLVING    ? "resolving its name"
	    : s->state == SETTING_UP ? "setting up the session"
				     : pg_phase_text(phase_of(s)));
	add_simple_refusal(
	    s, PG_FAULT_RETRY, "is the machine on, and no firewall in between?", what);
	try_next(s, ev);
}

static void
check_set_up(struct pg_session *s, enum event ev)
{
	if (s->pipeline.refusal.fault != PG_FAULT_NONE) {
		add_refusal(s, &s->pipeline.refusal);
		try_next(s, ev);
	} else if (PQserverVersion(s->pq) < VERSION_MIN) {
		add_simple_refusal(s, PG_FAULT_DENIED, "update it",
		    "this PostgreSQL is too old: Vogeler needs 13 or newer");
		try_next(s, ev);
	} else if (s->read_only && pg_route_wants_writes(&s->route)) {
		add_simple_refusal(
		    s, PG_FAULT_RETRY, NULL, "it is a replica, or takes no writes for now");
		try_next(s, ev);
	} else {
		session_enter(s, READY, event_name(ev));
	}
}

/* The task that has ended is told when the next may come. */
static void
end_task(struct pg_session *s, const struct pg_refusal *r, unsigned int failed)
{
	struct pg_task *t = s->task;

	s->task = NULL;
	t->failed = failed;
	strlcpy(t->state, r->fault == PG_FAULT_NONE ? "" : r->state, sizeof(t->state));
	if (r->fault == PG_FAULT_NONE)
		t->on_end(t, PG_FAULT_NONE, NULL);
	else
		t->on_end(t, r->fault == PG_FAULT_LEAVE ? PG_FAULT_RETRY : r->fault, &r->trouble);
}

static void
go_down(struct pg_session *s, enum event ev)
{
	pg_route_next_place(&s->route);
	session_enter(s, BACKOFF, s->refusal.trouble.what);
}

static void
finish_task(struct pg_session *s, enum event ev)
{
	struct pg_refusal r = s->pipeline.refusal;

	if (r.fault == PG_FAULT_LEAVE) {
		s->refusal = r;
		go_down(s, ev);
		return;
	}
	session_enter(s, READY, event_name(ev));
	end_task(s, &r, s->pipeline.failed);
	if (s->state == READY)
		s->handlers.on_ready(s, s->arg);
}

static void
miss_answer(struct pg_session *s, enum event ev)
{
	char what[100];

	snprintf(what, sizeof(what), "nothing came back within %u s",
	    (s->statement_timeout_ms + ANSWER_MORE_MS) / 1000);
	add_simple_refusal(
	    s, PG_FAULT_RETRY, "is the machine on, and no firewall in between?", what);
	go_down(s, ev);
}

/* clang-format off */
#define GO(state) {.kind = GO, .next = (state)}
#define DO(fn)    {.kind = DO, .act = (fn)}

static const struct pg_transition transitions[N_STATES][N_EVENTS] = {
	[IDLE] = {
		[EV_START]     = DO(begin_round),
	},
	[RESOLVING] = {
		[EV_RESOLVED]  = GO(CONNECTING),
		[EV_FAILED]    = DO(try_next),
		[EV_DEADLINE]  = DO(miss_connect),
	},
	[CONNECTING] = {
		[EV_CONNECTED] = GO(SETTING_UP),
		[EV_FAILED]    = DO(try_next),
		[EV_DEADLINE]  = DO(miss_connect),
	},
	[SETTING_UP] = {
		[EV_SET_UP]    = DO(check_set_up),
		[EV_FAILED]    = DO(try_next),
		[EV_DEADLINE]  = DO(miss_connect),
	},
	[READY] = {
		[EV_RUN]       = GO(BUSY),
		[EV_FAILED]    = DO(go_down),
	},
	[BUSY] = {
		[EV_DONE]      = DO(finish_task),
		[EV_FAILED]    = DO(go_down),
		[EV_DEADLINE]  = DO(miss_answer),
	},
	[BACKOFF] = {
		[EV_RETRY]     = DO(begin_round),
		[EV_LOGIN]     = DO(begin_round),
	},
	[DESTROYED] = {{.kind = NOTHING}},
};
#undef GO
#undef DO
/* clang-format on */

static void
session_step(struct pg_session *s, enum event ev)
{
	const struct pg_transition *t = &transitions[s->state][ev];

	log_trace("pg", "pg[%s]: %s in %s", s->where, event_name(ev), state_name(s->state));
	if (t->kind == GO)
		session_enter(s, t->next, event_name(ev));
	else if (t->kind == DO)
		t->act(s, ev);
}

static bool
is_up(enum state state)
{
	return state == READY || state == BUSY;
}

static void
leave(struct pg_session *s, enum state next)
{
	loop_timer_disarm(s->deadline);
	loop_timer_disarm(s->retry);
	resolver_cancel(s->resolver);
	s->resolver = NULL;
	if (is_up(s->state) && !is_up(next) &&
	    mono_diff(loop_now(s->loop), s->up_since) >= STEADY_MS)
		backoff_reset(&s->backoff);
	if (next != SETTING_UP && !is_up(next))
		drop_connection(s);
}

static void
enter_resolving(struct pg_session *s)
{
	loop_timer_arm(s->deadline, s->connect_timeout_ms);
	s->resolver = resolver_start(
	    s->loop, pg_route_host(&s->route), pg_route_port(&s->route), on_resolved, s);
}

static void
enter_connecting(struct pg_session *s)
{
	struct pg_params params;

	loop_timer_arm(s->deadline, s->connect_timeout_ms);
	pg_route_params(&s->route, s->program, &params);
	s->pq = PQconnectStartParams(params.keys, params.values, 0);
	if (s->pq == NULL)
		xalloc_fail(0);
	update_where(s);
	PQsetNoticeProcessor(s->pq, on_notice, s);
	PQsetErrorVerbosity(s->pq, PQERRORS_VERBOSE);
	if (PQstatus(s->pq) == CONNECTION_BAD)
		loop_timer_arm(s->soon, 0);
	else
		watch(s, LOOP_WRITE);
}

static void
enter_setting_up(struct pg_session *s)
{
	loop_timer_arm(s->deadline, s->connect_timeout_ms);
	if (PQsetnonblocking(s->pq, 1) != 0 || PQenterPipelineMode(s->pq) == 0)
		s->send_failed = true;
	s->read_only = false;
	s->task = &s->set_up;
	begin_task(s);
}

static void
enter_ready(struct pg_session *s, enum state old)
{
	watch(s, LOOP_READ);
	if (old == BUSY)
		return; /* finish_task() tells */
	s->task = NULL;
	s->up_since = loop_now(s->loop);
	s->handlers.on_ready(s, s->arg);
}

static void
enter_backoff(struct pg_session *s)
{
	struct pg_refusal r = s->refusal;

	if (r.fault == PG_FAULT_LEAVE)
		r.fault = PG_FAULT_RETRY;
	if (s->task == &s->set_up)
		s->task = NULL;
	if (s->task != NULL)
		end_task(s, &r, PG_TASK_WHOLE);
	if (s->state == BACKOFF)
		s->handlers.on_down(s, r.fault, &r.trouble, s->arg);
}

/* Somebody must act first: that does not get better by trying often. */
static uint32_t
retry_delay(struct pg_session *s)
{
	struct backoff slow = {s->reconnect_max_ms, s->reconnect_max_ms, 0};

	return backoff_next(
	    s->refusal.fault == PG_FAULT_DENIED ? &slow : &s->backoff, ident_random32());
}

/* The owner tells what is wrong, of all of his sessions once. */
static enum log_level
level_of(enum state old, enum state next)
{
	return is_up(old) && is_up(next) ? LOG_LEVEL_TRACE : LOG_LEVEL_DEBUG;
}

static void
session_enter(struct pg_session *s, enum state next, const char *reason)
{
	enum state old = s->state;

	assert(old != DESTROYED);
	leave(s, next);
	s->state = next;
	if (next == BACKOFF) {
		uint32_t ms = retry_delay(s);

		loop_timer_arm(s->retry, ms);
		log_msg(level_of(old, next), "pg", "pg[%s]: %s -> %s, reason=%s, retry_in=%u.%us",
		    s->where, state_name(old), state_name(next), reason, ms / 1000,
		    ms % 1000 / 100);
	} else if (log_enabled(level_of(old, next))) {
		log_msg(level_of(old, next), "pg", "pg[%s]: %s -> %s, reason=%s", update_where(s),
		    state_name(old), state_name(next), reason);
	}
	switch (next) {
	case RESOLVING:
		enter_resolving(s);
		return;
	case CONNECTING:
		enter_connecting(s);
		return;
	case SETTING_UP:
		enter_setting_up(s);
		return;
	case READY:
		enter_ready(s, old);
		return;
	case BUSY:
		arm_answer_deadline(s);
		begin_task(s);
		return;
	case BACKOFF:
		enter_backoff(s);
		return;
	case IDLE:
	case DESTROYED:
	case N_STATES:
		return;
	}
}

/* ---- the owner's side ---- */

void
pg_session_options_default(struct pg_session_options *opt)
{
	*opt = (struct pg_session_options){
	    .program = "vogeler",
	    .connect_timeout_ms = 5000,
	    .statement_timeout_ms = 30000,
	    .reconnect_first_ms = 250,
	    .reconnect_max_ms = 10000,
	};
}

struct pg_session *
pg_session_create(struct loop *loop, const struct pg_session_options *opt,
    const struct pg_session_handlers *handlers, void *arg)
{
	struct pg_session *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->program = opt->program;
	s->connect_timeout_ms = opt->connect_timeout_ms;
	s->statement_timeout_ms = opt->statement_timeout_ms;
	s->reconnect_max_ms = opt->reconnect_max_ms;
	snprintf(s->timeout_text, sizeof(s->timeout_text), "%u", opt->statement_timeout_ms);
	snprintf(s->transaction_timeout_text, sizeof(s->transaction_timeout_text), "%u",
	    opt->statement_timeout_ms * 2);
	s->handlers = *handlers;
	s->arg = arg;
	s->set_up = (struct pg_task){.send = set_up_send, .on_result = set_up_on_result};
	pg_route_init(&s->route, opt->uri, opt->tls);
	backoff_init(&s->backoff, opt->reconnect_first_ms, opt->reconnect_max_ms);
	s->deadline = loop_timer_create(loop, "pg-deadline", on_deadline, s);
	s->retry = loop_timer_create(loop, "pg-retry", on_retry, s);
	s->soon = loop_timer_create(loop, "pg-soon", on_soon, s);
	update_where(s);
	return s;
}

struct cancel {
	PGcancel *request;
	char why[256];
	bool sent;
};

static void
cancel_run(void *job)
{
	struct cancel *c = job;

	c->sent = PQcancel(c->request, c->why, sizeof(c->why)) != 0;
}

static void
cancel_free(void *job)
{
	struct cancel *c = job;

	PQfreeCancel(c->request);
	free(c);
}

static void
cancel_done(void *job)
{
	const struct cancel *c = job;

	if (!c->sent)
		log_debug(
		    "pg", "a cancel could not be sent: %.*s", (int)strcspn(c->why, "\n"), c->why);
	cancel_free(job);
}

void
pg_session_destroy(struct pg_session *s)
{
	if (s == NULL)
		return;
	s->task = NULL;
	session_enter(s, DESTROYED, "destroy");
	if (s->canceller != NULL)
		worker_abandon(s->canceller, cancel_free);
	loop_timer_destroy(s->deadline);
	loop_timer_destroy(s->retry);
	loop_timer_destroy(s->soon);
	pg_route_finish(&s->route);
	loop_defer_free(s->loop, s, free);
}

void
pg_session_start(struct pg_session *s)
{
	session_step(s, EV_START);
}

void
pg_session_set_login(struct pg_session *s, const struct uri *uri)
{
	pg_route_set_login(&s->route, uri);
	if (s->refusal.fault == PG_FAULT_DENIED)
		session_step(s, EV_LOGIN);
}

bool
pg_session_is_ready(const struct pg_session *s)
{
	return s->state == READY;
}

bool
pg_session_is_up(const struct pg_session *s)
{
	return is_up(s->state);
}

void
pg_session_run(struct pg_session *s, struct pg_task *t)
{
	assert(s->state == READY && s->task == NULL);
	s->task = t;
	session_step(s, EV_RUN);
}

void
pg_session_cancel(struct pg_session *s)
{
	struct cancel *c;

	if (s->state != BUSY)
		return;
	if (s->canceller == NULL)
		s->canceller = worker_create(s->loop, "pg-cancel");
	if (s->canceller == NULL)
		return;
	c = xcalloc(1, sizeof(*c));
	c->request = PQgetCancel(s->pq);
	if (c->request == NULL)
		xalloc_fail(0);
	worker_submit(s->canceller, cancel_run, cancel_done, c);
}

struct pg_task *
pg_session_task(const struct pg_session *s)
{
	return is_up(s->state) ? s->task : NULL;
}

int
pg_session_server_version(const struct pg_session *s)
{
	return s->pq == NULL ? 0 : PQserverVersion(s->pq);
}

const char *
pg_session_where(const struct pg_session *s)
{
	return s->where;
}
