/* See xalloc.h. */
#include "shared/xalloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *ptr)
{
	if (ptr == NULL)
		abort();
	return ptr;
}

void *
xcalloc(size_t nmemb, size_t size)
{
	return checked(calloc(nmemb, size));
}

void *
xreallocarray(void *ptr, size_t nmemb, size_t size)
{
	return checked(reallocarray(ptr, nmemb, size));
}

char *
xstrdup(const char *s)
{
	return checked(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

char *
xstrdup_null(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

int
xasprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(out, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return n;
}
