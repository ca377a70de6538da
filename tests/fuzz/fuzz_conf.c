/* SPDX-License-Identifier: Apache-2.0 */
/* Any file as a configuration: entries that are whole, or a line for what is wrong; and as options:
 * all or nothing, and what holds can be written down. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_file.h"

#include "shared/config/ini_file.h"
#include "shared/config/options_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	unsigned int *errors = arg;

	if (what->what[0] == '\0')
		abort();
	(*errors)++;
}

static void
on_note(enum log_level level, const char *file, unsigned int line, const struct trouble *what,
    void *arg)
{
	on_error(file, line, what, arg);
}

/* What ini_file_quote() cannot say, ini_file.h. */
static int
is_unspeakable(const char *text)
{
	return strchr(text, '"') != NULL && strchr(text, '\'') != NULL;
}

static void
check_quoting(const char *text)
{
	char *quoted = ini_file_quote(text);

	ini_file_unquote(quoted);
	if (strcmp(quoted, text) != 0 && !is_unspeakable(text))
		abort();
	free(quoted);
}

static void
load_options(const struct ini_file *c)
{
	unsigned int notes = 0;
	struct options o;
	FILE *out = fopen("/dev/null", "w");

	options_init(&o);
	if (!options_load(&o, c, on_note, &notes) && notes == 0)
		abort();
	if (out == NULL)
		abort();
	options_dump(&o, out);
	fclose(out);
	options_finish(&o);
}

static void
read_as(const char *path, bool keep_comments)
{
	unsigned int errors = 0;
	struct ini_file c;
	bool ok = ini_file_read(&c, path, keep_comments, on_error, &errors);

	if (ok != (errors == 0) || (!ok && c.n != 0))
		abort();
	for (size_t i = 0; i < c.n; i++) {
		const struct ini_file_entry *e = &c.entries[i];

		if (e->section[0] == '\0' || e->key[0] == '\0' || e->line == 0)
			abort();
		check_quoting(e->value);
		if (ini_file_find(&c, e->section, e->key) == NULL)
			abort();
	}
	if (ok)
		load_options(&c);
	ini_file_finish(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);

	read_as(path, false);
	read_as(path, true);
	return 0;
}
