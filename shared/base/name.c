/* SPDX-License-Identifier: Apache-2.0 */
/* See name.h. */
#include "shared/base/name.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define LABEL_MAX 63 /* RFC 1123 2.1, RFC 1035 2.3.4 */

/* Replaces isalnum(), whose answer depends on the locale. */
static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static const char *
label_error(const char *label, size_t len)
{
	if (len == 0)
		return "host name has an empty label (two dots, or one at either end)";
	for (size_t i = 0; i < len; i++) {
		if (!is_alnum(label[i]) && label[i] != '-')
			return "host name may have only letters, digits, '-' and '.'";
	}
	if (len > LABEL_MAX)
		return "host name has a label of more than 63 bytes";
	if (label[0] == '-' || label[len - 1] == '-')
		return "host name has a label that begins or ends with '-'";
	return NULL;
}

/* Refuses names that, as queue names and routing keys, would be ours or the broker's. */
static const char *
taken_error(const char *name)
{
	if (strcmp(name, "all") == 0)
		return "'all' means every host and cannot be one";
	if (strcmp(name, "master.in") == 0)
		return "'master.in' is the collector's queue";
	if (starts_with(name, "vogeler"))
		return "names that begin with 'vogeler' are Vogeler's own queues";
	if (starts_with(name, "broadcasts."))
		return "names that begin with 'broadcasts.' are routing keys of broadcasts";
	if (starts_with(name, "amq."))
		return "names that begin with 'amq.' are the broker's own";
	return NULL;
}

const char *
name_host_error(const char *name)
{
	const char *label = name, *error;
	size_t len;

	if (name[0] == '\0')
		return "host name is empty";
	if (strlen(name) > NAME_HOST_MAX)
		return "host name is longer than 253 bytes";
	for (;;) {
		len = strcspn(label, ".");
		error = label_error(label, len);
		if (error != NULL)
			return error;
		if (label[len] == '\0')
			return taken_error(name);
		label += len + 1;
	}
}

const char *
name_plugin_error(const char *name)
{
	if (name[0] == '\0')
		return "plugin name is empty";
	if (name_is_reserved(name))
		return "plugin name is a key that a record has of its own";
	if (name[0] == '.')
		return "plugin name begins with '.'";
	for (const char *p = name; *p != '\0'; p++) {
		if (!is_alnum(*p) && strchr("_-.", *p) == NULL)
			return "plugin name may have only letters, digits, '_', '-' and '.'";
	}
	if (strlen(name) > NAME_PLUGIN_MAX)
		return "plugin name is longer than 63 bytes";
	return NULL;
}

bool
name_is_reserved(const char *key)
{
	static const char *const reserved[] = {"created_at", "doc_type", "format", "last_error",
	    "syskey", "system_name", "updated_at", "vogeler"};

	if (key[0] == '_') /* CouchDB's */
		return true;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (strcmp(key, reserved[i]) == 0)
			return true;
	}
	return false;
}

char *
name_of_this_host(void)
{
	struct utsname u;

	if (uname(&u) != 0)
		fatal("name", "uname: %s", strerror(errno));
	return xstrdup(u.nodename);
}

char *
names_some(const char *const *names, size_t n, size_t max)
{
	char *text;
	size_t size;
	FILE *f = xmemstream(&text, &size);

	for (size_t i = 0; i < n && i < max; i++)
		fprintf(f, "%s%s", i > 0 ? ", " : "", names[i]);
	if (n > max)
		fprintf(f, " and %zu more", n - max);
	fclose(f);
	return text;
}
