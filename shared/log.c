/* See log.h. */
#include "shared/log.h"

#include <errno.h>
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

static struct {
	const char *program;
	enum log_level level;
	bool trace;
	bool journal;
} logger = {.program = NULL, .level = LOG_LEVEL_WARN};

struct line {
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

void
log_init(const char *program)
{
	const char *trace = getenv("VOGELER_TRACE");

	logger.program = program;
	logger.trace = trace != NULL && strcmp(trace, "1") == 0;
	logger.journal = stderr_is_journal();
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

static void line_printf(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For the prefix alone, which always fits. */
static void
line_printf(struct line *l, const char *fmt, ...)
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
add_prefix(struct line *l, enum log_level level, const char *subsystem)
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

/* Length of the UTF-8 character at p (Unicode 3.9, table 3-7: no overlong forms, no surrogates), 0
 * if there is none. p is NUL-terminated, so looking one byte past a good one is safe. */
static size_t
utf8_length(const unsigned char *p)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < n; i++) {
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}

/* C0, DEL and the C1 controls (U+0080..U+009F), with which a terminal can be told things too. */
static bool
is_control(const unsigned char *p, size_t n)
{
	return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

/* Appends text with what is hostile escaped; false when it did not all fit. */
static bool
add_escaped(struct line *l, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t room = sizeof(l->text) - sizeof(LOG_CUT "\n");
	char piece[4 * 4 + 1];
	size_t n, size;

	while (*p != '\0') {
		n = utf8_length(p);
		if (n > 0 && !is_control(p, n)) {
			memcpy(piece, p, n);
			size = n;
		} else {
			n = n > 0 ? n : 1;
			size = 0;
			for (size_t i = 0; i < n; i++)
				size += (size_t)snprintf(
				    piece + size, sizeof(piece) - size, "\\x%02x", p[i]);
		}
		if (l->len + size > room)
			return false;
		memcpy(l->text + l->len, piece, size);
		l->len += size;
		p += n;
	}
	return true;
}

static void emit(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
emit(enum log_level level, const char *subsystem, const char *fmt, va_list ap)
{
	struct line l = {.len = 0};
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
	/* A log that cannot be written is no reason to stop, nor is there anyone to tell. */
	while (write(STDERR_FILENO, l.text, l.len) < 0 && errno == EINTR)
		continue;
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
