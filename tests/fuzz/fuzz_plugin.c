/* SPDX-License-Identifier: Apache-2.0 */
/* Any file as plugin definitions: each is good or told; the good ones survive being compiled. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_file.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/config/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], compiled[96];

static void
on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	size_t *errors = arg;

	if (what->what[0] == '\0')
		abort();
	(*errors)++;
}

static void
remove_folder(void)
{
	unlink(compiled);
	rmdir(folder);
}

/* In memory, as each input is synced. */
static void
make_folder(void)
{
	if (folder[0] != '\0')
		return;
	log_set_level(LOG_LEVEL_CRITICAL);
	snprintf(folder, sizeof(folder), "%s/vogeler-fuzz-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(folder) == NULL)
		abort();
	snprintf(compiled, sizeof(compiled), "%s/compiled", folder);
	atexit(remove_folder);
}

static void
same_words(char *const *a, char *const *b)
{
	size_t i = 0;

	if (a == NULL || b == NULL) {
		if (a != b)
			abort();
		return;
	}
	while (a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0)
		i++;
	if (a[i] != NULL || b[i] != NULL)
		abort();
}

static void
same_plugin(const struct plugin *a, const struct plugin *b)
{
	if (strcmp(a->name, b->name) != 0 || a->format != b->format ||
	    a->timeout_ms != b->timeout_ms || a->max_output != b->max_output ||
	    a->max_cpu_ms != b->max_cpu_ms || a->max_memory != b->max_memory ||
	    a->max_processes != b->max_processes || a->max_file != b->max_file ||
	    a->interval_ms != b->interval_ms || a->has_splay != b->has_splay ||
	    a->splay_ms != b->splay_ms || memcmp(a->success, b->success, sizeof(a->success)) != 0)
		abort();
	same_words(a->argv, b->argv);
	same_words(a->env, b->env);
}

static void
check_plugin(const struct plugin *p)
{
	if (name_plugin_error(p->name) != NULL || p->argv == NULL || p->argv[0] == NULL)
		abort();
	if (p->has_splay && p->splay_ms > p->interval_ms)
		abort();
}

static void
compile(const struct plugin_set *set)
{
	struct plugin_set again = {0};
	size_t errors = 0;
	struct buf text;
	char err[256];

	if (!plugin_write_compiled(set, compiled, &text, err, sizeof(err))) {
		buf_finish(&text);
		return; /* over its size */
	}
	if (plugin_read_text(&again, compiled, &text, on_error, &errors) != 0 || again.n != set->n)
		abort();
	buf_finish(&text);
	for (size_t i = 0; i < set->n; i++)
		same_plugin(&set->plugins[i], &again.plugins[i]);
	plugin_set_finish(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plugin_set set = {0};
	size_t errors = 0, bad;

	make_folder();
	bad = plugin_read_file(&set, fuzz_file(data, size), on_error, &errors);
	if ((bad == 0) != (errors == 0))
		abort();
	for (size_t i = 0; i < set.n; i++)
		check_plugin(&set.plugins[i]);
	compile(&set);
	plugin_set_finish(&set);
	return 0;
}
