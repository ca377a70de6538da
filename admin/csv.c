/* SPDX-License-Identifier: Apache-2.0 */
/* See csv.h. */
#include "admin/csv.h"

#include <stdbool.h>
#include <string.h>

void
csv_cell(FILE *out, size_t column, const char *text)
{
	bool quoted = text != NULL && strpbrk(text, ",\"\r\n") != NULL;

	if (column > 0)
		putc(',', out);
	if (quoted)
		putc('"', out);
	for (const char *p = text; p != NULL && *p != '\0'; p++) {
		if (*p == '"')
			putc('"', out);
		putc(*p, out);
	}
	if (quoted)
		putc('"', out);
}
