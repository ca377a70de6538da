/* SPDX-License-Identifier: Apache-2.0 */
/* This decides what becomes of a program when memory is out; one rule for all.
 *
 * What is small and our own, the members of jansson's trees among it (jsonx_init()), is asked for
 * with these functions, which never fail: without memory the program says so in a line and ends
 * with status 1, for whoever started it to start it again. Nothing goes on with a half, and nothing
 * is lost: what was not acknowledged comes again.
 *
 * What is as large as somebody outside likes (a message, a value, the answer of a store, a file)
 * is read and written with buf.h, jread.h, jsonx_parse() and yamlx_parse(), where it is an ordinary
 * failure, of that one thing: it is refused with that reason, or tried again. Where such a failure
 * could be taken for something else (what is stored would look damaged, or not there) the first
 * half of the rule holds. jansson's own reader (json_loads, json_loadb), which in 2.14 reads beyond
 * a text for which there was no memory, is safe under it too. */
#ifndef VOGELER_XALLOC_H
#define VOGELER_XALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* uthash's own memory; its own end would be a silent exit(-1). */
#ifndef uthash_malloc
#define uthash_malloc(size)    xcalloc(1, size)
#define uthash_free(ptr, size) free(ptr)
#endif

/* There is no memory, for so many bytes (0 = not known): ends the program, from any thread. */
void xalloc_fail(size_t bytes) __attribute__((noreturn));
/* fn says so where others look for it; without one, a line on standard error. It must not ask for
 * memory. */
void xalloc_on_fail(void (*fn)(size_t bytes));

void *xcalloc(size_t nmemb, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *ptr, size_t nmemb, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
/* NULL in, NULL out: for the many optional strings of a message. */
char *xstrdup_null(const char *s);
int xasprintf(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int xvasprintf(char **out, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* A stream into memory: after fclose() *text is malloced, of *size bytes. */
FILE *xmemstream(char **text, size_t *size) __attribute__((returns_nonnull));

#endif
