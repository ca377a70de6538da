/* What -n says, and whom it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const inventory[] = {"db01", "db02", "dbx", "web01", "web02", "web10"};

struct meant {
	bool ok;
	struct targets t;
	char err[512];
	char hosts[512];  /* "db01 db02" */
	char nobody[256]; /* "x*;y*;" */
};

static void
on_nobody(const char *glob, void *arg)
{
	struct meant *m = arg;
	size_t at = strlen(m->nobody);

	snprintf(m->nobody + at, sizeof(m->nobody) - at, "%s;", glob);
}

/* Up to two values of -n. The caller finishes t. */
static struct meant
mean(const char *first, const char *second)
{
	char *nodes[] = {(char *)first, (char *)second, NULL};
	struct hosts known = {0}, out = {0};
	struct meant m = {0};
	size_t at = 0;

	m.ok = targets_parse(&m.t, nodes, m.err, sizeof(m.err));
	if (!m.ok)
		return m;
	for (size_t i = 0; i < sizeof(inventory) / sizeof(inventory[0]); i++)
		hosts_add(&known, inventory[i]);
	targets_resolve(&m.t, &known, &out, on_nobody, &m);
	for (size_t i = 0; i < out.n; i++)
		at += (size_t)snprintf(
		    m.hosts + at, sizeof(m.hosts) - at, "%s%s", i > 0 ? " " : "", out.names[i]);
	hosts_finish(&known);
	hosts_finish(&out);
	return m;
}

static void
assert_meant(const char *first, const char *second, const char *hosts)
{
	struct meant m = mean(first, second);

	if (!m.ok)
		fail_msg("-n %s: %s", first, m.err);
	assert_string_equal(m.hosts, hosts);
	targets_finish(&m.t);
}

static void
assert_refused(const char *first, const char *second, const char *why)
{
	struct meant m = mean(first, second);

	if (m.ok || strstr(m.err, why) == NULL)
		fail_msg("-n %s: %s", first, m.ok ? m.hosts : m.err);
	targets_finish(&m.t);
}

static void
test_names_and_globs(void **state)
{
	assert_meant("web01", NULL, "web01");
	assert_meant("all", NULL, "db01 db02 dbx web01 web02 web10");
	assert_meant("web02,db01,web02", NULL, "db01 web02");
	assert_meant("web02", "db01", "db01 web02");
	assert_meant("web*", NULL, "web01 web02 web10");
	assert_meant("db[0-9]*", NULL, "db01 db02");
	assert_meant("db0?,web10", "web*", "db01 db02 web01 web02 web10");
	assert_meant("db[!0]", NULL, "dbx");
	assert_meant("*", NULL, "db01 db02 dbx web01 web02 web10");
	assert_meant("not-known", NULL, "not-known");
}

static void
test_glob_that_fits_nobody_is_told(void **state)
{
	struct meant m = mean("mail*,web01", "x?");

	assert_true(m.ok);
	assert_string_equal(m.hosts, "web01");
	assert_string_equal(m.nobody, "mail*;x?;");
	targets_finish(&m.t);
}

static void
test_what_is_many(void **state)
{
	struct meant m = mean("web01,db01", NULL);

	assert_false(m.t.many);
	assert_false(targets_need_known(&m.t));
	assert_string_equal(m.t.text, "web01,db01");
	targets_finish(&m.t);
	m = mean("web01", "db*");
	assert_true(m.t.many);
	assert_true(targets_need_known(&m.t));
	assert_string_equal(m.t.text, "web01,db*");
	targets_finish(&m.t);
	m = mean("all", NULL);
	assert_false(m.t.many);
	assert_true(targets_need_known(&m.t));
	targets_finish(&m.t);
}

static void
test_what_cannot_be(void **state)
{
	assert_refused("", NULL, "empty");
	assert_refused("a,,b", NULL, "empty");
	assert_refused("a b", NULL, "a b");
	assert_refused("broadcasts.x", NULL, "broadcasts.x");
	assert_refused("_design*", NULL, "glob");
	assert_refused("web[01", NULL, "]");
	assert_refused("all", "web01", "alone");
	assert_refused("web01,all", NULL, "all");
	assert_refused("@/nowhere/hosts", NULL, "/nowhere/hosts: ");
	assert_refused("/nowhere/hosts", NULL, "/nowhere/hosts: ");
}

/* Of that content; freed and removed by the caller. */
static char *
file(const char *text, size_t len)
{
	char path[] = "/tmp/test_target.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	return strdup(path);
}

static void
test_file(void **state)
{
	static const char text[] = "# the web\nweb01 # first\r\n\n\tdb0*  \nmail01";
	char *path = file(text, sizeof(text) - 1), at[64];

	snprintf(at, sizeof(at), "@%s", path);
	assert_meant(at, NULL, "db01 db02 mail01 web01");
	assert_meant(path, "dbx", "db01 db02 dbx mail01 web01");
	unlink(path);
	free(path);
}

static void
test_file_that_is_none(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *why;
	} files[] = {
	    {"", 0, "names no host"},
	    {"# web01\n\n", 9, "names no host"},
	    {"web01\nweb 02\n", 13, ":2: \"web 02\": "},
	    {"web01\n\nall\n", 11, ":3: \"all\": "},
	    {"web\0001\n", 6, "NUL"},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = file(files[i].text, files[i].len);

		assert_refused(path, NULL, files[i].why);
		unlink(path);
		free(path);
	}
}

static void
test_no_node(void **state)
{
	struct targets t;
	char err[64];

	assert_true(targets_parse(&t, NULL, err, sizeof(err)));
	assert_false(targets_need_known(&t));
	assert_null(t.text);
	targets_finish(&t);
}

static struct hosts
list(const char *words)
{
	struct hosts h = {0};
	char word[2] = "";

	for (; *words != '\0'; words++) {
		word[0] = *words;
		hosts_add(&h, word);
	}
	hosts_sort(&h);
	return h;
}

static void
test_lists(void **state)
{
	struct hosts a = list("dbaacab"), b = list("xbdz"), none = {0};

	assert_int_equal(a.n, 4);
	hosts_intersect(&a, &b);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.names[0], "b");
	assert_string_equal(a.names[1], "d");
	hosts_cut(&b, 3);
	assert_int_equal(b.n, 3);
	hosts_intersect(&b, &none);
	assert_int_equal(b.n, 0);
	hosts_sort(&b);
	hosts_finish(&a);
	hosts_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names_and_globs),
	    cmocka_unit_test(test_glob_that_fits_nobody_is_told),
	    cmocka_unit_test(test_what_is_many),
	    cmocka_unit_test(test_what_cannot_be),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_file_that_is_none),
	    cmocka_unit_test(test_no_node),
	    cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
