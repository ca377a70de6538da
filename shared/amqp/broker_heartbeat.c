/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeats go both ways: ours when nothing else was sent, and the peer's, which are missed. */
#include "shared/amqp/broker_internal.h"

#include <assert.h>

/* Both directions have one timer, armed for the earlier of what may be due. */
void
broker_heartbeat_arm(struct broker *b)
{
	struct mono now = loop_now(b->loop);
	int64_t write_in, read_in;

	if (b->heartbeat_ms == 0)
		return;
	write_in = b->heartbeat_ms / 2 - mono_diff(now, b->last_written);
	read_in = (int64_t)b->heartbeat_ms * BROKER_DEAD_HEARTBEATS - mono_diff(now, b->last_read);
	if (b->paused || read_in > write_in)
		read_in = write_in;
	broker_timer_arm(b, BROKER_TIMER_HEARTBEAT, read_in < 0 ? 0 : read_in);
}

static void
send_heartbeat(struct broker *b)
{
	assert(b->out.len == 0);
	if (frame_put_heartbeat(&b->out) && broker_flush(b))
		return;
	b->output_failed = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

/* Our timer or a heartbeat of the peer's calls this: ours goes out with the same wake-up when it is
 * nearly due, so that an idle connection wakes twice per interval and not four times. While the
 * broker blocks us it does not judge our silence, but its own heartbeats go on, and are judged. */
void
broker_heartbeat(struct broker *b)
{
	struct mono now = loop_now(b->loop);
	char where[320];

	if (b->state != BROKER_READY || b->heartbeat_ms == 0)
		return;
	if (!b->paused &&
	    mono_diff(now, b->last_read) >= (int64_t)b->heartbeat_ms * BROKER_DEAD_HEARTBEATS) {
		broker_fail(b, BROKER_ERR_TIMEOUT, NULL,
		    "%s: heartbeat timeout, silent for %lld ms",
		    broker_where(b, where, sizeof(where)), (long long)mono_diff(now, b->last_read));
		return;
	}
	if (broker_confirm_overdue(b)) {
		broker_fail(b, BROKER_ERR_TIMEOUT,
		    "see the log of the broker; a quorum queue needs most of its nodes",
		    "%s: it confirms nothing of what was published, for %d s",
		    broker_where(b, where, sizeof(where)), BROKER_CONFIRM_MS / 1000);
		return;
	}
	if (mono_diff(now, b->last_written) >= b->heartbeat_ms * 3 / 8)
		send_heartbeat(b);
	broker_heartbeat_arm(b);
}
