/* SPDX-License-Identifier: Apache-2.0 */
/* plugin: definitions, what is refused, the directory, the compiled file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/config/plugin.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char errors[8192]; /* "file:line:text\n", the file without its folder */
static struct plugin_set set;

static void
on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	const char *slash = strrchr(file, '/');
	size_t len = strlen(errors);

	assert_ptr_equal(arg, &set);
	snprintf(errors + len, sizeof(errors) - len, "%s:%u:" TROUBLE_FMT "\n", slash + 1, line,
	    TROUBLE_ARGS(what));
}

static int
setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/vogeler-plugin-XXXXXX");
	errors[0] = '\0';
	set = (struct plugin_set){0};
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	static const char *const names[] = {"a.cfg", "b.cfg", "c.cfg", "d.cfg", "e.cfg",
	    ".hidden.cfg", "note.txt", "compiled", "sub.cfg"};
	char path[200];

	plugin_set_finish(&set);
	chmod(dir, 0700);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (unlink(path) != 0)
			rmdir(path);
	}
	return rmdir(dir);
}

static const char *
in_dir(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *
write_file(const char *name, const char *text)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0644);
	return path;
}

static void
assert_told(const char *text)
{
	if (strstr(errors, text) == NULL)
		fail_msg("no \"%s\" in:\n%s", text, errors);
}

/* One bad plugin, told with this. */
static void
refuse(const char *text, const char *told)
{
	errors[0] = '\0';
	if (plugin_read_file(&set, write_file("a.cfg", text), on_error, &set) != 1)
		fail_msg("not one bad plugin in: %s", text);
	assert_int_equal(set.n, 0);
	assert_told(told);
}

#define HEAD "[p]\ncommand = true\nresult_format = output\n"

static void
the_files_of_2010(void **state)
{
	const struct plugin *p;

	write_file("a.cfg",
	    "[facter]\nname = facter\ndescription = Uses facter to return facts\n"
	    "command = facter -y\nresult_format = yaml\ncommand_alias = get_facts\n");
	write_file("b.cfg",
	    "[ohai]\nname = ohai\ndescription = Uses ohai to return system information\n"
	    "command = ohai\nresult_format = json\ncommand_alias = ohai\n");
	write_file("c.cfg",
	    "[ps]\nname = ps\ndescription = Grabs currently running processes\n"
	    "command = ps -ef\nresult_format = output\ncommand_alias = get_procs\n");
	write_file("d.cfg",
	    "[rpm]\nname = rpm\ndescription = Grabs packages installed on a system using rpm\n"
	    "command = rpm -qa\nresult_format = output\ncommand_alias = get_rpms\n");
	/* tests/fixtures/plugins/broken.cfg: this one is meant to fail. */
	write_file("e.cfg", "[broken]\nname = broken\ndescription = This plugin should not work\n"
			    "command = broken\nresult_format = broken\ncommand_alias = broken\n");
	write_file("note.txt", "rubbish");
	write_file(".hidden.cfg", "rubbish");
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), 1);
	assert_string_equal(errors, "e.cfg:5:result_format 'broken' should be one of "
				    "output, json, yaml, string, raw, pylist, pydict\n");
	assert_int_equal(set.n, 4);
	assert_string_equal(set.plugins[0].name, "facter");
	assert_string_equal(set.plugins[3].name, "rpm");
	p = plugin_find(&set, "get_facts");
	assert_non_null(p);
	assert_string_equal(p->name, "facter");
	assert_string_equal(p->description, "Uses facter to return facts");
	assert_string_equal(p->command, "facter -y");
	assert_string_equal(p->argv[0], "facter");
	assert_string_equal(p->argv[1], "-y");
	assert_null(p->argv[2]);
	assert_int_equal(p->format, WIRE_YAML);
	assert_null(p->env);
	assert_int_equal(p->timeout_ms, 0);
	assert_int_equal(p->max_cpu_ms, 0);
	assert_int_equal(p->max_memory, 0);
	assert_int_equal(p->max_processes, 0);
	assert_int_equal(p->max_file, 0);
	assert_int_equal(p->interval_ms, 0);
	assert_false(p->has_splay);
	assert_string_equal(p->file, in_dir("a.cfg"));
	assert_int_equal(p->line, 2);
	assert_ptr_equal(plugin_find(&set, "ps"), plugin_find(&set, "get_procs"));
	assert_null(plugin_find(&set, "broken"));
	assert_null(plugin_find(&set, ""));
}

static void
every_key(void **state)
{
	const char *text =
	    "[p]\nname = 'other' ; c\ndescription = 'a ; b' ; c\n"
	    "command = sh -c 'a; b ; c' \"d e\"\nresult_format = \"json\"\n"
	    "timeout = 24min\nmax_output = 2MiB\ninterval = 1h\nsplay = 10min\nenv = A=1 B='x y' C=\n"
	    "user = nobody\nsha256 = "
	    "ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789\n"
	    "max_cpu = 2min\nmax_memory = 2GiB\nmax_processes = 20\nmax_file = none\n"
	    "colour = red\n";

	assert_int_equal(plugin_read_file(&set, write_file("a.cfg", text), on_error, &set), 0);
	assert_string_equal(errors, ""); /* an unknown key is only warned of */
	assert_int_equal(set.n, 1);
	assert_string_equal(set.plugins[0].name, "other");
	assert_string_equal(set.plugins[0].description, "a ; b");
	assert_string_equal(set.plugins[0].argv[2], "a; b ; c");
	assert_string_equal(set.plugins[0].argv[3], "d e");
	assert_int_equal(set.plugins[0].timeout_ms, 24 * 60 * 1000);
	assert_int_equal(set.plugins[0].max_output, 2 << 20);
	assert_int_equal(set.plugins[0].max_cpu_ms, 120000);
	assert_int_equal(set.plugins[0].max_memory, UINT64_C(2) << 30);
	assert_int_equal(set.plugins[0].max_processes, 20);
	assert_true(set.plugins[0].max_file == PLUGIN_UNLIMITED);
	assert_int_equal(set.plugins[0].interval_ms, 3600 * 1000);
	assert_true(set.plugins[0].has_splay);
	assert_int_equal(set.plugins[0].splay_ms, 600 * 1000);
	assert_string_equal(set.plugins[0].env[0], "A=1");
	assert_string_equal(set.plugins[0].env[1], "B=x y");
	assert_string_equal(set.plugins[0].env[2], "C=");
	assert_null(set.plugins[0].env[3]);
	assert_string_equal(set.plugins[0].user, "nobody");
	assert_string_equal(set.plugins[0].sha256,
	    "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789");
}

static void
the_section_names_the_plugin(void **state)
{
	assert_int_equal(plugin_read_file(&set, write_file("a.cfg", HEAD), on_error, &set), 0);
	assert_string_equal(set.plugins[0].name, "p");
}

static void
bad_definitions(void **state)
{
	refuse("[p]\nresult_format = json\n", "a.cfg:2:plugin 'p' has no command");
	refuse("[p]\ncommand = true\n", "a.cfg:2:plugin 'p' has no result_format");
	refuse("[p]\nresult_format = json\ncommand =\n", "a.cfg:3:command: names no program");
	refuse("[p]\nresult_format = json\ncommand = ''\n", "a.cfg:3:command: names no program");
	refuse("[p]\nresult_format = json\ncommand = a 'b\n", "a.cfg:3:command: has a '");
	refuse(
	    "[p]\nresult_format = json\ncommand = ps ; all\n", "a.cfg:3:command: an unquoted ';'");
	refuse("[p]\nresult_format = xml\ncommand = a\n", "a.cfg:2:result_format 'xml' should be");
	refuse(HEAD "timeout = 25min\n", "a.cfg:4:timeout '25min' should be");
	refuse(HEAD "timeout = 0\n", "a.cfg:4:timeout '0' should be");
	refuse(HEAD "max_output = 1GiB\n", "a.cfg:4:max_output '1GiB' should be");
	refuse(HEAD "max_output = 7169KiB\n",
	    "a.cfg:4:max_output '7169KiB' should be a size like 256KiB, from 1KiB to 7MiB");
	refuse(HEAD "max_cpu = 1500ms\n", "a.cfg:4:max_cpu '1500ms' should be whole seconds");
	refuse(HEAD "max_cpu = 0\n", "a.cfg:4:max_cpu '0' should be");
	refuse(HEAD "max_cpu = 86401s\n", "a.cfg:4:max_cpu '86401s' should be");
	refuse(HEAD "interval = 300\n", "a.cfg:4:interval '300': 300 what? Write 300s");
	refuse(HEAD "max_memory = 1023KiB\n", "a.cfg:4:max_memory '1023KiB' should be");
	refuse(HEAD "max_memory = 8589934592GiB\n", "a.cfg:4:max_memory '8589934592GiB' ");
	refuse(HEAD "max_processes = 0\n", "a.cfg:4:max_processes '0' should be");
	refuse(HEAD "max_processes = 5k\n", "a.cfg:4:max_processes '5k' should be");
	refuse(HEAD "max_file = 0\n", "a.cfg:4:max_file '0' should be a size like 10MiB, or");
	refuse(HEAD "interval = 999ms\n", "a.cfg:4:interval '999ms' should be");
	refuse(HEAD "interval = 367d\n", "a.cfg:4:interval '367d' should be");
	refuse(HEAD "interval = 1h\nsplay = often\n", "a.cfg:5:splay 'often' should be");
	refuse(HEAD "interval = 1s\nsplay = 1001ms\n", "splay longer than its interval");
	refuse(HEAD "splay = 1s\n", "splay but no interval");
	refuse(HEAD "env = A=1 b\n", "a.cfg:4:env: 'b' should be NAME=value");
	refuse(HEAD "env = 1A=1\n", "a.cfg:4:env: '1A=1' should be");
	refuse(HEAD "env = A='\n", "a.cfg:4:env: has a '");
	refuse(HEAD "user =\n", "a.cfg:4:user: has no value");
	refuse(HEAD "sha256 = abc\n", "a.cfg:4:sha256 should be 64 hex digits");
	refuse(HEAD "success_exit_status = 256\n", "a.cfg:4:success_exit_status '256' should be");
	refuse(HEAD "success_exit_status = 1 x\n", "a.cfg:4:success_exit_status '1 x' should be");
	refuse(HEAD "name = syskey\n", "a.cfg:2:'syskey': plugin name is a key that a record");
	refuse(HEAD "name = a b\n", "a.cfg:2:'a b': plugin name may have only");
	refuse(HEAD "command_alias = _x\n", "a.cfg:4:command_alias '_x': ");
	refuse("[_p]\ncommand = true\nresult_format = json\n", "a.cfg:2:'_p': ");
	refuse("rubbish\n", "a.cfg:1:");
	refuse(HEAD "rubbish\n", "a.cfg:4:");
}

static void
bad_ones_leave_the_good_ones(void **state)
{
	const char *text = "[a]\ncommand = true\nresult_format = json\n[b]\ncommand = true\n"
			   "[c]\ncommand = '\nresult_format = json\n"
			   "[d]\ncommand = true\nresult_format = raw\n";

	assert_int_equal(plugin_read_file(&set, write_file("a.cfg", text), on_error, &set), 2);
	assert_int_equal(set.n, 2);
	assert_non_null(plugin_find(&set, "a"));
	assert_non_null(plugin_find(&set, "d"));
	assert_told("a.cfg:5:plugin 'b' has no result_format");
	assert_told("a.cfg:7:command: ");

	write_file("b.cfg", "rubbish\n");
	write_file("c.cfg", "[e]\ncommand = true\nresult_format = raw\n");
	unlink(in_dir("a.cfg"));
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), 1);
	assert_non_null(plugin_find(&set, "e"));
	assert_told("b.cfg:1:");
}

static void
names_are_taken_once(void **state)
{
	write_file("a.cfg", "[a]\ncommand = true\nresult_format = raw\ncommand_alias = x\n");
	write_file("b.cfg", "[a]\ncommand = false\nresult_format = raw\n");
	write_file("c.cfg", "[x]\ncommand = false\nresult_format = raw\n");
	write_file("d.cfg", "[d]\ncommand = false\nresult_format = raw\ncommand_alias = a\n");
	write_file("e.cfg", "[e]\ncommand = false\nresult_format = raw\ncommand_alias = x\n");
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), 4);
	assert_int_equal(set.n, 1);
	assert_string_equal(set.plugins[0].command, "true");
	assert_told("b.cfg:2:name 'a' is taken by the plugin 'a' (");
	assert_told("c.cfg:2:name 'x' is taken by the plugin 'a' (");
	assert_told("d.cfg:2:command_alias 'a' is taken");
	assert_told("e.cfg:2:command_alias 'x' is taken");
}

static void
files_not_to_be_trusted(void **state)
{
	char target[200];

	chmod(write_file("a.cfg", HEAD), 0666);
	snprintf(target, sizeof(target), "%s", write_file("note.txt", HEAD));
	assert_int_equal(symlink(target, in_dir("b.cfg")), 0);
	assert_int_equal(mkfifo(in_dir("c.cfg"), 0600), 0);
	assert_int_equal(link(target, in_dir("d.cfg")), 0);
	assert_int_equal(mkdir(in_dir("sub.cfg"), 0700), 0);
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), 5);
	assert_int_equal(set.n, 0);
	assert_told("a.cfg:0:refused: everyone may write it");
	assert_told("b.cfg:0:refused: a symbolic link");
	assert_told("c.cfg:0:refused: not a regular file");
	assert_told("d.cfg:0:refused: it has another name");
	assert_told("sub.cfg:0:refused: not a regular file");
}

/* Whose they are only root can change. */
static void
files_of_others(void **state)
{
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(write_file("a.cfg", HEAD), 1, 0), 0);
	chmod(write_file("b.cfg", HEAD), 0664);
	assert_int_equal(chown(in_dir("b.cfg"), 0, 1), 0);
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), 2);
	assert_told("a.cfg:0:refused: owned by neither root nor the user");
	assert_told("b.cfg:0:refused: another group may write it");
}

/* What was there stays, and nothing is left beside it. */
static void
compiles_whole_or_not_at_all(void **state)
{
	char err[300], compiled[200], text[64];
	struct buf b;
	size_t size = 600 * 1024;
	char *file = calloc(1, size + sizeof(text));

	assert_non_null(file);
	for (int i = 0; i < 2; i++) {
		int n = snprintf(
		    file, size, "[p%d]\ncommand = true\nresult_format = raw\ndescription = ", i);

		memset(file + n, 'x', size);
		snprintf(text, sizeof(text), "%c.cfg", 'b' + i);
		assert_int_equal(plugin_read_file(&set, write_file(text, file), on_error, &set), 0);
	}
	free(file);
	snprintf(compiled, sizeof(compiled), "%s", in_dir("compiled"));
	assert_int_equal(mkdir(compiled, 0700), 0);
	assert_false(plugin_write_compiled(&set, compiled, &b, err, sizeof(err)));
	buf_finish(&b);
	assert_non_null(strstr(err, "compiled: the plugins are more than 1 MiB"));
	plugin_set_finish(&set);
	assert_int_equal(plugin_read_file(&set, write_file("a.cfg", HEAD), on_error, &set), 0);
	assert_false(plugin_write_compiled(&set, compiled, &b, err, sizeof(err)));
	buf_finish(&b);
	assert_non_null(strstr(err, "compiled: Is a directory"));
	assert_int_equal(rmdir(compiled), 0);
}

static void
directories_not_to_be_used(void **state)
{
	write_file("a.cfg", HEAD);
	chmod(dir, 0777);
	assert_int_equal(plugin_read_dir(&set, dir, on_error, &set), -1);
	assert_int_equal(errno, EPERM);
	assert_told(":0:refused: everyone may write it");
	assert_int_equal(plugin_read_dir(&set, in_dir("nothing"), on_error, &set), -1);
	assert_int_equal(errno, ENOENT);
	assert_told(
	    "nothing:0:cannot read the plugin directory: No such file or directory; cure: ");
	chmod(dir, 0700);
	assert_int_equal(plugin_read_dir(&set, in_dir("a.cfg"), on_error, &set), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(set.n, 0);
}

static void
assert_same_str(const char *a, const char *b)
{
	assert_true((a == NULL) == (b == NULL));
	if (a != NULL)
		assert_string_equal(a, b);
}

static void
assert_same_words(char *const *a, char *const *b)
{
	assert_true((a == NULL) == (b == NULL));
	for (size_t i = 0; a != NULL; i++) {
		assert_same_str(a[i], b[i]);
		if (a[i] == NULL)
			break;
	}
}

static void
assert_same_set(const struct plugin_set *a, const struct plugin_set *b)
{
	assert_int_equal(b->n, a->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct plugin *p = &a->plugins[i], *q = &b->plugins[i];

		assert_same_str(p->name, q->name);
		assert_same_str(p->alias, q->alias);
		assert_same_str(p->description, q->description);
		assert_same_str(p->command, q->command);
		assert_same_words(p->argv, q->argv);
		assert_same_words(p->env, q->env);
		assert_same_str(p->user, q->user);
		assert_same_str(p->sha256, q->sha256);
		assert_memory_equal(p->success, q->success, sizeof(p->success));
		assert_int_equal(p->format, q->format);
		assert_int_equal(p->timeout_ms, q->timeout_ms);
		assert_int_equal(p->max_output, q->max_output);
		assert_int_equal(p->max_cpu_ms, q->max_cpu_ms);
		assert_int_equal(p->max_memory, q->max_memory);
		assert_int_equal(p->max_processes, q->max_processes);
		assert_int_equal(p->max_file, q->max_file);
		assert_int_equal(p->interval_ms, q->interval_ms);
		assert_int_equal(p->splay_ms, q->splay_ms);
		assert_int_equal(p->has_splay, q->has_splay);
	}
}

static void
compiles_and_comes_back(void **state)
{
	struct plugin_set again = {0};
	struct stat st;
	struct buf b;
	char err[300], path[200];

	write_file("a.cfg",
	    "[z]\ndescription = ' it''s ; odd '\ncommand = sh -c 'a ; b'  \"c\\\\\" \n"
	    "  and more\nresult_format = pydict\n"
	    "[b]\ndescription =\ncommand = 'true'\nresult_format = raw\n"
	    "command_alias = bb\ntimeout = 1500ms\nmax_output = 1536KiB\ninterval = 90s\nsplay = 0\n"
	    "success_exit_status = 1 7\n"
	    "max_cpu = none\nmax_memory = 1536MiB\nmax_processes = 4194304\nmax_file = 1\n"
	    "env = 'A=x y' B=\"'\"\nuser = nobody\nsha256 = "
	    "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\n");
	assert_int_equal(plugin_read_file(&set, in_dir("a.cfg"), on_error, &set), 0);
	assert_int_equal(set.n, 2);
	snprintf(path, sizeof(path), "%s", in_dir("compiled"));
	assert_true(plugin_write_compiled(&set, path, &b, err, sizeof(err)));
	buf_finish(&b);
	assert_true(plugin_write_compiled(&set, path, &b, err, sizeof(err))); /* over the old one */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (plugin_read_file(&again, path, on_error, &set) != 0)
		fail_msg("%s", errors);
	assert_same_set(&set, &again);
	plugin_set_finish(&again);
	if (plugin_read_text(&again, path, &b, on_error, &set) != 0)
		fail_msg("%s", errors);
	buf_finish(&b);
	assert_same_set(&set, &again);
	plugin_set_finish(&again);
	assert_false(plugin_write_compiled(&set, "/nonexistent/x", &b, err, sizeof(err)));
	buf_finish(&b);
	assert_string_equal(err, "/nonexistent/x: No such file or directory");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_files_of_2010, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_section_names_the_plugin, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_definitions, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_ones_leave_the_good_ones, setup, teardown),
	    cmocka_unit_test_setup_teardown(names_are_taken_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(files_not_to_be_trusted, setup, teardown),
	    cmocka_unit_test_setup_teardown(files_of_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(compiles_whole_or_not_at_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(directories_not_to_be_used, setup, teardown),
	    cmocka_unit_test_setup_teardown(compiles_and_comes_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
