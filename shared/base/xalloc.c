/* SPDX-License-Identifier: Apache-2.0 */
/* See xalloc.h. */
#include "shared/base/xalloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*tell)(size_t bytes);

void
xalloc_on_fail(void (*fn)(size_t bytes))
{
	tell = fn;
}

/* The handlers of exit() are for one thread, and for a program that could go on. */
void
xalloc_fail(size_t bytes)
{
	static const char words[] = "out of memory\n";

	if (tell != NULL)
		tell(bytes);
	else if (write(STDERR_FILENO, words, sizeof(words) - 1) < 0)
		abort();
	_exit(EXIT_FAILURE);
}

static void *
checked(void *ptr, size_t bytes)
{
	if (ptr == NULL)
		xalloc_fail(bytes);
	return ptr;
}

void *
xcalloc(size_t nmemb, size_t size)
{
	return checked(calloc(nmemb, size), nmemb * size);
}

void *
xreallocarray(void *ptr, size_t nmemb, size_t size)
{
	return checked(reallocarray(ptr, nmemb, size), nmemb * size);
}

char *
xstrdup(const char *s)
{
	return checked(strdup(s), strlen(s));
}

char *
xstrndup(const char *s, size_t n)
{
	return checked(strndup(s, n), n);
}

char *
xstrdup_null(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

int
xvasprintf(char **out, const char *fmt, va_list ap)
{
	int n = vasprintf(out, fmt, ap);

	if (n < 0)
		xalloc_fail(0);
	return n;
}

int
xasprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = xvasprintf(out, fmt, ap);
	va_end(ap);
	return n;
}

FILE *
xmemstream(char **text, size_t *size)
{
	return checked(open_memstream(text, size), 0);
}
