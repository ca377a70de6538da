/* SPDX-License-Identifier: Apache-2.0 */
/* Wall-clock time: milliseconds since the epoch, UTC, and RFC 3339 text with milliseconds
 * ("2010-09-26T02:16:29.609Z"), the form every time in a record has. */
#ifndef VOGELER_WALLCLOCK_H
#define VOGELER_WALLCLOCK_H

#include "shared/base/units.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WALLCLOCK_TEXT_SIZE 32

int64_t wallclock_ms(void);
/* Writes the text form into out (WALLCLOCK_TEXT_SIZE bytes) and returns it. */
const char *wallclock_format(int64_t ms, char out[WALLCLOCK_TEXT_SIZE]);
/* Writes it for people, to whom seconds are enough: "2010-09-26T02:16:29Z"; returns out. */
const char *wallclock_format_s(int64_t ms, char out[WALLCLOCK_TEXT_SIZE]);
/* "3 min ago", in one unit; of what is yet to come "0 s ago"; returns out. */
#define WALLCLOCK_AGE_SIZE (UNITS_SPAN_SIZE + 8)
const char *wallclock_age(int64_t then_ms, int64_t now_ms, char out[WALLCLOCK_AGE_SIZE]);
/* Reads exactly what wallclock_format writes (the fraction may be missing). */
bool wallclock_parse(const char *text, int64_t *ms);

#endif
