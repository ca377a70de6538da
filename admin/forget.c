/* SPDX-License-Identifier: Apache-2.0 */
/* "forget HOSTS": their records, what is remembered of the order of their results, and their queues
 * with the commands that wait there. What is said of a job stays true: the commands that went with
 * a queue are cancelled in the ledger. A host whose queue somebody reads stays, its record too: it
 * is there, and would make both again.
 *
 *   who is meant -> which of them have records -> queues (-> ledger, of those with neither)
 *     -> the question -> queues, looked at anew -> queues -> records -> ledger
 *
 * A queue goes before its host's record, by which globs find the host, and before the ledger is
 * written: who is interrupted leaves no queue that globs miss, and the next "forget", which finds
 * the queue gone, sees to the ledger; of hosts without a record when it is told their names. A
 * queue also goes soon after it was looked at, however many the records are. */
#include "admin/confirm.h"
#include "admin/host_queues.h"
#include "admin/meant.h"
#include "admin/missing.h"
#include "admin/open_jobs.h"
#include "admin/verb.h"

#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/store/outcome.h"
#include "shared/store/store.h"
#include "shared/target/ranges.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_JOBS    1000000
#define WHY_DELETED "the host was forgotten, and its queue deleted with what waited in it"
#define WHY_GONE    "the host was forgotten, and its queue was gone"

static const struct host_queue_look unknown = {.sight = HOST_QUEUE_UNKNOWN};

struct forgetting {
	struct verb_context *v;
	struct meant meant;
	struct known_reading reading;
	struct hosts odd; /* names that no host can have, but a record: without a queue */
	/* These are of those that were meant: */
	struct hosts records;                   /* sorted, as all that follow */
	struct hosts queues;                    /* that may have one: names of hosts */
	struct hosts missing;                   /* have neither a record, nor a queue that may go */
	struct hosts queueless;                 /* of them: those that have no queue for sure */
	struct hosts hosts;                     /* of which there is something to be forgotten */
	struct hosts gone;                      /* have no queue any more */
	struct hosts deleted;                   /* of them: that was we */
	struct hosts untried;                   /* their queues were not tried */
	size_t n_deletable, n_read, n_commands; /* n_read: an agent reads their queues; they stay */
	uint64_t messages;
	struct host_queues *open;
	bool queues_unknown;
	struct open_jobs *jobs;
	const struct open_job *job; /* that is written, and those after it */
	size_t n_jobs, next;
	size_t n_unwritten;  /* of these jobs: the ledger did not take it, */
	char *unwritten_why; /* of the first of them */
	size_t n_missing;    /* words that are nobody */
	int status;
};

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void
forget_finish(void *arg)
{
	struct forgetting *f = arg;
	struct hosts *lists[] = {&f->odd, &f->records, &f->queues, &f->missing, &f->queueless,
	    &f->hosts, &f->gone, &f->deleted, &f->untried};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		hosts_finish(lists[i]);
	open_jobs_destroy(f->jobs);
	free(f->unwritten_why);
	meant_finish(&f->meant);
	free(f);
}

static void
forget_end(struct forgetting *f)
{
	host_queues_close(f->open);
	f->open = NULL;
	fflush(stdout);
	if (f->status == VERB_OK && f->n_missing > 0)
		f->status = VERB_NO_SUCH_HOST;
	if (f->n_read > 0)
		f->status = VERB_TROUBLE;
	verb_done(f->v, f->status);
}

/* The status says so at the end, whatever else succeeds. */
static void
complain(struct forgetting *f, const char *host, const char *why)
{
	fflush(stdout);
	complain_line("vogeler-admin", "%s: %s", host, why);
	f->status = VERB_TROUBLE;
}

static void
complain_why(struct forgetting *f, const char *host, const struct trouble *why)
{
	char *text = trouble_text(why);

	complain(f, host, text);
	free(text);
}

/* ---- the ledger ---- */

static void cancel_next(struct forgetting *f);

/* The next job may be on another page, or in another document. */
static void
forget_on_cancelled(const struct trouble *why, const char *done, void *arg)
{
	struct forgetting *f = arg;
	const struct open_job *job = &f->job[f->next++];

	if (why == NULL)
		f->n_commands += job->hosts.n;
	else if (f->n_unwritten++ == 0)
		xasprintf(&f->unwritten_why, "%s: " TROUBLE_FMT, job->id, TROUBLE_ARGS(why));
	cancel_next(f);
}

static void
say_cancelled(struct forgetting *f)
{
	char *what;

	if (f->n_commands > 0)
		printf("ledger: %zu command%s that nobody will answer: cancelled\n", f->n_commands,
		    plural(f->n_commands));
	if (f->n_unwritten == 0)
		return;
	xasprintf(&what, "what waited for them of %zu job%s is \"queued\" in the ledger still",
	    f->n_unwritten, plural(f->n_unwritten));
	complain(f, what, f->unwritten_why);
	free(what);
}

static void
cancel_next(struct forgetting *f)
{
	const struct open_job *job = &f->job[f->next];
	struct outcome *list;

	if (f->next == f->n_jobs) {
		say_cancelled(f);
		forget_end(f);
		return;
	}
	list = xcalloc(job->hosts.n, sizeof(*list));
	for (size_t i = 0; i < job->hosts.n; i++) {
		const char *host = job->hosts.names[i];

		outcome_init(&list[i]);
		list[i].host = host;
		list[i].state = OUTCOME_CANCELLED;
		list[i].why = hosts_has(&f->deleted, host) ? WHY_DELETED : WHY_GONE;
		list[i].at = wallclock_ms();
	}
	store_outcomes_add(f->v->store, job->id, list, job->hosts.n, forget_on_cancelled, f);
	free(list);
}

static void
forget_on_open(const struct open_job *jobs, size_t n, const struct trouble *why, void *arg)
{
	struct forgetting *f = arg;

	if (why != NULL) {
		complain_why(f, "what waited for them is \"queued\" in the ledger still", why);
		forget_end(f);
		return;
	}
	if (open_jobs_unread(f->jobs) > 0)
		f->status = VERB_TROUBLE;
	f->job = jobs;
	f->n_jobs = n;
	f->next = 0;
	cancel_next(f);
}

static void
read_ledger(struct forgetting *f, const struct hosts *hosts, open_jobs_fn *fn)
{
	const struct open_jobs_request req = {
	    .store = f->v->store,
	    .hosts = hosts,
	    .jobs_max = ALL_JOBS,
	    .unnoted = true,
	    .fn = fn,
	    .arg = f,
	};

	open_jobs_destroy(f->jobs);
	f->jobs = open_jobs_read(&req);
}

static void
forget_commands(struct forgetting *f)
{
	fflush(stdout);
	if (f->gone.n == 0)
		forget_end(f);
	else
		read_ledger(f, &f->gone, forget_on_open);
}

/* ---- records ---- */

static void forget_next(struct forgetting *f);

/* One that fails is there still, and is found again; its queue is gone all the same, and with it
 * the commands, which the ledger is told. */
static void
forget_on_done(const struct trouble *why, const char *done, void *arg)
{
	struct forgetting *f = arg;
	const char *host = f->records.names[f->next++];

	if (why == NULL)
		printf("%s: %s\n", host, done);
	else
		complain_why(f, host, why);
	forget_next(f);
}

static void
forget_next(struct forgetting *f)
{
	while (f->next < f->records.n && hosts_has(&f->untried, f->records.names[f->next]))
		f->next++;
	if (f->next < f->records.n)
		store_forget(f->v->store, f->records.names[f->next], forget_on_done, f);
	else
		forget_commands(f);
}

/* ---- queues ---- */

static void
forget_on_deleted(
    size_t host, enum host_queue_end end, uint32_t messages, const char *why, void *arg)
{
	struct forgetting *f = arg;
	const char *name = f->queues.names[host], *its_record = "";

	switch (end) {
	case HOST_QUEUE_DELETED:
		printf("queue %s: deleted, with %" PRIu32 " waiting message%s\n", name, messages,
		    plural(messages));
		hosts_add(&f->gone, name);
		hosts_add(&f->deleted, name);
		return;
	case HOST_QUEUE_REFUSED:
		break;
	case HOST_QUEUE_UNTRIED:
		hosts_add(&f->untried, name);
		if (hosts_has(&f->records, name))
			its_record = ", and its record";
		break;
	}
	fflush(stdout);
	complain_line("vogeler-admin", "queue %s stays%s: %s", name, its_record, why);
	f->status = VERB_TROUBLE;
}

static void
forget_on_all_deleted(void *arg)
{
	struct forgetting *f = arg;

	host_queues_close(f->open);
	f->open = NULL;
	fflush(stdout);
	hosts_sort(&f->gone);
	hosts_sort(&f->deleted);
	hosts_sort(&f->untried);
	forget_next(f);
}

/* The hosts that are left are forgotten; the one goes on as it is. */
static void
keep(struct forgetting *f, const char *host)
{
	complain_line("vogeler-admin",
	    "%s stays as it is: an agent reads its queue" TROUBLE_CURE
	    "stop vogeler-agent there, then forget the host",
	    host);
	f->n_read++;
}

/* ---- the second look ---- */

/* Says whether the host may be forgotten. */
static bool
take_look(
    struct forgetting *f, const char *host, const struct host_queue_look *look, const char *why)
{
	switch (look->sight) {
	case HOST_QUEUE_MISSING:
		hosts_add(&f->gone, host);
		break;
	case HOST_QUEUE_THERE:
		if (look->consumers > 0) {
			keep(f, host);
			return false;
		}
		break;
	case HOST_QUEUE_UNKNOWN:
		complain_line("vogeler-admin", "queue %s stays, if it is there: %s", host, why);
		f->status = VERB_TROUBLE;
		break;
	}
	return true;
}

static void
forget_on_looked_again(const struct host_queue_look *looks, const char *why, void *arg)
{
	struct forgetting *f = arg;
	struct hosts left = {0};

	for (size_t i = 0; i < f->queues.n; i++) {
		if (take_look(f, f->queues.names[i], &looks[i], why))
			hosts_add(&left, f->queues.names[i]);
	}
	hosts_copy(&left, &f->odd);
	hosts_sort(&left);
	hosts_intersect(&f->records, &left);
	hosts_finish(&left);
	host_queues_delete(f->open, forget_on_deleted, forget_on_all_deleted);
}

static void
say_queues_left(const struct hosts *queues)
{
	if (queues->n == 1)
		complain_line("vogeler-admin",
		    "queue %s is left as it is, if it is there: no broker is named (--qhost)",
		    queues->names[0]);
	else
		complain_line("vogeler-admin",
		    "the queues of %zu hosts are left as they are: no broker is named (--qhost)",
		    queues->n);
}

/* Looks at all anew: whoever answers the question takes time, and meanwhile a host may have come
 * back, and the connection have ended. */
static void
look_again(struct forgetting *f)
{
	hosts_intersect(&f->queues, &f->hosts);
	if (f->queues.n > 0 && f->v->cli->options.qhost != NULL && !f->queues_unknown) {
		f->open = host_queues_open(f->v, &f->queues, forget_on_looked_again, f);
		return;
	}
	if (f->queues.n > 0 && f->v->cli->options.qhost == NULL)
		say_queues_left(&f->queues);
	else if (f->queues.n > 0)
		f->status = VERB_TROUBLE; /* that was said before anything was asked */
	forget_next(f);
}

/* ---- the question ---- */

static char *
what_goes(const struct forgetting *f)
{
	char *names, *queues, *text;

	if (f->n_deletable == 0)
		queues = xstrdup("");
	else if (f->hosts.n == 1)
		xasprintf(&queues, "its queue");
	else
		xasprintf(&queues, "%zu queue%s", f->n_deletable, plural(f->n_deletable));
	if (f->messages > 0) {
		text = queues;
		xasprintf(&queues, "%s with %" PRIu64 " waiting message%s", text, f->messages,
		    plural(f->messages));
		free(text);
	}
	names = ranges_some((const char *const *)f->hosts.names, f->hosts.n);
	if (f->hosts.n == 1 && f->records.n == 1)
		xasprintf(&text, "forget all that %s has answered%s%s", names,
		    queues[0] != '\0' ? ", and delete " : "", queues);
	else if (f->hosts.n == 1 && f->n_deletable == 1)
		xasprintf(&text, "delete the queue of %s%s", names, queues + strlen("its queue"));
	else if (f->hosts.n == 1)
		xasprintf(&text, "cancel what %s has not answered (it has no queue)", names);
	else
		xasprintf(&text, "forget %zu hosts (%s): all that they have answered%s%s",
		    f->hosts.n, names, queues[0] != '\0' ? ", and delete " : "", queues);
	free(names);
	free(queues);
	return text;
}

static void
forget_on_nobody(const char *word, void *arg)
{
	struct forgetting *f = arg;

	missing_say(f->v->store, &f->meant.known, word);
	f->n_missing++;
}

static void
ask(struct forgetting *f)
{
	char *what, *question;

	host_queues_close(f->open);
	f->open = NULL;
	for (size_t i = 0; i < f->missing.n; i++)
		forget_on_nobody(f->missing.names[i], f);
	if (f->hosts.n == 0) {
		if (f->n_missing == 0 && f->n_read == 0)
			missing_say_nobody();
		f->status = VERB_NO_SUCH_HOST;
		forget_end(f);
		return;
	}
	what = what_goes(f);
	xasprintf(&question, "%s? (%s)", what,
	    f->hosts.n == 1 ? "If it answers again, it is there again."
			    : "Those that answer again are there again.");
	f->status = confirm(f->v, question) ? VERB_OK : VERB_TROUBLE;
	free(question);
	free(what);
	if (f->status == VERB_OK)
		look_again(f);
	else
		forget_end(f);
}

/* ---- what there is ---- */

/* Its queue was deleted by somebody else: the ledger does not know yet. */
static void
forget_on_unanswered(const struct open_job *jobs, size_t n, const struct trouble *why, void *arg)
{
	struct forgetting *f = arg;
	struct hosts left = {0};

	if (why != NULL) {
		complain_why(f, "their jobs cannot be read", why);
		forget_end(f);
		return;
	}
	for (size_t i = 0; i < n; i++)
		hosts_copy(&f->hosts, &jobs[i].hosts);
	hosts_sort(&f->hosts);
	for (size_t i = 0; i < f->missing.n; i++) {
		if (!hosts_has(&f->hosts, f->missing.names[i]))
			hosts_add(&left, f->missing.names[i]);
	}
	hosts_finish(&f->missing);
	f->missing = left;
	ask(f);
}

/* looks: of f->queues; NULL = no broker was asked. */
static void
sort_out(struct forgetting *f, const struct host_queue_look *looks)
{
	for (size_t i = 0; i < f->queues.n; i++) {
		const char *host = f->queues.names[i];
		const struct host_queue_look *look = looks != NULL ? &looks[i] : &unknown;
		bool goes = look->sight == HOST_QUEUE_THERE && look->consumers == 0;

		if (goes) {
			f->n_deletable++;
			f->messages += look->messages;
		}
		if (look->sight == HOST_QUEUE_THERE && !goes) {
			keep(f, host);
			continue;
		}
		if (goes || hosts_has(&f->records, host)) {
			hosts_add(&f->hosts, host);
			continue;
		}
		hosts_add(&f->missing, host);
		if (look->sight == HOST_QUEUE_MISSING)
			hosts_add(&f->queueless, host);
	}
	for (size_t i = 0; i < f->odd.n; i++)
		hosts_add(hosts_has(&f->records, f->odd.names[i]) ? &f->hosts : &f->missing,
		    f->odd.names[i]);
	hosts_sort(&f->hosts);
	hosts_sort(&f->missing);
	hosts_intersect(&f->records, &f->hosts);
	if (f->queueless.n > 0)
		read_ledger(f, &f->queueless, forget_on_unanswered);
	else
		ask(f);
}

static void
forget_on_look(const struct host_queue_look *looks, const char *why, void *arg)
{
	struct forgetting *f = arg;

	f->queues_unknown = true;
	for (size_t i = 0; i < f->queues.n; i++)
		f->queues_unknown &= looks[i].sight == HOST_QUEUE_UNKNOWN;
	if (f->queues_unknown)
		complain_line("vogeler-admin", "%s will stay: the broker cannot be asked: %s",
		    f->queues.n == 1 ? "its queue, if it has one," : "queues that are there", why);
	sort_out(f, looks);
}

/* A record may have a name that no host can have, and a queue of that name is not a host's:
 * master.in. */
static void
part_odd(struct forgetting *f, const struct hosts *meant)
{
	for (size_t i = 0; i < meant->n; i++)
		hosts_add(name_host_error(meant->names[i]) == NULL ? &f->queues : &f->odd,
		    meant->names[i]);
	hosts_sort(&f->odd);
}

static void
forget_on_known(const struct trouble *why, void *arg)
{
	struct forgetting *f = arg;
	const struct hosts *known = &f->meant.known;
	struct hosts meant = {0};

	if (why != NULL) {
		verb_fail_trouble(f->v, why, "cannot list the hosts in %s", store_id(f->v->store));
		return;
	}
	targets_resolve(&f->meant.targets, known, &meant, forget_on_nobody, f);
	part_odd(f, &meant);
	hosts_finish(&meant);
	hosts_copy(&f->records, &f->queues);
	hosts_copy(&f->records, &f->odd);
	hosts_sort(&f->records);
	hosts_intersect(&f->records, known);
	if (f->queues.n > 0 && f->v->cli->options.qhost != NULL)
		f->open = host_queues_open(f->v, &f->queues, forget_on_look, f);
	else
		sort_out(f, NULL);
}

static void
forget_on_meant(void *arg)
{
	struct forgetting *f = arg;

	known_read(&f->reading, f->v->store, &f->meant.known, forget_on_known, f);
}

void
verb_forget(struct verb_context *v)
{
	struct forgetting *f = xcalloc(1, sizeof(*f));
	const char **words;
	size_t n = 0;

	f->v = v;
	v->finish = forget_finish;
	v->finish_arg = f;
	while (v->args[n] != NULL)
		n++;
	words = xcalloc(n + 1, sizeof(*words));
	n = 0;
	/* master.in and the like are no hosts, whoever has put a record of that name there. */
	for (size_t i = 0; v->args[i] != NULL; i++) {
		if (!meant_is_more(v->args[i]) && name_host_error(v->args[i]) != NULL)
			hosts_add(&f->odd, v->args[i]);
		else
			words[n++] = v->args[i];
	}
	hosts_sort(&f->odd);
	if (n > 0)
		meant_init(&f->meant, v, "forget", words);
	free(words);
	if (n > 0)
		meant_ask(&f->meant, forget_on_meant, f);
	else
		forget_on_meant(f);
}
