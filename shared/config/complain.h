/* SPDX-License-Identifier: Apache-2.0 */
/* Programs say what is wrong by these: "program: text" on stderr, without the passwords of URIs,
 * since what is quoted may be one that was typed without its option, or in the place of a file. */
#ifndef VOGELER_COMPLAIN_H
#define VOGELER_COMPLAIN_H

#include <stdarg.h>

struct trouble;

void complain_line(const char *program, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void complain_va(const char *program, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Adds "Try 'program --help'", and exits 1. */
void complain_usage(const char *program, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* Its last line: "Try 'program --help'"; exits 1. */
void complain_try_help(const char *program) __attribute__((noreturn));
/* Prints one that has a cure, which is our own words: nothing is hidden in it, though it may show
 * how a URI is written. */
void complain_trouble(const char *program, const struct trouble *t);
/* Says before what happened where it did, "where:line: ", or "where: " for line 0, and masks the
 * passwords in it. */
void complain_place(struct trouble *t, const char *where, unsigned int line);

#endif
