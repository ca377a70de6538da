/* SPDX-License-Identifier: Apache-2.0 */
/* couch:// against a database that is really there: tests/standin/with-couch starts one, names it
 * in VOGELER_TEST_COUCH_URI and ends it. A second writer is played over plain HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/couch/design.h"
#include "shared/store/couch/http.h"
#include "shared/store/store_backend.h"
#include "tests/unit/ledger_suite.h"
#include "tests/unit/store_suite.h"

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 250, ANSWER_TIMEOUT_MS = 60000 };

static struct loop *loop;
static struct uri uri;
static struct options opt;
static struct http *http;
static char *db_url;
static struct store *store;

/* What the last call was answered. */
static struct answer {
	bool done;
	long status;
	json_t *body;
	enum store_status statuses[MANY];
	size_t n_statuses;
	char why[512];
	enum store_found found;
	json_t *rec;
	json_t *listed;
	bool ok;
} ans;

/* --- the loop --- */

static void
on_timeout(void *arg)
{
	fail_msg("no answer in time");
}

static void
await(void)
{
	struct loop_timer *t = loop_timer_create(loop, "test", on_timeout, NULL);

	assert_false(ans.done); /* never from inside the call */
	loop_timer_arm(t, ANSWER_TIMEOUT_MS);
	loop_run(loop);
	loop_timer_destroy(t);
	assert_true(ans.done);
}

static void
on_pass(void *arg)
{
	loop_stop(loop);
}

/* Runs what is due now: a timer armed last fires last. */
static void
next_pass(void)
{
	struct loop_timer *t = loop_timer_create(loop, "test", on_pass, NULL);

	loop_timer_arm(t, 0);
	loop_run(loop);
	loop_timer_destroy(t);
}

static void
forget_answer(void)
{
	json_decref(ans.body);
	json_decref(ans.rec);
	json_decref(ans.listed);
	ans = (struct answer){0};
}

static void
answered_done(const char *done)
{
	snprintf(ans.why, sizeof(ans.why), "%.500s", done);
	ans.done = true;
	loop_stop(loop);
}

static void
answered(const struct trouble *why)
{
	char *text = why != NULL ? trouble_text(why) : xstrdup("");

	answered_done(text);
	free(text);
}

/* --- the other writer --- */

static void
on_http(const struct http_response *r, void *arg)
{
	ans.status = r->status;
	ans.body = json_loadb(r->body, r->body_len, 0, NULL);
	answered_done(r->error != NULL ? r->error : "");
}

static long
raw_at(const char *db, const char *method, const char *id, const char *body)
{
	char *url = id[0] == '\0' ? xstrdup(db) : couch_url_doc(db, id);

	forget_answer();
	http_request(http, method, url, body != NULL ? xstrdup(body) : NULL,
	    body != NULL ? strlen(body) : 0, on_http, NULL);
	free(url);
	await();
	return ans.status;
}

/* Returns the status; ans.body is the answer. */
static long
raw(const char *method, const char *id, const char *body)
{
	return raw_at(db_url, method, id, body);
}

/* Of the ledger's database. */
static long
raw_jobs(const char *method, const char *id, const char *body)
{
	char *db;
	long status;

	xasprintf(&db, "%s_jobs", db_url);
	status = raw_at(db, method, id, body);
	free(db);
	return status;
}

static json_t *
raw_get(const char *id)
{
	assert_int_equal(raw("GET", id, NULL), 200);
	assert_non_null(ans.body);
	return json_incref(ans.body);
}

static char *
rev_of(const char *id)
{
	json_t *doc = raw_get(id);
	char *rev = xstrdup(json_string_value(json_object_get(doc, "_rev")));

	json_decref(doc);
	return rev;
}

/* Somebody edits the document: reads, sets a key, writes. */
static void
other_sets(const char *id, const char *key, const char *value)
{
	json_t *doc = raw_get(id);
	char *text;

	assert_int_equal(json_object_set_new(doc, key, json_string(value)), 0);
	text = json_dumps(doc, 0);
	assert_int_equal(raw("PUT", id, text), 201);
	free(text);
	json_decref(doc);
}

/* --- the store --- */

static struct result *
result_new(const char *plugin, const char *value, int64_t order)
{
	struct result *r = xcalloc(1, sizeof(*r));

	result_init(r);
	r->format = WIRE_JSON;
	r->received_at = 1285481789609 + order;
	if (plugin == NULL)
		return r;
	r->plugin = xstrdup(plugin);
	r->value = xstrdup(value);
	r->value_len = strlen(value);
	ident_hash(r->hash, value, r->value_len);
	r->meta.order = order;
	r->meta.machine_id = xstrdup("m1");
	return r;
}

static void
result_free(struct result *r)
{
	result_finish(r);
	free(r);
}

static void
on_written(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	size_t *left = arg;

	ans.statuses[(size_t)(uintptr_t)w->owner] = status;
	ans.n_statuses++;
	if (--*left == 0)
		answered(why);
}

static void
put_all(struct store *s, struct store_write **writes, size_t n)
{
	size_t left = n;

	forget_answer();
	store_put(s, writes, n, on_written, &left);
	await();
	assert_int_equal(left, 0);
}

static enum store_status
put_on(struct store *s, const char *host, const char *plugin, const char *value, int64_t order)
{
	struct result *r = result_new(plugin, value, order);
	struct store_write w = {.host = host, .results = &r, .n = 1, .bytes = r->value_len};
	struct store_write *writes = &w;

	put_all(s, &writes, 1);
	result_free(r);
	return ans.statuses[0];
}

static enum store_status
put(const char *host, const char *plugin, const char *value, int64_t order)
{
	return put_on(store, host, plugin, value, order);
}

static void
on_got(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	ans.found = found;
	ans.rec = json_incref(rec);
	answered(why);
}

static enum store_found
get(struct store *s, const char *host)
{
	forget_answer();
	store_get(s, host, on_got, NULL);
	await();
	return ans.found;
}

/* The record's member as compact text; "" if it is not there. */
static void
assert_member(const char *host, const char *key, const char *want)
{
	json_t *value;
	char *text;

	assert_int_equal(get(store, host), STORE_FOUND);
	value = json_object_get(ans.rec, key);
	text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("");
	assert_string_equal(text, want);
	free(text);
}

static void
on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	if (found == STORE_FOUND) {
		json_array_append(ans.listed, json_object_get(rec, "_id"));
		return;
	}
	ans.found = found;
	answered(why);
}

static void
list(struct store *s)
{
	forget_answer();
	ans.listed = json_array();
	store_list(s, NULL, on_listed, NULL);
	await();
}

static void
on_done(const struct trouble *why, const char *done, void *arg)
{
	ans.ok = why == NULL;
	if (why == NULL)
		answered_done(done);
	else
		answered(why);
}

static void
assert_done(bool ok, const char *what)
{
	await();
	if (ans.ok != ok || strstr(ans.why, what) == NULL)
		fail_msg("%s: \"%s\", wanted %s: \"%s\"", ans.ok ? "ok" : "failed", ans.why,
		    ok ? "ok" : "failed", what);
}

static void
set_up_database(bool ok, const char *what)
{
	forget_answer();
	store_setup(store, on_done, NULL);
	assert_done(ok, what);
}

static void
probe(struct store *s, bool ok, const char *what)
{
	forget_answer();
	store_probe(s, on_done, NULL);
	assert_done(ok, what);
}

static void
load(json_t *doc, const char *what)
{
	forget_answer();
	store_load_design(store, doc, on_done, NULL);
	assert_done(true, what);
}

static struct store *
open_store(const struct uri *u)
{
	struct trouble why;
	struct store *s = store_couch_ops.open(loop, u, &opt, STORE_MAKE, &why);

	if (s == NULL)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(&why));
	return s;
}

static void
assert_why(const char *part)
{
	if (strstr(ans.why, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, ans.why);
	assert_null(strstr(ans.why, "s3cret"));
}

/* --- fixtures --- */

static int
set_up(void **state)
{
	struct trouble why = {0};
	struct http_options hopt = {
	    .max_connections = 1, .timeout_ms = 30000, .max_response_bytes = 1 << 26};

	opt = (struct options){.record_max_bytes = 100000,
	    .batch_max_bytes = 256 * 1024,
	    .couch_requests = 4,
	    .couch_cache_bytes = 64 * 1024 * 1024,
	    .couch_timeout_ms = 30000};
	loop = loop_create();
	if (!uri_parse(getenv("VOGELER_TEST_COUCH_URI"), &uri, &why))
		fail_msg("%s", why.what);
	hopt.user = uri.user;
	hopt.password = uri.password;
	http = http_create(loop, &hopt);
	db_url = couch_url(&uri);
	raw("DELETE", "", NULL); /* one that another test may have left */
	raw_jobs("DELETE", "", NULL);
	store = open_store(&uri);
	set_up_database(true, "created");
	return 0;
}

static int
tear_down(void **state)
{
	raw("DELETE", "", NULL);
	raw_jobs("DELETE", "", NULL);
	forget_answer();
	store_close(store);
	http_destroy(http);
	loop_destroy(loop);
	free(db_url);
	uri_finish(&uri);
	return 0;
}

/* --- tests --- */

static void
a_database_that_is_missing_is_said(void **state)
{
	static const char text[] = "does not exist at couch";

	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	assert_int_equal(put("c", "p", "1", 1), STORE_OK);
	assert_int_equal(raw("DELETE", "", NULL), 200);
	assert_int_equal(put("a", "p", "2", 2), STORE_RETRY); /* its revision was known */
	assert_why(text);
	assert_why("run vogeler-admin setup");
	assert_int_equal(put("b", "p", "2", 2), STORE_RETRY);
	assert_why(text);
	assert_int_equal(get(store, "a"), STORE_FAILED);
	assert_why(text);
	list(store);
	assert_int_equal(ans.found, STORE_FAILED);
	assert_why(text);
	probe(store, false, text);
	assert_int_equal(raw("GET", "", NULL), 404); /* nobody made it */
	set_up_database(true, "created");
	set_up_database(true, "was there");
	assert_int_equal(put("a", "p", "3", 3), STORE_OK); /* with no stale revision */
	assert_member("a", "p", "3");
	assert_int_equal(put("c", "p", "1", 1), STORE_OK); /* nor taken for a duplicate */
	assert_member("c", "p", "1");
}

static void
a_probe_writes(void **state)
{
	probe(store, true, "takes writes");
	assert_int_equal(raw("GET", "_local/vogeler-probe", NULL), 404); /* and tidies up */
	assert_int_equal(raw_jobs("GET", "_local/vogeler-probe", NULL), 404);
	assert_int_equal(raw("PUT", "_local/vogeler-probe", "{}"), 201); /* one that was left */
	probe(store, true, "takes writes");
	assert_int_equal(raw("GET", "_local/vogeler-probe", NULL), 404);
	list(store);
	assert_int_equal(json_array_size(ans.listed), 0);
}

static void
what_is_written_is_read(void **state)
{
	assert_int_equal(get(store, "web01"), STORE_MISSING);
	assert_int_equal(put("web01", "facter", "{\"a\":[1,\"\xc3\xa9\"]}", 1), STORE_OK);
	assert_member("web01", "facter", "{\"a\":[1,\"\xc3\xa9\"]}");
	assert_member("web01", "doc_type", "\"SystemRecord\"");
	assert_member("web01", "_rev", "");
	assert_int_equal(put("web01", "ps", "[]", 2), STORE_OK);
	assert_member("web01", "facter", "{\"a\":[1,\"\xc3\xa9\"]}");
	assert_member("web01", "ps", "[]");
	assert_int_equal(put("new", NULL, NULL, 1), STORE_OK); /* a greeting */
	assert_member("new", "system_name", "\"new\"");
}

static void
the_same_again_writes_nothing(void **state)
{
	char *first, *second;

	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	first = rev_of("a");
	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	second = rev_of("a");
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void
a_conflict_is_read_again_and_merged(void **state)
{
	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	other_sets("a", "owner", "ops");
	assert_int_equal(put("a", "q", "2", 2), STORE_CONFLICT);
	assert_int_equal(put("a", "q", "2", 2), STORE_OK);
	assert_member("a", "p", "1");
	assert_member("a", "q", "2");
	assert_member("a", "owner", "\"ops\"");
}

/* The answer was lost, or another collector had the same response: it is there already. Nobody
 * has told us that it is safe there: it is written once more, as it is. */
static void
a_conflict_with_ourselves_is_no_change(void **state)
{
	struct store *twin = open_store(&uri);
	json_t *first, *second;

	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	assert_int_equal(put_on(twin, "a", "p", "2", 2), STORE_OK);
	first = raw_get("a");
	assert_int_equal(put("a", "p", "2", 2), STORE_CONFLICT);
	assert_int_equal(put("a", "p", "2", 2), STORE_OK);
	second = raw_get("a");
	assert_false(json_equal(first, second));
	json_object_del(first, "_rev");
	json_object_del(second, "_rev");
	assert_true(json_equal(first, second));
	/* An older one never overwrites, whoever wrote the newer. */
	assert_int_equal(put_on(twin, "a", "p", "1", 1), STORE_CONFLICT);
	assert_int_equal(put_on(twin, "a", "p", "1", 1), STORE_OK);
	assert_member("a", "p", "2");
	json_decref(first);
	json_decref(second);
	store_close(twin);
}

static void
other_removes(const char *id, const char *key)
{
	json_t *doc = raw_get(id);
	char *text;

	assert_int_equal(json_object_del(doc, key), 0);
	text = json_dumps(doc, 0);
	assert_int_equal(raw("PUT", id, text), 201);
	free(text);
	json_decref(doc);
}

/* A value that somebody has changed or removed comes back with the host's next answer, though that
 * is the same as ever: for who knows the record, and for who begins now. */
static void
an_edited_value_is_put_right(void **state)
{
	for (int order = 1; order < 9; order += 2) {
		struct store *one = order < 5 ? store : open_store(&uri);

		assert_int_equal(put("a", "p", "[1,2]", order), STORE_OK);
		if (order % 4 == 1)
			other_sets("a", "p", "edited");
		else
			other_removes("a", "p");
		assert_int_equal(get(store, "a"), STORE_FOUND);
		assert_true(json_is_true(json_object_get(
		    json_object_get(json_object_get(ans.rec, "vogeler"), "p"), "edited")));
		if (one == store)
			assert_int_equal(put("a", "p", "[1,2]", order + 1), STORE_CONFLICT);
		assert_int_equal(put_on(one, "a", "p", "[1,2]", order + 1), STORE_OK);
		assert_member("a", "p", "[1,2]");
		if (one == store)
			continue;
		store_close(one);
		assert_int_equal(put("a", "q", "1", order), STORE_CONFLICT);
		assert_int_equal(put("a", "q", "1", order), STORE_OK);
	}
}

static void
a_deleted_record_begins_anew(void **state)
{
	char *rev;

	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	rev = rev_of("a");
	char url[512];
	snprintf(url, sizeof(url), "%s/a?rev=%s", db_url, rev);
	free(rev);
	forget_answer();
	http_request(http, "DELETE", url, NULL, 0, on_http, NULL);
	await();
	assert_int_equal(ans.status, 200);
	assert_int_equal(get(store, "a"), STORE_MISSING);
	assert_int_equal(put("a", "q", "2", 2), STORE_CONFLICT);
	assert_int_equal(put("a", "q", "2", 2), STORE_OK);
	assert_member("a", "p", "");
	assert_member("a", "q", "2");
}

static void
a_record_of_2010_is_kept(void **state)
{
	static const char old[] = "{\"doc_type\":\"SystemRecord\",\"system_name\":\"old\","
				  "\"created_at\":\"2010-09-26T06:16:29Z\","
				  "\"updated_at\":\"2010-09-26T06:16:29Z\",\"rpm\":[\"a-1\"]}";

	assert_int_equal(raw("PUT", "old", old), 201);
	assert_int_equal(put("old", "ps", "[]", 1), STORE_OK);
	assert_member("old", "rpm", "[\"a-1\"]");
	assert_member("old", "ps", "[]");
	assert_member("old", "created_at", "\"2010-09-26T06:16:29.000Z\"");
}

static void
many_at_once_are_answered_by_id(void **state)
{
	struct store_write *writes[MANY], w[MANY];
	struct result *results[MANY];
	char hosts[MANY][8], want[8];

	assert_int_equal(put("h010", "p", "\"h010\"", 1), STORE_OK);
	other_sets("h010", "owner", "ops"); /* this one alone will conflict */
	for (size_t i = 0; i < MANY; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%03zu", (i * 7) % MANY);
		results[i] = result_new("q", "\"x\"", 2);
		w[i] = (struct store_write){.host = hosts[i],
		    .results = &results[i],
		    .n = 1,
		    .bytes = 3,
		    .owner = (void *)(uintptr_t)i};
		writes[i] = &w[i];
	}
	put_all(store, writes, MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(
		    ans.statuses[i], strcmp(hosts[i], "h010") == 0 ? STORE_CONFLICT : STORE_OK);
		result_free(results[i]);
	}
	assert_int_equal(raw("PUT", "_design/x", "{\"views\":{}}"), 201);
	list(store);
	assert_int_equal(ans.found, STORE_MISSING);
	assert_int_equal(json_array_size(ans.listed), MANY);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "h%03zu", i);
		assert_string_equal(json_string_value(json_array_get(ans.listed, i)), want);
	}
}

static void
a_record_that_is_too_large_is_refused(void **state)
{
	char *big = xcalloc(1, 100000);

	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	memset(big, 'x', 99999);
	big[0] = big[99998] = '"';
	assert_int_equal(put("a", "big", big, 2), STORE_REJECT);
	assert_why("over record_max_bytes");
	assert_int_equal(put("a", "q", "2", 3), STORE_OK);
	assert_member("a", "big", "");
	assert_member("a", "p", "1");
	assert_member("a", "q", "2");
	free(big);
}

static void
design_documents_are_loaded_if_they_differ(void **state)
{
	char path[512], err[256] = "";
	json_t *docs, *doc, *row, *broken = json_array();

	snprintf(path, sizeof(path), "%s/conf", getenv("VOGELER_SOURCE_DIR"));
	docs = design_read(path, broken, err, sizeof(err));
	json_decref(broken);
	assert_non_null(docs);
	doc = json_array_get(docs, 0);
	load(doc, "loaded");
	load(doc, "unchanged");
	json_object_set_new(doc, "_attachments",
	    json_pack(
		"{s:{s:s,s:s}}", "a/x.txt", "content_type", "text/plain", "data", "aGVsbG8="));
	load(doc, "upgraded");
	load(doc, "unchanged");
	json_object_del(doc, "_attachments"); /* as if somebody else had added it: it stays */
	load(doc, "unchanged");
	json_object_set_new(doc, "options", json_pack("{s:b}", "local_seq", 1));
	load(doc, "upgraded");
	json_object_del(doc, "options");
	load(doc, "upgraded");
	assert_null(json_object_get(doc, "_rev"));
	json_decref(docs);

	assert_int_equal(put("a", "packages", "[\"x-1\"]", 1), STORE_OK);
	snprintf(path, sizeof(path), "%s/_design/system_records/_view/packages_by_host", db_url);
	forget_answer();
	http_request(http, "GET", path, NULL, 0, on_http, NULL);
	await();
	row = json_array_get(json_object_get(ans.body, "rows"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "key")), "a");
	assert_int_equal(json_array_size(json_object_get(row, "value")), 1);
}

static size_t
count_in_ledger(const char *start, const char *end)
{
	char path[256];

	snprintf(path, sizeof(path), "%s_jobs/_all_docs?startkey=%%22%s%%22&endkey=%%22%s%%22",
	    db_url, start, end);
	forget_answer();
	http_request(http, "GET", path, NULL, 0, on_http, NULL);
	await();
	return json_array_size(json_object_get(ans.body, "rows"));
}

/* Whoever invents jobs makes one document that does not grow, and not one with each. */
static void
invented_jobs_make_no_documents(void **state)
{
	enum { INVENTED = 2000 };
	struct result *results[INVENTED];
	struct store_write w = {.host = "a", .results = results, .n = INVENTED}, *one = &w;

	for (int i = 0; i < INVENTED; i++) {
		results[i] = result_new("p", "1", i + 1);
		xasprintf(&results[i]->meta.job, "invented-%d", i);
	}
	put_all(store, &one, 1);
	assert_int_equal(ans.statuses[0], STORE_OK);
	assert_int_equal(store_strays_dropped(store), INVENTED - OUTCOME_STRAYS_MAX);
	assert_int_equal(count_in_ledger("", "~"), 1);
	assert_int_equal(raw_jobs("GET", "stray/a", NULL), 200);
	assert_int_equal(
	    json_array_size(json_object_get(ans.body, "outcomes")), OUTCOME_STRAYS_MAX);
	for (int i = 0; i < INVENTED; i++)
		result_free(results[i]);
}

static const char *large(int tag);

/* The view that is shipped for it: the time is in the mark, and the record is as old as its values.
 */
static void
last_seen_joins_records_and_marks(void **state)
{
	char path[512], err[256] = "";
	json_t *docs, *rows, *broken = json_array(), *one;
	char *of_mark, *of_record;

	snprintf(path, sizeof(path), "%s/conf", getenv("VOGELER_SOURCE_DIR"));
	docs = design_read(path, broken, err, sizeof(err));
	assert_non_null(docs);
	load(json_array_get(docs, 0), "loaded");
	assert_int_equal(put("a", "p", large(1), 1), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 86400000), STORE_OK);
	assert_int_equal(put("b", "p", "1", 1), STORE_OK);
	one = raw_get("mark/a");
	of_mark = xstrdup(json_string_value(json_object_get(one, "updated_at")));
	json_decref(one);
	one = raw_get("b");
	of_record = xstrdup(json_string_value(json_object_get(one, "updated_at")));
	json_decref(one);
	snprintf(
	    path, sizeof(path), "%s/_design/system_records/_view/last_seen?group=true", db_url);
	forget_answer();
	http_request(http, "GET", path, NULL, 0, on_http, NULL);
	await();
	rows = json_object_get(ans.body, "rows");
	assert_int_equal(json_array_size(rows), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *row = json_array_get(rows, i), *value = json_object_get(row, "value");

		assert_string_equal(
		    json_string_value(json_object_get(row, "key")), i == 0 ? "a" : "b");
		assert_string_equal(json_string_value(json_object_get(value, "seen")),
		    i == 0 ? of_mark : of_record);
		assert_true(json_is_true(json_object_get(value, "record")));
	}
	free(of_mark);
	free(of_record);
	json_decref(broken);
	json_decref(docs);
}

/* A document has 8 MB at most, and whoever looks for old jobs reads the documents of all of them.
 */
static void
a_job_of_many_hosts_has_a_small_document(void **state)
{
	static char names[25000][16];
	static char *hosts[25000];
	struct job j;
	char *text;

	job_init(&j);
	j.id = xstrdup("0192f0c1-7b7a-7000-8000-000000000001");
	j.plugin = xstrdup("facter");
	j.sent_at = 1285481789609;
	for (size_t i = 0; i < 25000; i++) {
		snprintf(names[i], sizeof(names[i]), "h%05zu", i);
		hosts[i] = names[i];
	}
	j.hosts = hosts;
	j.n_hosts = 25000;
	forget_answer();
	store_job_add(store, &j, on_done, NULL);
	assert_done(true, "created");
	assert_int_equal(raw_jobs("GET", "job/0192f0c1-7b7a-7000-8000-000000000001", NULL), 200);
	text = json_dumps(ans.body, 0);
	assert_true(strlen(text) < 1000);
	free(text);
	assert_int_equal(json_integer_value(json_object_get(ans.body, "parts")), 3);
	j.hosts = NULL;
	j.n_hosts = 0;
	job_finish(&j);
}

/* --- marks: values that are large and only confirmed --- */

/* JSON text of about 20 KB that begins with tag; the next call but one writes over it. */
static const char *
large(int tag)
{
	static char text[2][20000];
	static unsigned int turn;
	char *t = text[turn++ % 2];
	int len = snprintf(t, sizeof(text[0]), "[%d,\"", tag);

	memset(t + len, 'x', sizeof(text[0]) - (size_t)len - 3);
	memcpy(t + sizeof(text[0]) - 3, "\"]", 3);
	return t;
}

/* The tag in the value, and the order that is shown. */
static void
assert_large(const char *host, int tag, int order)
{
	assert_int_equal(get(store, host), STORE_FOUND);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(ans.rec, "p"), 0)), tag);
	assert_int_equal(json_integer_value(json_object_get(
			     json_object_get(json_object_get(ans.rec, "vogeler"), "p"), "order")),
	    order);
	assert_null(json_object_get(json_object_get(ans.rec, "vogeler"), "_mark"));
}

static void
a_confirmed_value_leaves_the_record_alone(void **state)
{
	struct store *fresh;
	char *first, *second;

	assert_int_equal(put("a", "p", large(1), 1), STORE_OK);
	first = rev_of("a");
	assert_int_equal(raw("GET", "mark/a", NULL), 404);
	for (int order = 2; order < 6; order++) {
		assert_int_equal(put("a", "p", large(1), order), STORE_OK);
		assert_large("a", 1, order);
	}
	assert_int_equal(put("a", NULL, NULL, 0), STORE_OK); /* nor does a greeting */
	second = rev_of("a");
	assert_string_equal(first, second);
	assert_int_equal(raw("GET", "mark/a", NULL), 200);
	assert_true(strlen(first) > 0);
	free(first);
	free(second);
	/* One that begins now knows it too, and what is older. */
	fresh = open_store(&uri);
	assert_int_equal(put_on(fresh, "a", "p", large(2), 4), STORE_OK);
	assert_large("a", 1, 5);
	assert_int_equal(put_on(fresh, "a", "p", large(3), 6), STORE_OK);
	assert_large("a", 3, 6);
	store_close(fresh);
	/* Which the first one finds out, by the mark. */
	assert_int_equal(put("a", "p", large(1), 5), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 7), STORE_CONFLICT);
	assert_int_equal(put("a", "p", large(1), 7), STORE_OK);
	assert_large("a", 1, 7);
}

static void
marks_are_no_hosts(void **state)
{
	static const char *const one[] = {"p"};
	const struct store_filter names = {0}, parts = {one, 1};

	for (int order = 1; order < 3; order++) {
		assert_int_equal(put("m", "p", large(1), order), STORE_OK);
		assert_int_equal(put("marketing", "p", large(1), order), STORE_OK);
		assert_int_equal(put("mark", "p", large(1), order), STORE_OK);
	}
	assert_int_equal(raw("GET", "mark/mark", NULL), 200);
	for (int i = 0; i < 3; i++) {
		forget_answer();
		ans.listed = json_array();
		store_list(store, i == 0 ? NULL : i == 1 ? &names : &parts, on_listed, NULL);
		await();
		assert_int_equal(ans.found, STORE_MISSING);
		assert_int_equal(json_array_size(ans.listed), 3);
		assert_string_equal(json_string_value(json_array_get(ans.listed, 0)), "m");
		assert_string_equal(json_string_value(json_array_get(ans.listed, 2)), "marketing");
	}
}

/* What other people keep in the same database; a host may come to have that name. */
static void
other_documents_are_no_hosts(void **state)
{
	static const char *const one[] = {"p"};
	const struct store_filter names = {0}, parts = {one, 1};

	assert_int_equal(put("web01", "p", "1", 1), STORE_OK);
	assert_int_equal(raw("PUT", "settings", "{\"p\":1}"), 201);
	assert_int_equal(raw("PUT", "zzz", "{\"doc_type\":\"Other\",\"p\":1}"), 201);
	assert_int_equal(raw("PUT", "a/b", "{\"doc_type\":\"SystemRecord\",\"p\":1}"), 201);
	for (int i = 0; i < 3; i++) {
		forget_answer();
		ans.listed = json_array();
		store_list(store, i == 0 ? NULL : i == 1 ? &names : &parts, on_listed, NULL);
		await();
		assert_int_equal(ans.found, STORE_MISSING);
		assert_int_equal(json_array_size(ans.listed), 1);
		assert_string_equal(json_string_value(json_array_get(ans.listed, 0)), "web01");
	}
	assert_int_equal(get(store, "settings"), STORE_MISSING);
	assert_int_equal(put("settings", "q", "2", 1), STORE_OK);
	assert_member("settings", "p", "1");
}

/* Of the names, and of the heads. */
static void
assert_names(const char *first, size_t n)
{
	static const struct store_filter names = {0};

	for (int i = 0; i < 2; i++) {
		forget_answer();
		ans.listed = json_array();
		if (i == 0)
			store_list(store, &names, on_listed, NULL);
		else
			store_heads(store, on_listed, NULL);
		await();
		assert_int_equal(ans.found, STORE_MISSING);
		assert_int_equal(json_array_size(ans.listed), n);
		assert_string_equal(json_string_value(json_array_get(ans.listed, 0)), first);
	}
}

/* The view of setup is what is asked: one that says something else is believed. Without it the
 * records are read. */
static void
heads_come_from_a_view(void **state)
{
	static const char other[] =
	    "{\"_id\":\"_design/vogeler\",\"_rev\":\"%s\",\"views\":{"
	    "\"heads\":{\"map\":\"function (doc) { emit('x', {_id: 'of-the-view'}); }\"}}}";
	char *rev, *text;

	assert_int_equal(put("web01", "p", "1", 1), STORE_OK);
	assert_names("web01", 1);
	rev = rev_of("_design/vogeler");
	xasprintf(&text, other, rev);
	assert_int_equal(raw("PUT", "_design/vogeler", text), 201);
	forget_answer();
	ans.listed = json_array();
	store_heads(store, on_listed, NULL);
	await();
	assert_int_equal(json_array_size(ans.listed), 1);
	assert_string_equal(json_string_value(json_array_get(ans.listed, 0)), "of-the-view");
	free(text);
	free(rev);
	rev = rev_of("_design/vogeler");
	xasprintf(&text, "{\"_id\":\"_design/vogeler\",\"_rev\":\"%s\",\"_deleted\":true}", rev);
	raw("PUT", "_design/vogeler", text);
	assert_int_equal(raw("GET", "_design/vogeler", NULL), 404);
	assert_names("web01", 1);
	free(text);
	free(rev);
}

static void
assert_named(const char *want)
{
	static const struct store_filter names = {0};
	char text[256] = "";
	json_t *one;
	size_t i;

	forget_answer();
	ans.listed = json_array();
	store_list(store, &names, on_listed, NULL);
	await();
	assert_int_equal(ans.found, STORE_MISSING);
	json_array_foreach (ans.listed, i, one) {
		strcat(text, i > 0 ? " " : "");
		strcat(text, json_string_value(one));
	}
	assert_string_equal(text, want);
}

/* What is remembered of documents, and what the view had some time ago, is no answer. */
static void
names_are_of_now(void **state)
{
	char path[256];

	assert_named("");
	assert_int_equal(put("b", "p", "1", 1), STORE_OK);
	assert_int_equal(raw("PUT", "d", "{\"p\":1}"), 201);
	snprintf(path, sizeof(path), "%s/_design/vogeler/_view/names", db_url);
	forget_answer();
	http_request(http, "GET", path, NULL, 0, on_http, NULL);
	await();
	assert_int_equal(json_array_size(json_object_get(ans.body, "rows")), 1);
	for (int i = 0; i < 2; i++)
		assert_named("b");
	assert_int_equal(put("a", "p", "1", 1), STORE_OK);
	assert_int_equal(put("c", "p", "1", 1), STORE_OK);
	assert_named("a b c");
	assert_int_equal(put("d", "q", "1", 1), STORE_OK); /* a record from now on */
	assert_named("a b c d");
	forget_answer();
	store_forget(store, "b", on_done, NULL);
	await();
	assert_named("a c d");
	for (int i = 0; i < 25; i++) { /* more than are looked at one by one */
		snprintf(path, sizeof(path), "e%02d", i);
		assert_int_equal(raw("PUT", path, "{\"p\":1}"), 201);
	}
	assert_named("a c d");
	assert_int_equal(put("e07", "q", "1", 1), STORE_OK);
	assert_named("a c d e07");
}

/* The mark of a record that somebody has deleted says nothing. */
static void
a_deleted_record_is_not_only_confirmed(void **state)
{
	char *rev, *id;

	assert_int_equal(put("a", "p", large(1), 1), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 2), STORE_OK);
	rev = rev_of("a");
	xasprintf(&id, "%s/a?rev=%s", db_url, rev);
	forget_answer();
	http_request(http, "DELETE", id, NULL, 0, on_http, NULL);
	await();
	assert_int_equal(ans.status, 200);
	assert_int_equal(put("a", "p", large(1), 3), STORE_CONFLICT);
	assert_int_equal(put("a", "p", large(1), 3), STORE_OK);
	assert_large("a", 1, 3);
	assert_int_equal(put("a", "p", large(1), 4), STORE_OK);
	assert_large("a", 1, 4);
	free(rev);
	free(id);
}

/* Deleted and made anew between two requests: nobody was told. */
static void
a_database_made_anew_gets_the_whole_record(void **state)
{
	assert_int_equal(put("a", "p", large(1), 1), STORE_OK); /* has no mark yet */
	assert_int_equal(put("b", "p", large(1), 1), STORE_OK);
	assert_int_equal(put("b", "p", large(1), 2), STORE_OK);
	assert_int_equal(raw("DELETE", "", NULL), 200);
	assert_int_equal(raw("PUT", "", NULL), 201);
	assert_int_equal(put("a", "p", large(1), 3), STORE_CONFLICT);
	assert_int_equal(put("a", "p", large(1), 3), STORE_OK);
	assert_large("a", 1, 3);
	assert_int_equal(put("b", "p", large(1), 3), STORE_CONFLICT);
	assert_int_equal(put("b", "p", large(1), 3), STORE_OK);
	assert_large("b", 1, 3);
}

static void
what_others_add_does_not_undo_a_mark(void **state)
{
	assert_int_equal(put("a", "p", large(1), 1), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 9), STORE_OK);
	other_sets("a", "owner", "ops");
	assert_large("a", 1, 9);
	assert_int_equal(put_on(store, "a", "p", large(2), 5), STORE_CONFLICT); /* is older */
	assert_int_equal(put_on(store, "a", "p", large(2), 5), STORE_OK);
	assert_large("a", 1, 9);
	assert_int_equal(put("a", "p", large(2), 10), STORE_OK);
	assert_large("a", 2, 10);
	assert_member("a", "owner", "\"ops\"");
}

enum { RACE_ROUNDS = 10, RACE_AT_ONCE = 4 };

static size_t race_left;

/* As the batch does after a conflict: again, until it is stored. */
static void
race_on_written(
    struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct store *s = arg;

	if (status == STORE_CONFLICT) {
		store_put(s, &w, 1, race_on_written, s);
		return;
	}
	if (status != STORE_OK)
		fail_msg("%s: %s", store_status_name(status), why->what);
	if (--race_left == 0)
		answered(NULL);
}

/* Several collectors, each with some of the results of one host, in any order: the record is that
 * of the highest order in the end, though most of them only confirm what some other one has. */
static void
collectors_race_with_marks(void **state)
{
	struct store *stores[RACE_AT_ONCE];
	struct result *results[RACE_AT_ONCE];
	struct store_write w[RACE_AT_ONCE];
	int order = 0;

	srand(1);
	for (size_t i = 0; i < RACE_AT_ONCE; i++)
		stores[i] = open_store(&uri);
	assert_int_equal(put("a", "p", large(0), ++order), STORE_OK);
	for (int round = 0; round < RACE_ROUNDS; round++) {
		int newest = 0;

		forget_answer();
		for (size_t i = 0; i < RACE_AT_ONCE; i++) {
			size_t k = (size_t)rand() % (i + 1);
			int tag = rand() % 3 == 0;

			newest = tag;
			results[i] = result_new("p", large(tag), ++order);
			if (k < i) { /* who has it is chance */
				struct result *r = results[k];

				results[k] = results[i];
				results[i] = r;
			}
		}
		race_left = RACE_AT_ONCE;
		for (size_t i = 0; i < RACE_AT_ONCE; i++) {
			struct store_write *one = &w[i];

			w[i] = (struct store_write){.host = "a",
			    .results = &results[i],
			    .n = 1,
			    .bytes = results[i]->value_len};
			store_put(stores[i], &one, 1, race_on_written, stores[i]);
		}
		await();
		for (size_t i = 0; i < RACE_AT_ONCE; i++)
			result_free(results[i]);
		assert_large("a", newest, order);
	}
	for (size_t i = 0; i < RACE_AT_ONCE; i++)
		store_close(stores[i]);
}

/* A port where nobody listens: bound, not listening. */
static void
out_of_reach_is_said_without_the_password(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct trouble why = {0};
	char text[128];
	struct uri dead;
	struct store *s;

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	snprintf(text, sizeof(text), "couch://u:s3cret@127.0.0.1:%u/db", ntohs(sin.sin_port));
	assert_true(uri_parse(text, &dead, &why));
	s = open_store(&dead);
	assert_int_equal(put_on(s, "a", "p", "1", 1), STORE_RETRY);
	assert_why("cannot be reached");
	assert_why("couch://u:***@127.0.0.1:");
	assert_int_equal(get(s, "a"), STORE_FAILED);
	assert_why("cannot be reached");
	list(s);
	assert_int_equal(ans.found, STORE_FAILED);
	probe(s, false, "is CouchDB running there?");
	store_close(s);
	uri_finish(&dead);
	close(fd);
}

static void
unanswered(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	fail_msg("answered after the store was closed");
}

static void
unanswered_get(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	fail_msg("answered after the store was closed");
}

/* Before anything was sent, and with a request under way. */
static void
closing_forgets_what_is_in_flight(void **state)
{
	struct result *r = result_new("p", "1", 1);
	struct store_write w = {.host = "a", .results = &r, .n = 1}, *writes = &w;
	struct store *s = open_store(&uri);

	store_put(s, &writes, 1, unanswered, NULL);
	store_close(s);
	s = open_store(&uri);
	store_put(s, &writes, 1, unanswered, NULL);
	store_get(s, "a", unanswered_get, NULL);
	next_pass();
	store_close(s);
	result_free(r);
}

/* --- revisions in conflict, as replication brings them --- */

/* A last revision beside those that are there. doc: stolen. */
static void
branch(json_t *doc, const char *rev)
{
	json_t *body;
	char *text;

	json_object_set_new(doc, "_rev", json_string(rev));
	body = json_pack("{s:b,s:[o]}", "new_edits", 0, "docs", doc);
	text = json_dumps(body, 0);
	assert_int_equal(raw("POST", "_bulk_docs", text), 201);
	free(text);
	json_decref(body);
}

static void
set_plugin(json_t *doc, const char *plugin, const char *value, int64_t order)
{
	char hash[IDENT_HASH_SIZE], at[64];

	snprintf(at, sizeof(at), "2010-09-26T06:16:29.%03dZ", 609 + (int)order);
	ident_hash(hash, value, strlen(value));
	json_object_set_new(doc, plugin, json_loads(value, JSON_DECODE_ANY, NULL));
	json_object_set_new(json_object_get(doc, "vogeler"), plugin,
	    json_pack("{s:s,s:s,s:I,s:s,s:s}", "received_at", at, "changed_at", at, "order",
		(json_int_t)order, "machine_id", "m1", "hash", hash));
}

/* By a collector that has just been started. */
static void
put_anew(const char *host, const char *plugin, const char *value, int64_t order)
{
	struct store *s = open_store(&uri);

	assert_int_equal(put_on(s, host, plugin, value, order), STORE_OK);
	for (size_t tries = 0;; tries++) { /* what lost is removed when that is answered */
		char path[512];

		assert_true(tries < 500);
		snprintf(path, sizeof(path), "%s/%s?conflicts=true", db_url, host);
		forget_answer();
		http_request(http, "GET", path, NULL, 0, on_http, NULL);
		await();
		if (json_object_get(ans.body, "_conflicts") == NULL)
			break;
	}
	store_close(s);
}

static void
what_lost_is_merged(void **state)
{
	json_t *doc;

	assert_int_equal(put("a", "p", "\"ours\"", 5), STORE_OK);
	assert_int_equal(put("a", "q", "\"old\"", 6), STORE_OK);
	doc = raw_get("a");
	set_plugin(doc, "p", "\"older\"", 3);
	set_plugin(doc, "q", "\"newer\"", 9);
	set_plugin(doc, "r", "\"only there\"", 4);
	branch(doc, "1-0123456789abcdef0123456789abcdef");
	assert_member("a", "q", "\"old\"");
	put_anew("a", "s", "1", 10);
	assert_member("a", "p", "\"ours\"");
	assert_member("a", "q", "\"newer\"");
	assert_member("a", "r", "\"only there\"");
	assert_member("a", "s", "1");
}

/* It is the collector's own that lost. */
static void
what_lost_to_an_older_one_is_merged(void **state)
{
	json_t *doc;

	assert_int_equal(put("a", "p", "\"old\"", 1), STORE_OK);
	doc = raw_get("a");
	branch(json_deep_copy(doc), "7-0123456789abcdef0123456789abcdef");
	json_decref(doc);
	assert_member("a", "p", "\"old\"");
	doc = raw_get("a");
	set_plugin(doc, "p", "\"new\"", 5);
	branch(doc, "3-0123456789abcdef0123456789abcdef");
	assert_member("a", "p", "\"old\"");
	put_anew("a", "s", "1", 10);
	assert_member("a", "p", "\"new\"");
}

/* Nothing in it is newer: it only goes. */
static void
what_lost_and_is_older_goes(void **state)
{
	json_t *doc;

	assert_int_equal(put("a", "p", "\"old\"", 1), STORE_OK);
	doc = raw_get("a");
	assert_int_equal(put("a", "p", "\"new\"", 2), STORE_OK);
	branch(doc, "1-0123456789abcdef0123456789abcdef");
	put_anew("a", "p", "\"new\"", 2);
	assert_member("a", "p", "\"new\"");
}

/* What lost does not come up in the place of what is forgotten. */
static void
what_lost_is_forgotten_too(void **state)
{
	json_t *doc;

	assert_int_equal(put("a", "p", "\"old\"", 1), STORE_OK);
	doc = raw_get("a");
	branch(json_deep_copy(doc), "7-0123456789abcdef0123456789abcdef");
	branch(doc, "3-0123456789abcdef0123456789abcdef");
	forget_answer();
	store_forget(store, "a", on_done, NULL);
	await();
	assert_true(ans.ok);
	assert_why("forgotten");
	assert_int_equal(get(store, "a"), STORE_MISSING);
}

/* The value was confirmed in the mark of the record that lost, and so is newer than the other's. */
static void
a_mark_counts_with_the_record_that_lost(void **state)
{
	json_t *doc;

	assert_int_equal(put("a", "p", large(1), 1), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 9), STORE_OK);
	assert_large("a", 1, 9);
	doc = raw_get("a");
	json_object_del(json_object_get(doc, "vogeler"), "_mark");
	set_plugin(doc, "p", "\"between\"", 5);
	branch(doc, "7-0123456789abcdef0123456789abcdef");
	assert_member("a", "p", "\"between\"");
	put_anew("a", "s", "1", 10);
	assert_large("a", 1, 9);
	assert_int_equal(put("a", "p", large(1), 11), STORE_CONFLICT); /* and goes on as usual */
	assert_int_equal(put("a", "p", large(1), 11), STORE_OK);
	assert_int_equal(put("a", "p", large(1), 12), STORE_OK);
	assert_large("a", 1, 12);
}

/* --- the suite over all stores --- */

enum { DATABASES_MAX = 8 }; /* of one test of the suite */

static char databases[DATABASES_MAX][256];
static size_t n_databases;

static const char *
suite_begin(void)
{
	static unsigned int n;

	assert_true(n_databases < DATABASES_MAX);
	snprintf(databases[n_databases], sizeof(databases[0]), "%s_suite%u",
	    getenv("VOGELER_TEST_COUCH_URI"), n++);
	return databases[n_databases++];
}

static void
suite_end(void)
{
	while (n_databases > 0) {
		struct trouble why = {0};
		struct http_options hopt = {
		    .max_connections = 1, .timeout_ms = 30000, .max_response_bytes = 1 << 26};

		assert_true(uri_parse(databases[--n_databases], &uri, &why));
		hopt.user = uri.user;
		hopt.password = uri.password;
		loop = loop_create();
		http = http_create(loop, &hopt);
		db_url = couch_url(&uri);
		assert_int_equal(raw("DELETE", "", NULL), 200);
		assert_int_equal(raw_jobs("DELETE", "", NULL), 200);
		forget_answer();
		http_destroy(http);
		loop_destroy(loop);
		free(db_url);
		uri_finish(&uri);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_database_that_is_missing_is_said),
	    TEST(a_probe_writes),
	    TEST(what_is_written_is_read),
	    TEST(the_same_again_writes_nothing),
	    TEST(a_conflict_is_read_again_and_merged),
	    TEST(a_conflict_with_ourselves_is_no_change),
	    TEST(an_edited_value_is_put_right),
	    TEST(a_deleted_record_begins_anew),
	    TEST(a_record_of_2010_is_kept),
	    TEST(many_at_once_are_answered_by_id),
	    TEST(a_record_that_is_too_large_is_refused),
	    TEST(design_documents_are_loaded_if_they_differ),
	    TEST(a_job_of_many_hosts_has_a_small_document),
	    TEST(invented_jobs_make_no_documents),
	    TEST(last_seen_joins_records_and_marks),
	    TEST(a_confirmed_value_leaves_the_record_alone),
	    TEST(marks_are_no_hosts),
	    TEST(other_documents_are_no_hosts),
	    TEST(heads_come_from_a_view),
	    TEST(names_are_of_now),
	    TEST(a_deleted_record_is_not_only_confirmed),
	    TEST(a_database_made_anew_gets_the_whole_record),
	    TEST(what_others_add_does_not_undo_a_mark),
	    TEST(collectors_race_with_marks),
	    TEST(what_lost_is_merged),
	    TEST(what_lost_to_an_older_one_is_merged),
	    TEST(what_lost_and_is_older_goes),
	    TEST(what_lost_is_forgotten_too),
	    TEST(a_mark_counts_with_the_record_that_lost),
	    TEST(out_of_reach_is_said_without_the_password),
	    TEST(closing_forgets_what_is_in_flight),
	};

	struct suite_factory factory = {
	    .begin = suite_begin, .end = suite_end, .bounds_strays = true};
	int failed;

	if (getenv("VOGELER_TEST_COUCH_URI") == NULL) {
		fprintf(stderr, "test_couch_store: run it through tests/standin/with-couch\n");
		return 1;
	}
	factory.javascript_numbers = getenv("VOGELER_TEST_COUCH_STANDIN") != NULL;
	failed = store_suite_run(&factory);
	failed += ledger_suite_run(&factory);
	return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
