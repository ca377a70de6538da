/* SPDX-License-Identifier: Apache-2.0 */
/* uri: each scheme, what is refused, and that no password is ever shown. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
assert_same(const char *what, const char *got, const char *expected)
{
	if (expected == NULL ? got != NULL : got == NULL || strcmp(got, expected) != 0)
		fail_msg("%s is \"%s\", not \"%s\"", what, got != NULL ? got : "(null)",
		    expected != NULL ? expected : "(null)");
}

static void
good_uris(void **state)
{
	const struct {
		const char *text;
		struct {
			enum uri_scheme scheme;
			const char *user, *password, *host;
			uint16_t port;
			const char *path;
		} u;
		const char *redacted;
	} rows[] = {
	    {"amqp://guest:guest@127.0.0.1:5672/vogeler",
		{URI_AMQP, "guest", "guest", "127.0.0.1", 5672, "vogeler"},
		"amqp://guest:***@127.0.0.1:5672/vogeler"},
	    {"amqp://h", {URI_AMQP, NULL, NULL, "h", 5672, "/"}, "amqp://h:5672/"},
	    {"amqp://h/", {URI_AMQP, NULL, NULL, "h", 5672, "/"}, "amqp://h:5672/"},
	    {"amqp://h:/v", {URI_AMQP, NULL, NULL, "h", 5672, "v"}, "amqp://h:5672/v"},
	    {"amqp://h/%2Fvogeler", {URI_AMQP, NULL, NULL, "h", 5672, "/vogeler"},
		"amqp://h:5672/%2Fvogeler"},
	    {"amqp://h//vogeler", {URI_AMQP, NULL, NULL, "h", 5672, "/vogeler"},
		"amqp://h:5672/%2Fvogeler"},
	    {"amqp://h/%2f", {URI_AMQP, NULL, NULL, "h", 5672, "/"}, "amqp://h:5672/"},
	    {"amqps://u:@broker_1.example.com",
		{URI_AMQPS, "u", "", "broker_1.example.com", 5671, "/"},
		"amqps://u:***@broker_1.example.com:5671/"},
	    {"AMQP://u@[2001:db8::1]:1/a%20b", {URI_AMQP, "u", NULL, "2001:db8::1", 1, "a b"},
		"amqp://u@[2001:db8::1]:1/a%20b"},
	    {"amqp://[::1]", {URI_AMQP, NULL, NULL, "::1", 5672, "/"}, "amqp://[::1]:5672/"},
	    {"amqp://us%40er:p%40ss%3Aw%2Frd%25+@h:65535/v",
		{URI_AMQP, "us@er", "p@ss:w/rd%+", "h", 65535, "v"},
		"amqp://us%40er:***@h:65535/v"},
	    {"amqp://u:a:b@h/v", {URI_AMQP, "u", "a:b", "h", 5672, "v"}, "amqp://u:***@h:5672/v"},
	    {"couch://127.0.0.1:5984/system_records",
		{URI_COUCH, NULL, NULL, "127.0.0.1", 5984, "system_records"},
		"couch://127.0.0.1:5984/system_records"},
	    {"couch://h", {URI_COUCH, NULL, NULL, "h", 5984, "system_records"},
		"couch://h:5984/system_records"},
	    {"couchs://u:p@h/", {URI_COUCHS, "u", "p", "h", 6984, "system_records"},
		"couchs://u:***@h:6984/system_records"},
	    {"couch://h/db/", {URI_COUCH, NULL, NULL, "h", 5984, "db"}, "couch://h:5984/db"},
	    {"couch://h/a%2Fb", {URI_COUCH, NULL, NULL, "h", 5984, "a/b"}, "couch://h:5984/a%2Fb"},
	    {"sqlite:///var/lib/vogeler/v.db", {URI_SQLITE, .path = "/var/lib/vogeler/v.db"},
		"sqlite:///var/lib/vogeler/v.db"},
	    {"sqlite:///a b/c#d?e%20f", {URI_SQLITE, .path = "/a b/c#d?e f"},
		"sqlite:///a b/c#d?e f"},
	    {"null://", {URI_NULL, NULL, NULL, NULL, 0, NULL}, "null://"},
	    {"null:///", {URI_NULL, NULL, NULL, NULL, 0, NULL}, "null://"},
	};
	struct trouble why = {0};
	char out[300];

	for (size_t i = 0; i < N(rows); i++) {
		struct uri u, copy;

		if (!uri_parse(rows[i].text, &u, &why))
			fail_msg("%s: %s", rows[i].text, why.what);
		uri_copy(&copy, &u);
		uri_finish(&u);
		assert_int_equal(copy.scheme, rows[i].u.scheme);
		assert_int_equal(copy.port, rows[i].u.port);
		assert_same(rows[i].text, copy.user, rows[i].u.user);
		assert_same(rows[i].text, copy.password, rows[i].u.password);
		assert_same(rows[i].text, copy.host, rows[i].u.host);
		assert_same(rows[i].text, copy.path, rows[i].u.path);
		assert_ptr_equal(uri_redacted(&copy, out, sizeof(out)), out);
		assert_string_equal(out, rows[i].redacted);
		uri_finish(&copy);
	}
}

static void
bad_uris(void **state)
{
	/* "secret" stands wherever a password might. */
	const char *const bad[] = {"", "host", "host:5672", "secret", "http://h/", "amqp:/h",
	    "amqp//h", " amqp://h", "amqp://", "amqp:///v", "amqp://u:secret@/v",
	    "amqp://u:secret@:5672/v", "amqp://u:secret@h:70000/v", "amqp://u:secret@h:0/v",
	    "amqp://u:secret@h:12x/v", "amqp://u:se/secret@h/v", "amqp://u:se@secret@h/v",
	    "amqp://u:secret@::1/v", "amqp://u:secret@[::1/v", "amqp://u:secret@[::zz]/v",
	    "amqp://u:secret%@h/v", "amqp://u:secret%4@h/v", "amqp://u:secret%zz@h/v",
	    "amqp://u:secret%00@h/v", "amqp://u:secret@h/v%00w", "amqp://u:secret@h/v?heartbeat=1",
	    "amqp://u:secret@h/v#x", "amqp://u:secret@h o/v", "amqp://u:secret@h/a b",
	    "amqp://u:sec\xc3ret@h/v", "couch://u:secret@h/a/b", "couch://u:secret@h/_users",
	    "couch://u:secret@h/Big", "couch://u:secret@h/9a", "couch://u:secret@h/%2e%2e",
	    "couch://u:secret@/db", "sqlite://", "sqlite://v.db", "sqlite://u:secret@h/v.db",
	    "sqlite:///dir/", "sqlite:///", "sqlite:///a%00b", "null://secret"};
	struct trouble why = {0};

	for (size_t i = 0; i < N(bad); i++) {
		struct uri u;

		why.what[0] = '\0';
		if (uri_parse(bad[i], &u, &why))
			fail_msg("\"%s\" passed", bad[i]);
		if (why.what[0] == '\0' || strstr(why.what, "secret") != NULL ||
		    strstr(why.what, "sec") != NULL)
			fail_msg("%s: %s", bad[i], why.what);
		assert_true(strlen(why.what) < sizeof(why.what) - 1);
		assert_null(u.path); /* nothing is left to free */
		assert_null(u.password);
	}
}

static void
a_vhost_is_a_short_string(void **state)
{
	struct trouble why = {0};
	char text[400] = "amqp://h/";
	struct uri u;

	memset(text + 9, 'v', 255);
	assert_true(uri_parse(text, &u, &why));
	uri_finish(&u);
	memset(text + 9, 'v', 256);
	assert_false(uri_parse(text, &u, &why));
}

/* The nodes of one CouchDB: user, password and database stand once. */
static void
several_hosts_of_a_store(void **state)
{
	const char *const bad[] = {"couch://a,,b/db", "couch://a,/db",
	    "couch://u:secret@a,u:secret@b/db", "couch://u:secret@a,b:0/db",
	    "couch://u:secret@a,b:x/db", "couch://u:secret@,b/db"};
	struct uri u, v;
	struct trouble why = {0};
	char out[100];

	assert_true(uri_parse("couchs://u:p%2C%40@a,b:7000,[::1]/db", &u, &why));
	assert_string_equal(u.password, "p,@");
	assert_string_equal(u.host, "a");
	assert_int_equal(u.port, 6984);
	assert_int_equal(u.n_others, 2);
	assert_string_equal(u.others[0].host, "b");
	assert_int_equal(u.others[0].port, 7000);
	assert_string_equal(u.others[1].host, "::1");
	assert_int_equal(u.others[1].port, 6984);
	assert_string_equal(
	    uri_redacted(&u, out, sizeof(out)), "couchs://u:***@a:6984,b:7000,[::1]:6984/db");
	uri_copy(&v, &u);
	assert_true(uri_same_place(&u, &v));
	v.others[1].port = 1;
	assert_false(uri_same_place(&u, &v));
	uri_finish(&u);
	uri_finish(&v);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(uri_parse(bad[i], &u, &why));
		assert_null(strstr(why.what, "secret"));
	}
}

static void
a_postgresql(void **state)
{
	const char *const bad[] = {"pg://a,,b/c", "pg://a,:/c", "pg://a,/c", "pg://", "pg://h",
	    "pg://h/", "pg://h/a/b", "pg://h:0/a", "pg://h/a?host=/run", "pg:///a?host=run",
	    "pg:///a?sslmode", "pg:///a?options=x", "pg:///a?host=/run#x", "pg:///a?sslmode=%2",
	    "pg:///a?sslmode=on", "pg:///a?password=x", "pg:///a?target_session_attrs=primary"};
	struct trouble why = {0};
	struct uri u, v;
	char out[100];

	assert_true(uri_parse("pg://vogeler:s%40@db1,db2:5433/cmdb?sslmode=verify-full", &u, &why));
	assert_string_equal(u.host, "db1");
	assert_int_equal(u.port, 5432);
	assert_string_equal(u.path, "cmdb");
	assert_string_equal(u.others[0].host, "db2");
	assert_int_equal(u.others[0].port, 5433);
	assert_string_equal(u.settings[0].key, "sslmode");
	assert_string_equal(u.settings[0].value, "verify-full");
	assert_string_equal(
	    uri_redacted(&u, out, sizeof(out)), "pg://vogeler:***@db1:5432,db2:5433/cmdb");
	uri_copy(&v, &u);
	assert_true(uri_same_place(&u, &v));
	v.settings[0].value[0] = 'V';
	assert_false(uri_same_place(&u, &v));
	uri_finish(&u);
	uri_finish(&v);

	assert_true(uri_parse("pg://ann@:5433/cmdb?host=/run/post%20gres", &u, &why));
	assert_string_equal(u.host, "/run/post gres");
	assert_int_equal(u.port, 5433);
	assert_string_equal(
	    uri_redacted(&u, out, sizeof(out)), "pg://ann@:5433/cmdb?host=/run/post gres");
	uri_finish(&u);
	assert_true(uri_parse("pg:///cmdb", &u, &why));
	assert_null(u.host);
	assert_null(u.user);
	assert_string_equal(uri_redacted(&u, out, sizeof(out)), "pg:///cmdb");
	uri_finish(&u);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (uri_parse(bad[i], &u, &why))
			fail_msg("%s is taken", bad[i]);
}

static void
brokers(void **state)
{
	struct uri *list;
	size_t n;
	struct trouble why = {0};
	char out[100];

	assert_true(uri_parse_brokers("10.10.10.2", &list, &n, &why));
	assert_int_equal(n, 1);
	assert_string_equal(list[0].user, "guest");
	assert_string_equal(list[0].password, "guest");
	assert_string_equal(list[0].host, "10.10.10.2");
	assert_int_equal(list[0].port, 5672);
	assert_string_equal(list[0].path, "vogeler");
	uri_list_free(list, n);

	assert_true(uri_parse_brokers("amqps://u:p%2C@a/v , b:1234,\t[::1]:5 ", &list, &n, &why));
	assert_int_equal(n, 3);
	assert_string_equal(list[0].password, "p,");
	assert_string_equal(uri_redacted(&list[0], out, sizeof(out)), "amqps://u:***@a:5671/v");
	assert_string_equal(
	    uri_redacted(&list[1], out, sizeof(out)), "amqp://guest:***@b:1234/vogeler");
	assert_string_equal(
	    uri_redacted(&list[2], out, sizeof(out)), "amqp://guest:***@[::1]:5/vogeler");
	uri_list_free(list, n);
}

static void
bad_brokers(void **state)
{
	const char *const bad[] = {"", ",", "a,", ",a", "a,,b", " ", "couch://u:secret@h/db",
	    "null://", "sqlite:///a", "u:secret@h", "h/v", "h:secret", "amqp://u:secret,x@h",
	    "amqp://u:p@h,http://u:secret@h", "h%40x", "amqp://u:secret@a%40b", "amqp://a%2Fb",
	    "h%cc", "amqp://a%3Ab"};
	struct uri *list;
	size_t n;
	struct trouble why = {0};

	for (size_t i = 0; i < N(bad); i++) {
		why.what[0] = '\0';
		if (uri_parse_brokers(bad[i], &list, &n, &why))
			fail_msg("\"%s\" passed", bad[i]);
		assert_null(list);
		assert_int_equal(n, 0);
		if (why.what[0] == '\0' || strstr(why.what, "secret") != NULL)
			fail_msg("%s: %s", bad[i], why.what);
	}
}

static const struct {
	const char *text, *redacted, *scrubbed;
} shown[] = {
    {"amqp://u:secret@h:5672/v", "amqp://u:***@h:5672/v", "amqp://u:******@h:5672/v"},
    {"--qhost=amqp://u:secret@h", "--qhost=amqp://u:***@h", "--qhost=amqp://u:******@h"},
    {"amqp://u:secret@h,amqps://v:geheim@i/x", "amqp://u:***@h,amqps://v:***@i/x",
	"amqp://u:******@h,amqps://v:******@i/x"},
    {"amqp://u:secret@h, couch://v:geheim@i/x", "amqp://u:***@h, couch://v:***@i/x",
	"amqp://u:******@h, couch://v:******@i/x"},
    {"amqp://u:se/c@ret@h", "amqp://u:***@h", "amqp://u:********@h"},
    {"amqp://u:secret", "amqp://u:***", "amqp://u:******"},
    {"'amqp://u:secret/v' is not", "'amqp://u:***' is not", "'amqp://u:********' is not"},
    {"amqp://h:5672", "amqp://h:5672", "amqp://h:5672"},
    {"amqp://h:5672/v: refused", "amqp://h:5672/v: refused", "amqp://h:5672/v: refused"},
    {"amqp://h: refused", "amqp://h: refused", "amqp://h: refused"},
    {"amqp://[::1]:5672/v", "amqp://[::1]:5672/v", "amqp://[::1]:5672/v"},
    {"sqlite:///a/b:c", "sqlite:///a/b:c", "sqlite:///a/b:c"},
    {"amqp://u:se,ret@h", "amqp://u:***@h", "amqp://u:******@h"},
    {"amqp://u:x://y@h", "amqp://u:***@h", "amqp://u:*****@h"},
    {"amqp://u:amqp://y@h", "amqp://u:***@h", "amqp://u:********@h"},
    {"amqp.dsn=AMQP://u:secret@h", "amqp.dsn=AMQP://u:***@h", "amqp.dsn=AMQP://u:******@h"},
    {"u:secret@h", "u:***@h", "u:******@h"},
    {"send: u:secret@h is", "send: u:***@h is", "send: u:******@h is"},
    {"jobs: \"@last\" is one too many", "jobs: \"@last\" is one too many",
	"jobs: \"@last\" is one too many"},
    {"amqp://u: secret@h", "amqp://u:***@h", "amqp://u:*******@h"},
    {"amqp://u:@h", "amqp://u:***@h", "amqp://u:@h"},
    {"amqp://u@h:5672/v", "amqp://u@h:5672/v", "amqp://u@h:5672/v"},
    {"amqp://[::1]:5672/v", "amqp://[::1]:5672/v", "amqp://[::1]:5672/v"},
    {"h:5672", "h:5672", "h:5672"},
    {"pg:///d?password=s3c&host=/x", "pg:///d?password=***&host=/x",
	"pg:///d?password=***&host=/x"},
    {"pg:///d?host=/x&sslPassword=secret", "pg:///d?host=/x&sslPassword=***",
	"pg:///d?host=/x&sslPassword=******"},
    {"pg://u:se?password=@h/d", "pg://u:***@h/d", "pg://u:************@h/d"},
    {"?passwords=1", "?passwords=1", "?passwords=1"},
    {"", "", ""},
    {"no URI here", "no URI here", "no URI here"},
};

static void
redacts_text(void **state)
{
	char out[200];

	for (size_t i = 0; i < N(shown); i++)
		assert_string_equal(
		    uri_redact_text(shown[i].text, out, sizeof(out)), shown[i].redacted);
}

static const struct {
	const char *text, *masked;
} sentences[] = {
    {"cannot use amqp://u:secret@h:5672/v: refused", "cannot use amqp://u:***@h:5672/v: refused"},
    {"--qhost=amqp://u:se cret@h is none", "--qhost=amqp://u:***@h is none"},
    {"\"amqp://u:s e c@h\" is one too many", "\"amqp://u:***@h\" is one too many"},
    {"no such verb: \"u:se cret@h\"; there are: x", "no such verb: \"u:***@h\"; there are: x"},
    {"no such verb: u:secret@h", "no such verb: u:***@h"},
    {"amqp://h:5672/v: refused for bob@h", "amqp://h:5672/v: refused for bob@h"},
    {"amqp://u:***@h:5672/v: refused for bob@h", "amqp://u:***@h:5672/v: refused for bob@h"},
    {"web01: ssh: failed for bob@db01: no route, mail root@x",
	"web01: ssh: failed for bob@db01: no route, mail root@x"},
    {"--where: .mail == \"root@web01\" and: syntax error",
	"--where: .mail == \"root@web01\" and: syntax error"},
    {"failed on 2 hosts: n3: bad: n3@x; left out", "failed on 2 hosts: n3: bad: n3@x; left out"},
    {"the value: \"warning: mail root@x\" is no JSON",
	"the value: \"warning: mail root@x\" is no JSON"},
    {"list:8: \"@l6\": a host name has no @", "list:8: \"@l6\": a host name has no @"},
    {"an open \"amqp://u:secret@h", "an open \"amqp://u:***@h"},
    {"", ""},
};

static void
masks_sentences(void **state)
{
	for (size_t i = 0; i < N(sentences); i++) {
		char *masked = uri_mask_sentence(sentences[i].text);

		assert_string_equal(masked, sentences[i].masked);
		free(masked);
	}
}

static void
scrubs_in_place(void **state)
{
	for (size_t i = 0; i < N(shown); i++) {
		char *text = strdup(shown[i].text);

		uri_scrub(text);
		assert_string_equal(text, shown[i].scrubbed);
		uri_scrub(text); /* again changes nothing */
		assert_string_equal(text, shown[i].scrubbed);
		free(text);
	}
}

static void
small_buffers_cut(void **state)
{
	const char *text = "amqp://user:secret@host:5672/vhost";
	const char *redacted = "amqp://user:***@host:5672/vhost";
	struct uri u;
	struct trouble why = {0};
	char out[64];

	assert_true(uri_parse(text, &u, &why));
	for (size_t size = 1; size <= strlen(redacted) + 1; size++) {
		memset(out, '#', sizeof(out));
		uri_redacted(&u, out, size);
		assert_int_equal(strlen(out), size - 1);
		assert_memory_equal(out, redacted, size - 1);
		assert_true(out[size] == '#');
		memset(out, '#', sizeof(out));
		uri_redact_text(text, out, size);
		assert_memory_equal(out, redacted, size - 1);
		assert_true(out[size] == '#');
	}
	uri_finish(&u);
}

static bool
same_places(const char *a, const char *b)
{
	struct uri *list_a, *list_b;
	size_t n_a, n_b;
	struct trouble why = {0};
	bool same;

	assert_true(uri_parse_brokers(a, &list_a, &n_a, &why));
	assert_true(uri_parse_brokers(b, &list_b, &n_b, &why));
	same = uri_list_same_places(list_a, n_a, list_b, n_b);
	uri_list_free(list_a, n_a);
	uri_list_free(list_b, n_b);
	return same;
}

static void
a_login_is_no_place(void **state)
{
	const char *one = "amqp://u:p@h/v";

	assert_true(same_places(one, "amqp://u:q@h/v"));
	assert_true(same_places(one, "amqp://w@h:5672/v"));
	assert_false(same_places(one, "amqp://u:p@g/v"));
	assert_false(same_places(one, "amqp://u:p@h:5673/v"));
	assert_false(same_places(one, "amqp://u:p@h/w"));
	assert_false(same_places(one, "amqps://u:p@h:5672/v"));
	assert_false(same_places(one, "amqp://u:p@h/v,amqp://u:p@h/v"));
	assert_true(same_places("amqp://u:p@h/v,amqp://u:p@g/v", "amqp://a:b@h/v,amqp://c:d@g/v"));
	assert_false(same_places("amqp://u:p@h/v,amqp://u:p@g/v", "amqp://u:p@g/v,amqp://u:p@h/v"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_uris),
	    cmocka_unit_test(bad_uris),
	    cmocka_unit_test(a_vhost_is_a_short_string),
	    cmocka_unit_test(several_hosts_of_a_store),
	    cmocka_unit_test(a_postgresql),
	    cmocka_unit_test(brokers),
	    cmocka_unit_test(bad_brokers),
	    cmocka_unit_test(redacts_text),
	    cmocka_unit_test(masks_sentences),
	    cmocka_unit_test(scrubs_in_place),
	    cmocka_unit_test(small_buffers_cut),
	    cmocka_unit_test(a_login_is_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
