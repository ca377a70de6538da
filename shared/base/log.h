/* SPDX-License-Identifier: Apache-2.0 */
/* The log, to stderr, in the format of the README of 2010:
 *
 *   [2010-09-26 02:16:29,609: INFO] vogelerd (subsystem) - object: text, key=value
 *
 * Under journald ($JOURNAL_STREAM names our stderr) date and level are left to it: "<6>vogelerd
 * (...) - ...". What a terminal obeys, and bytes that are not UTF-8, are escaped (printable.h), so
 * that a hostile host cannot forge lines. Nothing here waits for whoever reads the log: lines wait
 * in a buffer of LOG_SINK_MAX bytes (log_sink.h), those that find it full are dropped, counted, and
 * how many is said in their place. Every function keeps errno. The only process-wide state of the
 * suite. */
#ifndef VOGELER_LOG_H
#define VOGELER_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	/* A line per frame is printed as DEBUG, only with VOGELER_TRACE=1 in the environment. */
	LOG_LEVEL_TRACE,
	LOG_LEVEL_DEBUG, /* per message */
	LOG_LEVEL_INFO,  /* life cycle; one line per change of state */
	LOG_LEVEL_WARN,  /* degraded, heals by itself */
	LOG_LEVEL_ERROR, /* someone must act */
	LOG_LEVEL_CRITICAL,
};

void log_init(const char *program);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
const char *log_level_name(enum log_level level);
/* DEBUG INFO WARN ERROR CRITICAL, any case; WARNING too, as Python's logging has it. */
bool log_level_parse(const char *text, enum log_level *level);

void log_msg(enum log_level level, const char *subsystem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes what waits, as far as somebody takes it. true: nothing waits. The loop does so while it
 * turns, the end of the program for a second. */
bool log_flush(void);
uint64_t log_dropped(void); /* lines, since the start */

#define log_trace(sub, ...)                                                                        \
	do {                                                                                       \
		if (log_enabled(LOG_LEVEL_TRACE))                                                  \
			log_msg(LOG_LEVEL_TRACE, sub, __VA_ARGS__);                                \
	} while (0)
#define log_debug(sub, ...)                                                                        \
	do {                                                                                       \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                  \
			log_msg(LOG_LEVEL_DEBUG, sub, __VA_ARGS__);                                \
	} while (0)
#define log_info(sub, ...)     log_msg(LOG_LEVEL_INFO, sub, __VA_ARGS__)
#define log_warn(sub, ...)     log_msg(LOG_LEVEL_WARN, sub, __VA_ARGS__)
#define log_error(sub, ...)    log_msg(LOG_LEVEL_ERROR, sub, __VA_ARGS__)
#define log_critical(sub, ...) log_msg(LOG_LEVEL_CRITICAL, sub, __VA_ARGS__)

/* A broken invariant, or a start that cannot go on: logs at CRITICAL and exits 1. */
void fatal(const char *subsystem, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif
