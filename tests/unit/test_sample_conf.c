/* SPDX-License-Identifier: Apache-2.0 */
/* conf/vogeler.conf names every option, in the order of the rows, with its default, and nothing
 * else; and it loads without a word, also with every line taken in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/config/ini_file.h"
#include "shared/config/options_load.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 200
#define LINE_SIZE 256

/* "section.key default" of a row or of a line of the sample. */
struct entry {
	char name[LINE_SIZE];
	char value[LINE_SIZE];
	bool active; /* not commented out */
};

static struct entry sample[LINES_MAX];
static size_t n_sample;

static const char *
sample_path(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/conf/vogeler.conf", getenv("VOGELER_SOURCE_DIR"));
	return path;
}

/* "key = value", or the same behind "# "; prose is not of that form: its first word has no "=". */
static bool
read_key(const char *line, const char *section, struct entry *e)
{
	char key[LINE_SIZE], value[LINE_SIZE];

	e->active = strncmp(line, "# ", 2) != 0;
	if (sscanf(e->active ? line : line + 2, "%255[a-z_] = %255[^\n]", key, value) != 2)
		return false;
	snprintf(e->name, sizeof(e->name), "%.100s.%.100s", section, key);
	snprintf(e->value, sizeof(e->value), "%s", value);
	return true;
}

static int
read_sample(void **state)
{
	char line[LINE_SIZE], section[LINE_SIZE] = "";
	FILE *f = fopen(sample_path(), "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		assert_true(n_sample < LINES_MAX);
		if (sscanf(line, "[%255[a-z_]]", section) == 1)
			continue;
		if (read_key(line, section, &sample[n_sample]))
			n_sample++;
	}
	fclose(f);
	return 0;
}

/* A default that depends on where it is installed is shown as for /etc. */
static void
assert_shows_default(const struct entry *e, const char *value)
{
	const char *tail = value;

	if (e->active || strcmp(value, "-") == 0)
		return;
	if (strncmp(value, VOGELER_SYSCONFDIR, strlen(VOGELER_SYSCONFDIR)) == 0) {
		tail = value + strlen(VOGELER_SYSCONFDIR);
		assert_int_equal(strncmp(e->value, "/etc", 4), 0);
		assert_string_equal(e->value + 4, tail);
		return;
	}
	assert_string_equal(e->value, value);
}

static void
every_row_in_order(void **state)
{
	char name[LINE_SIZE], type[LINE_SIZE], value[LINE_SIZE], *list, *line, *rest;
	size_t size, i = 0;
	FILE *f = open_memstream(&list, &size);

	options_list(f);
	fclose(f);
	for (line = strtok_r(list, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		assert_int_equal(sscanf(line, "%255s %255s %255[^\n]", name, type, value), 3);
		if (strcmp(type, "ignored") == 0)
			continue; /* of 2010, without effect */
		if (i == n_sample || strcmp(sample[i].name, name) != 0)
			fail_msg("conf/vogeler.conf: %s is missing or not in its place", name);
		assert_shows_default(&sample[i], value);
		i++;
	}
	if (i < n_sample)
		fail_msg("conf/vogeler.conf: %s is no option", sample[i].name);
	free(list);
}

static void
on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	fail_msg("%s:%u: " TROUBLE_FMT, file, line, TROUBLE_ARGS(what));
}

static void
on_note(enum log_level level, const char *file, unsigned int line, const struct trouble *what,
    void *arg)
{
	if (level != LOG_LEVEL_INFO) /* "has no effect", of keys that 2010 had */
		fail_msg("%s:%u: " TROUBLE_FMT, file, line, TROUBLE_ARGS(what));
}

static void
assert_loads(const char *path)
{
	struct options o;
	struct ini_file c;

	options_init(&o);
	assert_true(ini_file_read(&c, path, false, on_error, NULL));
	assert_true(options_load(&o, &c, on_note, NULL));
	assert_string_equal(o.dbhost, "couch://127.0.0.1:5984/system_records");
	ini_file_finish(&c);
	options_finish(&o);
}

static void
loads_as_it_is(void **state)
{
	assert_loads(sample_path());
}

static void
loads_with_every_key(void **state)
{
	char path[] = "/tmp/vogeler-sample-XXXXXX", section[LINE_SIZE] = "";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	for (size_t i = 0; i < n_sample; i++) {
		size_t len = strcspn(sample[i].name, ".");

		if (strlen(section) != len || strncmp(section, sample[i].name, len) != 0) {
			snprintf(section, sizeof(section), "%.*s", (int)len, sample[i].name);
			fprintf(f, "[%s]\n", section);
		}
		fprintf(f, "%s = %s\n", sample[i].name + len + 1, sample[i].value);
	}
	fclose(f);
	assert_loads(path);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row_in_order),
	    cmocka_unit_test(loads_as_it_is),
	    cmocka_unit_test(loads_with_every_key),
	};

	return cmocka_run_group_tests(tests, read_sample, NULL);
}
