/* SPDX-License-Identifier: Apache-2.0 */
/* See units.h. */
#include "shared/base/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first; a bare number of bytes has the empty name. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
    {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};

/* Leading digits; *rest is what follows. */
static bool
digits(const char *text, uint64_t *value, const char **rest)
{
	uint64_t v = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	*rest = text;
	return true;
}

static bool
parse(const struct unit *units, const char *text, uint64_t *out)
{
	const char *rest;
	uint64_t v;

	if (!digits(text, &v, &rest))
		return false;
	rest += strspn(rest, " ");
	for (; units->name != NULL; units++) {
		if (strcmp(rest, units->name) != 0)
			continue;
		if (v > UINT64_MAX / units->factor)
			return false;
		*out = v * units->factor;
		return true;
	}
	return false;
}

/* Says whether it is 0, which is the same in all units. */
static bool
is_zero(const char *text)
{
	return text[0] == '0' && text[strspn(text, "0")] == '\0';
}

bool
units_parse_ms(const char *text, uint64_t *ms)
{
	if (is_zero(text)) {
		*ms = 0;
		return true;
	}
	return parse(durations, text, ms);
}

const char *
units_ask(const char *text, char out[UNITS_ASK_SIZE])
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || text[len] != '\0' || len > 20 || is_zero(text))
		return NULL;
	snprintf(out, UNITS_ASK_SIZE, "%s what? Write %ss, %smin, %sh or %sd", text, text, text,
	    text, text);
	return out;
}

bool
units_parse_bytes(const char *text, uint64_t *bytes)
{
	return parse(sizes, text, bytes);
}

bool
units_parse_count(const char *text, uint64_t max, uint64_t *count)
{
	const char *rest;
	uint64_t v;

	if (!digits(text, &v, &rest) || *rest != '\0' || v > max)
		return false;
	*count = v;
	return true;
}

static const char *
format(const struct unit *units, uint64_t value, const char *zero, char out[UNITS_TEXT_SIZE])
{
	if (value == 0) {
		snprintf(out, UNITS_TEXT_SIZE, "%s", zero);
		return out;
	}
	while (value % units->factor != 0)
		units++;
	snprintf(out, UNITS_TEXT_SIZE, "%llu%s", (unsigned long long)(value / units->factor),
	    units->name);
	return out;
}

const char *
units_format_ms(uint64_t ms, char out[UNITS_TEXT_SIZE])
{
	return format(durations, ms, "0s", out);
}

const char *
units_format_bytes(uint64_t bytes, char out[UNITS_TEXT_SIZE])
{
	return format(sizes, bytes, "0B", out);
}

const char *
units_span(int64_t ms, char out[UNITS_SPAN_SIZE])
{
	static const struct {
		const char *name;
		int64_t s;
	} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	int64_t s = ms > 0 ? ms / 1000 : 0;
	size_t i = 0;

	while (i < 3 && s < units[i].s)
		i++;
	if (i < 3 && s % units[i].s >= units[i + 1].s)
		snprintf(out, UNITS_SPAN_SIZE, "%" PRId64 " %s %" PRId64 " %s", s / units[i].s,
		    units[i].name, s % units[i].s / units[i + 1].s, units[i + 1].name);
	else
		snprintf(out, UNITS_SPAN_SIZE, "%" PRId64 " %s", s / units[i].s, units[i].name);
	return out;
}
