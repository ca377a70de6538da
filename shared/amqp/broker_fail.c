/* SPDX-License-Identifier: Apache-2.0 */
/* Any part of the broker ends the connection by broker_fail(), which notes the kind of failure and
 * its sentence, and raises the event; the log line is made here, too. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *
broker_error_name(enum broker_error error)
{
	switch (error) {
	case BROKER_ERR_NETWORK:
		return "network";
	case BROKER_ERR_TIMEOUT:
		return "timeout";
	case BROKER_ERR_PROTOCOL:
		return "protocol";
	case BROKER_ERR_TLS:
		return "tls";
	case BROKER_ERR_AUTH:
		return "auth";
	case BROKER_ERR_VHOST:
		return "vhost";
	case BROKER_ERR_PERMISSION:
		return "permission";
	case BROKER_ERR_NOT_FOUND:
		return "not found";
	case BROKER_ERR_IN_USE:
		return "in use";
	case BROKER_ERR_MISMATCH:
		return "mismatch";
	case BROKER_ERR_TOO_LARGE:
		return "too large";
	case BROKER_ERR_SHUTDOWN:
		return "shutdown";
	}
	return "?";
}

const char *
broker_where(const struct broker *b, char *out, size_t size)
{
	return uri_redacted(&broker_target(b)->uri, out, size);
}

void
broker_fail(struct broker *b, enum broker_error error, const char *cure, const char *fmt, ...)
{
	char what[TROUBLE_WHAT_SIZE], *text;
	va_list ap;

	/* The limit may be changed while we are away. */
	if (b->state == BROKER_READY && error != BROKER_ERR_TOO_LARGE)
		b->message_max = 0;
	b->error = error;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	trouble_set(&b->trouble, TROUBLE_OTHER, cure, "%s", what);
	text = trouble_text(&b->trouble);
	snprintf(b->text, sizeof(b->text), "%s", text);
	free(text);
	broker_raise(b, BROKER_EV_FAILED);
}

void
broker_unexpected(struct broker *b, const char *what)
{
	char where[320];

	broker_fail(b, BROKER_ERR_PROTOCOL, NULL, "%s: %s, which was not to come in state %s",
	    broker_where(b, where, sizeof(where)), what, broker_state_name(b->state));
}

/* Returns what makes a failure a new one for the log: the whole sentence where it names a thing,
 * else the kind alone, for the other sentences have numbers. */
static const char *
complaint(const struct broker *b)
{
	switch (b->error) {
	case BROKER_ERR_NETWORK:
	case BROKER_ERR_TIMEOUT:
	case BROKER_ERR_PROTOCOL:
	case BROKER_ERR_SHUTDOWN:
		return broker_error_name(b->error);
	case BROKER_ERR_TLS:
	case BROKER_ERR_AUTH:
	case BROKER_ERR_VHOST:
	case BROKER_ERR_PERMISSION:
	case BROKER_ERR_NOT_FOUND:
	case BROKER_ERR_IN_USE:
	case BROKER_ERR_MISMATCH:
	case BROKER_ERR_TOO_LARGE:
		break;
	}
	return b->text;
}

/* A failure that is new is a line; the same again is counted, and told once a minute. */
void
broker_log_failure(struct broker *b)
{
	bool act = b->error == BROKER_ERR_TLS || b->error == BROKER_ERR_AUTH ||
		   b->error == BROKER_ERR_VHOST || b->error == BROKER_ERR_PERMISSION ||
		   b->error == BROKER_ERR_MISMATCH;
	uint32_t unlogged;

	if (!ratelimit_due(&b->said, complaint(b), loop_now(b->loop), &unlogged))
		return;
	unlogged += ratelimit_sum_up(&b->said);
	log_msg(b->opt.quiet ? LOG_LEVEL_INFO
		: act        ? LOG_LEVEL_ERROR
			     : LOG_LEVEL_WARN,
	    "broker", "broker[%s]: down (%s): %s, retry_in=%u.%us, unlogged_before=%u", b->id,
	    broker_error_name(b->error), b->text, b->retry_in_ms / 1000,
	    b->retry_in_ms % 1000 / 100, unlogged);
}
