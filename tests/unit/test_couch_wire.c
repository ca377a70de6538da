/* SPDX-License-Identifier: Apache-2.0 */
/* The answers here are CouchDB 3.5's and pouchdb-server 4.2's own words, or what proxies say in
 * their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/store/couch/couch_wire.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define ID "couch://vogeler:***@db.example.com:5984/system_records"

static struct http_response
answer(long status, const char *body)
{
	return (struct http_response){.status = status,
	    .body = body,
	    .body_len = strlen(body),
	    .content_type = "application/json"};
}

static void
assert_answer(const struct http_response *r, long want, enum couch_answer a, const char *part)
{
	char why[TROUBLE_WHAT_SIZE + TROUBLE_CURE_SIZE];
	struct trouble t;
	enum couch_answer got = couch_answer_read(r, want, ID, &t);

	trouble_format(&t, why, sizeof(why));
	assert_string_equal(couch_answer_name(got), couch_answer_name(a));
	if (a == COUCH_DONE) {
		assert_string_equal(why, "");
		return;
	}
	assert_non_null(strstr(why, ID));
	if (strstr(why, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, why);
}

static void
urls(void **state)
{
	char host[] = "h", path[] = "a/b+c", user[] = "u", password[] = "pw";
	char v6[] = "::1", db[] = "db";
	struct uri uri = {.scheme = URI_COUCH,
	    .host = host,
	    .port = 5984,
	    .path = path,
	    .user = user,
	    .password = password};
	const struct couch_range range = {
	    .start = "a\"b", .end = "a/", .limit = 11, .docs = true, .descending = true};
	char *url;

	(void)state;
	url = couch_url(&uri);
	assert_string_equal(url, "http://h:5984/a%2Fb%2Bc");
	free(url);
	uri.scheme = URI_COUCHS;
	uri.host = v6;
	uri.port = 6984;
	uri.path = db;
	url = couch_url(&uri);
	assert_string_equal(url, "https://[::1]:6984/db");
	free(url);
	url = couch_url_doc("http://h/db", "web01.example.com");
	assert_string_equal(url, "http://h/db/web01.example.com");
	free(url);
	url = couch_url_doc("http://h/db", "../_design/x?y");
	assert_string_equal(url, "http://h/db/..%2F_design%2Fx%3Fy");
	free(url);
	url = couch_url_doc("http://h/db", "_design/a/b");
	assert_string_equal(url, "http://h/db/_design/a%2Fb");
	free(url);
	url = couch_url_range("http://h/db", &(struct couch_range){.limit = 11});
	assert_string_equal(url, "http://h/db/_all_docs?limit=11");
	free(url);
	url = couch_url_range("http://h/db", &range);
	assert_string_equal(url, "http://h/db/_all_docs?limit=11&include_docs=true&descending=true"
				 "&startkey=%22a%5C%22b%22&endkey=%22a%2F%22");
	free(url);
}

static void
keys(void **state)
{
	const char *const ids[] = {"b", "a\"x"};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_true(couch_keys_body(&out, ids, 2));
	assert_string_equal(out.data, "{\"keys\":[\"b\",\"a\\\"x\"]}");
	buf_finish(&out);
}

static void
done_is_what_was_wanted(void **state)
{
	struct http_response r = answer(201, "[]");

	(void)state;
	assert_answer(&r, 201, COUCH_DONE, "");
	assert_answer(&r, 200, COUCH_UNKNOWN, "201");
	r = answer(200, "<html>Sign in to the guest network</html>");
	assert_answer(&r, 201, COUCH_UNKNOWN, "proxy");
	r = answer(202, "[{\"ok\":true,\"id\":\"a\",\"rev\":\"1-x\"}]");
	assert_answer(&r, 201, COUCH_UNKNOWN, "quorum");
	r = answer(301, "<html>Moved</html>");
	assert_answer(&r, 201, COUCH_UNKNOWN, "proxy");
}

static void
missing_document_or_database(void **state)
{
	struct http_response r = answer(404, "{\"error\":\"not_found\",\"reason\":\"missing\"}");

	(void)state;
	assert_answer(&r, 200, COUCH_MISSING, "no such document");
	r = answer(404, "{\"error\":\"not_found\",\"reason\":\"deleted\"}");
	assert_answer(&r, 200, COUCH_MISSING, "no such document");
	r = answer(404, "{\"error\":\"not_found\",\"reason\":\"Database does not exist.\"}");
	assert_answer(&r, 200, COUCH_NO_DB,
	    "database system_records does not exist at " ID "; cure: run vogeler-admin setup");
	r = answer(404, "{\"error\":\"not_found\",\"reason\":\"no_db_file\"}");
	assert_answer(&r, 201, COUCH_NO_DB, "run vogeler-admin setup");
	r = answer(404, "<html>nginx</html>");
	assert_answer(&r, 200, COUCH_UNKNOWN, "proxy");
}

static void
refusals_and_troubles(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum couch_answer a;
		const char *part;
	} rows[] = {
	    {400,
		"{\"error\":\"illegal_docid\",\"reason\":\"Only reserved document ids may start with "
		"underscore.\"}",
		COUCH_BAD, "illegal_docid"},
	    {413, "{\"error\":\"document_too_large\",\"reason\":\"x\"}", COUCH_BAD,
		"document_too_large"},
	    {413, "<html>nginx</html>", COUCH_BAD, "413"},
	    {401, "{\"error\":\"unauthorized\",\"reason\":\"Name or password is incorrect.\"}",
		COUCH_DENIED, "Name or password is incorrect"},
	    {403, "{\"error\":\"forbidden\",\"reason\":\"You are not allowed\"}", COUCH_DENIED,
		"check user and password"},
	    {401, "", COUCH_DENIED, "denies access to user \"vogeler\" (401)"},
	    {408, "", COUCH_UNKNOWN, "408"},
	    {409, "{\"error\":\"conflict\",\"reason\":\"Document update conflict.\"}",
		COUCH_CONFLICT, "409"},
	    {412, "{\"error\":\"file_exists\",\"reason\":\"x\"}", COUCH_EXISTS, "412"},
	    {415, "{\"error\":\"bad_content_type\",\"reason\":\"x\"}", COUCH_UNKNOWN, "415"},
	    {417, "", COUCH_UNKNOWN, "417"},
	    {500, "{\"error\":\"internal_server_error\",\"reason\":\"enospc\"}", COUCH_UNKNOWN,
		"enospc"},
	    {502, "<html>Bad Gateway</html>", COUCH_UNKNOWN, "502"},
	    {503, "", COUCH_UNKNOWN, "503"},
	    {504, "", COUCH_UNKNOWN, "504"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_response r = answer(rows[i].status, rows[i].body);

		assert_answer(&r, 201, rows[i].a, rows[i].part);
	}
}

static void
who_is_denied(void **state)
{
	static const char *const rows[][2] = {
	    {"couch://db.example.com:5984/x", "without a user"},
	    {"couch://ann:***@db:5984/x", "to user \"ann\""},
	    {"couch://ann@db:5984/x", "to user \"ann\""},
	    {"couch://[::1]:5984/x@y", "without a user"},
	};
	struct http_response r = answer(401, "");
	struct trouble why;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		couch_answer_read(&r, 200, rows[i][0], &why);
		assert_non_null(strstr(why.what, rows[i][0]));
		assert_non_null(strstr(why.what, rows[i][1]));
	}
}

static void
slow_down(void **state)
{
	struct http_response r = answer(429, "");

	(void)state;
	assert_answer(&r, 201, COUCH_UNKNOWN, "asks for time");
	r.retry_after_s = 7;
	assert_answer(&r, 201, COUCH_UNKNOWN, "retry after 7 s");
}

static void
no_answer(void **state)
{
	struct http_response r = {.error = "connection refused", .never_sent = true, .body = ""};

	(void)state;
	assert_answer(&r, 201, COUCH_UNKNOWN, "cannot be reached: connection refused");
	r = (struct http_response){.error = "cut after 10 bytes", .body = ""};
	assert_answer(&r, 201, COUCH_UNKNOWN, "no whole answer: cut after 10 bytes");
	r = (struct http_response){.error = "the answer is too large", .body = ""};
	assert_answer(&r, 200, COUCH_UNKNOWN, "too large");
}

static void
statuses(void **state)
{
	(void)state;
	assert_int_equal(couch_answer_status(COUCH_BAD, 2), STORE_REJECT_BATCH);
	assert_int_equal(couch_answer_status(COUCH_BAD, 1), STORE_REFUSED);
	assert_int_equal(couch_answer_status(COUCH_CONFLICT, 2), STORE_CONFLICT);
	assert_int_equal(couch_answer_status(COUCH_DENIED, 1), STORE_RETRY);
	assert_int_equal(couch_answer_status(COUCH_NO_DB, 1), STORE_RETRY);
	assert_int_equal(couch_answer_status(COUCH_MISSING, 1), STORE_RETRY);
	assert_int_equal(couch_answer_status(COUCH_UNKNOWN, 1), STORE_RETRY);
}

static void
items_by_id(void **state)
{
	static const char body[] =
	    "[{\"id\":\"c\",\"error\":\"conflict\",\"reason\":\"Document update conflict.\"},"
	    "{\"ok\":true,\"id\":\"a\",\"rev\":\"2-x\"},"
	    "{\"id\":\"f\",\"error\":\"forbidden\",\"reason\":\"not yours\"},"
	    "{\"id\":\"u\",\"error\":\"unauthorized\",\"reason\":\"\"},"
	    "{\"id\":\"t\",\"error\":\"too_large\"},"
	    "{\"id\":\"i\",\"error\":\"internal_server_error\",\"reason\":\"timeout\"},"
	    "{\"id\":\"n\"},{\"ok\":true,\"rev\":\"1-y\"},7]";
	static const struct {
		const char *id;
		enum store_status status;
		const char *why;
	} want[] = {
	    {"c", STORE_CONFLICT, "conflict"},
	    {"a", STORE_OK, NULL},
	    {"f", STORE_REFUSED, "forbidden, not yours"},
	    {"u", STORE_REFUSED, "unauthorized"},
	    {"t", STORE_REFUSED, "too_large"},
	    {"i", STORE_RETRY, "timeout"},
	    {"n", STORE_RETRY, "neither"},
	};
	struct couch_item *items;
	size_t n;

	(void)state;
	assert_true(couch_items_parse(body, strlen(body), &items, &n));
	assert_int_equal(n, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(items[i].id, want[i].id);
		assert_int_equal(items[i].status, want[i].status);
		if (want[i].why == NULL) {
			assert_null(items[i].why);
			assert_string_equal(items[i].rev, "2-x");
		} else {
			assert_non_null(strstr(items[i].why->what, want[i].why));
			assert_null(items[i].rev);
		}
	}
	couch_items_free(items, n);
}

/* Cut at every byte, and what is no such answer at all. */
static void
items_garbled(void **state)
{
	static const char body[] = "[{\"ok\":true,\"id\":\"a\",\"rev\":\"2-x\"},{\"ok\":true,"
				   "\"id\":\"b\",\"rev\":\"1-x\"}]";
	static const char *const bad[] = {"", "{}", "<html>", "null", "{\"error\":\"x\"}", "[1"};
	struct couch_item *items;
	size_t n;

	(void)state;
	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		assert_false(couch_items_parse(body, len, &items, &n));
		couch_items_free(items, n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(couch_items_parse(bad[i], strlen(bad[i]), &items, &n));
		couch_items_free(items, n);
	}
}

static void
rows_of_all_docs(void **state)
{
	static const char body[] =
	    "{\"total_rows\":3,\"offset\":0,\"rows\":[\n"
	    "{\"key\":\"zz\",\"error\":\"not_found\"},"
	    "{\"id\":\"a\",\"key\":\"a\",\"value\":{\"rev\":\"1-x\"},\"doc\":{\"_id\":\"a\","
	    "\"_rev\":\"1-x\",\"n\":123456789012345678901234567890}},"
	    "{\"id\":\"d\",\"key\":\"d\",\"value\":{\"rev\":\"2-x\",\"deleted\":true},\"doc\":null},"
	    "{\"key\":\"e\",\"error\":\"internal_server_error\"}]}";
	struct couch_rows rows;
	struct couch_row row;

	(void)state;
	assert_true(couch_rows_open(&rows, body, strlen(body)));
	assert_true(couch_rows_next(&rows, &row));
	assert_string_equal(row.id, "zz");
	assert_null(row.doc.text);
	assert_false(row.error);
	couch_row_finish(&row);
	assert_true(couch_rows_next(&rows, &row));
	assert_string_equal(row.id, "a");
	assert_true(jspan_is(
	    row.doc, "{\"_id\":\"a\",\"_rev\":\"1-x\",\"n\":123456789012345678901234567890}"));
	couch_row_finish(&row);
	assert_true(couch_rows_next(&rows, &row));
	assert_string_equal(row.id, "d");
	assert_null(row.doc.text);
	assert_false(row.error);
	couch_row_finish(&row);
	assert_true(couch_rows_next(&rows, &row));
	assert_true(row.error);
	couch_row_finish(&row);
	assert_false(couch_rows_next(&rows, &row));
	assert_false(rows.it.bad);
}

static void
rows_garbled(void **state)
{
	static const char *const bad[] = {"", "[]", "<html>", "{\"rows\":{}}", "{\"rows\":7}", "{}",
	    "{\"rows\":[{\"key\":\"a\"}", "{\"error\":\"x\"}"};
	static const char *const bad_rows[] = {"{\"rows\":[7]}", "{\"rows\":[{}]}",
	    "{\"rows\":[{\"key\":null}]}", "{\"rows\":[{\"key\":\"a\"} {\"key\":\"b\"}]}"};
	struct couch_rows rows;
	struct couch_row row;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(couch_rows_open(&rows, bad[i], strlen(bad[i])));
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		assert_true(couch_rows_open(&rows, bad_rows[i], strlen(bad_rows[i])));
		while (couch_rows_next(&rows, &row))
			couch_row_finish(&row);
		assert_true(rows.it.bad);
	}
}

static void
revisions(void **state)
{
	static const char put[] = "{\"ok\":true,\"id\":\"_local/x\",\"rev\":\"0-4\"}";
	static const char doc[] = "{\"_id\":\"_local/x\",\"_rev\":\"0-4\",\"a\":1}";
	char *rev;

	(void)state;
	rev = couch_rev(put, strlen(put));
	assert_string_equal(rev, "0-4");
	free(rev);
	rev = couch_rev(doc, strlen(doc));
	assert_string_equal(rev, "0-4");
	free(rev);
	assert_null(couch_rev("{}", 2));
	assert_null(couch_rev("<a>", 3));
	assert_null(couch_rev("{\"rev\":7}", 9));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls),
	    cmocka_unit_test(keys),
	    cmocka_unit_test(done_is_what_was_wanted),
	    cmocka_unit_test(missing_document_or_database),
	    cmocka_unit_test(refusals_and_troubles),
	    cmocka_unit_test(who_is_denied),
	    cmocka_unit_test(slow_down),
	    cmocka_unit_test(no_answer),
	    cmocka_unit_test(statuses),
	    cmocka_unit_test(items_by_id),
	    cmocka_unit_test(items_garbled),
	    cmocka_unit_test(rows_of_all_docs),
	    cmocka_unit_test(rows_garbled),
	    cmocka_unit_test(revisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
