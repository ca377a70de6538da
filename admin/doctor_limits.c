/* SPDX-License-Identifier: Apache-2.0 */
/* This says how large a message may be at this broker, and how much waits there. AMQP tells
 * neither: the first goes by the release of RabbitMQ, unless somebody has been refused one and
 * knows better; the second is an estimate by the number of messages. */
#include "admin/doctor.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/queue_args.h"
#include "shared/base/units.h"

#include <inttypes.h>
#include <stdio.h>

#define MIB (UINT64_C(1024) * 1024)

/* RabbitMQ's max_message_size where nobody has set another. */
#define MESSAGE_MAX_3 (128 * MIB)
#define MESSAGE_MAX_4 (16 * MIB)

static uint64_t
default_message_max(unsigned int release)
{
	if (release == 0)
		return 0;
	return release < 4 ? MESSAGE_MAX_3 : MESSAGE_MAX_4;
}

void
doctor_message_size(struct doctor *d, unsigned int release, uint64_t learned)
{
	static const char *const check[] = {"message size", NULL};
	uint64_t ours = d->options->message_max_bytes;
	uint64_t max = learned != 0 ? learned : default_message_max(release);
	char max_text[UNITS_TEXT_SIZE], our_text[UNITS_TEXT_SIZE], why[128];

	if (max == 0) {
		doctor_skip(d, check, "the broker is not RabbitMQ, or does not say which");
		return;
	}
	if (learned != 0)
		snprintf(why, sizeof(why), "as it told the agent here when it refused one");
	else
		snprintf(why, sizeof(why),
		    "which is RabbitMQ %u's max_message_size unless it is set", release);
	units_format_bytes(max, max_text);
	units_format_bytes(ours, our_text);
	if (ours > max)
		doctor_say(d, check[0], CHECK_WARN,
		    "raise max_message_size in the broker's rabbitmq.conf, or lower "
		    "message_max_bytes in [server]",
		    "message_max_bytes = %s has no effect above %s: the broker takes no larger "
		    "message (%s)",
		    our_text, max_text, why);
	else
		doctor_say(d, check[0], CHECK_OK, NULL,
		    "the broker takes messages of %s (%s), message_max_bytes is %s", max_text, why,
		    our_text);
}

void
doctor_backlog(struct doctor *d, const char *queue, const struct broker_look *look)
{
	uint64_t bytes = (uint64_t)look->messages * QUEUE_MEAN_BYTES;

	if (bytes < QUEUE_LARGE_BYTES)
		return;
	doctor_say(d, "backlog", CHECK_WARN,
	    "see that a collector reads it and what its store says; [master_queue] "
	    "max_length_bytes limits it",
	    "%" PRIu32 " responses wait in %s: about %" PRIu64
	    " MiB, an estimate of %d bytes each (/healthz of a collector goes by those that it has "
	    "read); RabbitMQ takes nothing more from anybody when its memory or disk is full",
	    look->messages, queue, bytes / MIB, QUEUE_MEAN_BYTES);
}
