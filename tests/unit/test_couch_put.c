/* SPDX-License-Identifier: Apache-2.0 */
/* The write path over an HTTP that is a fake, plainly: http.h is implemented here, a request is
 * caught and answered as the test says, with what CouchDB or a proxy before it would say. The clock
 * is fake too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/http.h"
#include "shared/store/store_backend.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HOSTS = 6,
	ROOM = 2, /* for puts whose outcomes are on their way */
};

/* --- the fake --- */

struct http {
	size_t n;
};

static struct caught {
	char *url, *body;
	http_fn *fn;
	void *arg;
} caught[64]; /* not answered yet, oldest first */
static size_t n_caught, n_seen;

struct http *
http_create(struct loop *l, const struct http_options *o)
{
	return xcalloc(1, sizeof(struct http));
}

static void
drop(size_t i)
{
	free(caught[i].url);
	free(caught[i].body);
	memmove(&caught[i], &caught[i + 1], (n_caught - i - 1) * sizeof(caught[0]));
	n_caught--;
}

void
http_destroy(struct http *h)
{
	while (n_caught > 0)
		drop(0);
	free(h);
}

void
http_set_login(struct http *h, const char *user, const char *password)
{
}

void
http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg)
{
	assert_true(n_caught < sizeof(caught) / sizeof(caught[0]));
	caught[n_caught++] = (struct caught){xstrdup(url), body, fn, arg};
	n_seen++;
}

/* Answers the request that is at i. */
static void
respond_at(size_t i, long status, const char *body)
{
	struct http_response r = {
	    .status = status, .body = body, .body_len = strlen(body), .content_type = "text/x"};
	http_fn *fn = caught[i].fn;
	void *arg = caught[i].arg;

	assert_true(n_caught > i);
	if (status == 0)
		r.error = "connection broken";
	drop(i);
	fn(&r, arg);
}

/* The oldest. */
static void
respond(long status, const char *body)
{
	respond_at(0, status, body);
}

/* --- fixtures --- */

static struct loop *loop;
static struct store *store;
static struct result *results[HOSTS];
static struct store_write w[HOSTS], *writes[HOSTS];
static char hosts[HOSTS][4];
static struct {
	bool answered;
	enum store_status status;
	char why[512];
} ans[HOSTS];

static struct result *
result_new(const char *value, int64_t order)
{
	struct result *r = xcalloc(1, sizeof(*r));

	result_init(r);
	r->format = WIRE_JSON;
	r->received_at = 1285481789609 + order;
	r->plugin = xstrdup("p");
	r->value = xstrdup(value);
	r->value_len = strlen(value);
	ident_hash(r->hash, value, r->value_len);
	r->meta.order = order;
	r->meta.machine_id = xstrdup("m1");
	return r;
}

/* A newer result for every host. */
static void
renew(int64_t order)
{
	for (size_t i = 0; i < HOSTS; i++) {
		char value[16];

		if (results[i] != NULL) {
			result_finish(results[i]);
			free(results[i]);
		}
		snprintf(value, sizeof(value), "%d", (int)order);
		results[i] = result_new(value, order);
		snprintf(hosts[i], sizeof(hosts[i]), "h%zu", i);
		w[i] = (struct store_write){.host = hosts[i],
		    .results = &results[i],
		    .n = 1,
		    .bytes = 1,
		    .owner = (void *)(uintptr_t)i};
		writes[i] = &w[i];
	}
}

static int
set_up(void **state)
{
	struct trouble why;
	struct uri uri;
	struct options opt = {.record_max_bytes = 100000,
	    .batch_max_bytes = 256 * 1024,
	    .couch_requests = 2,
	    .couch_cache_bytes = 64 * 1024 * 1024,
	    .couch_timeout_ms = 30000};

	n_seen = 0;
	loop = loop_create();
	assert_true(uri_parse("couch://u:s3cret@h/db", &uri, &why));
	store = store_couch_ops.open(loop, &uri, &opt, STORE_MAKE, &why);
	uri_finish(&uri);
	renew(1);
	return store == NULL;
}

static int
tear_down(void **state)
{
	store_close(store);
	loop_destroy(loop);
	for (size_t i = 0; i < HOSTS; i++) {
		result_finish(results[i]);
		free(results[i]);
		results[i] = NULL;
	}
	return 0;
}

static void
on_written(struct store_write *one, enum store_status status, const struct trouble *why, void *arg)
{
	size_t i = (size_t)(uintptr_t)one->owner;

	assert_false(ans[i].answered); /* once for each */
	ans[i].answered = true;
	ans[i].status = status;
	if (why != NULL)
		trouble_format(why, ans[i].why, sizeof(ans[i].why));
}

static void
put(size_t n)
{
	memset(ans, 0, sizeof(ans));
	store_put(store, writes, n, on_written, NULL);
	for (size_t i = 0; i < n; i++)
		assert_false(ans[i].answered); /* never from inside */
	fake_advance(loop, 0);
}

static void
assert_all(size_t n, enum store_status status, const char *part)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(ans[i].answered);
		assert_string_equal(store_status_name(ans[i].status), store_status_name(status));
		if (strstr(ans[i].why, part) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", part, ans[i].why);
		assert_null(strstr(ans[i].why, "s3cret"));
	}
	assert_int_equal(n_caught, 0);
}

/* None of the hosts is there yet. */
static void
respond_none_there(size_t n)
{
	char body[1024];
	size_t len = 0;

	assert_non_null(strstr(caught[0].url, "http://h:5984/db/_all_docs?include_docs=true"));
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(body + len, sizeof(body) - len,
		    "%s{\"key\":\"h%zu\",\"error\":\"not_found\"}", i == 0 ? "{\"rows\":[" : ",",
		    i);
	snprintf(body + len, sizeof(body) - len, "]}");
	respond(200, body);
}

/* All written, answered from the last to the first. */
static void
respond_all_written(size_t n, int rev)
{
	char body[1024];
	size_t len = 0;

	assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_docs");
	for (size_t i = n; i-- > 0;)
		len += (size_t)snprintf(body + len, sizeof(body) - len,
		    "%s{\"ok\":true,\"id\":\"h%zu\",\"rev\":\"%d-h%zu\"}", len == 0 ? "[" : ",", i,
		    rev, i);
	snprintf(body + len, sizeof(body) - len, "]");
	respond(201, body);
}

/* What is not surely written is read again first. */
static void
assert_read_again(size_t n)
{
	put(n);
	assert_int_equal(n_caught, 1);
	assert_non_null(strstr(caught[0].url, "/_all_docs"));
}

/* The database is not there: nothing is known of it any more. */
static void
respond_gone(void)
{
	store_put(store, &writes[1], 1, on_written, NULL);
	fake_advance(loop, 0);
	ans[1].answered = false;
	respond(404, "{\"error\":\"not_found\",\"reason\":\"no_db_file\"}");
	ans[1].answered = false;
}

/* --- tests --- */

static void
answers_are_matched_by_id(void **state)
{
	put(3);
	respond_none_there(3);
	respond_all_written(3, 1);
	assert_all(3, STORE_OK, "");
	renew(2);
	put(3); /* with the revisions that were answered, of each its own; nothing is read */
	assert_int_equal(n_caught, 1);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"1-h0\""));
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h2\",\"_rev\":\"1-h2\""));
	respond(201,
	    "[{\"id\":\"h2\",\"error\":\"conflict\",\"reason\":\"Document update conflict.\"},"
	    "{\"ok\":true,\"id\":\"h1\",\"rev\":\"2-h1\"},"
	    "{\"id\":\"h0\",\"error\":\"forbidden\",\"reason\":\"no\"},"
	    "{\"ok\":true,\"id\":\"stranger\",\"rev\":\"1-x\"}]");
	assert_int_equal(ans[0].status, STORE_REFUSED);
	assert_non_null(strstr(ans[0].why, "forbidden, no"));
	assert_int_equal(ans[1].status, STORE_OK);
	assert_int_equal(ans[2].status, STORE_CONFLICT);
}

static void
a_request_has_the_size_of_the_reload(void **state)
{
	put(3);
	respond_none_there(3);
	respond_all_written(3, 1);
	renew(2);
	store_set_batch_bytes(store, 1);
	put(3); /* a request for each; two are under way at once */
	assert_int_equal(n_caught, 2);
	assert_non_null(strstr(caught[0].body, "\"h0\""));
	assert_null(strstr(caught[0].body, "\"h1\""));
	store_set_batch_bytes(store, 0);
}

static void
what_an_answer_leaves_out_is_not_written(void **state)
{
	put(2);
	respond_none_there(2);
	respond(201, "[{\"ok\":true,\"id\":\"h1\",\"rev\":\"1-h1\"}]");
	assert_int_equal(ans[0].status, STORE_RETRY);
	assert_int_equal(ans[1].status, STORE_OK);
	assert_read_again(1);
	respond(200, "{\"rows\":[]}");
	assert_all(1, STORE_RETRY, "leaves it out");
}

static void
only_a_whole_201_counts(void **state)
{
	static const struct {
		long status;
		const char *body;
		const char *why;
	} rows[] = {
	    {0, "", "connection broken"},
	    {200, "<html>Sign in</html>", "proxy"},
	    {201, "<html>Sign in</html>", "not CouchDB's (text/x)"},
	    {201, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-h0\"},{\"ok\":tr", "not CouchDB's"},
	    {201, "", "not CouchDB's"},
	    {202, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-h0\"}]", "quorum"},
	    {301, "", "proxy"},
	    {401, "{\"error\":\"unauthorized\",\"reason\":\"x\"}", "check user and password"},
	    {403, "{\"error\":\"forbidden\",\"reason\":\"x\"}", "check user and password"},
	    {404, "{\"error\":\"not_found\",\"reason\":\"Database does not exist.\"}",
		"run vogeler-admin setup"},
	    {408, "", "408"},
	    {429, "", "429"},
	    {500, "{\"error\":\"internal_server_error\",\"reason\":\"enospc\"}", "enospc"},
	    {503, "", "503"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_read_again(2);
		respond_none_there(2);
		respond(rows[i].status, rows[i].body);
		assert_all(2, STORE_RETRY, rows[i].why);
		assert_read_again(2); /* and when reading ends so, too */
		if (rows[i].status == 200)
			respond(201, "{\"rows\":[]}");
		else
			respond(rows[i].status, rows[i].body);
		assert_all(2, STORE_RETRY, "");
	}
}

static void
a_refused_batch_is_to_be_bisected(void **state)
{
	static const char body[] = "{\"error\":\"illegal_docid\",\"reason\":\"x\"}";

	put(2);
	respond_none_there(2);
	respond(400, body);
	assert_all(2, STORE_REJECT_BATCH, "illegal_docid");
	put(1);
	respond_none_there(1);
	respond(413, body);
	assert_all(1, STORE_REFUSED, "413");
	put(2);
	respond(400, body); /* to the reading */
	assert_all(2, STORE_REJECT_BATCH, "illegal_docid");
}

/* Catches the one document that is about to be written, without its revision. */
static char *
sent_document(void)
{
	char *sent = xstrdup(strstr(caught[0].body, "{\"_id\"")), *rev;

	assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_docs");
	sent[strlen(sent) - 2] = '\0'; /* ]} */
	rev = strstr(sent, "\"_rev\":");
	if (rev != NULL && rev < strstr(sent, "\"doc_type\"")) {
		const char *end = strchr(rev, ',') + 1;

		memmove(rev, end, strlen(end) + 1);
	}
	return sent;
}

/* Answers the reading of h0, and of its mark if there is one. */
static void
respond_read(const char *record, const char *rev, const char *mark, const char *mark_rev)
{
	char *body, *marked = xstrdup("");

	assert_non_null(strstr(caught[0].url, "/_all_docs?include_docs=true"));
	if (mark != NULL) {
		free(marked);
		xasprintf(&marked,
		    ",{\"id\":\"mark/h0\",\"key\":\"mark/h0\",\"value\":{\"rev\":\"%s\"},\"doc\":{"
		    "\"_rev\":\"%s\",%s}",
		    mark_rev, mark_rev, mark + 1);
	}
	xasprintf(&body,
	    "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"%s\"},\"doc\":{"
	    "\"_rev\":\"%s\",%s}%s]}",
	    rev, rev, record + 1, marked);
	respond(200, body);
	free(body);
	free(marked);
}

static const struct {
	long status;
	const char *body, *why;
} unsure[] = {
    {202, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-x\"}]", "quorum"},
    {202, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-x\",\"accepted\":true}]", "quorum"},
    {201, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-x\",\"accepted\":true}]", "quorum"},
    {0, "", "no whole answer"},
    {500, "{}", "trouble"},
    {201, "[{\"ok\":tr", "not CouchDB's"},
};

/* It landed, without a 201: read again it is the same, and may yet be on one node that goes. It is
 * written until a 201 says otherwise. */
static void
what_may_have_landed_is_written_until_201(void **state)
{
	for (size_t i = 0; i < sizeof(unsure) / sizeof(unsure[0]); i++) {
		char *sent, *again;

		renew((int64_t)i + 1);
		assert_read_again(1);
		respond_none_there(1);
		sent = sent_document();
		respond(unsure[i].status, unsure[i].body);
		assert_all(1, STORE_RETRY, unsure[i].why);
		for (int turn = 0; turn < 2; turn++) { /* twice */
			assert_read_again(1);
			respond_read(sent, "1-x", NULL, NULL);
			again = sent_document();
			assert_string_equal(again, sent);
			assert_non_null(strstr(caught[0].body, "\"_rev\":\"1-x\""));
			free(again);
			respond(unsure[i].status, unsure[i].body);
			assert_all(1, STORE_RETRY, unsure[i].why);
		}
		assert_read_again(1);
		respond_read(sent, "2-x", NULL, NULL);
		respond_all_written(1, 3);
		assert_all(1, STORE_OK, "");
		put(1); /* and known now */
		assert_all(1, STORE_OK, "");
		respond_gone();
		free(sent);
	}
}

/* Of a batch that had no quorum for one shard, the items of the others are as safe as with 201. */
static void
a_202_tells_which_items_it_means(void **state)
{
	put(3);
	respond_none_there(3);
	respond(202, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"1-h0\"},"
		     "{\"ok\":true,\"id\":\"h1\",\"rev\":\"1-h1\",\"accepted\":true},"
		     "{\"id\":\"h2\",\"error\":\"conflict\",\"reason\":\"x\"}]");
	assert_int_equal(ans[0].status, STORE_OK);
	assert_int_equal(ans[1].status, STORE_RETRY);
	assert_non_null(strstr(ans[1].why, "not safe yet"));
	assert_int_equal(ans[2].status, STORE_CONFLICT);
}

static void
known_ones_are_kept_when_reading_others_fails(void **state)
{
	size_t seen;

	put(1);
	respond_none_there(1);
	respond_all_written(1, 1);
	renew(2);
	put(2); /* h0 is known, h1 is not */
	assert_null(strstr(caught[0].body, "h0"));
	respond(503, "");
	assert_all(2, STORE_RETRY, "503");
	seen = n_seen;
	put(1);
	assert_int_equal(n_seen, seen + 1);
	assert_non_null(strstr(caught[0].body, "\"_rev\":\"1-h0\""));
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
}

static void
without_its_database_nothing_is_known(void **state)
{
	put(2);
	respond_none_there(2);
	respond_all_written(2, 1);
	renew(2);
	put(1);
	respond(404, "{\"error\":\"not_found\",\"reason\":\"no_db_file\"}");
	assert_all(1, STORE_RETRY, "database db does not exist");
	renew(1);
	assert_read_again(2); /* h1 had been written with this very result */
	assert_non_null(strstr(caught[0].body, "h1"));
}

/* A put of many hosts is cut into lots; couch_requests of them are under way at once. */
static void
requests_at_once_are_bounded(void **state)
{
	for (size_t i = 0; i < HOSTS; i++)
		w[i].bytes = 256 * 1024; /* a lot each */
	put(HOSTS);
	assert_int_equal(n_caught, 2);
	while (n_caught > 0) {
		char host[4], body[256];

		snprintf(host, sizeof(host), "%.2s", strchr(caught[0].body, 'h'));
		snprintf(body, sizeof(body),
		    "{\"rows\":[{\"key\":\"%s\",\"error\":\"not_found\"}]}", host);
		if (strstr(caught[0].url, "_bulk_docs") != NULL) {
			snprintf(host, sizeof(host), "%.2s", strstr(caught[0].body, "\"h") + 1);
			snprintf(body, sizeof(body),
			    "[{\"ok\":true,\"id\":\"%s\",\"rev\":\"1-a\"}]", host);
			respond(201, body);
		} else {
			respond(200, body);
		}
		fake_advance(loop, 0);
		assert_true(n_caught <= 2);
	}
	assert_all(HOSTS, STORE_OK, "");
	assert_int_equal(n_seen, 2 * HOSTS);
}

static void
respond_wait(long status, uint32_t retry_after_s)
{
	struct http_response r = {
	    .status = status, .body = "", .content_type = "text/x", .retry_after_s = retry_after_s};
	http_fn *fn = caught[0].fn;
	void *arg = caught[0].arg;

	drop(0);
	fn(&r, arg);
}

/* Nothing goes out before the time is over: what is asked of it meanwhile is answered at once. */
static void
retry_after_is_obeyed(void **state)
{
	size_t seen;

	put(2);
	respond_wait(503, 7);
	assert_all(2, STORE_RETRY, "503");
	seen = n_seen;
	fake_advance(loop, 6999);
	put(2);
	assert_all(2, STORE_RETRY, "has asked for time");
	assert_int_equal(n_seen, seen);
	fake_advance(loop, 1);
	put(2);
	assert_int_equal(n_seen, seen + 1);
	respond_none_there(2);
	respond_all_written(2, 1);
	assert_all(2, STORE_OK, "");
}

/* Told while it reads: the write does not follow; and what was read is known for the next time. */
static void
retry_after_holds_between_two_requests(void **state)
{
	w[0].bytes = 256 * 1024; /* two lots */
	put(2);
	assert_int_equal(n_caught, 2);
	respond_wait(429, 3);
	assert_true(ans[0].answered && !ans[1].answered);
	respond(200, "{\"rows\":[{\"key\":\"h1\",\"error\":\"not_found\"}]}");
	assert_all(2, STORE_RETRY, "");
	fake_advance(loop, 3000);
	w[0].bytes = 1;
	put(2);
	assert_int_equal(n_caught, 1);
	assert_null(strstr(caught[0].body, "h1"));
}

static void
note_probed(const struct trouble *why, const char *done, void *arg)
{
	*(int *)arg = why == NULL ? 1 : -1;
}

static void
a_probe_waits_as_told_too(void **state)
{
	int probed = 0;

	put(1);
	respond_wait(503, 1000000); /* cut to a minute */
	store_probe(store, note_probed, &probed);
	fake_advance(loop, 59999);
	assert_int_equal(n_caught, 0);
	fake_advance(loop, 1);
	assert_int_equal(n_caught, 1);
	respond(404, "{\"error\":\"not_found\",\"reason\":\"missing\"}");
	respond(201, "{\"ok\":true,\"id\":\"x\",\"rev\":\"0-1\"}");
	respond(200, "{\"ok\":true}"); /* removed again */
	respond(404, "{\"error\":\"not_found\",\"reason\":\"missing\"}");
	respond(201, "{\"ok\":true,\"id\":\"x\",\"rev\":\"0-1\"}");
	assert_int_equal(probed, 0);
	respond(500, "{}"); /* a store that does not remove is not well */
	assert_int_equal(probed, -1);
	put(1);
	respond_wait(503, 9);
	store_probe(store, note_probed, &probed); /* closed with it waiting */
}

static void
fewer_requests_while_it_asks_for_less(void **state)
{
	for (size_t i = 0; i < HOSTS; i++)
		w[i].bytes = 256 * 1024; /* a lot each */
	assert_int_equal(store_limits(store)->batches_in_flight, 2 + ROOM);
	put(HOSTS);
	assert_int_equal(n_caught, 2);
	respond_wait(429, 0);
	fake_advance(loop, 0);
	assert_int_equal(n_caught, 1); /* the other one */
	assert_int_equal(store_limits(store)->batches_in_flight, 1 + ROOM);
	fake_advance(loop, 1000);
	respond(200, "{\"rows\":[{\"key\":\"h1\",\"error\":\"not_found\"}]}");
	fake_advance(loop, 0);
	assert_int_equal(n_caught, 2);
	assert_int_equal(store_limits(store)->batches_in_flight, 2 + ROOM);
}

/* An answer over our own limit: fewer are asked for the next time. */
static void
too_large_an_answer_makes_smaller_lots(void **state)
{
	struct http_response r = {
	    .error = "the answer is too large", .too_large = true, .body = ""};
	http_fn *fn;
	void *arg;

	put(HOSTS);
	assert_int_equal(n_caught, 1);
	fn = caught[0].fn;
	arg = caught[0].arg;
	drop(0);
	fn(&r, arg);
	assert_all(HOSTS, STORE_RETRY, "too large");
	put(HOSTS);
	assert_int_equal(n_caught, 2); /* as many as may be, of one host each */
}

/* --- names --- */

static char named[128];

static void
on_named(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	const char *id = json_string_value(json_object_get(rec, "_id"));

	strcat(named, found == STORE_FOUND ? id : found == STORE_MISSING ? "." : why->what);
}

/* Asks, and is answered with h0, h1, a mark, and other, whose revision is rev. */
static void
ask_names(const char *rev)
{
	static const struct store_filter names = {0};
	char body[512];

	named[0] = '\0';
	store_list(store, &names, on_named, NULL);
	assert_string_equal(caught[0].url, "http://h:5984/db/_all_docs?limit=1001");
	snprintf(body, sizeof(body),
	    "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"1-a\"}},"
	    "{\"id\":\"h1\",\"key\":\"h1\",\"value\":{\"rev\":\"1-a\"}},"
	    "{\"id\":\"mark/h0\",\"key\":\"mark/h0\",\"value\":{\"rev\":\"1-a\"}},"
	    "{\"id\":\"other\",\"key\":\"other\",\"value\":{\"rev\":\"%s\"}}]}",
	    rev);
	respond(200, body);
}

static void
look_at_other(void)
{
	assert_non_null(strstr(caught[0].url, "/_find"));
	assert_non_null(strstr(caught[0].body, "{\"$gte\":\"other\",\"$lte\":\"other\"}"));
	respond(200, "{\"docs\":[]}");
}

/* Looked at is what neither the view nor this process knows. */
static void
names_that_are_known_cost_one_request(void **state)
{
	ask_names("1-a");
	assert_non_null(strstr(caught[0].url,
	    "/_design/vogeler/_view/names?limit=2000&stale=ok&startkey=%22h0%22&endkey=%22other%22"));
	respond(200, "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":null},"
		     "{\"id\":\"h1\",\"key\":\"h1\",\"value\":null},"
		     "{\"id\":\"gone\",\"key\":\"gone\",\"value\":null}]}");
	look_at_other();
	assert_string_equal(named, "h0h1.");
	ask_names("1-a");
	assert_int_equal(n_caught, 0);
	assert_string_equal(named, "h0h1.");
	ask_names("2-b"); /* it may be one by now */
	respond(404, "{\"error\":\"not_found\",\"reason\":\"missing\"}");
	look_at_other();
	assert_string_equal(named, "h0h1.");
	fake_advance(loop, 3600 * 1000); /* all of it anew */
	ask_names("2-b");
	assert_non_null(strstr(caught[0].url, "/_view/names"));
}

/* Two lists at once: what one counts on is not forgotten for the other. */
static void
names_are_listed_by_two_at_once(void **state)
{
	static const struct store_filter names = {0};

	ask_names("1-a");
	fake_advance(loop, 3600 * 1000);
	store_list(store, &names, on_named, NULL);
	respond(200, "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":null},"
		     "{\"id\":\"h1\",\"key\":\"h1\",\"value\":null}]}");
	assert_int_equal(n_caught, 2);
	respond_at(1, 200, "{\"docs\":[]}");
	assert_string_equal(named, "h0h1.");
	respond(500, "{}");
	assert_non_null(strstr(named, "in trouble"));
}

/* Only so it is seen that replication has brought a revision that lost. */
static void
a_record_is_read_again_now_and_then(void **state)
{
	put(1);
	respond_none_there(1);
	respond_all_written(1, 1);
	assert_all(1, STORE_OK, "");
	for (int hours = 1; hours <= 3; hours++) {
		fake_advance(loop, 3600 * 1000);
		renew(1 + hours);
		put(1);
		if (strstr(caught[0].url, "_all_docs") != NULL)
			return;
		respond_all_written(1, 1 + hours);
		if (n_caught > 0) /* it is looked after */
			respond(200,
			    hours == 1
				? "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"2-h0\"}}]}"
				: "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"3-h0\"}}]}");
		assert_all(1, STORE_OK, "");
	}
	fail_msg("it is not read again");
}

/* A record of which a revision lost. */
static void
respond_in_conflict(void)
{
	assert_non_null(strstr(caught[0].url, "conflicts=true"));
	respond(200,
	    "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"4-w\"},\"doc\":{\"_id\":\"h0\","
	    "\"_rev\":\"4-w\",\"_conflicts\":[\"3-l\",\"2-l\"],\"doc_type\":\"SystemRecord\"}}]}");
	assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_get");
	assert_string_equal(caught[0].body,
	    "{\"docs\":[{\"id\":\"h0\",\"rev\":\"3-l\"},{\"id\":\"h0\",\"rev\":\"2-l\"}]}");
}

/* What lost goes when what it had is on disk with the winner, and only what could be read. */
static void
what_lost_is_removed_after_a_201(void **state)
{
	static const char lost[] =
	    "{\"results\":[{\"id\":\"h0\",\"docs\":[{\"ok\":{\"_id\":\"h0\",\"_rev\":\"3-l\",\"q\":7}},"
	    "{\"error\":{\"id\":\"h0\",\"rev\":\"2-l\",\"error\":\"not_found\"}}]}]}";
	static const char accepted[] =
	    "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"5-w\",\"accepted\":true}]";

	for (int twice = 0; twice < 2; twice++) {
		put(1);
		respond_in_conflict();
		respond(200, lost);
		assert_non_null(strstr(caught[0].body, "\"_rev\":\"4-w\""));
		assert_non_null(strstr(caught[0].body, "\"q\":7"));
		if (twice == 0) {
			respond(202, accepted);
			assert_all(1, STORE_RETRY, "");
		}
	}
	respond(201, "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"5-w\"}]");
	assert_true(ans[0].answered && ans[0].status == STORE_OK);
	assert_string_equal(
	    caught[0].body, "{\"docs\":[{\"_id\":\"h0\",\"_rev\":\"3-l\",\"_deleted\":true}]}");
	respond(500, "{}"); /* and whatever becomes of that */
	assert_all(1, STORE_OK, "");
}

/* Each may be as large as a record can be. Those of the second have no room, and its turn comes
 * with its next answer. */
static void
what_is_asked_for_at_once_fits_an_answer(void **state)
{
	static const char list[] = "[\"3-a\",\"3-b\",\"3-c\",\"3-d\",\"3-e\"]";
	char rows[1024];

	put(2);
	snprintf(rows, sizeof(rows),
	    "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"4-w\"},\"doc\":{\"_id\":\"h0\","
	    "\"_rev\":\"4-w\",\"_conflicts\":%s,\"doc_type\":\"SystemRecord\"}},"
	    "{\"id\":\"h1\",\"key\":\"h1\",\"value\":{\"rev\":\"4-w\"},\"doc\":{\"_id\":\"h1\","
	    "\"_rev\":\"4-w\",\"_conflicts\":%s,\"doc_type\":\"SystemRecord\"}}]}",
	    list, list);
	respond(200, rows);
	assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_get");
	assert_string_equal(caught[0].body,
	    "{\"docs\":[{\"id\":\"h0\",\"rev\":\"3-a\"},{\"id\":\"h0\",\"rev\":\"3-b\"},"
	    "{\"id\":\"h0\",\"rev\":\"3-c\"},{\"id\":\"h0\",\"rev\":\"3-d\"}]}");
	respond(200, "{\"results\":[]}");
	respond(201,
	    "[{\"ok\":true,\"id\":\"h0\",\"rev\":\"5-w\"},{\"ok\":true,\"id\":\"h1\",\"rev\":\"5-w\"}]");
	assert_all(2, STORE_OK, "");
	renew(2);
	put(2);
	assert_string_equal(caught[0].body, "{\"keys\":[\"h1\",\"mark/h1\"]}");
}

/* Answers do not wait for it. */
static void
what_lost_and_cannot_be_read_stays(void **state)
{
	static const struct {
		long status;
		const char *body;
	} rows[] = {{500, "{}"}, {200, "<html>"}, {404, "{}"}, {0, ""}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		renew((int)i + 1);
		put(1);
		respond_in_conflict();
		respond(rows[i].status, rows[i].body);
		assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_docs");
		respond(201, "[{\"id\":\"h0\",\"error\":\"conflict\",\"reason\":\"x\"}]");
		assert_all(1, STORE_CONFLICT, "");
	}
}

/* --- outcomes --- */

#define JOB "01923456-789a-7bcd-8ef0-123456789abc"

/* Its answer to a job; the record is stored, whatever else is under way. */
static void
put_answer(size_t i)
{
	size_t before = n_caught;
	char body[128];

	results[i]->meta.job = xstrdup(JOB);
	ans[i].answered = false;
	store_put(store, &writes[i], 1, on_written, NULL);
	fake_advance(loop, 0);
	snprintf(body, sizeof(body), "{\"rows\":[{\"key\":\"h%zu\",\"error\":\"not_found\"}]}", i);
	respond_at(before, 200, body);
	snprintf(body, sizeof(body), "[{\"ok\":true,\"id\":\"h%zu\",\"rev\":\"1-a\"}]", i);
	respond_at(before, 201, body);
	fake_advance(loop, 0);
	assert_false(ans[i].answered);
}

/* The question whether the job is there. */
static void
respond_looked(const char *row)
{
	char body[256];

	assert_int_equal(n_caught, 1);
	assert_string_equal(caught[0].url, "http://h:5984/db_jobs/_all_docs");
	assert_string_equal(caught[0].body, "{\"keys\":[\"job/" JOB "\"]}");
	snprintf(body, sizeof(body), "{\"rows\":[{\"key\":\"job/" JOB "\",%s}]}", row);
	respond(200, body);
	fake_advance(loop, 0);
}

static void
respond_job_is_there(void)
{
	respond_looked("\"id\":\"job/" JOB "\",\"value\":{\"rev\":\"1-j\"}");
}

/* A page of the ledger, with so many outcomes. */
static void
respond_page(size_t outcomes, long status)
{
	const char *id = strstr(caught[0].body, "out/" JOB), *at = caught[0].body;
	char body[256];

	assert_int_equal(n_caught, 1);
	assert_string_equal(caught[0].url, "http://h:5984/db_jobs/_bulk_docs");
	for (; (at = strstr(at, "\"host\"")) != NULL; at++)
		outcomes--;
	assert_int_equal(outcomes, 0);
	snprintf(body, sizeof(body), "[{\"ok\":true,\"id\":\"%.*s\",\"rev\":\"1-b\"}]",
	    (int)strcspn(id, "\""), id);
	respond(status, body);
}

static void
outcomes_are_gathered_while_others_are_under_way(void **state)
{
	put_answer(0);
	respond_job_is_there();
	put_answer(1); /* of the same job: that is known by now */
	put_answer(2);
	respond_page(1, 201);
	assert_true(ans[0].answered);
	fake_advance(loop, 0);
	respond_page(2, 201);
	assert_all(3, STORE_OK, "");
	put_answer(3);
	respond_page(1, 500);
	assert_true(ans[3].answered && ans[3].status == STORE_RETRY);
}

/* The write is given again; its record is known to be safe, and the page is written anew. */
static void
a_page_is_written_until_201(void **state)
{
	static const struct {
		long status;
		const char *item;
	} rows[] = {
	    {202, "\"ok\":true,\"rev\":\"1-b\""},
	    {202, "\"ok\":true,\"rev\":\"1-b\",\"accepted\":true"},
	    {500, "\"ok\":true,\"rev\":\"1-b\""},
	    /* a page of our own, of a request that curl sent twice: the first may have got 202 */
	    {201, "\"error\":\"conflict\",\"reason\":\"x\""},
	};
	char body[256], id[128], before[128] = "";

	put_answer(0);
	respond_job_is_there();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = strstr(caught[0].body, "out/" JOB);

		assert_int_equal(n_caught, 1);
		assert_string_equal(caught[0].url, "http://h:5984/db_jobs/_bulk_docs");
		snprintf(id, sizeof(id), "%.*s", (int)strcspn(at, "\""), at);
		assert_string_not_equal(id, before);
		snprintf(before, sizeof(before), "%s", id);
		snprintf(body, sizeof(body), "[{\"id\":\"%s\",%s}]", id, rows[i].item);
		respond(rows[i].status, body);
		assert_all(1, STORE_RETRY, "");
		put(1);
		fake_advance(loop, 0);
	}
	respond_page(1, 201);
	assert_all(1, STORE_OK, "");
}

static const char none_there[] = "\"error\":\"not_found\"";

/* While it is not known whether the job is there nothing is answered; nor is it taken for one that
 * is not there when CouchDB could not say. */
static void
a_job_that_cannot_be_looked_for_is_no_stray(void **state)
{
	put_answer(0);
	respond(500, "{\"error\":\"x\"}");
	assert_all(1, STORE_RETRY, "in trouble");
	put(1);
	fake_advance(loop, 0);
	respond_looked("\"error\":\"timeout\"");
	assert_all(1, STORE_RETRY, "body that is not CouchDB's");
	put(1);
	fake_advance(loop, 0);
	respond_job_is_there();
	respond_page(1, 201);
	assert_all(1, STORE_OK, "");
}

/* A stray is acknowledged as anything else is: when a 201 says that it is on disk. */
static void
a_stray_is_written_until_201(void **state)
{
	static const struct {
		long status;
		const char *item;
	} rows[] = {
	    {202, "\"ok\":true,\"rev\":\"1-b\""},
	    {201, "\"ok\":true,\"rev\":\"1-b\",\"accepted\":true"},
	    {500, "\"ok\":true,\"rev\":\"1-b\""},
	    {201, "\"error\":\"forbidden\",\"reason\":\"x\""},
	};
	char body[256];

	put_answer(0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		respond_looked(none_there);
		assert_string_equal(caught[0].body, "{\"keys\":[\"stray/h0\"]}");
		respond(200, "{\"rows\":[{\"key\":\"stray/h0\",\"error\":\"not_found\"}]}");
		assert_non_null(strstr(caught[0].body, "\"job\":\"" JOB "\""));
		snprintf(body, sizeof(body), "[{\"id\":\"stray/h0\",%s}]", rows[i].item);
		respond(rows[i].status, body);
		fake_advance(loop, 0);
		assert_all(1, STORE_RETRY, "");
		put(1);
		fake_advance(loop, 0);
	}
	respond_looked(none_there);
	respond(200, "{\"rows\":[{\"key\":\"stray/h0\",\"error\":\"not_found\"}]}");
	respond(201, "[{\"ok\":true,\"id\":\"stray/h0\",\"rev\":\"1-b\"}]");
	assert_all(1, STORE_OK, "");
}

/* Another collector has written the document meanwhile: what it wrote stays. */
static void
a_stray_in_conflict_is_put_together_again(void **state)
{
	put_answer(0);
	respond_looked(none_there);
	respond(200, "{\"rows\":[{\"key\":\"stray/h0\",\"error\":\"not_found\"}]}");
	respond(201, "[{\"id\":\"stray/h0\",\"error\":\"conflict\",\"reason\":\"x\"}]");
	assert_string_equal(caught[0].body, "{\"keys\":[\"stray/h0\"]}");
	respond(200,
	    "{\"rows\":[{\"key\":\"stray/h0\",\"id\":\"stray/h0\",\"value\":{\"rev\":\"1-o\"},"
	    "\"doc\":{\"_id\":\"stray/h0\",\"_rev\":\"1-o\",\"outcomes\":[{\"job\":\"others\","
	    "\"state\":\"ok\"}]}}]}");
	assert_non_null(strstr(caught[0].body, "\"_rev\":\"1-o\""));
	assert_non_null(strstr(caught[0].body, "\"job\":\"others\""));
	assert_non_null(strstr(caught[0].body, "\"job\":\"" JOB "\""));
	respond(201, "[{\"ok\":true,\"id\":\"stray/h0\",\"rev\":\"2-b\"}]");
	assert_all(1, STORE_OK, "");
}

/* Closing with some on their way answers none, and leaks none. */
static void
strays_are_forgotten_with_the_store(void **state)
{
	put_answer(0);
	respond_looked(none_there);
	put_answer(1);
	assert_int_equal(n_caught, 2);
}

/* --- marks --- */

enum { LARGE = 20000 };

/* A result for the first host: a large value that begins with tag. */
static void
renew_large(int tag, int64_t order)
{
	char *value = xcalloc(1, LARGE);
	int len = snprintf(value, LARGE, "[%d,\"", tag);

	memset(value + len, 'x', LARGE - (size_t)len - 3);
	strcpy(value + LARGE - 3, "\"]");
	result_finish(results[0]);
	free(results[0]);
	results[0] = result_new(value, order);
	w[0].bytes = results[0]->value_len;
	free(value);
}

static void
begin_large(void)
{
	renew_large(1, 1);
	put(1);
	assert_non_null(strstr(caught[0].body, "[\"h0\",\"mark/h0\"]"));
	respond_none_there(1);
	assert_non_null(strstr(caught[0].body, "\"_mark\":1,"));
	respond_all_written(1, 1);
	assert_all(1, STORE_OK, "");
}

static void
respond_mark(const char *rev)
{
	char body[128];

	snprintf(body, sizeof(body), "[{\"ok\":true,\"id\":\"mark/h0\",\"rev\":\"%s\"}]", rev);
	respond(201, body);
}

static void
respond_there(const char *rev)
{
	char body[128];

	assert_string_equal(caught[0].url, "http://h:5984/db/_all_docs");
	assert_string_equal(caught[0].body, "{\"keys\":[\"h0\"]}");
	snprintf(body, sizeof(body),
	    "{\"rows\":[{\"id\":\"h0\",\"key\":\"h0\",\"value\":{\"rev\":\"%s\"}}]}", rev);
	respond(200, body);
}

static void
a_confirmed_value_costs_a_mark(void **state)
{
	begin_large();
	renew_large(1, 2);
	put(1);
	assert_int_equal(n_caught, 1);
	assert_string_equal(caught[0].url, "http://h:5984/db/_bulk_docs");
	assert_true(strlen(caught[0].body) < 1000);
	assert_non_null(strstr(caught[0].body,
	    "{\"_id\":\"mark/h0\",\"doc_type\":\"RecordMark\",\"of\":1,\"updated_at\":"));
	assert_non_null(strstr(caught[0].body, "\"order\":2"));
	respond_mark("1-m");
	assert_false(ans[0].answered); /* before the record is known to be there */
	respond_there("1-h0");
	assert_all(1, STORE_OK, "");
	renew_large(1, 3);
	put(1);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"mark/h0\",\"_rev\":\"1-m\""));
	respond_mark("2-m");
	respond_there("1-h0");
	assert_all(1, STORE_OK, "");
}

/* A mark that may be lost, and the record beside it that is not known to be safe any more: it is
 * written whole, after a seal. */
static void
a_mark_is_written_until_201(void **state)
{
	static const char accepted[] =
	    "[{\"ok\":true,\"id\":\"mark/h0\",\"rev\":\"1-m\",\"accepted\":true}]";

	for (size_t i = 0; i < sizeof(unsure) / sizeof(unsure[0]); i++) {
		char *record, *mark;

		renew_large(1, 1);
		put(1);
		respond_none_there(1);
		record = sent_document();
		respond_all_written(1, 1);
		renew_large(1, 2);
		put(1);
		mark = sent_document();
		respond(unsure[i].status,
		    strcmp(unsure[i].why, "quorum") == 0 ? accepted : unsure[i].body);
		assert_all(1, STORE_RETRY, "");
		assert_read_again(1);
		respond_read(record, "1-h0", mark, "1-m");
		assert_non_null(strstr(caught[0].body, "\"_rev\":\"1-m\""));
		assert_non_null(strstr(caught[0].body, "\"sealed\":true"));
		respond_mark("2-m");
		assert_non_null(strstr(caught[0].body, "\"order\":2"));
		respond_all_written(1, 2);
		assert_all(1, STORE_OK, "");
		respond_gone();
		free(record);
		free(mark);
	}
}

/* What is remembered of a record that was let go: it is known to be safe, and takes a mark. */
static void
what_the_cache_let_go_is_still_proven(void **state)
{
	struct trouble why;
	char *record;
	struct uri uri;
	struct options opt = {.record_max_bytes = 100000,
	    .batch_max_bytes = 256 * 1024,
	    .couch_requests = 2,
	    .couch_cache_bytes = 0,
	    .couch_timeout_ms = 30000};

	store_close(store);
	assert_true(uri_parse("couch://u:s3cret@h/db", &uri, &why));
	store = store_couch_ops.open(loop, &uri, &opt, STORE_MAKE, &why);
	uri_finish(&uri);
	renew_large(1, 1);
	put(1);
	respond_none_there(1);
	record = sent_document();
	respond_all_written(1, 1);
	assert_all(1, STORE_OK, "");
	renew_large(1, 2);
	put(1);
	respond_read(record, "1-h0", NULL, NULL);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"mark/h0\",\"doc_type\""));
	assert_null(strstr(caught[0].body, "\"sealed\""));
	respond_mark("1-m");
	respond_there("1-h0");
	assert_all(1, STORE_OK, "");
	put(1); /* of another revision nothing is known */
	respond_read(record, "1-else", NULL, NULL);
	assert_non_null(strstr(caught[0].body, "\"sealed\":true"));
	respond_mark("1-m");
	respond_all_written(1, 3);
	assert_all(1, STORE_OK, "");
	free(record);
}

static void
another_value_is_written_after_a_seal(void **state)
{
	begin_large();
	renew_large(1, 2);
	put(1);
	respond_mark("1-m");
	respond_there("1-h0");
	assert_all(1, STORE_OK, "");
	renew_large(2, 3);
	put(1);
	assert_true(strlen(caught[0].body) < 1000);
	assert_non_null(strstr(caught[0].body, "\"_rev\":\"1-m\""));
	assert_non_null(strstr(caught[0].body, "\"sealed\":true"));
	assert_non_null(strstr(caught[0].body, "\"order\":2")); /* what it said until now */
	assert_null(strstr(caught[0].body, "\"order\":3"));
	respond_mark("2-m");
	assert_false(ans[0].answered);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"1-h0\""));
	assert_non_null(strstr(caught[0].body, "\"order\":3"));
	assert_non_null(strstr(caught[0].body, "\"_mark\":2,"));
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
	/* No mark was of use since: the next but one is written without a seal. */
	renew_large(3, 4);
	put(1);
	respond_mark("3-m");
	assert_null(strstr(caught[0].body, "_mark"));
	respond_all_written(1, 3);
	assert_all(1, STORE_OK, "");
	renew_large(4, 5);
	put(1);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"3-h0\""));
	respond_all_written(1, 4);
	assert_all(1, STORE_OK, "");
}

static void
what_stands_in_the_way_of_a_mark(void **state)
{
	static const struct {
		const char *what;
		enum store_status status;
	} rows[] = {
	    {"[{\"id\":\"mark/h0\",\"error\":\"conflict\",\"reason\":\"x\"}]", STORE_CONFLICT},
	    {"[{\"id\":\"h0\",\"ok\":true,\"rev\":\"9-x\"}]", STORE_RETRY}, /* not what was sent */
	    {"[]", STORE_RETRY},
	};
	static const struct {
		const char *what;
		enum store_status status;
	} verified[] = {
	    {"{\"rows\":[{\"key\":\"h0\",\"value\":{\"rev\":\"2-else\"}}]}", STORE_CONFLICT},
	    {"{\"rows\":[{\"key\":\"h0\",\"value\":{\"rev\":\"2-h0\",\"deleted\":true}}]}",
		STORE_CONFLICT},
	    {"{\"rows\":[{\"key\":\"h0\",\"error\":\"not_found\"}]}", STORE_CONFLICT},
	    {"{\"rows\":[{\"key\":\"h0\",\"error\":\"timeout\"}]}", STORE_RETRY},
	    {"{\"rows\":[]}", STORE_RETRY},
	    {"<html>", STORE_RETRY},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin_large();
		renew_large(1, 2);
		put(1);
		respond(201, rows[i].what);
		assert_all(1, rows[i].status, "");
		assert_read_again(1);
		respond(200, "{\"rows\":[]}");
	}
	for (size_t i = 0; i < sizeof(verified) / sizeof(verified[0]); i++) {
		begin_large();
		renew_large(1, 2);
		put(1);
		respond_mark("1-m");
		respond(200, verified[i].what);
		assert_all(1, verified[i].status, "");
		assert_read_again(1);
		respond(200, "{\"rows\":[]}");
	}
}

/* A revision from replication has won over ours, which still takes writes that nobody sees. */
static void
a_written_record_is_looked_after_now_and_then(void **state)
{
	put(1);
	respond_none_there(1);
	respond_all_written(1, 1);
	assert_all(1, STORE_OK, "");
	renew(2);
	fake_advance(loop, 599999);
	put(1);
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
	fake_advance(loop, 1);
	renew(3);
	put(1);
	respond_all_written(1, 3);
	assert_false(ans[0].answered);
	respond_there("3-h0");
	assert_all(1, STORE_OK, "");
	renew(4);
	put(1); /* not again at once */
	respond_all_written(1, 4);
	assert_all(1, STORE_OK, "");
	fake_advance(loop, 600000);
	renew(5);
	put(1);
	respond_all_written(1, 5);
	respond_there("900-else");
	assert_all(1, STORE_CONFLICT, "has changed");
	assert_read_again(1); /* and goes on from that one */
	respond_read("{\"_id\":\"h0\",\"p\":0,\"vogeler\":{}}", "900-else", NULL, NULL);
	assert_non_null(strstr(caught[0].body, "\"_rev\":\"900-else\""));
	assert_non_null(strstr(caught[0].body, "\"p\":5"));
	respond_all_written(1, 901);
	assert_all(1, STORE_OK, "");
}

/* A database whose validation knows records only: nobody loses an answer. */
static void
refused_marks_are_done_without(void **state)
{
	static const char refusal[] =
	    "[{\"id\":\"mark/h0\",\"error\":\"forbidden\",\"reason\":\"no\"}]";

	begin_large();
	renew_large(1, 2);
	put(1);
	respond(201, refusal);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"1-h0\""));
	assert_null(strstr(caught[0].body, "_mark"));
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
	renew_large(1, 3);
	put(1); /* is not tried again */
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"2-h0\""));
	respond_all_written(1, 3);
	assert_all(1, STORE_OK, "");
}

/* Of one host: the others keep theirs. */
static void
a_refused_mark_is_of_one_host(void **state)
{
	begin_large();
	renew_large(1, 2);
	put(1);
	respond(201, "[{\"id\":\"mark/h0\",\"error\":\"forbidden\",\"reason\":\"no\"}]");
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
	hosts[0][1] = '9'; /* another host, with the same values */
	renew_large(1, 3);
	put(1);
	respond(200, "{\"rows\":[{\"key\":\"h9\",\"error\":\"not_found\"}]}");
	respond(201, "[{\"ok\":true,\"id\":\"h9\",\"rev\":\"1-h9\"}]");
	assert_all(1, STORE_OK, "");
	renew_large(1, 4);
	put(1);
	assert_non_null(strstr(caught[0].body, "\"_id\":\"mark/h9\""));
	respond(201, "[{\"ok\":true,\"id\":\"mark/h9\",\"rev\":\"1-m\"}]");
	respond(200, "{\"rows\":[{\"id\":\"h9\",\"key\":\"h9\",\"value\":{\"rev\":\"1-h9\"}}]}");
	assert_all(1, STORE_OK, "");
}

static void
a_request_refused_for_its_mark_is_no_dead_letter(void **state)
{
	begin_large();
	renew_large(1, 2);
	put(1);
	respond(400, "{\"error\":\"bad_request\",\"reason\":\"x\"}");
	assert_non_null(strstr(caught[0].body, "\"_id\":\"h0\",\"_rev\":\"1-h0\""));
	respond_all_written(1, 2);
	assert_all(1, STORE_OK, "");
}

static void
a_store_that_goes_after_the_seal(void **state)
{
	begin_large();
	renew_large(2, 2);
	put(1);
	respond_mark("1-m");
	respond(503, "");
	assert_all(1, STORE_RETRY, "503");
	assert_read_again(1); /* what became of the record is not known */
	respond(503, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(answers_are_matched_by_id),
	    TEST(a_request_has_the_size_of_the_reload),
	    TEST(what_an_answer_leaves_out_is_not_written),
	    TEST(only_a_whole_201_counts),
	    TEST(a_refused_batch_is_to_be_bisected),
	    TEST(what_may_have_landed_is_written_until_201),
	    TEST(a_202_tells_which_items_it_means),
	    TEST(known_ones_are_kept_when_reading_others_fails),
	    TEST(without_its_database_nothing_is_known),
	    TEST(requests_at_once_are_bounded),
	    TEST(retry_after_is_obeyed),
	    TEST(retry_after_holds_between_two_requests),
	    TEST(a_probe_waits_as_told_too),
	    TEST(fewer_requests_while_it_asks_for_less),
	    TEST(too_large_an_answer_makes_smaller_lots),
	    TEST(outcomes_are_gathered_while_others_are_under_way),
	    TEST(names_that_are_known_cost_one_request),
	    TEST(names_are_listed_by_two_at_once),
	    TEST(a_record_is_read_again_now_and_then),
	    TEST(what_lost_is_removed_after_a_201),
	    TEST(what_is_asked_for_at_once_fits_an_answer),
	    TEST(what_lost_and_cannot_be_read_stays),
	    TEST(a_page_is_written_until_201),
	    TEST(a_job_that_cannot_be_looked_for_is_no_stray),
	    TEST(a_stray_is_written_until_201),
	    TEST(a_stray_in_conflict_is_put_together_again),
	    TEST(strays_are_forgotten_with_the_store),
	    TEST(a_confirmed_value_costs_a_mark),
	    TEST(a_mark_is_written_until_201),
	    TEST(what_the_cache_let_go_is_still_proven),
	    TEST(another_value_is_written_after_a_seal),
	    TEST(what_stands_in_the_way_of_a_mark),
	    TEST(a_written_record_is_looked_after_now_and_then),
	    TEST(refused_marks_are_done_without),
	    TEST(a_refused_mark_is_of_one_host),
	    TEST(a_request_refused_for_its_mark_is_no_dead_letter),
	    TEST(a_store_that_goes_after_the_seal),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
