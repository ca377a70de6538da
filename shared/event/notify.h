/* What the service manager is told: sd_notify(3), by its protocol.
 *
 * The protocol itself and not libsystemd, which brings lzma, zstd, lz4 and gcrypt with it: an idle
 * agent measured 3.0 MB (PSS) without and 3.6 MB with it, on Debian 12. It is a datagram of
 * NAME=value lines to $NOTIFY_SOCKET; sd_notify(3) promises that this stays so.
 *
 * Without $NOTIFY_SOCKET everything here does nothing. Nothing blocks: a datagram that the manager
 * did not take is made up for a second later with the state as it is then.
 *
 * Timers: the watchdog's, only when the manager asked for it ($WATCHDOG_USEC, $WATCHDOG_PID); it
 * says that the loop turns, since it is the loop that says it. It goes out with what the loop wakes
 * up for anyhow, such as a heartbeat, and wakes it up only when nothing else does. */
#ifndef VOGELER_NOTIFY_H
#define VOGELER_NOTIFY_H

#include <stdint.h>

struct loop;
struct notify;

/* READY=1 goes out in the first pass of the loop. loop is borrowed until notify_destroy. */
struct notify *notify_create(struct loop *loop);
void notify_destroy(struct notify *n); /* NULL is fine */

/* STATUS=, one line; sent when it differs from the last. Before the loop runs it goes with
 * READY=1. */
void notify_status(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Around a reload, whether it succeeds or not. */
void notify_reloading(struct notify *n);
void notify_reloaded(struct notify *n);

/* Stopping will take up to need_ms: the manager waits that long even if the unit says less. */
void notify_stopping(struct notify *n, uint64_t need_ms);

#endif
