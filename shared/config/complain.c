/* SPDX-License-Identifier: Apache-2.0 */
/* See complain.h. */
#include "shared/config/complain.h"

#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>

/* Masks what is said to be wrong, and not the cure: only what is quoted can be anybody's password.
 */
static void
mask(struct trouble *t)
{
	char *shown = uri_mask_sentence(t->what);

	strlcpy(t->what, shown, sizeof(t->what));
	free(shown);
}

void
complain_place(struct trouble *t, const char *where, unsigned int line)
{
	if (line > 0)
		trouble_prefix(t, "%s:%u: ", where, line);
	else
		trouble_prefix(t, "%s: ", where);
	mask(t);
}

void
complain_trouble(const char *program, const struct trouble *t)
{
	struct trouble shown = *t;

	mask(&shown);
	printable_line(stderr, "%s: " TROUBLE_FMT, program, TROUBLE_ARGS(&shown));
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
complain_try_help(const char *program)
{
	fprintf(stderr, "Try '%s --help'.\n", program);
	exit(1);
}

void
complain_usage(const char *program, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_va(program, fmt, ap);
	va_end(ap);
	complain_try_help(program);
}
