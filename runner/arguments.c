/* SPDX-License-Identifier: Apache-2.0 */
/* See arguments.h. */
#include "runner/arguments.h"

#include "shared/base/shellwords.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli_verbs.h"
#include "shared/target/value_path.h"
#include <stdlib.h>
#include <string.h>

#define DAY_MS          INT64_C(86400000)
#define DEFAULT_TTL     (7 * DAY_MS) /* a host that is off for a week gets it still */
#define MAX_TTL         (36500 * DAY_MS)
#define DEFAULT_CONFIRM (30 * INT64_C(1000))
#define MAX_WAIT        (365 * DAY_MS)

static char **opt_nodes;
static char *opt_command, *opt_where, *opt_where_timeout, *opt_ttl, *opt_batch, *opt_limit;
static char *opt_batch_timeout, *opt_confirm, *opt_max_failures;
static char *opt_wait, *opt_color, *opt_show;
static int opt_dry_run, opt_yes, opt_json, opt_jsonl, opt_quiet, opt_failed, opt_missing, opt_ok;

static struct poptOption table[] = {
    {"node", 'n', POPT_ARG_ARGV, &opt_nodes, 0, "all, or web01,db*,n[01-12],@GROUP,@FILE,- (stdin)",
	"TARGET"},
    {"command", 'x', POPT_ARG_STRING, &opt_command, 0, "Plugin to run: its name or alias",
	"PLUGIN"},
    {"where", '\0', POPT_ARG_STRING, &opt_where, 0, "Hosts whose record is so, in jq's language",
	"EXPR"},
    {"where-timeout", '\0', POPT_ARG_STRING, &opt_where_timeout, 0,
	"How long jq may think about it (30s)", "TIME"},
    {"limit", '\0', POPT_ARG_STRING, &opt_limit, 0, "Only the first so many, or so much of 100",
	"N|P%"},
    {"dry-run", '\0', POPT_ARG_NONE, &opt_dry_run, 0, "Print the targets, and send nothing", NULL},
    {"yes", 'y', POPT_ARG_NONE, &opt_yes, 0, "Send without asking", NULL},
    {"ttl", '\0', POPT_ARG_STRING, &opt_ttl, 0, "How long hosts may begin (7d); 0: for ever",
	"DURATION"},
    {"batch", '\0', POPT_ARG_STRING, &opt_batch, 0, "With --wait: at most so many hosts at a time",
	"N"},
    {"batch-timeout", '\0', POPT_ARG_STRING, &opt_batch_timeout, 0,
	"How long these hosts have before the next ones go", "TIME"},
    {"max-failures", '\0', POPT_ARG_STRING, &opt_max_failures, 0,
	"With --batch: go on while no more failed", "N|P%"},
    {"confirm", '\0', POPT_ARG_STRING, &opt_confirm, 0,
	"How long the broker may take to confirm it (30s)", "DURATION"},
    {"wait", '\0', POPT_ARG_STRING, &opt_wait, 0, "Until all have answered, or so long",
	"[DURATION]"},
    {"show", '\0', POPT_ARG_STRING, &opt_show, 0,
	"With --wait: what each host answered, or that part", "[PATH]"},
    {"failed", '\0', POPT_ARG_NONE, &opt_failed, 0,
	"Of JOB: hosts that failed, timed out or refused", NULL},
    {"missing", '\0', POPT_ARG_NONE, &opt_missing, 0,
	"Of JOB: hosts without an answer of their own", NULL},
    {"ok", '\0', POPT_ARG_NONE, &opt_ok, 0, "Of JOB: hosts that are ok", NULL},
    {"json", '\0', POPT_ARG_NONE, &opt_json, 0, "Print one JSON object", NULL},
    {"jsonl", '\0', POPT_ARG_NONE, &opt_jsonl, 0, "Print a JSON object for each event", NULL},
    {"quiet", 'q', POPT_ARG_NONE, &opt_quiet, 0, "Print only what is needed", NULL},
    {"color", '\0', POPT_ARG_STRING, &opt_color, 0, "auto, always or never", "WHEN"},
    POPT_TABLEEND,
};

#define OF_JOB "--failed --missing --ok --show"

/* clang-format off */
#define OWN(...) &(const struct runner_verb){__VA_ARGS__}

static const struct cli_verb list[] = { /* sorted, as in vogeler-runner(1) */
	{"cancel", "JOB", "tell the hosts that have not answered not to begin, or to stop",
	 1, 1, "the id of a job", "--confirm", OWN(true, true, verb_cancel)},
	{"jobs", "", "list the jobs that the store knows, and how they stand",
	 0, 0, NULL, "--limit", OWN(true, false, verb_jobs)},
	{"rerun", "JOB", "send the same again, to those that failed or did not answer",
	 1, 1, "the id of a job",
	 OF_JOB " -y --batch --batch-timeout --confirm --dry-run --limit --max-failures --ttl --wait",
	 OWN(true, true, verb_rerun)},
	{"result", "JOB", "show how it stands now, host by host",
	 1, 1, "the id of a job", OF_JOB, OWN(true, false, verb_result)},
	{"watch", "JOB", "follow a job until nothing is open",
	 1, 1, "the id of a job", OF_JOB " --wait", OWN(true, false, verb_watch)},
};
#undef OWN
/* clang-format on */

static const struct cli_verbs verbs = {list, sizeof(list) / sizeof(list[0]), "-x is sent to -n",
    "A host goes with -n, a plugin with -x"};

static const struct cli_spec spec = {
    .program = "vogeler-runner",
    .usage = "[OPTION...] -n TARGET|--where EXPR -x PLUGIN\n"
	     "       vogeler-runner [OPTION...] COMMAND [JOB]",
    .examples = "  vogeler-runner -n all -x facter\n"
		"  vogeler-runner -c /etc/vogeler/vogeler.conf -n web01 -x get_procs\n"
		"  vogeler-runner -n 'web*' -x packages --wait=10min --batch 20\n"
		"  vogeler-runner -n 'web*' -x facter --wait --show=os.release\n"
		"  vogeler-runner --where '.facter.os.name == \"Debian\"' -x packages --dry-run\n"
		"  vogeler-runner rerun JOB --failed --wait\n",
    .table = table,
    .verbs = &verbs,
    .verbs_note = "JOB is an id, the beginning of one, or @last.\n",
    .common = "--json --jsonl -q --color",
    .verbose = "List the hosts that are ok, too",
    .uses_broker = true,
    .uses_store = true,
};

/* popt would take whatever follows "--wait" for its duration, the id of a job too: it goes with
 * "=", or as a word that is one. The path of --show goes with "=" alone. */
static char **
mark_optional(int argc, char **argv)
{
	static char wait_alone[] = "--wait=", show_alone[] = "--show=";
	char **marked = xcalloc((size_t)argc + 1, sizeof(*marked));
	char ask[UNITS_ASK_SIZE];
	uint64_t ms;

	for (int i = 0; i < argc; i++) {
		marked[i] = argv[i];
		if (i > 0 && strcmp(argv[i], "--wait") == 0 &&
		    (i + 1 == argc ||
			(!units_parse_ms(argv[i + 1], &ms) && units_ask(argv[i + 1], ask) == NULL)))
			marked[i] = wait_alone;
		else if (i > 0 && strcmp(argv[i], "--show") == 0)
			marked[i] = show_alone;
	}
	return marked;
}

static int64_t
duration(const struct cli *cli, const char *option, const char *text, int64_t min, int64_t max)
{
	char shown_min[UNITS_TEXT_SIZE], shown_max[UNITS_TEXT_SIZE];
	char ask[UNITS_ASK_SIZE];
	uint64_t ms;

	if (units_ask(text, ask) != NULL)
		cli_usage_error(cli, "%s=%s: %s", option, text, ask);
	if (!units_parse_ms(text, &ms))
		cli_usage_error(
		    cli, "%s=%s: should be a duration: 500ms 10s 5min 1h 7d", option, text);
	if (ms < (uint64_t)min || ms > (uint64_t)max)
		cli_usage_error(cli, "%s=%s: should be from %s to %s", option, text,
		    units_format_ms((uint64_t)min, shown_min),
		    units_format_ms((uint64_t)max, shown_max));
	return (int64_t)ms;
}

static uint32_t
count(const struct cli *cli, const char *option, const char *text, uint64_t max)
{
	uint64_t n;

	if (!units_parse_count(text, max, &n) || n == 0)
		cli_usage_error(cli, "%s=%s: should be a number from 1 to %llu", option, text,
		    (unsigned long long)max);
	return (uint32_t)n;
}

/* A number, or so much of 100 with "%". */
static uint32_t
share(const struct cli *cli, const char *option, char *text, uint64_t min, bool *percent)
{
	size_t len = strlen(text);
	uint64_t n, max = UINT32_MAX;

	*percent = len > 0 && text[len - 1] == '%';
	if (*percent) {
		text[len - 1] = '\0';
		max = 100;
	}
	if (!units_parse_count(text, max, &n) || n < min)
		cli_usage_error(cli, "%s=%s%s: should be a number from %llu to %llu%s", option,
		    text, *percent ? "%" : "", (unsigned long long)min, (unsigned long long)max,
		    *percent ? "%" : ", or a share as 10%");
	return (uint32_t)n;
}

static void
read_waves(struct waves_rule *w, const struct cli *cli)
{
	if (opt_batch != NULL)
		w->size = count(cli, "--batch", opt_batch, UINT32_MAX);
	if (opt_batch_timeout != NULL)
		w->time_ms = duration(cli, "--batch-timeout", opt_batch_timeout, 1000, MAX_WAIT);
	w->has_max = opt_max_failures != NULL;
	if (w->has_max)
		w->max = share(cli, "--max-failures", opt_max_failures, 0, &w->max_percent);
}

static void
read_times(struct runner_arguments *a, const struct cli *cli)
{
	a->where_ms = 30000;
	a->ttl_ms = DEFAULT_TTL;
	a->where_ms_given = opt_where_timeout != NULL;
	a->ttl_given = opt_ttl != NULL;
	if (a->where_ms_given)
		a->where_ms = duration(cli, "--where-timeout", opt_where_timeout, 100, DAY_MS);
	if (a->ttl_given)
		a->ttl_ms = duration(cli, "--ttl", opt_ttl, 0, MAX_TTL);
	a->wait = opt_wait != NULL;
	if (a->wait && opt_wait[0] != '\0')
		a->wait_ms = duration(cli, "--wait", opt_wait, 1, MAX_WAIT);
	/* Who waits for answers waits for the confirm as long. */
	a->confirm_given = opt_confirm != NULL;
	if (a->confirm_given)
		a->confirm_ms = duration(cli, "--confirm", opt_confirm, 1, MAX_WAIT);
	else
		a->confirm_ms = a->wait ? 0 : DEFAULT_CONFIRM;
}

static void
check_color(const struct cli *cli)
{
	if (opt_color != NULL && strcmp(opt_color, "auto") != 0 &&
	    strcmp(opt_color, "always") != 0 && strcmp(opt_color, "never") != 0)
		cli_usage_error(cli, "--color=%s: should be auto, always or never", opt_color);
}

void
arguments_init(struct runner_arguments *a, struct cli *cli, int argc, char **argv)
{
	char **marked = mark_optional(argc, argv);

	cli_init(cli, &spec, argc, marked);
	free(marked);
	*a = (struct runner_arguments){
	    .words = cli->args,
	    .nodes = opt_nodes,
	    .plugin = opt_command,
	    .where = opt_where,
	    .dry_run = opt_dry_run != 0,
	    .yes = opt_yes != 0,
	    .json = opt_json != 0,
	    .jsonl = opt_jsonl != 0,
	    .quiet = opt_quiet != 0,
	    .verbose = cli->line.verbose != 0,
	    .color = opt_color == NULL ? "auto" : opt_color,
	    .failed = opt_failed != 0,
	    .missing = opt_missing != 0,
	    .ok = opt_ok != 0,
	    .show = opt_show,
	};
	read_times(a, cli);
	read_waves(&a->waves, cli);
	if (opt_limit != NULL)
		a->limit = share(cli, "--limit", opt_limit, 1, &a->limit_percent);
	if (a->json && a->jsonl)
		cli_usage_error(cli, "--json or --jsonl, not both");
	check_color(cli);
	if (a->show != NULL && value_path_error(a->show) != NULL)
		cli_usage_error(cli, "--show=%s: %s", a->show, value_path_error(a->show));
}

void
arguments_check(
    const struct runner_arguments *a, const struct cli *cli, const struct runner_verb *verb)
{
	if (a->waves.size == 0 && (a->waves.has_max || a->waves.time_ms > 0))
		cli_usage_error(cli, "%s needs --batch: it says when the next hosts are sent to",
		    a->waves.has_max ? "--max-failures" : "--batch-timeout");
	if (a->waves.size > 0 && !a->wait)
		cli_usage_error(cli, "--batch needs --wait: the next hosts are sent to when the "
				     "last have answered");
	if (a->show != NULL && verb->needs_broker && !a->wait && !a->dry_run)
		cli_usage_error(cli, "--show needs --wait: it shows what the hosts answer");
}

void
arguments_finish(struct runner_arguments *a, struct cli *cli)
{
	char *owned[] = {opt_command, opt_where, opt_where_timeout, opt_ttl, opt_batch,
	    opt_batch_timeout, opt_confirm, opt_limit, opt_max_failures, opt_wait, opt_color,
	    opt_show};

	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
		free(owned[i]);
	shellwords_free(opt_nodes);
	cli_finish(cli);
	*a = (struct runner_arguments){0};
}
