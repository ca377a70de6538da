/* SPDX-License-Identifier: Apache-2.0 */
/* See complain.h. */
#include "shared/config/complain.h"

#include "shared/base/printable.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include <stdio.h>
#include <stdlib.h>

char *
complain_text(const char *where, unsigned int line, const char *text)
{
	char *whole, *shown;

	if (line > 0)
		xasprintf(&whole, "%s:%u: %s", where, line, text);
	else
		xasprintf(&whole, "%s: %s", where, text);
	shown = uri_mask_sentence(whole);
	free(whole);
	return shown;
}

void
complain_va(const char *program, const char *fmt, va_list ap)
{
	char *text, *shown;

	xvasprintf(&text, fmt, ap);
	shown = uri_mask_sentence(text);
	printable_line(stderr, "%s: %s", program, shown);
	free(shown);
	free(text);
}

void
complain_line(const char *program, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_va(program, fmt, ap);
	va_end(ap);
}

void
complain_usage(const char *program, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_va(program, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try '%s --help'.\n", program);
	exit(1);
}
