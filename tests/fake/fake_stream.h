/* SPDX-License-Identifier: Apache-2.0 */
/* A fake stream: implements shared/event/stream.h in memory, for replay. The test is the peer: it
 * injects events and bytes and reads what was written. Link tests/fake/fake_stream.c before
 * vogeler_shared. One stream at a time is current: the one opened last. */
#ifndef VOGELER_FAKE_STREAM_H
#define VOGELER_FAKE_STREAM_H

#include "shared/event/stream.h"

/* "host:port" of the last stream_open() that was not asked for yet, or NULL. */
const char *fake_stream_opened(void);
bool fake_stream_is_open(void);
bool fake_stream_is_paused(void);
void fake_stream_up(void);
/* Adds bytes for the owner to read and fires DATA, if it is not paused. */
void fake_stream_data(const void *data, size_t len);
/* Fires DATA again as long as bytes are left and somebody takes them. */
void fake_stream_pump(void);
void fake_stream_down(const char *error);
void fake_stream_low(void);
void fake_stream_congest(bool congested);
/* So many bytes of what was written are still held, beside what the test did not read. */
void fake_stream_hold(size_t bytes);
/* What the owner wrote and the test did not read yet. */
const void *fake_stream_written(size_t *len);
void fake_stream_written_drain(size_t len);
/* Before loop_destroy. */
void fake_stream_finish(void);

#endif
