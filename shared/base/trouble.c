/* SPDX-License-Identifier: Apache-2.0 */
/* See trouble.h. */
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <bsd/string.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct trouble trouble_no_memory = {TROUBLE_OTHER, "out of memory", ""};

/* Takes ownership of text. It is cut between characters: half a one would be shown as bytes. */
static void
keep(char *out, size_t size, char *text)
{
	size_t len = strlen(text);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	free(text);
}

void
trouble_vset(
    struct trouble *t, enum trouble_kind kind, const char *cure, const char *fmt, va_list ap)
{
	char *text;

	assert(kind != TROUBLE_NONE);
	t->kind = kind;
	xvasprintf(&text, fmt, ap);
	keep(t->what, sizeof(t->what), text);
	t->cure[0] = '\0';
	if (cure != NULL)
		trouble_set_cure(t, "%s", cure);
}

void
trouble_set(struct trouble *t, enum trouble_kind kind, const char *cure, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	trouble_vset(t, kind, cure, fmt, ap);
	va_end(ap);
}

void
trouble_set_cure(struct trouble *t, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	xvasprintf(&text, fmt, ap);
	va_end(ap);
	keep(t->cure, sizeof(t->cure), text);
}

struct trouble *
trouble_dup(const struct trouble *t)
{
	struct trouble *dup;

	if (t == NULL)
		return NULL;
	dup = xcalloc(1, sizeof(*dup));
	*dup = *t;
	return dup;
}

void
trouble_prefix(struct trouble *t, const char *fmt, ...)
{
	char *prefix, *text;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&prefix, fmt, ap);
	va_end(ap);
	xasprintf(&text, "%s%s", prefix, t->what);
	free(prefix);
	keep(t->what, sizeof(t->what), text);
}

char *
trouble_text(const struct trouble *t)
{
	char *text;

	xasprintf(&text, TROUBLE_FMT, TROUBLE_ARGS(t));
	return text;
}

const char *
trouble_format(const struct trouble *t, char *out, size_t size)
{
	char *text = trouble_text(t);

	strlcpy(out, text, size);
	free(text);
	return out;
}
