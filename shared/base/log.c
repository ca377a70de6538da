/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. */
#include "shared/base/log.h"
#include "shared/base/trouble.h"

#include "shared/base/log_sink.h"
#include "shared/base/printable.h"
#include "shared/base/xalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A line goes out in one write() of at most PIPE_BUF bytes, which POSIX keeps in one piece: lines
 * of several processes on one pipe do not mix. What is longer ends in "...". */
#define LOG_LINE_MAX 4096
#define LOG_CUT      "..."
#define EXIT_WAIT_MS 1000 /* at the end, for whoever reads to take what waits */

static struct {
	const char *program;
	enum log_level level;
	bool trace;
	bool journal;
	uint64_t dropped, dropped_told;
} logger = {.program = NULL, .level = LOG_LEVEL_WARN};

/* This lock is of the sink and of what is counted: worker threads log, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct log_line {
	char text[LOG_LINE_MAX];
	size_t len;
};

/* Does $JOURNAL_STREAM ("device:inode", systemd.exec(5)) name our stderr? */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	char *end;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	dev = strtoull(stream, &end, 10);
	if (end == stream || *end != ':')
		return false;
	stream = end + 1;
	ino = strtoull(stream, &end, 10);
	return end != stream && *end == '\0' && dev == st.st_dev && ino == st.st_ino;
}

static void
log_at_exit(void)
{
	pthread_mutex_lock(&lock);
	log_sink_finish(EXIT_WAIT_MS);
	pthread_mutex_unlock(&lock);
}

static void
tell_no_memory(size_t bytes)
{
	char wanted[48] = "";

	if (bytes > 0)
		snprintf(wanted, sizeof(wanted), ", %zu bytes were asked for", bytes);
	log_critical("memory",
	    "there is none left%s: ends here" TROUBLE_CURE
	    "give it more (MemoryMax=, ulimit -v, the "
	    "machine), or lower the limits of vogeler.conf",
	    wanted);
	(void)log_flush();
}

void
log_init(const char *program)
{
	const char *trace = getenv("VOGELER_TRACE");

	if (logger.program == NULL)
		atexit(log_at_exit);
	logger.program = program;
	logger.trace = trace != NULL && strcmp(trace, "1") == 0;
	logger.journal = stderr_is_journal();
	log_sink_open();
	xalloc_on_fail(tell_no_memory);
	tzset();
}

void
log_set_level(enum log_level level)
{
	logger.level = level;
}

bool
log_enabled(enum log_level level)
{
	if (level == LOG_LEVEL_TRACE)
		return logger.trace && logger.level <= LOG_LEVEL_DEBUG;
	return level >= logger.level;
}

const char *
log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_TRACE: /* not a level of 2010: whoever filters on levels knows DEBUG */
	case LOG_LEVEL_DEBUG:
		return "DEBUG";
	case LOG_LEVEL_INFO:
		return "INFO";
	case LOG_LEVEL_WARN:
		return "WARN";
	case LOG_LEVEL_ERROR:
		return "ERROR";
	case LOG_LEVEL_CRITICAL:
		return "CRITICAL";
	}
	return "?";
}

bool
log_level_parse(const char *text, enum log_level *level)
{
	for (int l = LOG_LEVEL_DEBUG; l <= LOG_LEVEL_CRITICAL; l++) {
		if (strcasecmp(text, log_level_name(l)) == 0) {
			*level = (enum log_level)l;
			return true;
		}
	}
	if (strcasecmp(text, "WARNING") == 0) {
		*level = LOG_LEVEL_WARN;
		return true;
	}
	return false;
}

/* syslog(3) priorities, as sd-daemon(3) wants them. */
static int
priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_TRACE:
	case LOG_LEVEL_DEBUG:
		return 7;
	case LOG_LEVEL_INFO:
		return 6;
	case LOG_LEVEL_WARN:
		return 4;
	case LOG_LEVEL_ERROR:
		return 3;
	case LOG_LEVEL_CRITICAL:
		return 2;
	}
	return 5;
}

static void line_printf(struct log_line *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the prefix alone, which always fits. */
static void
line_printf(struct log_line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n;
	if (l->len >= sizeof(l->text))
		l->len = sizeof(l->text) - 1;
}

/* "[2010-09-26 02:16:29,609: INFO] vogelerd (subsystem) - " */
static void
add_prefix(struct log_line *l, enum log_level level, const char *subsystem)
{
	const char *program =
	    logger.program != NULL ? logger.program : program_invocation_short_name;
	struct timespec ts;
	struct tm tm;
	char when[32];

	if (logger.journal) {
		line_printf(l, "<%d>%.64s (%.64s) - ", priority(level), program, subsystem);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	localtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	line_printf(l, "[%s,%03ld: %s] %.64s (%.64s) - ", when, ts.tv_nsec / 1000000,
	    log_level_name(level), program, subsystem);
}

/* Appends text with what is hostile escaped; false when it did not all fit. */
static bool
add_escaped(struct log_line *l, const char *text)
{
	size_t room = sizeof(l->text) - sizeof(LOG_CUT "\n");
	char piece[PRINTABLE_PIECE];
	size_t size;

	while (*text != '\0') {
		text += printable_step(text, PRINTABLE_ESCAPE, piece, &size);
		if (l->len + size > room)
			return false;
		memcpy(l->text + l->len, piece, size);
		l->len += size;
	}
	return true;
}

/* Says in their place how many were dropped. */
static bool
tell_dropped(void)
{
	struct log_line l = {.len = 0};

	if (logger.dropped == logger.dropped_told)
		return true;
	add_prefix(&l, LOG_LEVEL_WARN, "log");
	line_printf(&l, "%" PRIu64 " lines were dropped here: nobody read the log\n",
	    logger.dropped - logger.dropped_told);
	if (!log_sink_put_after_pause(l.text, l.len))
		return false;
	logger.dropped_told = logger.dropped;
	return true;
}

static void
put(const struct log_line *l)
{
	pthread_mutex_lock(&lock);
	if (!tell_dropped() || !log_sink_put(l->text, l->len))
		logger.dropped++;
	pthread_mutex_unlock(&lock);
}

bool
log_flush(void)
{
	int saved = errno;
	bool done;

	pthread_mutex_lock(&lock);
	done = log_sink_flush() && tell_dropped() && log_sink_flush();
	pthread_mutex_unlock(&lock);
	errno = saved;
	return done;
}

uint64_t
log_dropped(void)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = logger.dropped;
	pthread_mutex_unlock(&lock);
	return n;
}

static void emit(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
emit(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
{
	struct log_line l = {.len = 0};
	char text[LOG_LINE_MAX];
	int n;
	bool whole;

	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		text[0] = '\0';
	add_prefix(&l, level, subsystem);
	whole = add_escaped(&l, text) && n < (int)sizeof(text);
	if (!whole) {
		memcpy(l.text + l.len, LOG_CUT, strlen(LOG_CUT));
		l.len += strlen(LOG_CUT);
	}
	l.text[l.len++] = '\n';
	put(&l);
}

void
log_msg(enum log_level level, const char *subsystem, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	emit(level, subsystem, fmt, ap);
	va_end(ap);
	errno = saved;
}

void
fatal(const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_LEVEL_CRITICAL, subsystem, fmt, ap);
	va_end(ap);
	exit(1);
}
