/* SPDX-License-Identifier: Apache-2.0 */
/* URIs as text that may be shown: the second half of uri.h. */
#include "shared/base/uri.h"

#include "shared/base/xalloc.h"
#include <ctype.h>
#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MASK    "***"
#define PG_PORT 5432

/* Appends at out[*len], cutting at size. */
static void append(char *out, size_t size, size_t *len, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void
append(char *out, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (*len + 1 >= size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(out + *len, size - *len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	*len += (size_t)n;
	if (*len >= size)
		*len = size - 1;
}

static void
append_encoded(char *out, size_t size, size_t *len, const char *s)
{
	char *encoded = evhttp_uriencode(s, -1, 0);

	append(out, size, len, "%s", encoded != NULL ? encoded : "?");
	free(encoded);
}

static void
append_place(char *out, size_t size, size_t *len, const char *host, uint16_t port)
{
	append(out, size, len, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
	    (unsigned int)port);
}

/* The rest of a URI of a server whose socket is a file. */
static void
append_socket(const struct uri *u, char *out, size_t size, size_t *len)
{
	if (u->port != PG_PORT)
		append(out, size, len, ":%u", (unsigned int)u->port);
	append(out, size, len, "/");
	append_encoded(out, size, len, u->path);
	if (u->host != NULL)
		append(out, size, len, "?host=%s", u->host);
}

const char *
uri_redacted(const struct uri *u, char *out, size_t size)
{
	size_t len = 0;

	if (size > 0)
		out[0] = '\0';
	append(out, size, &len, "%s://", uri_scheme_name(u->scheme));
	if (u->user != NULL) {
		append_encoded(out, size, &len, u->user);
		append(out, size, &len, u->password != NULL ? ":" MASK "@" : "@");
	}
	if (u->scheme == URI_NULL)
		return out;
	if (u->scheme == URI_SQLITE) {
		append(out, size, &len, "%s", u->path);
		return out;
	}
	if (u->scheme == URI_PG && (u->host == NULL || u->host[0] == '/')) {
		append_socket(u, out, size, &len);
		return out;
	}
	append_place(out, size, &len, u->host, u->port);
	for (size_t i = 0; i < u->n_others; i++) {
		append(out, size, &len, ",");
		append_place(out, size, &len, u->others[i].host, u->others[i].port);
	}
	append(out, size, &len, "/");
	/* "/" reads as the vhost "/"; any other is written out. */
	if (strcmp(u->path, "/") != 0)
		append_encoded(out, size, &len, u->path);
	return out;
}

/* Does a URI begin at p, which is somewhere in text? Not in the middle of a word: a password may
 * have "://" in it. Returns the length of "scheme://", or 0. */
static size_t
scheme_length(const char *text, const char *p)
{
	if (p > text && strchr(", \t='\"(", p[-1]) == NULL)
		return 0;
	for (int s = URI_AMQP; s <= URI_NULL; s++) {
		const char *name = uri_scheme_name((enum uri_scheme)s);
		size_t len = strlen(name);

		if (strncasecmp(p, name, len) == 0 && strncmp(p + len, "://", 3) == 0)
			return len + 3;
	}
	return 0;
}

/* Finds the password where the '@' is missing, as in a text or a URI that was cut: what stands
 * where a port would, and is none, is the password. Returns its end, or NULL. */
static const char *
end_without_at(const char *authority, const char *colon)
{
	size_t len, digits;

	if (colon == NULL || memchr(authority, '/', (size_t)(colon - authority)) != NULL ||
	    authority[0] == '[')
		return NULL;
	len = strcspn(colon + 1, " \t,'\"");
	digits = strspn(colon + 1, "0123456789");
	if (len == 0 || (digits > 0 && !isalnum((unsigned char)colon[1 + digits])))
		return NULL;
	return colon + 1 + len;
}

/* The next password at or after *from, in text that need not be a good URI: what stands between the
 * first ':' and the last '@' before the next URI begins. So a password with '@', '/' or ',' in it,
 * which is a mistake, is still found whole; at worst too much is masked. */
static bool
next_password(const char *text, const char **from, const char **begin, const char **end)
{
	while (**from != '\0') {
		size_t scheme = scheme_length(text, *from);
		const char *p = *from + scheme, *colon = NULL, *at = NULL;

		for (; *p != '\0' && (p == *from || scheme_length(text, p) == 0); p++) {
			/* A blank follows the colon in a sentence of ours, and none does in
			 * a URI. */
			if (*p == ':' && colon == NULL &&
			    (scheme > 0 || !isspace((unsigned char)p[1])))
				colon = p;
			if (*p == '@' && colon != NULL)
				at = p;
		}
		if (at == NULL && scheme > 0)
			at = end_without_at(*from + scheme, colon);
		*from = p;
		if (at != NULL) {
			*begin = colon + 1;
			*end = at;
			return true;
		}
	}
	return false;
}

/* The next value of a key like "password" or "sslpassword" behind '?' or '&', where none is taken
 * from, but where somebody may write one. */
static bool
next_query_password(const char **from, const char **begin, const char **end)
{
	const char *p = *from;

	while (*(p += strcspn(p, "?&")) != '\0') {
		size_t len = strspn(++p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (p[len] == '=' && len >= 8 && strncasecmp(p + len - 8, "password", 8) == 0) {
			*begin = p + len + 1;
			*end = *begin + strcspn(*begin, "& \t,'\"");
			*from = *end;
			return true;
		}
	}
	return false;
}

/* Masks them in place; what grows beyond size is cut. */
static void
mask_query_passwords(char *text, size_t size)
{
	const char *from = text, *begin, *end;

	while (next_query_password(&from, &begin, &end)) {
		char *rest = xstrdup(end);
		size_t len = (size_t)(begin - text);

		append(text, size, &len, MASK);
		from = text + len;
		append(text, size, &len, "%s", rest);
		free(rest);
	}
}

const char *
uri_redact_text(const char *text, char *out, size_t size)
{
	const char *from = text, *done = text, *begin, *end;
	size_t len = 0;

	if (size > 0)
		out[0] = '\0';
	while (next_password(text, &from, &begin, &end)) {
		append(out, size, &len, "%.*s" MASK, (int)(begin - done), done);
		done = end;
	}
	append(out, size, &len, "%s", done);
	if (size > 0)
		mask_query_passwords(out, size);
	return out;
}

char *
uri_mask(const char *text)
{
	size_t size = 3 * strlen(text) + 16; /* a mask may be longer than what it hides */
	char *out = xcalloc(1, size);

	uri_redact_text(text, out, size);
	return out;
}

/* The end of the text that begins at p, a quote or a word. A word with a URI whose password has a
 * blank in it, which is a mistake, reaches to the last '@' of the text. */
static const char *
piece_end(const char *text, const char *p)
{
	const char *end = *p == '"' ? strchr(p + 1, '"') : NULL, *uri = p, *colon, *at;

	if (end != NULL)
		return end + 1;
	end = p + 1 + strcspn(p + 1, " \t\n\"");
	while (uri < end && scheme_length(text, uri) == 0)
		uri++;
	if (uri == end)
		return end;
	uri += scheme_length(text, uri);
	colon = memchr(uri, ':', (size_t)(end - uri));
	if (colon == NULL || memchr(colon, '@', (size_t)(end - colon)) != NULL ||
	    end_without_at(uri, colon) == NULL)
		return end;
	at = strrchr(end, '@');
	return at != NULL ? at + 1 : end;
}

char *
uri_mask_sentence(const char *text)
{
	const char *end = text + strlen(text);
	char *out, *piece, *shown;
	size_t size;
	FILE *f = xmemstream(&out, &size);

	for (const char *p = text, *next; p < end; p = next) {
		next = piece_end(text, p);
		if (next > end)
			next = end;
		piece = xstrndup(p, (size_t)(next - p));
		shown = uri_mask(piece);
		fputs(shown, f);
		free(shown);
		explicit_bzero(piece, strlen(piece));
		free(piece);
	}
	fclose(f);
	return out;
}

void
uri_scrub(char *text)
{
	const char *from = text, *begin, *end;

	while (next_password(text, &from, &begin, &end))
		memset(text + (begin - text), '*', (size_t)(end - begin));
	from = text;
	while (next_query_password(&from, &begin, &end))
		memset(text + (begin - text), '*', (size_t)(end - begin));
}
