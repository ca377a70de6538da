/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the name of a host or a plugin: what passes is what the rules say, in other words. */
#include "tests/fuzz/fuzz.h"

#include "shared/base/name.h"

#include <stdlib.h>
#include <string.h>

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static void
check_label(const char *label, size_t len)
{
	if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
		abort();
}

static void
check_host(const char *name)
{
	const char *label = name, *dot;
	size_t len = strlen(name);

	if (len > NAME_HOST_MAX || strspn(name, ALNUM "-.") != len)
		abort();
	for (dot = strchr(label, '.'); dot != NULL; dot = strchr(label, '.')) {
		check_label(label, (size_t)(dot - label));
		label = dot + 1;
	}
	check_label(label, strlen(label));
	if (strcmp(name, "all") == 0 || strcmp(name, "master.in") == 0 ||
	    strncmp(name, "vogeler", 7) == 0 || strncmp(name, "amq.", 4) == 0 ||
	    strncmp(name, "broadcasts.", 11) == 0)
		abort();
}

static void
check_plugin(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_PLUGIN_MAX || strspn(name, ALNUM "_-.") != len ||
	    name[0] == '_' || name[0] == '.' || name_is_reserved(name))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = strndup((const char *)data, size);

	if (name == NULL)
		return 0;
	if (name_host_error(name) == NULL)
		check_host(name);
	if (name_plugin_error(name) == NULL)
		check_plugin(name);
	free(name);
	return 0;
}
