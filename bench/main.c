/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-bench: simulated hosts, backlogs, ceilings, and the books of what came of them. */
#include "bench/bench.h"

#include "shared/amqp/broker.h"
#include "shared/base/ident.h"
#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/config/cli_verbs.h"
#include "shared/config/complain.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/store/couch/http.h"
#include "shared/store/store.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ANSWER_MAX      (64 * 1024 * 1024)
#define UNCONFIRMED_MAX 10000 /* a backlog is to be there soon */
#define PROGRESS_MS     500
#define PRINT_LIST_MAX  20
#define INTERVAL_MIN_MS 10000

/* clang-format off */
#define OWN(...) &(const struct bench_verb){__VA_ARGS__}
/* Who answers what: fill and books have to be told the same. */
#define PLAN "--hosts --jobs --profile --together --unchanged --seed --run --offline --slow --twice --poison"

static const struct cli_verb list[] = { /* sorted, as in vogeler-bench(1) */
	{"baseline", "", "write to couch:// as the program of 2010 did",
	 0, 0, NULL, PLAN, OWN(false, true, verb_baseline)},
	{"books", "", "look up every answer in ledger and records, and count",
	 0, 0, NULL, PLAN " --slow-by --expect-more", OWN(false, true, verb_books)},
	{"consume", "", "take answers out of the queue and do nothing with them",
	 0, 0, NULL, PLAN " --patience", OWN(true, false, verb_consume)},
	{"fill", "", "put answers of all hosts to all jobs into the queue",
	 0, 0, NULL, PLAN, OWN(true, false, verb_fill)},
	{"hosts", "", "be a fleet that collects and answers, until stopped",
	 0, 0, NULL, "--hosts --seed --failing --hanging --silent --interval", OWN(true, false, verb_hosts)},
	{"load", "", "send jobs at a fixed rate to hosts of its own; latencies, books",
	 0, 0, NULL, PLAN " --slow-by --connections --rate --one-by-one --patience --expect-more", OWN(true, true, verb_load)},
	{"look", "", "fill a store, then list its names, heads and records",
	 0, 0, NULL, PLAN " --resume", OWN(false, true, verb_look)},
	{"write", "", "write what a collector would, as fast as the store takes it",
	 0, 0, NULL, PLAN " --batch --commit --requests --sweep --duration --resume --unasked", OWN(false, true, verb_write)},
};
#undef OWN
#undef PLAN
/* clang-format on */

static const struct cli_verbs verbs = {list, sizeof(list) / sizeof(list[0]), NULL, NULL};

static struct {
	long long run, seed;
	int hosts, jobs, together, unchanged, offline, slow, twice, poison, connections, extra,
	    requests, commit, unasked, sweep, resume, one_by_one, json, failing, hanging, silent;
	double rate;
	char *profile, *slow_by, *duration, *patience, *batch, *interval;
} opt = {.hosts = 100, .jobs = 1, .seed = 1, .rate = 1, .failing = 2, .hanging = 1, .silent = 2};

static struct poptOption table[] = {
    {"hosts", 'n', POPT_ARG_INT, &opt.hosts, 0, "Hosts to simulate (100; at most 100000)", "N"},
    {"jobs", 'j', POPT_ARG_INT, &opt.jobs, 0, "Jobs that each of them answers (1)", "N"},
    {"profile", 'p', POPT_ARG_STRING, &opt.profile, 0,
	"small lines facter ps packages ohai mix facts", "NAME"},
    {"together", '\0', POPT_ARG_NONE, &opt.together, 0,
	"fill, mix: five answers of a host stand together", NULL},
    {"unchanged", '\0', POPT_ARG_INT, &opt.unchanged, 0, "Answers that repeat the last one",
	"PERCENT"},
    {"seed", '\0', POPT_ARG_LONGLONG, &opt.seed, 0, "What the answers are drawn from (1)", "N"},
    {"run", '\0', POPT_ARG_LONGLONG, &opt.run, 0, "Number of the run, a time in ms (now)", "N"},
    {"offline", '\0', POPT_ARG_INT, &opt.offline, 0, "Hosts that are off", "PERCENT"},
    {"slow", '\0', POPT_ARG_INT, &opt.slow, 0, "Hosts that answer late", "PERCENT"},
    {"slow-by", '\0', POPT_ARG_STRING, &opt.slow_by, 0, "So late (2s)", "DURATION"},
    {"twice", '\0', POPT_ARG_INT, &opt.twice, 0, "load: hosts that answer twice", "PERCENT"},
    {"poison", '\0', POPT_ARG_INT, &opt.poison, 0, "load: hosts that send rubbish besides",
	"PERCENT"},
    {"failing", '\0', POPT_ARG_INT, &opt.failing, 0, "hosts: whose packages fail (2)", "PERCENT"},
    {"hanging", '\0', POPT_ARG_INT, &opt.hanging, 0, "hosts: whose facter hangs (1)", "PERCENT"},
    {"silent", '\0', POPT_ARG_INT, &opt.silent, 0, "hosts: not heard of after 3 minutes (2)",
	"PERCENT"},
    {"interval", '\0', POPT_ARG_STRING, &opt.interval, 0,
	"hosts: each collects so often; 0: never (5min)", "DURATION"},
    {"connections", '\0', POPT_ARG_INT, &opt.connections, 0,
	"Connections, when not one for each host", "N"},
    {"rate", '\0', POPT_ARG_DOUBLE, &opt.rate, 0, "load: jobs per second (1)", "N"},
    {"one-by-one", '\0', POPT_ARG_NONE, &opt.one_by_one, 0,
	"load: each job when the one before has ended", NULL},
    {"patience", '\0', POPT_ARG_STRING, &opt.patience, 0,
	"Give up when nothing happens so long (10s)", "DURATION"},
    {"batch", '\0', POPT_ARG_STRING, &opt.batch, 0, "write: bytes of a request", "SIZE"},
    {"commit", '\0', POPT_ARG_INT, &opt.commit, 0, "write: answers of a request at most", "N"},
    {"unasked", '\0', POPT_ARG_NONE, &opt.unasked, 0, "write: of no job, so without outcomes",
	NULL},
    {"requests", '\0', POPT_ARG_INT, &opt.requests, 0, "write: requests in flight", "N"},
    {"sweep", '\0', POPT_ARG_NONE, &opt.sweep, 0, "write: try sizes and numbers of requests", NULL},
    {"duration", '\0', POPT_ARG_STRING, &opt.duration, 0, "write: each of the sweep so long (2s)",
	"DURATION"},
    {"resume", '\0', POPT_ARG_NONE, &opt.resume, 0, "write, look: the records are there already",
	NULL},
    {"expect-more", '\0', POPT_ARG_INT, &opt.extra, 0,
	"books: look for so many jobs too many (to fail)", "N"},
    {"json", '\0', POPT_ARG_NONE, &opt.json, 0, "Print JSON", NULL},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = "vogeler-bench",
    .usage = "[OPTION...] COMMAND",
    .examples = "  vogeler-bench -c bench.conf -n 500 -j 60 --rate 2 load\n",
    .verbs = &verbs,
    .common = "--json",
    .table = table,
    .uses_broker = true,
    .uses_store = true,
};

void
bench_done(struct bench *b, int status)
{
	if (!b->over)
		b->status = status;
	b->over = true;
	loop_stop(b->loop);
}

void
bench_fail(struct bench *b, const char *fmt, ...)
{
	va_list ap;

	if (b->over)
		return;
	va_start(ap, fmt);
	complain_va("vogeler-bench", fmt, ap);
	va_end(ap);
	bench_done(b, BENCH_TROUBLE);
}

void
bench_broker_options(
    struct bench *b, const char *role, const struct topology *topology, struct broker_options *out)
{
	const struct options *options = &b->cli->options;

	options_broker(options, "vogeler-bench", role, b->brokers, b->n_brokers, out);
	out->quiet = true;
	out->topology = topology;
	out->heartbeat_s = (uint16_t)options->heartbeat_s;
	out->max_unconfirmed = UNCONFIRMED_MAX;
}

struct broker *
bench_broker(struct bench *b, const char *role, const struct topology *topology,
    const struct broker_handlers *handlers, void *arg)
{
	struct broker_options o;

	bench_broker_options(b, role, topology, &o);
	return broker_create(b->loop, &o, handlers, arg);
}

struct http *
bench_http(struct bench *b, uint32_t max_connections)
{
	struct http_options o = {
	    .user = b->store_uri.user,
	    .password = b->store_uri.password,
	    .tls_host = b->store_uri.scheme == URI_COUCHS ? b->store_uri.host : NULL,
	    .others = b->store_uri.others,
	    .n_others = b->store_uri.n_others,
	    .tls = &b->cli->options.couch_tls,
	    .max_connections = max_connections,
	    .timeout_ms = b->cli->options.couch_timeout_ms,
	    .max_response_bytes = ANSWER_MAX,
	};

	return http_create(b->loop, &o);
}

/* The hosts of "hosts" are as agents are. */
static unsigned int
not_negative(const struct cli *cli, const char *name, int value)
{
	if (value < 0)
		cli_usage_error(cli, "--%s %d: cannot be negative", name, value);
	return (unsigned int)value;
}

static uint32_t
duration_of(const struct cli *cli, const char *name, const char *text, uint32_t preset)
{
	char ask[UNITS_ASK_SIZE];
	uint64_t ms = preset;

	if (text != NULL && units_ask(text, ask) != NULL)
		cli_usage_error(cli, "--%s=%s: %s", name, text, ask);
	if (text != NULL && (!units_parse_ms(text, &ms) || ms > INT32_MAX))
		cli_usage_error(cli, "--%s %s: a time, such as 500ms or 10s", name, text);
	return (uint32_t)ms;
}

static void
read_plan(const struct cli *cli, struct plan *p)
{
	char err[256];

	*p = (struct plan){
	    .run = opt.run != 0 ? opt.run : wallclock_ms(),
	    .seed = (uint64_t)opt.seed,
	    .hosts = not_negative(cli, "hosts", opt.hosts),
	    .jobs = not_negative(cli, "jobs", opt.jobs),
	    .together = opt.together != 0,
	    .unchanged = not_negative(cli, "unchanged", opt.unchanged),
	    .offline = not_negative(cli, "offline", opt.offline),
	    .slow = not_negative(cli, "slow", opt.slow),
	    .twice = not_negative(cli, "twice", opt.twice),
	    .poison = not_negative(cli, "poison", opt.poison),
	};
	if (!plan_parse_profile(p, opt.profile != NULL ? opt.profile : "lines"))
		cli_usage_error(cli,
		    "--profile %s: there are small, lines, facter, ps, packages, ohai, "
		    "mix and facts",
		    opt.profile);
	if (!plan_check(p, err, sizeof(err)))
		cli_usage_error(cli, "%s", err);
}

static void
read_fleet(const struct cli *cli, struct bench *b)
{
	b->fleet = (struct fleet){
	    .seed = b->plan.seed,
	    .began = wallclock_ms(),
	    .hosts = b->plan.hosts,
	    .failing = not_negative(cli, "failing", opt.failing),
	    .hanging = not_negative(cli, "hanging", opt.hanging),
	    .silent = not_negative(cli, "silent", opt.silent),
	};
	if (b->fleet.failing + b->fleet.hanging + b->fleet.silent > 100)
		cli_usage_error(cli, "--failing, --hanging and --silent: 100 percent together");
	b->interval_ms = duration_of(cli, "interval", opt.interval, 5 * 60 * 1000);
	if (b->interval_ms > 0 && b->interval_ms < INTERVAL_MIN_MS)
		cli_usage_error(cli, "--interval %s: at least 10s, or 0 for never", opt.interval);
}

static void
read_options(const struct cli *cli, struct bench *b)
{
	read_plan(cli, &b->plan);
	read_fleet(cli, b);
	b->connections = not_negative(cli, "connections", opt.connections);
	b->extra = not_negative(cli, "expect-more", opt.extra);
	b->requests = not_negative(cli, "requests", opt.requests);
	b->commit = not_negative(cli, "commit", opt.commit);
	b->unasked = opt.unasked != 0;
	b->sweep = opt.sweep != 0;
	b->resume = opt.resume != 0;
	b->one_by_one = opt.one_by_one != 0;
	b->rate = opt.rate;
	if (b->connections > 0 && b->plan.slow + b->plan.twice + b->plan.poison > 0)
		cli_usage_error(cli, "--connections: hosts without connections of their own only "
				     "answer; not with --slow, --twice or --poison");
	if (!(opt.rate > 0 && opt.rate <= 1000))
		cli_usage_error(cli, "--rate: more than 0, at most 1000");
	b->slow_ms = duration_of(cli, "slow-by", opt.slow_by, 2000);
	b->patience_ms = duration_of(cli, "patience", opt.patience, 10000);
	b->duration_ms = duration_of(cli, "duration", opt.duration, 2000);
	if (opt.batch != NULL && !units_parse_bytes(opt.batch, &b->batch_bytes))
		cli_usage_error(cli, "--batch %s: a size, such as 256KiB", opt.batch);
}

/* A descriptor for each host. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void
bench_on_signal(int signo, void *arg)
{
	bench_done(arg, 128 + signo);
}

/* ---- what is printed ---- */

static void
show_progress(void *arg)
{
	struct bench *b = arg;

	if (b->total > 0)
		fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu64, b->done, b->total);
	else if (b->done > 0)
		fprintf(stderr, "\r\033[K%" PRIu64, b->done);
	loop_timer_arm(b->progress, PROGRESS_MS);
}

static void
end_progress(struct bench *b)
{
	if (b->progress != NULL && b->done > 0)
		fputs("\r\033[K", stderr);
	loop_timer_destroy(b->progress);
	b->progress = NULL;
}

/* Prints for people: "name: value" a line, what belongs together in one line, and of long lists how
 * long they are. */
static void
print_value(const char *key, const json_t *value, bool inner)
{
	char *text, *shown;

	if (json_is_array(value) && json_array_size(value) > PRINT_LIST_MAX) {
		printf("%s%s %zu of them (--json)", key, inner ? "" : ":", json_array_size(value));
	} else if (json_is_object(value)) {
		const char *name, *gap = " ";
		json_t *each;

		printf("%s%s", key, inner ? "" : ":");
		json_object_foreach ((json_t *)value, name, each) {
			printf("%s", gap);
			print_value(name, each, true);
			gap = ", ";
		}
	} else if (json_is_real(value)) {
		printf("%s%s %.4g", key, inner ? "" : ":", json_real_value(value));
	} else if (json_is_boolean(value)) {
		printf("%s%s %s", key, inner ? "" : ":", json_is_true(value) ? "yes" : "no");
	} else if (json_is_array(value)) {
		size_t i;
		json_t *each;

		printf("%s%s", key, inner ? "" : ":");
		json_array_foreach (value, i, each) {
			fputs("\n   ", stdout);
			print_value("", each, true);
		}
	} else {
		text = json_dumps(value, JSON_ENCODE_ANY);
		shown = printable_text(text, PRINTABLE_BLANK);
		printf("%s%s %s", key, inner ? "" : ":", shown);
		free(shown);
		free(text);
	}
}

static void
print_report(const struct bench *b)
{
	const char *key;
	json_t *value;

	if (opt.json != 0) {
		json_dumpf(b->report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
		return;
	}
	json_object_foreach (b->report, key, value) {
		print_value(key, value, false);
		putchar('\n');
	}
}

static void
open_parts(struct bench *b, const struct bench_verb *verb)
{
	const struct cli *cli = b->cli;
	struct trouble why;

	if (verb->uses_broker)
		cli_brokers(cli, &b->brokers, &b->n_brokers);
	if (!verb->needs_store && cli->options.dbhost == NULL)
		return;
	cli_store(cli, &b->store_uri);
	b->store = store_open(b->loop, &b->store_uri, &cli->options, STORE_MAKE, &why);
	if (b->store == NULL)
		bench_fail(b, TROUBLE_FMT, TROUBLE_ARGS(&why));
}

int
main(int argc, char **argv)
{
	struct bench b = {.status = BENCH_TROUBLE};
	const struct bench_verb *verb;
	struct cli cli;

	cli_init(&cli, &spec, argc, argv);
	verb = cli_verb(&cli)->own;
	b.cli = &cli;
	read_options(&cli, &b);
	raise_descriptor_limit();
	ident_init();
	b.loop = loop_create();
	b.report = json_object();
	loop_signal(b.loop, SIGINT, bench_on_signal, &b);
	loop_signal(b.loop, SIGTERM, bench_on_signal, &b);
	open_parts(&b, verb);
	if (isatty(STDERR_FILENO)) {
		b.progress = loop_timer_create(b.loop, "bench progress", show_progress, &b);
		loop_timer_arm(b.progress, PROGRESS_MS);
	}
	if (!b.over) {
		verb->run(&b);
		end_progress(&b);
		print_report(&b);
	}
	end_progress(&b);
	store_close(b.store);
	loop_destroy(b.loop);
	json_decref(b.report);
	uri_list_free(b.brokers, b.n_brokers);
	uri_finish(&b.store_uri);
	free(opt.profile);
	free(opt.slow_by);
	free(opt.duration);
	free(opt.patience);
	free(opt.batch);
	free(opt.interval);
	cli_finish(&cli);
	if (fflush(stdout) != 0 && b.status == BENCH_OK)
		b.status = BENCH_TROUBLE;
	return b.status;
}
