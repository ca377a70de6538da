/* SPDX-License-Identifier: Apache-2.0 */
/* options: the table, loading whole or not at all, dump and back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/config/options_load.h"
#include "shared/config/options_table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct options o;
static char path[64];
static char notes[8192]; /* "LEVEL:line:text\n" for each */

static void
on_note(enum log_level level, const char *file, unsigned int line, const struct trouble *what,
    void *arg)
{
	size_t len = strlen(notes);

	assert_string_equal(file, path);
	assert_ptr_equal(arg, &o);
	snprintf(notes + len, sizeof(notes) - len, "%s:%u:" TROUBLE_FMT "\n", log_level_name(level),
	    line, TROUBLE_ARGS(what));
}

static void
no_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	fail_msg("%s:%u: " TROUBLE_FMT, file, line, TROUBLE_ARGS(what));
}

static bool
load(const char *text)
{
	struct ini_file c;
	FILE *f;
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/tmp/vogeler-options-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	fputs(text, f);
	fclose(f);
	assert_true(ini_file_read(&c, path, false, no_error, NULL));
	unlink(path);
	notes[0] = '\0';
	ok = options_load(&o, &c, on_note, &o);
	ini_file_finish(&c);
	return ok;
}

static char *
dump(const struct options *of)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	options_dump(of, f);
	fclose(f);
	return text;
}

static int
setup(void **state)
{
	options_init(&o);
	return 0;
}

static int
teardown(void **state)
{
	options_finish(&o);
	options_finish(&o); /* twice is fine */
	return 0;
}

static void
assert_noted(const char *note)
{
	if (strstr(notes, note) == NULL)
		fail_msg("no \"%s\" in:\n%s", note, notes);
}

static void
defaults(void **state)
{
	assert_int_equal(o.log_level, LOG_LEVEL_WARN);
	assert_string_equal(o.plugin_path, VOGELER_SYSCONFDIR "/vogeler/plugins");
	assert_null(o.qhost);
	assert_null(o.dbhost);
	assert_string_equal(o.broadcast_exchange, "vogeler.broadcast.in");
	assert_int_equal(o.heartbeat_s, 10);
	assert_int_equal(o.connect_timeout_ms, 10000);
	assert_int_equal(o.prefetch, 1000);
	assert_int_equal(o.intake_max_bytes, 32 << 20);
	assert_int_equal(o.record_max_bytes, 7 << 20);
	assert_int_equal(o.batch_max_age_ms, 50);
	assert_int_equal(o.batch_max_bytes, 0); /* auto */
	assert_int_equal(o.batch_max_count, 0);
	assert_int_equal(o.attest, OPTIONS_ATTEST_AUTO);
	assert_non_null(o.node_name);
	assert_int_equal(o.plugin_timeout_ms, 60000);
	assert_int_equal(o.plugin_max_output, 1 << 20);
}

static void
the_file_of_2010(void **state)
{
	/* etc/vogeler/vogeler.conf of 2010 without its comments. */
	assert_true(load("[global]\nplugin_path = /tmp/vogeler/plugins\nlog_level = WARN\n"
			 "[persistence]\nbackend = couch\n[messaging]\nbackend = amqp\n"
			 "[couch]\ndsn = couch://127.0.0.1:5984/system_records\n"
			 "design_docs_path = etc/vogeler/_design\n"
			 "[amqp]\ndsn = amqp://guest:guest@127.0.0.1:5672/vogeler\n"
			 "master_exchange = 'vogeler.master.in'\n"
			 "broadcast_exchange = 'vogeler.broadcast.in'\n"
			 "[server]\nlog_level = DEBUG \n[client]\nlog_level = DEBUG\n"
			 "[runner]\nlog_level = DEBUG\n[syslog_handler]\nlog_facility = local7\n"
			 "address = /dev/log\n[file_handler]\nfilename = '/tmp/vogeler.log'\n"));
	assert_int_equal(o.log_level, LOG_LEVEL_WARN);
	assert_string_equal(o.plugin_path, "/tmp/vogeler/plugins");
	assert_string_equal(o.qhost, "amqp://guest:guest@127.0.0.1:5672/vogeler");
	assert_string_equal(o.qhost_source, "configuration file");
	assert_string_equal(o.dbhost, "couch://127.0.0.1:5984/system_records");
	assert_string_equal(o.dbhost_source, "configuration file");
	assert_string_equal(o.design_docs_path, "etc/vogeler/_design");
	assert_noted("INFO:16:[server] log_level has no effect");
	assert_noted("INFO:18:[client] log_level has no effect");
	assert_noted("INFO:20:[runner] log_level has no effect");
	assert_noted("INFO:22:[syslog_handler] log_facility has no effect");
	assert_noted("INFO:25:[file_handler] filename has no effect");
	assert_noted("INFO:7:[messaging] backend has no effect");
	assert_null(strstr(notes, "WARN:"));
	assert_null(strstr(notes, "ERROR:"));
}

static void
every_type(void **state)
{
	assert_true(load("[global]\nlog_level = debug\n[amqp]\nheartbeat = 1min\n"
			 "reconnect_max = 500ms\n[server]\nattest = Yes\nprefetch = 1\n"
			 "batch_max_bytes = 1MiB\n[client]\nname = web01.example.com\n"
			 "timeout = 24min\n"));
	assert_string_equal(notes, "");
	assert_int_equal(o.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(o.heartbeat_s, 60);
	assert_int_equal(o.reconnect_max_ms, 500);
	assert_int_equal(o.attest, OPTIONS_ATTEST_YES);
	assert_int_equal(o.prefetch, 1);
	assert_int_equal(o.batch_max_bytes, 1 << 20);
	assert_string_equal(o.node_name, "web01.example.com");
	assert_int_equal(o.plugin_timeout_ms, 24 * 60 * 1000);
}

static void
queues(void **state)
{
	assert_int_equal(o.host_queue.type, QUEUE_CLASSIC);
	assert_int_equal(o.host_queue.expires_ms, 0);
	assert_int_equal(o.master_queue.overflow, QUEUE_DROP_HEAD);
	assert_false(o.master_queue.dead_letter);
	assert_false(o.sqlite_relaxed);
	assert_true(load("[host_queue]\ntype = quorum\nexpires = 7d\nmax_length = 100\n"
			 "max_length_bytes = 4GiB\noverflow = reject-publish\n"
			 "message_ttl = 1h\n"
			 "[master_queue]\ntype = Quorum\ndead_letter = yes\n"
			 "delivery_limit = 20\nexpires = 49d\n"
			 "[sqlite]\nsynchronous = normal\n"));
	assert_string_equal(notes, "");
	assert_int_equal(o.host_queue.type, QUEUE_QUORUM);
	assert_int_equal(o.host_queue.expires_ms, 7 * 24 * 3600 * 1000);
	assert_int_equal(o.host_queue.max_length, 100);
	assert_int_equal(o.host_queue.max_length_bytes, 4ULL << 30);
	assert_int_equal(o.host_queue.overflow, QUEUE_REJECT_PUBLISH);
	assert_int_equal(o.host_queue.message_ttl_ms, 3600 * 1000);
	assert_int_equal(o.master_queue.type, QUEUE_QUORUM);
	assert_true(o.master_queue.dead_letter);
	assert_int_equal(o.master_queue.delivery_limit, 20);
	assert_int_equal(o.master_queue.max_length, 0);
	assert_true(o.sqlite_relaxed);
	assert_true(load("[host_queue]\nexpires = none\ntype = classic\nmax_length = None\n"
			 "[sqlite]\nsynchronous = full\n"));
	assert_int_equal(o.host_queue.expires_ms, 0);
	assert_int_equal(o.host_queue.max_length, 0);
	assert_int_equal(o.host_queue.type, QUEUE_CLASSIC);
	assert_false(o.sqlite_relaxed);
}

static void
bad_queues(void **state)
{
	assert_false(load("[host_queue]\ntype = stream\nexpires = 0\nmax_length = 0\n"
			  "overflow = reject-publish-dlx\nmessage_ttl = 50d\n"
			  "[master_queue]\ndelivery_limit = 19\n[sqlite]\nsynchronous = off\n"
			  "[server]\nprefetch = none\n"));
	assert_noted("ERROR:2:[host_queue] type: 'stream' should be classic or quorum");
	assert_noted("ERROR:3:[host_queue] expires: '0' should be a duration like");
	assert_noted("from 1min to 49d, or none\n");
	assert_noted("ERROR:4:[host_queue] max_length: '0' should be a number, from 1 to");
	assert_noted("ERROR:5:[host_queue] overflow: 'reject-publish-dlx' should be drop-head or");
	assert_noted("ERROR:6:[host_queue] message_ttl: '50d' should be a duration");
	assert_noted("ERROR:8:[master_queue] delivery_limit: '19' should be a number, from 20");
	assert_noted("ERROR:10:[sqlite] synchronous: 'off' should be full or normal");
	assert_noted("ERROR:12:[server] prefetch: 'none' should be a number");
}

static void
bad_values_are_all_told_and_nothing_applied(void **state)
{
	char *before = dump(&o), *after;

	assert_false(load("[global]\nlog_level = LOUD\n[amqp]\nheartbeat = 1500ms\n"
			  "dsn = amqp://u:secret@h:99999/v\nconnect_timeout = 1s\n"
			  "[server]\nattest = maybe\nprefetch = 65536\nbatch_max_bytes = 4MB\n"
			  "[client]\nname = all\ntimeout = 25min\nconcurrency = 0\nstate_dir =\n"
			  "[persistence]\nbackend = mongo\n[messaging]\nbackend = stomp\n"
			  "[couch]\ndsn = sqlite:///x\n[sqlite]\ndsn = couch://u:secret@h/d\n"));
	assert_noted("ERROR:2:[global] log_level: 'LOUD' should be DEBUG, INFO, WARN, ERROR");
	assert_noted("ERROR:4:[amqp] heartbeat: '1500ms' should be a duration in whole seconds");
	assert_noted("ERROR:5:[amqp] dsn: ");
	assert_noted("ERROR:8:[server] attest: 'maybe' should be auto, yes or no");
	assert_noted("ERROR:9:[server] prefetch: '65536' should be a number, from 1 to 65535");
	assert_noted("ERROR:10:[server] batch_max_bytes: '4MB' should be a size like 256KiB");
	assert_noted("ERROR:12:[client] name: 'all'");
	assert_noted("ERROR:13:[client] timeout: '25min' should be a duration");
	assert_noted("ERROR:14:[client] concurrency: '0' should be a number, from 1 to 64");
	assert_noted("ERROR:15:[client] state_dir: has no value");
	assert_noted("ERROR:17:[persistence] backend: 'mongo' should be couch, pg, sqlite or null");
	assert_noted("ERROR:19:[messaging] backend: 'stomp' should be amqp");
	assert_noted("ERROR:21:[couch] dsn: sqlite:// should be couch://");
	assert_noted("ERROR:23:[sqlite] dsn: couch:// should be sqlite:///");
	assert_null(strstr(notes, "secret"));
	after = dump(&o);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void
a_uri_in_the_wrong_place_is_masked(void **state)
{
	assert_false(load("[persistence]\nbackend = couch://u:secret@h/d\n"));
	assert_noted("ERROR:2:[persistence] backend: 'couch://u:***@h/d' should be");
}

static void
unknown_keys_are_warned_of(void **state)
{
	assert_true(
	    load("[server]\nprefech = 3\nzzzzzzz = 1\nheartbeat = 3s\n[sever]\nattest = yes\n"
		 "[global]\nlog_levle = INFO\n"));
	assert_noted("WARN:2:unknown key 'prefech' in [server]; did you mean 'prefetch'?");
	assert_noted("WARN:3:unknown key 'zzzzzzz' in [server]\n");
	assert_noted(
	    "WARN:4:unknown key 'heartbeat' in [server]; did you mean 'heartbeat' in [amqp]?");
	assert_noted("WARN:6:unknown key 'attest' in [sever]; did you mean 'attest' in [server]?");
	assert_noted("WARN:8:unknown key 'log_levle' in [global]; did you mean 'log_level'?");
	assert_int_equal(o.attest, OPTIONS_ATTEST_AUTO);
}

static void
which_store(void **state)
{
	assert_true(load("[persistence]\nbackend = sqlite\n[couch]\ndsn = couch://c\n"
			 "[sqlite]\ndsn = sqlite:///s\n"));
	assert_string_equal(o.dbhost, "sqlite:///s");
	assert_true(load("[persistence]\nbackend = couch\n[couch]\ndsn = couch://c\n"
			 "[sqlite]\ndsn = sqlite:///s\n"));
	assert_string_equal(o.dbhost, "couch://c");
	assert_true(
	    load("[persistence]\nbackend = couch\ndsn = couchs://p\n[couch]\ndsn = couch://c\n"));
	assert_string_equal(o.dbhost, "couchs://p");
	assert_true(load("[persistence]\nbackend = null\n[couch]\ndsn = couch://c\n"));
	assert_string_equal(o.dbhost, "null://");
	assert_true(load("[sqlite]\ndsn = sqlite:///s\n[pg]\ndsn = pg:///d\n"));
	assert_string_equal(o.dbhost, "pg:///d");
	assert_true(load("[persistence]\nbackend = pg\n[couch]\ndsn = couch://c\n"
			 "[pg]\ndsn = pg://h/d\n"));
	assert_string_equal(o.dbhost, "pg://h/d");
	assert_true(load("[sqlite]\ndsn = sqlite:///s\n"));
	assert_string_equal(o.dbhost, "sqlite:///s");
	assert_false(load("[persistence]\nbackend = couch\ndsn = sqlite:///s\n"));
	assert_noted("ERROR:3:[persistence] dsn is no couch:// URI, but backend = couch");
	/* The backend's section says nothing: what was set elsewhere stays. */
	assert_true(load("[persistence]\nbackend = sqlite\n[couch]\ndsn = couch://c\n"));
	assert_string_equal(o.dbhost, "sqlite:///s");
}

static void
assignments(void **state)
{
	struct trouble why = {0};
	const char *const bad[] = {"", "x", "global.log_level", "log_level=INFO", "=",
	    ".=", "global.log_level=LOUD", "global.nothing=1", "server.prefetch=0",
	    "persistence.backend=couch", "amqp.dsn=amqp://u:secret@h:0"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why.what[0] = '\0';
		if (options_set(&o, bad[i], &why) || why.what[0] == '\0')
			fail_msg("\"%s\" passed", bad[i]);
		assert_null(strstr(why.what, "secret"));
	}
	assert_false(options_set(&o, "server.prefech=1", &why));
	assert_string_equal(why.what, "unknown option 'server.prefech'; did you mean 'prefetch'?");
	assert_true(options_set(&o, "server.prefetch=17", &why));
	assert_int_equal(o.prefetch, 17);
	assert_true(options_set(&o, "amqp.dsn=amqp://h/v=1", &why));
	assert_string_equal(o.qhost, "amqp://h/v=1");
	assert_string_equal(o.qhost_source, "command-line options");
	assert_true(options_set(&o, "sqlite.dsn=sqlite:///x", &why));
	assert_string_equal(o.dbhost, "sqlite:///x");
	assert_string_equal(o.dbhost_source, "command-line options");
	assert_true(options_set_qhost(&o, "a,b:1", "environment", &why));
	assert_string_equal(o.qhost, "a,b:1");
	assert_string_equal(o.qhost_source, "environment");
	assert_false(options_set_dbhost(&o, "amqp://h", "environment", &why));
	assert_string_equal(o.dbhost, "sqlite:///x");
}

static void
how_long_and_how_many(void **state)
{
	static const struct {
		const char *text, *shown;
		uint32_t age_s, count;
	} good[] = {
	    {"400d, 1000", "400d, 1000", 400 * 86400, 1000},
	    {"90d", "90d, all", 90 * 86400, OPTIONS_KEEP_ALL},
	    {"90d ,7", "90d, 7", 90 * 86400, 7},
	    {"all, 50", "all, 50", OPTIONS_KEEP_ALL, 50},
	    {"ALL", "all, all", OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL},
	    {"3650d,1000000", "3650d, 1000000", 3650 * 86400, 1000000},
	    {"36h, all", "36h, all", 36 * 3600, OPTIONS_KEEP_ALL},
	    {"400d, 0", "400d, 0", 400 * 86400, 0},
	};
	static const char *const bad[] = {"", ",", "400d,", "400d, 1000001", "3651d", "1500ms",
	    "400", "400 d x", "5, 400d", "-1d", "400d, 1000, 3", "400d, 1.5", "all all", ", 5",
	    "d"};
	const struct option_row *row = option_find("history", "keep");
	struct trouble why = {0};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char *shown;

		if (!option_parse(row, &o, good[i].text, &why))
			fail_msg("%s: %s", good[i].text, why.what);
		assert_int_equal(o.history_keep.age_s, good[i].age_s);
		assert_int_equal(o.history_keep.count, good[i].count);
		shown = option_print(row, &o);
		assert_string_equal(shown, good[i].shown);
		assert_true(option_parse(row, &o, shown, &why));
		assert_int_equal(o.history_keep.count, good[i].count);
		free(shown);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (option_parse(row, &o, bad[i], &why))
			fail_msg("\"%s\" passed", bad[i]);
	}
}

static void
dumps_and_comes_back(void **state)
{
	struct trouble why = {0};
	char *first, *second;

	first = dump(&o);
	assert_non_null(strstr(first, "# dsn is not set\n"));
	assert_true(load(first));
	assert_string_equal(notes, "");
	free(first);

	assert_true(options_set(&o, "amqp.dsn=amqp://u:secret@h/v,amqps://u:geheim@i", &why));
	assert_true(options_set(&o, "couch.dsn=couch://u:secret@h/d", &why));
	assert_true(options_set(&o, "server.attest=yes", &why));
	assert_true(options_set(&o, "server.drain_timeout=1500ms", &why));
	assert_true(options_set(&o, "client.max_output=1536KiB", &why));
	assert_false(options_set(&o, "client.max_output=7169KiB", &why));
	assert_true(options_set(&o, "client.state_dir= a ; b'c ", &why));
	assert_true(options_set(&o, "global.plugin_path=\"quoted\"", &why));
	assert_true(options_set(&o, "global.log_level=CRITICAL", &why));
	first = dump(&o);
	assert_null(strstr(first, "secret"));
	assert_null(strstr(first, "geheim"));
	assert_non_null(strstr(first, "\ndsn = amqp://u:***@h/v,amqps://u:***@i\n"));

	options_finish(&o);
	options_init(&o);
	assert_true(load(first));
	assert_string_equal(notes, "");
	assert_string_equal(o.dbhost, "couch://u:***@h/d");
	assert_string_equal(o.state_dir, " a ; b'c ");
	assert_string_equal(o.plugin_path, "\"quoted\"");
	assert_int_equal(o.log_level, LOG_LEVEL_CRITICAL);
	assert_int_equal(o.drain_timeout_ms, 1500);
	assert_int_equal(o.plugin_max_output, 1536 * 1024);
	second = dump(&o);
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void
groups_come_and_stay(void **state)
{
	struct trouble why = {0};
	char *first, *second;

	assert_true(
	    load("[group web]\nhosts = \"web*\" ; all of them\n[group old.web]\nhosts = @web\n"
		 "where = .os == \"old; b'c\"\n"));
	assert_string_equal(notes, "");
	assert_true(options_set(&o, "group eu.db.where=.a == 1.5", &why));
	assert_false(options_set(&o, "group eu.db.host=x", &why));
	assert_int_equal(o.groups.n, 3);
	assert_string_equal(hostgroups_find(&o.groups, "WEB")->hosts, "web*");
	assert_int_equal(hostgroups_find(&o.groups, "old.web")->line, 4);
	assert_string_equal(hostgroups_find(&o.groups, "eu.db")->where, ".a == 1.5");
	first = dump(&o);
	assert_false(load("[group x]\nhosts = x\n[group]\nhosts = x\n")); /* all or nothing */
	assert_noted("ERROR:4:[group] hosts: a group has a name");
	second = dump(&o);
	assert_string_equal(first, second);
	free(second);
	options_finish(&o);
	options_init(&o);
	assert_true(load(first));
	second = dump(&o);
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void
lists_its_rows(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	options_list(f);
	fclose(f);
	assert_non_null(strstr(text, "server.prefetch count 1000\n"));
	assert_non_null(strstr(text, "amqp.dsn uri -\n"));
	assert_non_null(strstr(text, "client.timeout duration 60s\n"));
	free(text);
	for (size_t i = 1; i < option_n_rows; i++) {
		int by_section = strcmp(option_rows[i - 1].section, option_rows[i].section);

		assert_true(by_section <= 0);
		assert_true(
		    by_section < 0 || strcmp(option_rows[i - 1].key, option_rows[i].key) < 0);
	}
}

/* Another value than the default, for each type. */
static const char *
another_value(const struct option_row *row, char *text, size_t size)
{
	switch (row->type) {
	case OPTION_LISTEN:
		return "127.0.0.1:1";
	case OPTION_LEVEL:
		return "CRITICAL";
	case OPTION_BOOL:
	case OPTION_ATTEST:
		return "yes";
	case OPTION_COUNT:
		snprintf(text, size, "%llu", (unsigned long long)row->max);
		if (row->fallback != NULL && strcmp(text, row->fallback) == 0)
			snprintf(text, size, "%llu", (unsigned long long)row->min);
		return text;
	case OPTION_MS:
		snprintf(text, size, "%llums", (unsigned long long)row->max);
		return text;
	case OPTION_SECONDS:
		snprintf(text, size, "%llus", (unsigned long long)row->max);
		return text;
	case OPTION_BYTES:
		snprintf(text, size, "%lluKiB", (unsigned long long)row->max / 1024);
		return text;
	case OPTION_KEEP:
		return "7d, 7";
	case OPTION_BROKERS:
		return "amqp://other/v";
	case OPTION_STORE:
		if (strcmp(row->section, "pg") == 0)
			return "pg://other/d";
		return strcmp(row->section, "couch") == 0 ? "couch://other/d" : "sqlite:///other";
	case OPTION_QUEUE_TYPE:
	case OPTION_ANY_QUEUE_TYPE:
		return "quorum";
	case OPTION_OVERFLOW:
		return "reject-publish";
	case OPTION_SYNC:
		return "normal";
	default:
		return "other";
	}
}

static void
reload_row(const struct option_row *row, enum options_program program)
{
	struct options now, before, fresh;
	struct trouble why = {0};
	char number[32], name[100];
	enum option_change change = row->changes[program];
	bool needs_restart = change == OPTION_RESTART || change == OPTION_LOGIN;
	char *restart;

	options_init(&now);
	options_init(&before);
	options_init(&fresh);
	assert_true(option_parse(row, &fresh, another_value(row, number, sizeof(number)), &why));
	assert_false(option_equal(row, &now, &fresh));
	restart = options_take(&now, &fresh, program);
	assert_int_equal(option_equal(row, &now, &before), change != OPTION_RELOAD);
	if (row->type == OPTION_BROKERS || row->type == OPTION_STORE)
		snprintf(name, sizeof(name), "the %s (but for user and password)",
		    row->type == OPTION_STORE ? "store" : "broker");
	else
		snprintf(name, sizeof(name), "[%s] %s", row->section, row->key);
	if (needs_restart)
		assert_string_equal(restart, name);
	else
		assert_null(restart);
	free(restart);
	options_finish(&fresh);
	options_finish(&before);
	options_finish(&now);
}

/* Of no row it is forgotten. */
static void
every_row_says_what_a_reload_does(void **state)
{
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];
		bool has_field = row->type != OPTION_IGNORED && row->type != OPTION_AMQP &&
				 row->type != OPTION_BACKEND;

		for (int p = 0; p < OPTION_PROGRAMS; p++) {
			if (row->changes[p] < OPTION_UNUSED || row->changes[p] > OPTION_LOGIN)
				fail_msg("%s.%s: undecided", row->section, row->key);
			if (has_field)
				reload_row(row, (enum options_program)p);
		}
	}
}

static void
what_needs_a_restart_is_named(void **state)
{
	struct options fresh;
	struct trouble why = {0};
	char *restart;

	options_init(&fresh);
	assert_null(options_take(&o, &fresh, OPTION_COLLECTOR));
	assert_true(options_set(&fresh, "amqp.ca_file=/ca", &why));
	assert_true(options_set(&fresh, "amqp.heartbeat=3s", &why));
	assert_true(options_set(&fresh, "amqp.dsn=h", &why));
	assert_true(options_set(&fresh, "amqp.key_file=/key", &why));
	assert_true(options_set(&fresh, "client.name=web01", &why));
	assert_true(options_set(&fresh, "host_queue.type=quorum", &why));
	assert_true(options_set(&fresh, "server.prefetch=7", &why));
	restart = options_take(&o, &fresh, OPTION_COLLECTOR);
	assert_string_equal(restart, "[amqp] ca_file, the broker (but for user and password), "
				     "[amqp] heartbeat, key_file");
	free(restart);
	assert_int_equal(o.prefetch, 7);
	restart = options_take(&o, &fresh, OPTION_AGENT);
	assert_string_equal(restart,
	    "[amqp] ca_file, the broker (but for user and password), "
	    "[amqp] heartbeat, key_file, [client] name, [host_queue] type");
	free(restart);
	options_finish(&fresh);
}

/* Is the one on its way to the other by a reload? */
static bool
takes_broker(const char *now, const char *next)
{
	struct options a = {0}, b = {0};
	struct trouble why = {0};
	char *restart;
	bool took;

	assert_true(options_set_qhost(&a, now, "configuration file", &why));
	if (next != NULL)
		assert_true(options_set_qhost(&b, next, "environment", &why));
	restart = options_take(&a, &b, OPTION_COLLECTOR);
	took = restart == NULL;
	assert_string_equal(a.qhost, took ? next : now);
	if (strcmp(now, a.qhost) != 0)
		assert_string_equal(a.qhost_source, "environment");
	free(restart);
	options_finish(&a);
	options_finish(&b);
	return took;
}

static bool
takes_store(const char *now, const char *next)
{
	struct options a = {0}, b = {0};
	struct trouble why = {0};
	char *restart;
	bool took;

	assert_true(options_set_dbhost(&a, now, "configuration file", &why));
	if (next != NULL)
		assert_true(options_set_dbhost(&b, next, "environment", &why));
	restart = options_take(&a, &b, OPTION_COLLECTOR);
	took = restart == NULL;
	assert_string_equal(a.dbhost, took ? next : now);
	free(restart);
	options_finish(&a);
	options_finish(&b);
	return took;
}

static void
logins_of_a_reload(void **state)
{
	assert_true(takes_broker("amqp://u:p@h/v", "amqp://u:q@h/v"));
	assert_true(takes_broker("amqp://u:q@h/v", "amqp://u:q@h/v"));
	assert_false(takes_broker("amqp://u:p@h/v", "amqp://u:q@g/v"));
	assert_false(takes_broker("amqp://u:p@h/v", NULL));
	assert_true(takes_store("couch://u:p@h/d", "couch://w:q@h/d"));
	assert_false(takes_store("couch://u:p@h/d", "couch://u:p@h/e"));
	assert_false(takes_store("couch://u:p@h/d", "sqlite:///x"));
	assert_true(takes_store("sqlite:///x", "sqlite:///x"));
	assert_false(takes_store("sqlite:///x", "sqlite:///y"));
	assert_false(takes_store("sqlite:///x", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(defaults, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_file_of_2010, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_type, setup, teardown),
	    cmocka_unit_test_setup_teardown(queues, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_queues, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		bad_values_are_all_told_and_nothing_applied, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_uri_in_the_wrong_place_is_masked, setup, teardown),
	    cmocka_unit_test_setup_teardown(unknown_keys_are_warned_of, setup, teardown),
	    cmocka_unit_test_setup_teardown(which_store, setup, teardown),
	    cmocka_unit_test_setup_teardown(assignments, setup, teardown),
	    cmocka_unit_test_setup_teardown(how_long_and_how_many, setup, teardown),
	    cmocka_unit_test_setup_teardown(dumps_and_comes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(groups_come_and_stay, setup, teardown),
	    cmocka_unit_test_setup_teardown(lists_its_rows, setup, teardown),
	    cmocka_unit_test(every_row_says_what_a_reload_does),
	    cmocka_unit_test_setup_teardown(what_needs_a_restart_is_named, setup, teardown),
	    cmocka_unit_test(logins_of_a_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
