/* SPDX-License-Identifier: Apache-2.0 */
/* CSV as in RFC 4180, but lines end with LF. */
#ifndef VOGELER_ADMIN_CSV_H
#define VOGELER_ADMIN_CSV_H

#include <stddef.h>
#include <stdio.h>

/* One cell of a line; column counts from 0. text: NULL = empty. The line's end is the caller's. */
void csv_cell(FILE *out, size_t column, const char *text);

#endif
