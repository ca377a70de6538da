/* SPDX-License-Identifier: Apache-2.0 */
/* conf: INI files, good, odd and hostile. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/config/ini_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];
static char errors[4096]; /* "line:text\n" for each */
static struct ini_file conf;

static void
on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	size_t len = strlen(errors);

	assert_string_equal(file, path);
	assert_ptr_equal(arg, &conf);
	snprintf(
	    errors + len, sizeof(errors) - len, "%u:" TROUBLE_FMT "\n", line, TROUBLE_ARGS(what));
}

static bool
load_bytes(const char *data, size_t len, bool keep_comments)
{
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/tmp/vogeler-conf-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
	errors[0] = '\0';
	bool ok = ini_file_read(&conf, path, keep_comments, on_error, &conf);

	unlink(path);
	if (ok)
		assert_string_equal(errors, "");
	else
		assert_string_not_equal(errors, "");
	return ok;
}

static void
load(const char *text)
{
	if (!load_bytes(text, strlen(text), false))
		fail_msg("refused: %s", errors);
}

/* Refused, with exactly one error, on that line. */
static void
refuse(const char *text, unsigned int line)
{
	char expected[16];

	if (load_bytes(text, strlen(text), false))
		fail_msg("accepted: %s", text);
	snprintf(expected, sizeof(expected), "%u:", line);
	if (strncmp(errors, expected, strlen(expected)) != 0 ||
	    strchr(errors, '\n') != errors + strlen(errors) - 1)
		fail_msg("for \"%s\": %s", text, errors);
	assert_int_equal(conf.n, 0);
	ini_file_finish(&conf);
}

static void
expect(const char *section, const char *key, const char *value, unsigned int line)
{
	const struct ini_file_entry *e = ini_file_find(&conf, section, key);

	if (e == NULL)
		fail_msg("no [%s] %s", section, key);
	assert_string_equal(e->value, value);
	assert_int_equal(e->line, line);
	assert_string_equal(e->file, path);
}

/* etc/vogeler/vogeler.conf of 2010, to the byte. */
static const char conf_of_2010[] =
    "[global]\n"
    "plugin_path = /tmp/vogeler/plugins\n"
    "log_level = WARN\n"
    "# log_handler = stream_handler ; currently unused\n"
    "# log_handler = syslog_handler\n"
    "# log_handler = file_handler\n"
    "\n"
    "[persistence]\n"
    "backend = couch\n"
    "# backend = mongo\n"
    "\n"
    "[messaging]\n"
    "backend = amqp\n"
    "# backend = stomp ; (probably never)\n"
    "# backend = pika ; (NYI)\n"
    "# backend = openwire ; I wish.....\n"
    "\n"
    "[couch]\n"
    "dsn = couch://127.0.0.1:5984/system_records\n"
    "# dsn = couch://username:password@127.0.0.1:5984/system_records\n"
    "design_docs_path = etc/vogeler/_design\n"
    "\n"
    "[amqp]\n"
    "dsn = amqp://guest:guest@127.0.0.1:5672/vogeler\n"
    "# The following 2 settings are NYI\n"
    "master_exchange = 'vogeler.master.in'\n"
    "broadcast_exchange = 'vogeler.broadcast.in'\n"
    "\n"
    "# Stuff below here isn't implemented yet\n"
    "[server]\n"
    "log_level = DEBUG \n"
    "\n"
    "[client]\n"
    "log_level = DEBUG\n"
    "\n"
    "[runner]\n"
    "log_level = DEBUG\n"
    "\n"
    "[syslog_handler]\n"
    "log_facility = local7\n"
    "address = /dev/log\n"
    "# address = ('localhost', 514)\n"
    "\n"
    "[file_handler]\n"
    "filename = '/tmp/vogeler.log'\n";

static void
the_file_of_2010(void **state)
{
	load(conf_of_2010);
	assert_int_equal(conf.n, 15);
	expect("global", "plugin_path", "/tmp/vogeler/plugins", 2);
	expect("couch", "dsn", "couch://127.0.0.1:5984/system_records", 19);
	expect("amqp", "master_exchange", "vogeler.master.in", 26);
	expect("server", "log_level", "DEBUG", 31);
	expect("file_handler", "filename", "/tmp/vogeler.log", 45);
	for (size_t i = 1; i < conf.n; i++)
		assert_true(conf.entries[i].line > conf.entries[i - 1].line);
	assert_null(ini_file_find(&conf, "global", "dsn"));
	ini_file_finish(&conf);
}

static void
quotes_and_comments(void **state)
{
	load("[s]\na = x ; comment\nb = 'x ; y'\nc = \"q\" ; z\nd = a;b\ne = ; nothing\n"
	     "f = 'a' 'b'\ng = \"open\nh = ''\ni =\nj = it's # not a comment\nk = \t v \t;c\n"
	     "l = 'a'b\n  # an indented comment\n\t; another\nm = \"a'b\"\nn = 'x';y\n");
	expect("s", "a", "x", 2);
	expect("s", "b", "x ; y", 3);
	expect("s", "c", "q", 4);
	expect("s", "d", "a;b", 5);
	expect("s", "e", "", 6);
	expect("s", "f", "'a' 'b'", 7);
	expect("s", "g", "\"open", 8);
	expect("s", "h", "", 9);
	expect("s", "i", "", 10);
	expect("s", "j", "it's # not a comment", 11);
	expect("s", "k", "v", 12);
	expect("s", "l", "'a'b", 13);
	expect("s", "m", "a'b", 16);
	expect("s", "n", "'x';y", 17);
	ini_file_finish(&conf);
}

static void
values_as_written(void **state)
{
	const char *text = "[s]\na = x ; y\nb = 'x y'\n";

	assert_true(load_bytes(text, strlen(text), true));
	expect("s", "a", "x ; y", 2);
	expect("s", "b", "'x y'", 3);
	ini_file_finish(&conf);
}

static void
line_endings_and_bom(void **state)
{
	load("\xef\xbb\xbf[s]\r\na = 1\r\n# c\r\n\r\n[t]\r\nb = two\r\n three\r\nc = 3");
	expect("s", "a", "1", 2);
	expect("t", "b", "two three", 6);
	expect("t", "c", "3", 8);
	ini_file_finish(&conf);
}

static void
continuation_lines(void **state)
{
	load("[s]\na = one\n two\n\tthree\nb = x\n   \nc = --opt\n  NAME=value\n");
	expect("s", "a", "one two\tthree", 2);
	expect("s", "b", "x", 5);
	expect("s", "c", "--opt  NAME=value", 7);
	ini_file_finish(&conf);
	refuse("[s]\na = one\n  b = two\nc = 3\n", 3);
	refuse("[s]\n  b = two\n", 2);
	refuse("[s]\na=1\n  [t]\nb=2\n", 3);
	refuse("[s]\na=1\n\n  two\n", 4);
}

static void
names(void **state)
{
	load("[Server]\nPreFetch = 1\n[ two words ]\na.b-c/d = 2\n[SERVER]\nx = a=b\n");
	expect("server", "prefetch", "1", 2);
	assert_string_equal(conf.entries[0].key, "prefetch");
	assert_string_equal(conf.entries[0].section, "Server");
	expect("two words", "a.b-c/d", "2", 4);
	expect("Server", "x", "a=b", 6);
	ini_file_finish(&conf);
	refuse("[s]\na!b = 1\n", 2);
	refuse("[s]\na = 1\n[\xc3\xbc]\nb = 1\n", 3);
	refuse("[s]\na\x01 = 1\n", 2);
}

static void
long_lines(void **state)
{
	char *text = malloc(100000);

	assert_non_null(text);
	snprintf(text, 100000, "[s]\na = %090000d\nb = 1\n", 7);
	load(text);
	assert_int_equal(strlen(ini_file_find(&conf, "s", "a")->value), 90000);
	expect("s", "b", "1", 3);
	ini_file_finish(&conf);
	snprintf(text, 100000, "[s]\n%02000d = 1\n", 7);
	refuse(text, 2);
	snprintf(text, 100000, "[%02000d]\na = 1\n", 7);
	refuse(text, 1);
	free(text);
}

static void
mistakes_have_lines(void **state)
{
	refuse("a = 1\n[s]\nb = 2\n", 1);
	refuse("# c\n\nrubbish\n", 3);
	refuse("[s]\nrubbish\n", 2);
	refuse("[s]\nkey: value\n", 2);
	refuse("[s\na = 1\n", 1);
	refuse("[]\na = 1\n", 1);
	refuse("[s] x\na = 1\n", 1);
	refuse("[s]\n= 1\n", 2);
	refuse("[s]\na = 1\nb = 2\na = 3\n", 4);
	refuse("[s]\na = 1\nA = 3\n", 3);
	refuse("[s]\n/* C */\na = 3\n", 2);
	refuse("[s]\na = 1\nb\xfc = \xff\n", 3);
}

static void
a_key_twice_in_a_section_in_two_pieces(void **state)
{
	const char *text = "[s]\na = 1\n[t]\na = 1\n[s]\na = 2\n";

	assert_false(load_bytes(text, strlen(text), false));
	assert_non_null(strstr(errors, "6:\"a\" stands in [s] twice, the first time in line 2"));
	ini_file_finish(&conf);
}

static void
every_mistake_is_told(void **state)
{
	const char *text = "early = 1\n[s]\nrubbish\na = 1\n[t\n x = 3\n";

	assert_false(load_bytes(text, strlen(text), false));
	assert_non_null(strstr(errors, "1:"));
	assert_non_null(strstr(errors, "\n3:"));
	assert_non_null(strstr(errors, "\n5:"));
	assert_non_null(strstr(errors, "\n6:"));
	ini_file_finish(&conf);
	text = "[s]\na = 1\na = 2\nb = 1\na = 3\nb = 2\n";
	assert_false(load_bytes(text, strlen(text), false));
	assert_non_null(strstr(errors, "3:"));
	assert_non_null(strstr(errors, "\n5:"));
	assert_non_null(strstr(errors, "\n6:"));
	ini_file_finish(&conf);
}

static void
a_line_that_is_not_utf8_is_latin1(void **state)
{
	load("# Konfiguration f\xfcr Vogeler\n[s]\na = 1\n");
	assert_string_equal(ini_file_find(&conf, "s", "a")->value, "1");
	ini_file_finish(&conf);
	load("[s] \n# \xe9\na = pr\xfc"
	     "fen\n b\xe9 too\nc = m\xc3\xbcller ; \xe4\r\nd = \xc3\xa4\n");
	assert_string_equal(ini_file_find(&conf, "s", "a")->value, "pr\xc3\xbc"
								   "fen b\xc3\xa9 too");
	assert_string_equal(ini_file_find(&conf, "s", "c")->value, "m\xc3\x83\xc2\xbcller");
	assert_string_equal(ini_file_find(&conf, "s", "d")->value, "\xc3\xa4");
	assert_int_equal(ini_file_find(&conf, "s", "d")->line, 6);
	ini_file_finish(&conf);
	load("\xef\xbb\xbf# \xe9 \n[s]\na = 1\n");
	ini_file_finish(&conf);
}

static void
odd_files(void **state)
{
	char *big = malloc(1024 * 1024 + 1);

	load("");
	assert_int_equal(conf.n, 0);
	ini_file_finish(&conf);
	load("# only a comment\n\n  # and another\n");
	ini_file_finish(&conf);
	load("[empty]\n[also empty]\n");
	assert_int_equal(conf.n, 0);
	ini_file_finish(&conf);

	assert_false(load_bytes("[s]\na = b\0c\n", 12, false));
	assert_non_null(strstr(errors, "0:has NUL"));
	assert_false(load_bytes("\xff\xfe[\0s\0]\0", 8, false));

	assert_non_null(big);
	memset(big, '#', 1024 * 1024 + 1);
	assert_true(load_bytes(big, 1024 * 1024, false));
	assert_false(load_bytes(big, 1024 * 1024 + 1, false));
	assert_non_null(strstr(errors, "0:larger"));
	free(big);
}

static void
files_that_cannot_be_read(void **state)
{
	errors[0] = '\0';
	snprintf(path, sizeof(path), "/nonexistent/vogeler.conf");
	assert_false(ini_file_read(&conf, path, false, on_error, &conf));
	assert_string_equal(
	    errors, "0:No such file or directory; cure: make it, or name another\n");
	errors[0] = '\0';
	snprintf(path, sizeof(path), "/tmp");
	assert_false(ini_file_read(&conf, path, false, on_error, &conf));
	assert_string_equal(errors, "0:Is a directory; cure: name a file\n");
	ini_file_finish(&conf);
}

/* What ini_file_quote() writes, ini_file_unquote() reads: every blank counts, not only the usual
 * two. */
static void
quoting_there_and_back(void **state)
{
	static const char *const texts[] = {"", "plain", " a", "a ", "\fa", "a\v", "a ;b", "a\t;b",
	    "a\f;b", "a;b", ";a", "'a'", "\"a\"", "it's", "say \"a\" ;b"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *quoted = ini_file_quote(texts[i]);

		ini_file_unquote(quoted);
		assert_string_equal(quoted, texts[i]);
		free(quoted);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_file_of_2010),
	    cmocka_unit_test(quotes_and_comments),
	    cmocka_unit_test(quoting_there_and_back),
	    cmocka_unit_test(values_as_written),
	    cmocka_unit_test(line_endings_and_bom),
	    cmocka_unit_test(continuation_lines),
	    cmocka_unit_test(names),
	    cmocka_unit_test(long_lines),
	    cmocka_unit_test(mistakes_have_lines),
	    cmocka_unit_test(a_key_twice_in_a_section_in_two_pieces),
	    cmocka_unit_test(every_mistake_is_told),
	    cmocka_unit_test(a_line_that_is_not_utf8_is_latin1),
	    cmocka_unit_test(odd_files),
	    cmocka_unit_test(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
