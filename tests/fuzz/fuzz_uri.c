/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as URIs: read or refused with a reason, and no way out for a password. */
#include "shared/base/trouble.h"
#include "tests/fuzz/fuzz.h"

#include "shared/base/uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096

static int
same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The password between ":" and "@", where a URI has it. */
static void
check_hidden(const struct uri *u, const char *text)
{
	char *secret;

	if (u->password == NULL || u->password[0] == '\0' || strspn(u->password, "*") > 0)
		return;
	/* It may stand in what is no secret. */
	if ((u->user != NULL && strstr(u->user, u->password) != NULL) ||
	    (u->path != NULL && strstr(u->path, u->password) != NULL))
		return;
	secret = malloc(strlen(u->password) + 3);
	if (secret == NULL)
		abort();
	sprintf(secret, ":%s@", u->password); /* NOLINT: it fits */
	if (strstr(text, secret) != NULL)
		abort();
	free(secret);
}

static void
check_uri(const struct uri *u)
{
	struct trouble why = {0};
	char text[3 * TEXT_MAX + 256];
	struct uri copy, again;

	uri_copy(&copy, u);
	if (copy.port != u->port || !same(copy.host, u->host) || !same(copy.path, u->path) ||
	    !same(copy.user, u->user) || !same(copy.password, u->password))
		abort();
	uri_finish(&copy);
	uri_redacted(u, text, sizeof(text));
	check_hidden(u, text);
	if (u->scheme == URI_SQLITE || strlen(text) + 1 == sizeof(text))
		return; /* as a file's path, for people; or cut */
	if (!uri_parse(text, &again, &why))
		abort();
	if (again.scheme != u->scheme || again.port != u->port || !same(again.host, u->host) ||
	    !same(again.path, u->path) || !same(again.user, u->user))
		abort();
	uri_finish(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size < TEXT_MAX ? size : TEXT_MAX);
	struct trouble why = {0};
	char out[3 * TEXT_MAX + 256];
	struct uri u, *list;
	size_t n, len;

	if (text == NULL)
		return 0;
	if (uri_parse(text, &u, &why)) {
		check_uri(&u);
		uri_redact_text(text, out, sizeof(out));
		free(uri_mask_sentence(text));
		check_hidden(&u, out);
		uri_finish(&u);
	} else if (why.what[0] == '\0') {
		abort();
	}
	why.what[0] = '\0';
	if (uri_parse_brokers(text, &list, &n, &why)) {
		for (size_t i = 0; i < n; i++)
			check_uri(&list[i]);
		uri_list_free(list, n);
	} else if (why.what[0] == '\0') {
		abort();
	}
	len = strlen(text);
	uri_scrub(text);
	if (strlen(text) != len)
		abort();
	free(text);
	return 0;
}
