/* SPDX-License-Identifier: Apache-2.0 */
/* Programs say what is wrong by these: "program: text" on stderr, without the passwords of URIs,
 * since what is quoted may be one that was typed without its option, or in the place of a file. */
#ifndef VOGELER_COMPLAIN_H
#define VOGELER_COMPLAIN_H

#include <stdarg.h>

void complain_line(const char *program, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void complain_va(const char *program, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Adds "Try 'program --help'", and exits 1. */
void complain_usage(const char *program, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* "where:line: text", or "where: text" for line 0; malloced, without passwords as well. */
char *complain_text(const char *where, unsigned int line, const char *text);

#endif
