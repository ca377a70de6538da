/* SPDX-License-Identifier: Apache-2.0 */
/* See errtext.h. */
#include "shared/base/errtext.h"

#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>

static const struct {
	int err;
	const char *phrase;
} phrases[] = {
    {ECONNREFUSED, "connection refused"},
    {ECONNRESET, "connection reset by the peer"},
    {ECONNABORTED, "connection aborted"},
    {EHOSTDOWN, "host is down"},
    {EHOSTUNREACH, "no route to the host"},
    {EMFILE, "too many open files"},
    {ENETDOWN, "network is down"},
    {ENETUNREACH, "network unreachable"},
    {ENFILE, "too many open files on this machine"},
    {ENOBUFS, "no buffer space"},
    {ENOMEM, "out of memory"},
    {EPIPE, "closed by the peer"},
    {ETIMEDOUT, "connection timed out"},
};

const char *
errtext_errno(int err)
{
	const char *text;
	size_t i;

	for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].err == err)
			return phrases[i].phrase;
	}
	text = strerrordesc_np(err);
	return text != NULL ? text : "unknown error";
}

char *
errtext_of_host(const char *text)
{
	static const char begin[] = "Plugin ",
			  middle[] = " is not authorized for this host. Ignoring",
			  list[] = ". Registered here: ";
	const char *name = text + strlen(begin), *end = strstr(text, middle), *rest;
	char *said;

	if (strncmp(text, begin, strlen(begin)) != 0 || end == NULL || end < name)
		return xstrdup(text);
	rest = end + strlen(middle);
	if (strncmp(rest, list, strlen(list)) == 0)
		xasprintf(&said, "this host has no plugin %.*s; it has: %s", (int)(end - name),
		    name, rest + strlen(list));
	else
		xasprintf(&said, "this host has no plugin %.*s%s", (int)(end - name), name,
		    strcmp(rest, ".") == 0 ? "" : rest);
	return said;
}

char *
errtext_of_plugin(const char *plugin, const char *text)
{
	size_t len = strlen(plugin);

	if (len > 0 && strncmp(text, plugin, len) == 0 && strncmp(text + len, ": ", 2) == 0)
		text += len + 2;
	return errtext_of_host(text);
}

void
errtext_resolve(int rc, int err, struct trouble *t)
{
	switch (rc) {
	case EAI_NONAME:
	case EAI_NODATA:
		trouble_set(t, TROUBLE_NAMES, NULL, "no such host");
		return;
	case EAI_AGAIN:
		trouble_set(t, TROUBLE_NAMES, NULL, "the name server does not answer");
		return;
	case EAI_FAIL:
		trouble_set(t, TROUBLE_NAMES, NULL, "the name server failed");
		return;
	case EAI_MEMORY:
		trouble_set(t, TROUBLE_OTHER, NULL, "out of memory");
		return;
	case EAI_SYSTEM:
		trouble_set(t, TROUBLE_OTHER, NULL, "%s", errtext_errno(err));
		return;
	default:
		trouble_set(t, TROUBLE_OTHER, NULL, "%s", gai_strerror(rc));
	}
}
