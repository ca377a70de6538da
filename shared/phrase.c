/* See phrase.h. */
#include "shared/phrase.h"

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
phrase_cure(const char *sentence)
{
	const char *mark = strstr(sentence, PHRASE_CURE);

	return mark == NULL ? NULL : mark + strlen(PHRASE_CURE);
}

const char *
phrase_errno(int err)
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

const char *
phrase_resolve(int rc, int err)
{
	switch (rc) {
	case EAI_NONAME:
	case EAI_NODATA:
		return PHRASE_NO_HOST;
	case EAI_AGAIN:
		return "the name server does not answer";
	case EAI_FAIL:
		return "the name server failed";
	case EAI_MEMORY:
		return "out of memory";
	case EAI_SYSTEM:
		return phrase_errno(err);
	default:
		return gai_strerror(rc);
	}
}
