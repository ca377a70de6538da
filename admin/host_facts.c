/* SPDX-License-Identifier: Apache-2.0 */
/* See host_facts.h. */
#include "admin/host_facts.h"

#include "shared/base/xalloc.h"
#include "shared/target/value_path.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The text at a path of a plugin's value; NULL: it has none, or an empty one. */
static const char *
text_at(const json_t *rec, const char *plugin, const char *path)
{
	const json_t *value = json_object_get(rec, plugin), *last;
	const char *text;
	size_t len;

	if (value == NULL)
		return NULL;
	text = json_string_value(value_path_get(value, path, &last, &len));
	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ---- the operating system ---- */

/* The line that begins with "KEY=", of os-release(5): without the quotes, and the backslashes that
 * stand before what a shell would take. NULL: there is none, or nothing behind it. */
static char *
assigned(const json_t *lines, const char *key)
{
	size_t i, n = strlen(key), len;
	json_t *line;

	json_array_foreach (lines, i, line) {
		const char *text = json_string_value(line);
		char *value, quote, *to;

		if (text == NULL || strncmp(text, key, n) != 0 || text[n] != '=')
			continue;
		text += n + 1;
		len = strlen(text);
		quote = text[0] == '"' || text[0] == '\'' ? text[0] : '\0';
		if (quote != '\0' && len >= 2 && text[len - 1] == quote) {
			text++;
			len -= 2;
		}
		to = value = xstrndup(text, len);
		for (const char *from = value; *from != '\0'; from++) {
			if (*from == '\\' && from[1] != '\0' && quote != '\'')
				from++;
			*to++ = *from;
		}
		*to = '\0';
		if (value[0] != '\0')
			return value;
		free(value);
	}
	return NULL;
}

static char *
name_and_release(const char *name, const char *release)
{
	char *text;

	xasprintf(
	    &text, "%s%s%s", name, release != NULL ? " " : "", release != NULL ? release : "");
	return text;
}

/* This says where a plugin has the name and the release; the newest way of a program first. */
static const struct {
	const char *plugin, *name, *release;
} os_places[] = {
    {"facter", "os.distro.description", NULL},
    {"facter", "os.name", "os.release.full"},
    {"facter", "lsbdistdescription", NULL},
    {"facter", "operatingsystem", "operatingsystemrelease"},
    {"ohai", "platform", "platform_version"},
};

char *
host_facts_os(const json_t *rec)
{
	const json_t *lines = json_object_get(rec, "os-release");
	char *text = assigned(lines, "PRETTY_NAME"), *release;

	if (text != NULL)
		return text;
	text = assigned(lines, "NAME");
	if (text != NULL) {
		char *name = text;

		release = assigned(lines, "VERSION_ID");
		text = name_and_release(name, release);
		free(name);
		free(release);
		return text;
	}
	for (size_t i = 0; i < sizeof(os_places) / sizeof(os_places[0]); i++) {
		const char *plugin = os_places[i].plugin;
		const char *name = text_at(rec, plugin, os_places[i].name);

		if (name != NULL)
			return name_and_release(
			    name, os_places[i].release != NULL
				      ? text_at(rec, plugin, os_places[i].release)
				      : NULL);
	}
	return NULL;
}

/* ---- the address ---- */

/* Finds in what "ip -json address" prints the first address of that family that others can
 * reach. */
static const char *
first_global(const json_t *links, const char *family)
{
	json_t *link, *address;
	size_t i, k;

	json_array_foreach (links, i, link) {
		json_array_foreach (json_object_get(link, "addr_info"), k, address) {
			const char *its = json_string_value(json_object_get(address, "family"));
			const char *scope = json_string_value(json_object_get(address, "scope"));
			const char *text = json_string_value(json_object_get(address, "local"));

			if (its != NULL && scope != NULL && text != NULL &&
			    strcmp(its, family) == 0 && strcmp(scope, "global") == 0)
				return text;
		}
	}
	return NULL;
}

static const struct {
	const char *plugin, *path;
} address_places[] = {
    {"facter", "networking.ip"},
    {"facter", "networking.ip6"},
    {"facter", "ipaddress"},
    {"ohai", "ipaddress"},
    {"ohai", "ip6address"},
};

const char *
host_facts_address(const json_t *rec)
{
	const json_t *links = json_object_get(rec, "network");
	const char *text;

	for (size_t i = 0; i < sizeof(address_places) / sizeof(address_places[0]); i++) {
		text = text_at(rec, address_places[i].plugin, address_places[i].path);
		if (text != NULL)
			return text;
	}
	text = first_global(links, "inet");
	return text != NULL ? text : first_global(links, "inet6");
}
