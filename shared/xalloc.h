/* Allocation for small structs of our own: aborts when memory is out. Memory whose size comes from
 * the network, a file or a child goes through buf.h instead, where failure is an ordinary result.
 */
#ifndef VOGELER_XALLOC_H
#define VOGELER_XALLOC_H

#include <stddef.h>

void *xcalloc(size_t nmemb, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *ptr, size_t nmemb, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
/* NULL in, NULL out: for the many optional strings of a message. */
char *xstrdup_null(const char *s);
int xasprintf(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
