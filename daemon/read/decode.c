/* SPDX-License-Identifier: Apache-2.0 */
/* See decode.h. */
#include "daemon/read/decode.h"

#include "daemon/attest.h"
#include "daemon/packed.h"
#include "shared/amqp/broker.h"
#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"
#include "shared/store/couch/pack.h"
#include "shared/store/job.h"
#include "shared/wire/jread.h"

#include <assert.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

struct decode_lane;

/* A job is in its lane, then on the thread, then back from it. Between submit and done only
 * `forgotten` may be touched by both sides. */
struct decode_job {
	TAILQ_ENTRY(decode_job) link; /* in the lane's waiting, or the intake's submitted */
	struct decode *intake;
	struct decode_lane *lane; /* NULL once forgotten */
	struct delivery *delivery;
	size_t bytes;
	struct decode_options opt;
	void *owner;
	int64_t received_at;
	atomic_bool forgotten;
	struct decode_reading reading;
};
TAILQ_HEAD(jobs, decode_job);

/* A lane holds what is there of one host, as long as anything is. */
struct decode_lane {
	UT_hash_handle hh;
	TAILQ_ENTRY(decode_lane) turn; /* if something waits: in the intake's turns, or in held */
	struct jobs waiting;
	size_t n; /* with those that are */
	size_t submitted;
	char *host;
};
TAILQ_HEAD(lanes, decode_lane);

struct decode {
	struct loop *loop;
	decode_read_fn *fn;
	void *arg;
	struct worker *worker;
	struct pack *pack;         /* the thread's */
	struct decode_lane *lanes; /* uthash, by host */
	struct lanes turns;        /* those in which something waits, the next one first, */
	struct lanes held;         /* but for what is of a sender of whom more must be known */
	struct jobs submitted;     /* unless forgotten */
	size_t submitted_bytes;    /* with those that are forgotten */
	size_t n_jobs;
	struct mono pass; /* what was read on the loop in this pass */
	size_t pass_bytes;
};

/* ---- reading ---- */

void
decode_reading_finish(struct decode_reading *r)
{
	if (r->verdict == DECODE_GOOD) {
		response_finish(&r->response);
		if (r->results != NULL)
			convert_free(r->results, r->n);
	}
	r->results = NULL;
}

/* Is the media type, without its parameters, that of text that may be JSON? Octet-stream is what a
 * client says that does not know, and 2010 said nothing. */
static bool
is_readable_type(const char *type)
{
	size_t n = strcspn(type, "; \t");

	if (n == 0 || (n > 5 && strncasecmp(type, "text/", 5) == 0))
		return true;
	if (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0)
		return true;
	return (n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0) ||
	       (n == strlen("application/octet-stream") &&
		   strncasecmp(type, "application/octet-stream", n) == 0);
}

/* Says whether it can be read as it came: nothing is unpacked, for a few bytes could become
 * gigabytes. */
static bool
is_readable_encoding(const char *encoding)
{
	static const char *const plain[] = {"", "identity", "utf-8", "utf8", "us-ascii"};
	size_t i;

	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (strcasecmp(encoding, plain[i]) == 0)
			return true;
	}
	return false;
}

static bool
check_kind(const struct message *m, char *why, size_t why_size)
{
	if (m->content_encoding != NULL && !is_readable_encoding(m->content_encoding)) {
		snprintf(
		    why, why_size, "content_encoding '%.64s' is not read", m->content_encoding);
		return false;
	}
	if (m->content_type != NULL && !is_readable_type(m->content_type)) {
		snprintf(why, why_size, "content_type '%.64s' is not JSON", m->content_type);
		return false;
	}
	return true;
}

static bool
check_count(const struct response *resp, char *why, size_t why_size)
{
	if (resp->n_values <= DECODE_RESULTS_MAX)
		return true;
	snprintf(why, why_size, "%zu results, more than %d", resp->n_values, DECODE_RESULTS_MAX);
	return false;
}

static bool
attested(const struct response *resp, char *why, size_t why_size)
{
	const char *user = resp->meta.user_id;

	if (user != NULL && strcmp(user, resp->host) == 0)
		return true;
	if (user == NULL)
		snprintf(why, why_size, "no user_id vouches for syskey \"%s\"", resp->host);
	else
		snprintf(
		    why, why_size, "user \"%s\" wrote in the name of \"%s\"", user, resp->host);
	return false;
}

void
decode_host_of(const struct message *m, char host[NAME_HOST_MAX + 1])
{
	char text[6 * NAME_HOST_MAX + 2]; /* each byte may be an escape */
	struct jread j;
	size_t len;

	host[0] = '\0';
	jread_init(&j, m->body == NULL ? "" : m->body, m->body_len, NULL);
	if (!jread_member(&j, "syskey") || j.text[j.start] != '"' || j.end - j.start > sizeof(text))
		return;
	len = jread_text(&j, text);
	if (len > NAME_HOST_MAX)
		return;
	memcpy(host, text, len);
	host[len] = '\0';
}

/* Who is to be told that this was not taken. */
static void
find_host(const struct message *m, const struct decode_options *opt, char host[NAME_HOST_MAX + 1])
{
	const char *user = m->user_id;

	host[0] = '\0';
	if (m->correlation_id == NULL || !job_id_ok(m->correlation_id))
		return;
	decode_host_of(m, host);
	if (name_host_error(host) != NULL ||
	    (opt->bound && (user == NULL || strcmp(user, host) != 0)))
		strlcpy(host, opt->host_user ? user : "", NAME_HOST_MAX + 1);
}

static void
read_message(const struct message *m, const struct decode_options *opt, int64_t received_at,
    struct decode_reading *r)
{
	struct response *resp = &r->response;

	if (!check_kind(m, r->why, sizeof(r->why)) ||
	    !wire_response_decode(m, resp, r->why, sizeof(r->why)))
		return;
	if (!check_count(resp, r->why, sizeof(r->why)))
		goto refuse;
	if (opt->bound && !attested(resp, r->why, sizeof(r->why))) {
		r->verdict = DECODE_FORGED;
		goto refuse;
	}
	r->n = convert_response(resp, &opt->limits, received_at, &r->results);
	if (r->n == 0) {
		snprintf(r->why, sizeof(r->why), "no memory to read %zu bytes", m->body_len);
		goto refuse;
	}
	r->verdict = DECODE_GOOD;
	return;
refuse:
	response_finish(resp);
}

void
decode_read(const struct message *m, const struct decode_options *opt, int64_t received_at,
    struct decode_reading *r)
{
	*r = (struct decode_reading){.verdict = DECODE_MALFORMED};
	read_message(m, opt, received_at, r);
	if (r->verdict != DECODE_GOOD)
		find_host(m, opt, r->host);
}

static void
read_delivery(const struct delivery *d, const struct decode_options *opt, int64_t received_at,
    struct decode_reading *r)
{
	if (!d->oversize) {
		decode_read(&d->message, opt, received_at, r);
		return;
	}
	*r = (struct decode_reading){.verdict = DECODE_OVERSIZE};
	snprintf(
	    r->why, sizeof(r->why), "%" PRIu64 " bytes are over message_max_bytes", d->body_size);
	find_host(&d->message, opt, r->host);
}

/* ---- lanes ---- */

static struct decode_lane *
lane_find(const struct decode *in, const char *host)
{
	struct decode_lane *lane;

	HASH_FIND_STR(in->lanes, host, lane);
	return lane;
}

static struct decode_lane *
lane_of(struct decode *in, const char *host)
{
	struct decode_lane *lane = lane_find(in, host);

	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane));
	TAILQ_INIT(&lane->waiting);
	lane->host = xstrdup(host);
	HASH_ADD_KEYPTR(hh, in->lanes, lane->host, strlen(lane->host), lane);
	return lane;
}

static void
lane_free(struct decode *in, struct decode_lane *lane)
{
	HASH_DEL(in->lanes, lane);
	free(lane->host);
	free(lane);
}

/* ---- the thread ---- */

static void
job_free(struct decode_job *job)
{
	decode_reading_finish(&job->reading);
	delivery_destroy(job->delivery);
	free(job);
}

static void
run(void *arg)
{
	struct decode_job *job = arg;

	if (atomic_load(&job->forgotten))
		return;
	read_delivery(job->delivery, &job->opt, job->received_at, &job->reading);
	if (job->bytes > DECODE_SMALL)
		packed_close(job->intake->pack, job->delivery);
}

static void done(void *arg);

static void
look_at_sender(struct decode_options *opt, const struct delivery *d)
{
	const char *user = d->message.user_id;

	opt->bound = opt->attest != NULL && attest_is_bound(opt->attest, user);
	opt->host_user = opt->attest != NULL && attest_is_host(opt->attest, user);
}

static bool
is_settled(const struct decode_options *opt, const struct delivery *d)
{
	return opt->attest == NULL || attest_settled(opt->attest, d->message.user_id);
}

/* The first that waits has changed. */
static void
give_turn(struct decode *in, struct decode_lane *lane)
{
	const struct decode_job *job = TAILQ_FIRST(&lane->waiting);

	if (job == NULL)
		return;
	if (is_settled(&job->opt, job->delivery))
		TAILQ_INSERT_TAIL(&in->turns, lane, turn);
	else
		TAILQ_INSERT_TAIL(&in->held, lane, turn);
}

static void
submit(struct decode *in, struct decode_lane *lane)
{
	struct decode_job *job = TAILQ_FIRST(&lane->waiting);

	TAILQ_REMOVE(&lane->waiting, job, link);
	TAILQ_REMOVE(&in->turns, lane, turn);
	give_turn(in, lane);
	look_at_sender(&job->opt, job->delivery);
	lane->submitted++;
	TAILQ_INSERT_TAIL(&in->submitted, job, link);
	in->submitted_bytes += job->bytes;
	worker_submit(in->worker, run, done, job);
}

/* Gives the thread what it reads in a moment: of each host in its turn, and no more, as what is
 * with the thread is overtaken by nothing. */
static void
advance(struct decode *in)
{
	struct decode_lane *lane;

	while ((lane = TAILQ_FIRST(&in->turns)) != NULL &&
	       (in->submitted_bytes == 0 ||
		   in->submitted_bytes + TAILQ_FIRST(&lane->waiting)->bytes <= DECODE_PASS))
		submit(in, lane);
}

static void
leave_lane(struct decode *in, struct decode_job *job)
{
	assert(in->n_jobs > 0);
	in->n_jobs--;
	assert(job->lane->n > 0);
	if (--job->lane->n == 0)
		lane_free(in, job->lane);
}

static void
done(void *arg)
{
	struct decode_job *job = arg;
	struct decode *in = job->intake;
	struct delivery *d = job->delivery;

	assert(in->submitted_bytes >= job->bytes);
	in->submitted_bytes -= job->bytes;
	if (!atomic_load(&job->forgotten)) {
		TAILQ_REMOVE(&in->submitted, job, link);
		job->lane->submitted--;
		leave_lane(in, job);
		job->delivery = NULL;
		advance(in);
		in->fn(job->owner, d, &job->reading, in->arg);
	} else {
		advance(in);
	}
	job_free(job);
}

static void
enqueue(struct decode *in, const char *host, struct delivery *d, const struct decode_options *opt,
    void *owner)
{
	struct decode_job *job = xcalloc(1, sizeof(*job));
	struct decode_lane *lane = lane_of(in, host);

	job->intake = in;
	job->lane = lane;
	job->delivery = d;
	job->bytes = d->message.body_len;
	job->opt = *opt;
	job->owner = owner;
	job->received_at = wallclock_ms();
	job->reading.verdict = DECODE_MALFORMED; /* until it is read */
	atomic_init(&job->forgotten, false);
	TAILQ_INSERT_TAIL(&lane->waiting, job, link);
	if (TAILQ_FIRST(&lane->waiting) == job)
		give_turn(in, lane);
	lane->n++;
	in->n_jobs++;
	advance(in);
}

/* ---- taking in ---- */

struct decode *
decode_create(struct loop *loop, decode_read_fn *fn, void *arg)
{
	struct decode *in = xcalloc(1, sizeof(*in));

	in->loop = loop;
	in->fn = fn;
	in->arg = arg;
	in->worker = worker_create(loop, "intake");
	if (in->worker == NULL)
		fatal("intake", "cannot make a thread: %s", errtext_errno(errno));
	in->pack = pack_create();
	TAILQ_INIT(&in->turns);
	TAILQ_INIT(&in->held);
	TAILQ_INIT(&in->submitted);
	return in;
}

/* Says whether there is room for it in this pass. */
static bool
fits_pass(struct decode *in, size_t bytes)
{
	struct mono now = loop_now(in->loop);

	if (mono_diff(now, in->pass) != 0)
		in->pass_bytes = 0;
	in->pass = now;
	return bytes <= DECODE_SMALL && in->pass_bytes + bytes <= DECODE_PASS;
}

/* A few bytes of YAML may become megabytes: on the loop they become so many at most. */
static void
limit_for_loop(struct yamlx_limits *yaml)
{
	if (yaml->nodes > DECODE_LOOP_NODES)
		yaml->nodes = DECODE_LOOP_NODES;
	if (yaml->expanded == 0 || yaml->expanded > DECODE_PASS)
		yaml->expanded = DECODE_PASS;
}

/* Was something refused by limits that are the loop's, it may be, and not opt's? */
static bool
is_for_thread(const struct decode_reading *r)
{
	size_t i;

	for (i = 0; r->verdict == DECODE_GOOD && i < r->n; i++) {
		if (r->response.format == WIRE_YAML && (r->results[i]->refusal == JSONX_VALUES ||
							   r->results[i]->refusal == JSONX_BYTES))
			return true;
	}
	return false;
}

/* Charges what came and what it became, as both are work. */
static void
charge_pass(struct decode *in, size_t bytes, const struct decode_reading *r)
{
	size_t i;

	in->pass_bytes += bytes;
	for (i = 0; r->verdict == DECODE_GOOD && i < r->n; i++)
		in->pass_bytes += r->results[i]->value_len;
}

/* false: it is for the thread, and r is not set. */
static bool
read_at_once(struct decode *in, const struct delivery *d, const struct decode_options *opt,
    struct decode_reading *r)
{
	struct decode_options here = *opt;

	if (!fits_pass(in, d->message.body_len))
		return false;
	look_at_sender(&here, d);
	limit_for_loop(&here.limits.yaml);
	read_delivery(d, &here, wallclock_ms(), r);
	charge_pass(in, d->message.body_len, r);
	if (!is_for_thread(r))
		return true;
	decode_reading_finish(r);
	return false;
}

void
decode_take(struct decode *in, struct delivery *d, const struct decode_options *opt, void *owner)
{
	struct decode_reading r;
	char host[NAME_HOST_MAX + 1];

	decode_host_of(&d->message, host);
	if (lane_find(in, host) != NULL || !is_settled(opt, d) || !read_at_once(in, d, opt, &r)) {
		enqueue(in, host, d, opt, owner);
		return;
	}
	in->fn(owner, d, &r, in->arg);
	decode_reading_finish(&r);
}

/* Tells the first of those that wait, unless it is for the thread, or something of its host is
 * there. The callback may clear all. */
static bool
tell_first(struct decode *in)
{
	struct decode_lane *lane = TAILQ_FIRST(&in->turns);
	struct decode_job *job = lane == NULL ? NULL : TAILQ_FIRST(&lane->waiting);
	struct decode_reading r;
	struct delivery *d;
	void *owner;

	if (job == NULL || lane->submitted > 0 || !read_at_once(in, job->delivery, &job->opt, &r))
		return false;
	TAILQ_REMOVE(&in->turns, lane, turn);
	TAILQ_REMOVE(&lane->waiting, job, link);
	give_turn(in, lane);
	leave_lane(in, job);
	d = job->delivery;
	owner = job->owner;
	job->delivery = NULL;
	job_free(job);
	in->fn(owner, d, &r, in->arg);
	decode_reading_finish(&r);
	return true;
}

void
decode_go_on(struct decode *in)
{
	struct lanes held;
	struct decode_lane *lane;

	TAILQ_INIT(&held);
	TAILQ_CONCAT(&held, &in->held, turn);
	while ((lane = TAILQ_FIRST(&held)) != NULL) {
		TAILQ_REMOVE(&held, lane, turn);
		give_turn(in, lane);
	}
	while (tell_first(in))
		continue;
	advance(in);
}

static void
clear_lane(struct decode *in, struct decode_lane *lane)
{
	struct decode_job *job;

	while ((job = TAILQ_FIRST(&lane->waiting)) != NULL) {
		TAILQ_REMOVE(&lane->waiting, job, link);
		job_free(job);
	}
	lane_free(in, lane);
}

void
decode_clear(struct decode *in)
{
	struct decode_lane *lane, *tmp;
	struct decode_job *job;

	while ((job = TAILQ_FIRST(&in->submitted)) != NULL) {
		TAILQ_REMOVE(&in->submitted, job, link);
		job->lane = NULL;
		atomic_store(&job->forgotten, true); /* the thread's, until done() frees it */
	}
	HASH_ITER (hh, in->lanes, lane, tmp)
		clear_lane(in, lane);
	TAILQ_INIT(&in->turns);
	TAILQ_INIT(&in->held);
	in->n_jobs = 0;
}

void
decode_destroy(struct decode *in)
{
	if (in == NULL)
		return;
	decode_clear(in);
	worker_destroy(in->worker);
	pack_destroy(in->pack);
	free(in);
}

size_t
decode_pending(const struct decode *in)
{
	return in->n_jobs;
}
