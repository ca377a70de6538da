/* SPDX-License-Identifier: Apache-2.0 */
/* See wallclock.h. */
#include "shared/base/wallclock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The years that four digits can say: 0000-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z. */
#define WALL_MIN (-62167219200000LL)
#define WALL_MAX 253402300799999LL

int64_t
wallclock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *
wallclock_format(int64_t ms, char out[WALLCLOCK_TEXT_SIZE])
{
	struct tm tm;
	time_t seconds;
	unsigned fraction;
	char date[16]; /* "-01-31T23:59:59" */

	/* Times come from other machines too: what no year says is written as the nearest one. */
	if (ms < WALL_MIN)
		ms = WALL_MIN;
	if (ms > WALL_MAX)
		ms = WALL_MAX;
	/* Before 1970 as after it, the fraction counts forward from the second. */
	fraction = (unsigned)(ms % 1000 + 1000) % 1000;
	seconds = (time_t)((ms - fraction) / 1000);
	gmtime_r(&seconds, &tm);
	/* glibc's %Y does not pad to four digits: the year is written by hand. */
	strftime(date, sizeof(date), "-%m-%dT%H:%M:%S", &tm);
	snprintf(out, WALLCLOCK_TEXT_SIZE, "%04d%.15s.%03uZ", tm.tm_year + 1900, date, fraction);
	return out;
}

const char *
wallclock_format_s(int64_t ms, char out[WALLCLOCK_TEXT_SIZE])
{
	char *fraction;

	wallclock_format(ms, out);
	fraction = strchr(out, '.');
	memcpy(fraction, "Z", 2);
	return out;
}

const char *
wallclock_age(int64_t then_ms, int64_t now_ms, char out[WALLCLOCK_AGE_SIZE])
{
	static const int64_t units_ms[] = {86400000, 3600000, 60000, 1000};
	int64_t age = now_ms > then_ms ? now_ms - then_ms : 0;
	char span[UNITS_SPAN_SIZE];
	size_t i = 0;

	while (i < 3 && age < units_ms[i])
		i++;
	snprintf(out, WALLCLOCK_AGE_SIZE, "%s ago", units_span(age - age % units_ms[i], span));
	return out;
}

/* Exactly n digits. */
static bool
digits(const char **p, int n, int *value)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*value = v;
	return true;
}

static bool
literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool
scan(const char *p, struct tm *tm, int *fraction)
{
	if (!digits(&p, 4, &tm->tm_year) || !literal(&p, '-') || !digits(&p, 2, &tm->tm_mon) ||
	    !literal(&p, '-') || !digits(&p, 2, &tm->tm_mday) || !literal(&p, 'T') ||
	    !digits(&p, 2, &tm->tm_hour) || !literal(&p, ':') || !digits(&p, 2, &tm->tm_min) ||
	    !literal(&p, ':') || !digits(&p, 2, &tm->tm_sec))
		return false;
	*fraction = 0;
	if (*p == '.') {
		p++;
		if (!digits(&p, 3, fraction))
			return false;
	}
	return strcmp(p, "Z") == 0;
}

bool
wallclock_parse(const char *text, int64_t *ms)
{
	struct tm tm = {0}, again;
	int fraction;
	time_t seconds;

	if (!scan(text, &tm, &fraction))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	again = tm;
	seconds = timegm(&again);
	/* timegm() takes the 31st of February for the 3rd of March: such a date does not come back
	 * as it went in. */
	if (again.tm_year != tm.tm_year || again.tm_mon != tm.tm_mon ||
	    again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour ||
	    again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
		return false;
	*ms = (int64_t)seconds * 1000 + fraction;
	return true;
}
