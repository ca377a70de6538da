/* SPDX-License-Identifier: Apache-2.0 */
/* The sink takes the lines of the log to standard error, without ever waiting for whoever reads it.
 * Lines that it does not take at once wait in a bounded buffer; what finds that full is dropped.
 *
 * O_NONBLOCK belongs to the open file and not to the descriptor: set on ours it would be the
 * terminal's or the pipe's for every process that shares it, and a shell that met EAGAIN would end.
 * So a pipe or a terminal is opened once more, for us alone; a socket is asked with each message;
 * what cannot be opened again is only written to when poll(2) says that there is room. */
#ifndef VOGELER_LOG_SINK_H
#define VOGELER_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_SINK_MAX (64U * 1024) /* bytes that wait */

/* Early, before the program's own descriptors come and go. Without it the first line does so. */
void log_sink_open(void);
/* line: with its end, at most PIPE_BUF bytes, so that those of several processes on one pipe do not
 * mix. false: it is dropped. */
bool log_sink_put(const char *line, size_t len);
/* Puts it as long as no more than half of the buffer is in use. */
bool log_sink_put_after_pause(const char *line, size_t len);
/* Writes what waits, as far as it is taken now. true: nothing waits any more. */
bool log_sink_flush(void);
/* Writes what waits, and waits that long for it. */
void log_sink_finish(int patience_ms);

#endif
