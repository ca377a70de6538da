/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and sizes as people write them: "500ms" "10s" "5min" "1h" "7d", "256KiB" "4MiB" "1GiB".
 * Bare numbers are bytes; of durations there is none but 0, since whoever wrote 5 may have meant
 * minutes. */
#ifndef VOGELER_UNITS_H
#define VOGELER_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define UNITS_TEXT_SIZE 32

/* false: not a number with one of the units, or beyond 64 bits. */
bool units_parse_ms(const char *text, uint64_t *ms);
/* Gives what is to be said to a bare number in the place of a duration: "5 what? Write 5s, ...", in
 * out; NULL: it is none. */
#define UNITS_ASK_SIZE 160
const char *units_ask(const char *text, char out[UNITS_ASK_SIZE]);
bool units_parse_bytes(const char *text, uint64_t *bytes);
/* A decimal number of at most max. */
bool units_parse_count(const char *text, uint64_t max, uint64_t *count);
/* The largest unit that says it exactly; reads back as the same. Return out. */
const char *units_format_ms(uint64_t ms, char out[UNITS_TEXT_SIZE]);
const char *units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_SIZE]);
/* Writes it for people, in its two largest units: "6 d 23 h", "59 s". Below 0 as 0. Returns out. */
#define UNITS_SPAN_SIZE 40
const char *units_span(int64_t ms, char out[UNITS_SPAN_SIZE]);

#endif
