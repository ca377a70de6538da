/* SPDX-License-Identifier: Apache-2.0 */
/* What -n says, and whom it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/target/target.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const inventory[] = {"db01", "db02", "dbx", "web01", "web02", "web10"};

static struct hostgroups configured;

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

	m.ok = targets_parse(&m.t, "-n ", nodes, &configured, m.err, sizeof(m.err));
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
names_and_globs(void **state)
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
numbers_in_brackets(void **state)
{
	struct meant m = mean("web[1,10-12],db01", NULL);

	assert_string_equal(m.hosts, "db01 web1 web10 web11 web12"); /* not "web1" by a glob */
	assert_true(m.t.many);
	assert_false(targets_need_known(&m.t)); /* they are names */
	targets_finish(&m.t);
	assert_meant("db02, web[01-02,10] ,dbx", NULL, "db02 dbx web01 web02 web10");
	assert_meant("w*[01-02]", NULL, "web01 web02"); /* a glob besides */
	assert_meant("db0[1-2]", NULL, "db01 db02");    /* of characters: those that are known */
	assert_meant("db0[3-9]", NULL, "");
	assert_refused("web[12-10]", NULL, "lower");
	assert_refused("web[a,b]", NULL, "numbers");
	assert_refused("web[0-100000]", NULL, "100000");
	m = mean("mail[10-11]*,web01", NULL);
	assert_string_equal(m.nobody, "mail[10-11]*;");
	targets_finish(&m.t);
}

static void
glob_that_fits_nobody_is_told(void **state)
{
	struct meant m = mean("mail*,web01", "x?");

	assert_true(m.ok);
	assert_string_equal(m.hosts, "web01");
	assert_string_equal(m.nobody, "mail*;x?;");
	targets_finish(&m.t);
}

static void
what_is_many(void **state)
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
what_cannot_be(void **state)
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
hosts_of_a_file(void **state)
{
	static const char text[] = "\xef\xbb\xbf# the web\nweb01 # first\r\n\n\tdb0*  \nmail01";
	char *path = file(text, sizeof(text) - 1), at[64];

	snprintf(at, sizeof(at), "@%s", path);
	assert_meant(at, NULL, "db01 db02 mail01 web01");
	assert_meant(path, "dbx", "db01 db02 dbx mail01 web01");
	unlink(path);
	free(path);
	path = file("\xef\xbb\xbfqueued01, web[09-11]\n", 24);
	assert_meant(path, NULL, "queued01 web09 web10 web11");
	unlink(path);
	free(path);
}

static void
file_that_is_none(void **state)
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
no_node(void **state)
{
	struct targets t;
	char err[64];

	assert_true(targets_parse(&t, "-n ", NULL, &configured, err, sizeof(err)));
	assert_false(targets_need_known(&t));
	assert_null(t.text);
	targets_finish(&t);
}

/* --- groups --- */

static void
set_group(const char *section, const char *key, const char *value)
{
	char err[256];

	if (!hostgroups_set(
		&configured, section, key, value, "/etc/vogeler/vogeler.conf", 7, err, sizeof(err)))
		fail_msg("[%s] %s = %s: %s", section, key, value, err);
}

static int
without_groups(void **state)
{
	hostgroups_finish(&configured);
	return 0;
}

static void
groups(void **state)
{
	struct meant m;

	set_group("group web", "hosts", "web*");
	set_group("group db", "hosts", "db[01-02], dbx");
	set_group("GROUP front", "Hosts", "@web,mail01,@group:Web");
	set_group("group everyone", "hosts", "all");
	assert_meant("@web", NULL, "web01 web02 web10");
	assert_meant("@WEB", NULL, "web01 web02 web10");
	assert_meant("@group:web", NULL, "web01 web02 web10");
	assert_meant(" @web , db01", NULL, "db01 web01 web02 web10");
	assert_meant("dbx,@web", "@db", "db01 db02 dbx web01 web02 web10");
	assert_meant("@front", NULL, "mail01 web01 web02 web10");
	assert_meant("@everyone", "web01", "db01 db02 dbx web01 web02 web10");
	m = mean("@db", NULL);
	assert_true(m.t.many);
	assert_false(targets_need_known(&m.t)); /* they are names */
	assert_true(targets_include(&m.t, "db02"));
	assert_false(targets_include(&m.t, "web01"));
	targets_finish(&m.t);
	m = mean("@front", NULL);
	assert_true(targets_need_known(&m.t)); /* for the globs of a group in it */
	assert_true(targets_include(&m.t, "web77"));
	targets_finish(&m.t);
}

static void
group_without_a_host_is_told(void **state)
{
	struct meant m;

	set_group("group mail", "hosts", "mail*");
	m = mean("@mail,web01", NULL);
	assert_string_equal(m.hosts, "web01");
	assert_string_equal(m.nobody, "@mail;");
	targets_finish(&m.t);
}

static void
fill_fit(struct target_group *g, void *arg)
{
	for (const char *const *name = arg; *name != NULL; name++)
		hosts_add(&g->fit, *name);
	hosts_sort(&g->fit);
}

static void
where_of_a_group(void **state)
{
	static const char *const fit[] = {"db01", "web02", "web10", NULL};
	struct hosts known = {0}, out = {0};
	char old[] = "@old,dbx", any[] = "@any", *nodes[] = {old, NULL}, err[256];
	struct targets t;

	set_group("group old", "where", ".facter.os.release < 11");
	set_group("group old", "hosts", "web*,mail01");
	set_group("group any", "where", ".facter");
	assert_true(targets_parse(&t, "-n ", nodes, &configured, err, sizeof(err)));
	targets_each_where(&t, fill_fit, (void *)fit);
	assert_false(targets_need_known(&t)); /* who is so is known */
	targets_resolve(&t, &known, &out, NULL, NULL);
	assert_int_equal(out.n, 3);
	assert_string_equal(out.names[0], "dbx");
	assert_string_equal(out.names[1], "web02");
	assert_string_equal(out.names[2], "web10");
	assert_true(targets_include(&t, "web10"));
	assert_false(targets_include(&t, "web01"));
	assert_false(targets_include(&t, "mail01"));
	targets_finish(&t);
	hosts_finish(&out);

	nodes[0] = any;
	assert_true(targets_parse(&t, "-n ", nodes, &configured, err, sizeof(err)));
	targets_each_where(&t, fill_fit, (void *)fit);
	targets_resolve(&t, &known, &out, NULL, NULL);
	assert_int_equal(out.n, 3);
	targets_finish(&t);
	hosts_finish(&out);
}

/* A folder to be in; the caller frees the path. */
static char *
enter_folder(void)
{
	char path[] = "/tmp/test_target.XXXXXX";

	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	return strdup(path);
}

static void
leave_folder(char *path)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(path), 0);
	free(path);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
group_or_file(void **state)
{
	char *folder = enter_folder();

	set_group("group web", "hosts", "web*");
	write_file("hosts.txt", "db01\n");
	write_file("db,mail", "dbx\n");
	assert_meant("@hosts.txt", NULL, "db01");
	assert_meant("@hosts.txt,@web", NULL, "db01 web01 web02 web10");
	assert_meant("web01,@./hosts.txt", NULL, "db01 web01");
	assert_meant("@db,mail", NULL, "dbx"); /* a file whose name has a comma */
	assert_int_equal(mkdir("web", 0700), 0);
	assert_meant("@web", NULL, "web01 web02 web10"); /* a folder is no list */
	assert_int_equal(rmdir("web"), 0);
	write_file("web", "db02\n");
	assert_refused("@web", NULL, "a file, too; cure: write @group:web for the group, @./web");
	assert_meant("@group:web", NULL, "web01 web02 web10");
	assert_meant("@./web", NULL, "db02");
	unlink("web");
	unlink("hosts.txt");
	unlink("db,mail");
	leave_folder(folder);
}

static void
reference_to_nothing(void **state)
{
	assert_refused("@wbe", NULL, "no file wbe is there; the configuration has no groups");
	set_group("group web", "hosts", "web*");
	set_group("group database", "hosts", "db*");
	assert_refused("@wbe", NULL,
	    "\"@wbe\": no group is named wbe, and no file wbe is there; "
	    "did you mean web?");
	assert_refused("db01,@mail", NULL, "there are the groups web, database");
	assert_refused("@group:mail", NULL, "no group is named mail; there are");
	assert_refused("@", NULL, "missing");
	assert_refused("web01,@", NULL, "missing");
	assert_refused("all", "@web", "alone");
}

static void
files_of_hosts_hold_no_groups(void **state)
{
	char *path = file("web01\n@web\n", 11);

	set_group("group web", "hosts", "web*");
	assert_refused(path, NULL, ":2: \"web\": a file of hosts has names and globs");
	unlink(path);
	free(path);
}

static void
file_of_a_group(void **state)
{
	char *folder = enter_folder(), conf[64], path[64], err[256];

	snprintf(path, sizeof(path), "%s/list", folder);
	write_file(path, "db02\n");
	snprintf(conf, sizeof(conf), "%s/vogeler.conf", folder);
	assert_int_equal(chdir("/"), 0); /* it is found from the folder of the configuration */
	assert_true(hostgroups_set(
	    &configured, "group db", "hosts", "@list,db01", conf, 3, err, sizeof(err)));
	assert_true(hostgroups_set(
	    &configured, "group lost", "hosts", "@./nowhere", conf, 5, err, sizeof(err)));
	assert_meant("@db", NULL, "db01 db02");
	assert_refused("@lost", NULL, "/vogeler.conf:5: [group lost] hosts \"./nowhere\": ");
	write_file(path, "db02\n");
	assert_true(
	    hostgroups_set(&configured, "group list", "hosts", "dbx", conf, 7, err, sizeof(err)));
	assert_meant("@db", NULL, "db01 dbx"); /* groups go before files beside them */
	assert_int_equal(chdir(folder), 0);
	unlink("list");
	leave_folder(folder);
}

static void
on_wrong(const struct hostgroup *g, bool error, const char *text, void *arg)
{
	struct meant *m = arg;

	size_t at = strlen(m->err);

	m->ok = m->ok && !error;
	snprintf(m->err + at, sizeof(m->err) - at, "%s %s: %s;", error ? "error" : "warning",
	    g->name, text);
}

static void
assert_checked(bool ok, const char *text)
{
	struct meant m = {.ok = true};

	targets_check_groups(&configured, on_wrong, &m);
	if (m.ok != ok || strstr(m.err, text) == NULL)
		fail_msg("%s, not %s", m.err, text);
}

static void
groups_that_go_round(void **state)
{
	set_group("group web", "hosts", "web01,@front");
	set_group("group front", "hosts", "@edge,@web2");
	set_group("group edge", "hosts", "@web");
	set_group("group web2", "hosts", "web*");
	assert_checked(false, "hosts go round: web is in edge, edge is in front, front is in web;");
	set_group("group edge", "hosts", "edge*");
	assert_checked(true, "");
	set_group("group web2", "hosts", "@web2");
	assert_checked(false, "web2 is in web2");
}

static void
groups_are_checked(void **state)
{
	set_group("group web", "hosts", "web_1");
	assert_checked(false, "error web: hosts \"web_1\": ");
	set_group("group web", "hosts", "all,db01");
	assert_checked(false, "all");
	set_group("group web", "hosts", "@/not/here/but/perhaps/elsewhere");
	assert_checked(true, "");
	set_group("group web", "hosts", "@wbe");
	assert_checked(true, "warning web: no group is named wbe, and no file /etc/vogeler/wbe");
	set_group("group web", "hosts", "@group:wbe");
	assert_checked(false, "no group is named wbe; did you mean web?");
}

static void
definitions_that_cannot_be(void **state)
{
	static const struct {
		const char *section, *key, *value, *why;
	} wrong[] = {
	    {"group", "hosts", "web*", "has a name"},
	    {"group all", "hosts", "web*", "every host"},
	    {"group a b", "hosts", "web*", "only letters"},
	    {"group a/b", "hosts", "web*", "only letters"},
	    {"group web", "host", "web*", "keys hosts and where"},
	    {"group web", "hosts", "", "no value"},
	};
	char err[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(hostgroups_set(&configured, wrong[i].section, wrong[i].key,
		    wrong[i].value, NULL, 0, err, sizeof(err)));
		if (strstr(err, wrong[i].why) == NULL)
			fail_msg("[%s]: %s", wrong[i].section, err);
	}
	assert_int_equal(configured.n, 0);
	assert_null(hostgroups_section("groups web"));
	assert_null(hostgroups_section("global"));
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
lists(void **state)
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
	    cmocka_unit_test(names_and_globs),
	    cmocka_unit_test(numbers_in_brackets),
	    cmocka_unit_test(glob_that_fits_nobody_is_told),
	    cmocka_unit_test(what_is_many),
	    cmocka_unit_test(what_cannot_be),
	    cmocka_unit_test(hosts_of_a_file),
	    cmocka_unit_test(file_that_is_none),
	    cmocka_unit_test(no_node),
	    cmocka_unit_test(lists),
	    cmocka_unit_test_teardown(groups, without_groups),
	    cmocka_unit_test_teardown(group_without_a_host_is_told, without_groups),
	    cmocka_unit_test_teardown(where_of_a_group, without_groups),
	    cmocka_unit_test_teardown(group_or_file, without_groups),
	    cmocka_unit_test_teardown(reference_to_nothing, without_groups),
	    cmocka_unit_test_teardown(files_of_hosts_hold_no_groups, without_groups),
	    cmocka_unit_test_teardown(file_of_a_group, without_groups),
	    cmocka_unit_test_teardown(groups_that_go_round, without_groups),
	    cmocka_unit_test_teardown(groups_are_checked, without_groups),
	    cmocka_unit_test_teardown(definitions_that_cannot_be, without_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
