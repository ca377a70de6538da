/* See errtext.h. */
#include "shared/base/errtext.h"

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
errtext_cure(const char *sentence)
{
	const char *mark = strstr(sentence, ERRTEXT_CURE);

	return mark == NULL ? NULL : mark + strlen(ERRTEXT_CURE);
}

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

static const char no_host[] = "no such host";
static const char no_server[] = "the name server does not answer";
static const char bad_server[] = "the name server failed";

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

const char *
errtext_resolve(int rc, int err)
{
	switch (rc) {
	case EAI_NONAME:
	case EAI_NODATA:
		return no_host;
	case EAI_AGAIN:
		return no_server;
	case EAI_FAIL:
		return bad_server;
	case EAI_MEMORY:
		return "out of memory";
	case EAI_SYSTEM:
		return errtext_errno(err);
	default:
		return gai_strerror(rc);
	}
}

bool
errtext_is_of_names(const char *phrase)
{
	return strcmp(phrase, no_host) == 0 || strcmp(phrase, no_server) == 0 ||
	       strcmp(phrase, bad_server) == 0;
}
