/* See intake.h. */
#include "daemon/intake.h"

#include "shared/broker.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/phrase.h"
#include "shared/wall.h"
#include "shared/worker.h"
#include "shared/xalloc.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Under way to the thread, on it, or back from it. Between submit and done only `forgotten` may be
 * touched by both sides. */
struct job {
	TAILQ_ENTRY(job) link; /* unless forgotten */
	struct intake *intake;
	struct delivery *delivery;
	struct intake_options opt;
	void *owner;
	int64_t received_at;
	atomic_bool forgotten;
	struct intake_reading reading;
};
TAILQ_HEAD(jobs, job);

struct intake {
	struct loop *loop;
	intake_read_fn *fn;
	void *arg;
	struct worker *worker;
	struct jobs jobs;
	size_t n_jobs;
	struct mono pass; /* what was read on the loop in this pass */
	size_t pass_bytes;
};

/* ---- reading ---- */

void
intake_reading_finish(struct intake_reading *r)
{
	if (r->verdict == INTAKE_GOOD) {
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

/* Nothing is unpacked: a few bytes could become gigabytes. */
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
	size_t n = json_object_size(resp->results);

	if (n <= INTAKE_RESULTS_MAX)
		return true;
	snprintf(why, why_size, "%zu results, more than %d", n, INTAKE_RESULTS_MAX);
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
intake_read(const struct message *m, const struct intake_options *opt, int64_t received_at,
    struct intake_reading *r)
{
	struct response *resp = &r->response;

	*r = (struct intake_reading){.verdict = INTAKE_MALFORMED};
	if (!check_kind(m, r->why, sizeof(r->why)) ||
	    !wire_response_decode(m, resp, r->why, sizeof(r->why)))
		return;
	if (!check_count(resp, r->why, sizeof(r->why)))
		goto refuse;
	if (opt->attest && !attested(resp, r->why, sizeof(r->why))) {
		r->verdict = INTAKE_FORGED;
		goto refuse;
	}
	r->verdict = INTAKE_GOOD;
	r->n = convert_response(resp, &opt->limits, received_at, &r->results);
	json_decref(resp->results); /* here: freeing a million values takes its time too */
	resp->results = NULL;
	return;
refuse:
	response_finish(resp);
}

/* ---- the thread ---- */

static void
job_free(struct job *job)
{
	intake_reading_finish(&job->reading);
	delivery_destroy(job->delivery);
	free(job);
}

static void
run(void *arg)
{
	struct job *job = arg;

	if (!atomic_load(&job->forgotten))
		intake_read(&job->delivery->message, &job->opt, job->received_at, &job->reading);
}

static void
done(void *arg)
{
	struct job *job = arg;
	struct intake *in = job->intake;
	struct delivery *d = job->delivery;

	if (!atomic_load(&job->forgotten)) {
		TAILQ_REMOVE(&in->jobs, job, link);
		in->n_jobs--;
		job->delivery = NULL;
		in->fn(job->owner, d, &job->reading, in->arg);
	}
	job_free(job);
}

static void
submit(struct intake *in, struct delivery *d, const struct intake_options *opt, void *owner)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->intake = in;
	job->delivery = d;
	job->opt = *opt;
	job->owner = owner;
	job->received_at = wall_ms();
	job->reading.verdict = INTAKE_MALFORMED; /* until it is read */
	atomic_init(&job->forgotten, false);
	TAILQ_INSERT_TAIL(&in->jobs, job, link);
	in->n_jobs++;
	worker_submit(in->worker, run, done, job);
}

/* ---- taking in ---- */

struct intake *
intake_create(struct loop *loop, intake_read_fn *fn, void *arg)
{
	struct intake *in = xcalloc(1, sizeof(*in));

	in->loop = loop;
	in->fn = fn;
	in->arg = arg;
	in->worker = worker_create(loop, "intake");
	if (in->worker == NULL)
		fatal("intake", "cannot make a thread: %s", phrase_errno(errno));
	TAILQ_INIT(&in->jobs);
	return in;
}

/* Whether there is room for it in this pass. */
static bool
fits_pass(struct intake *in, size_t bytes)
{
	struct mono now = loop_now(in->loop);

	if (mono_diff(now, in->pass) != 0)
		in->pass_bytes = 0;
	in->pass = now;
	in->pass_bytes += bytes;
	return in->pass_bytes <= INTAKE_PASS;
}

void
intake_take(struct intake *in, struct delivery *d, const struct intake_options *opt, void *owner)
{
	struct intake_reading r;

	if (in->n_jobs > 0 || d->message.body_len > INTAKE_SMALL ||
	    !fits_pass(in, d->message.body_len)) {
		submit(in, d, opt, owner);
		return;
	}
	intake_read(&d->message, opt, wall_ms(), &r);
	in->fn(owner, d, &r, in->arg);
	intake_reading_finish(&r);
}

void
intake_clear(struct intake *in)
{
	while (!TAILQ_EMPTY(&in->jobs)) {
		struct job *job = TAILQ_FIRST(&in->jobs);

		TAILQ_REMOVE(&in->jobs, job, link);
		atomic_store(&job->forgotten, true); /* the thread's, until done() frees it */
	}
	in->n_jobs = 0;
}

void
intake_destroy(struct intake *in)
{
	if (in == NULL)
		return;
	intake_clear(in);
	worker_destroy(in->worker);
	free(in);
}

size_t
intake_pending(const struct intake *in)
{
	return in->n_jobs;
}
