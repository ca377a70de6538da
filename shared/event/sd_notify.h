/* SPDX-License-Identifier: Apache-2.0 */
/* This tells the service manager: sd_notify(3), by its protocol.
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
#ifndef VOGELER_SD_NOTIFY_H
#define VOGELER_SD_NOTIFY_H

#include <stdint.h>

struct loop;
struct sd_notify;

/* READY=1 goes out in the first pass of the loop. loop is borrowed until sd_notify_destroy. */
struct sd_notify *sd_notify_create(struct loop *loop);
void sd_notify_destroy(struct sd_notify *n); /* NULL is fine */

/* Says, before the loop runs, that there is something to do first that may take long. READY=1 waits
 * for sd_notify_prepared(), and meanwhile the manager is asked for more time, again and again, as
 * long as the loop turns. */
void sd_notify_preparing(struct sd_notify *n);
void sd_notify_prepared(struct sd_notify *n);

/* STATUS=, one line; sent when it differs from the last. Before the loop runs it goes with
 * READY=1. */
void sd_notify_status(struct sd_notify *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Around a reload, whether it succeeds or not. */
void sd_notify_reloading(struct sd_notify *n);
void sd_notify_reloaded(struct sd_notify *n);

/* Stopping will take up to need_ms: the manager waits that long even if the unit says less. */
void sd_notify_stopping(struct sd_notify *n, uint64_t need_ms);

#endif
