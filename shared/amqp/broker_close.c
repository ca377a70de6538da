/* SPDX-License-Identifier: Apache-2.0 */
/* The broker has closed the channel or the connection: what its code and words mean, and the cure.
 */
#include "shared/amqp/broker_internal.h"
#include "shared/base/trouble.h"

#include "shared/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
user_of(const struct broker *b)
{
	const char *user = broker_login_user(b);

	return user == NULL ? "(of the certificate)" : user;
}

/* connection.close in HANDSHAKE for want of a vhost: the 2010 URIs meant it with its slash. */
static bool
try_other_vhost(struct broker *b, const char *why)
{
	struct target *t = &b->targets[b->target];
	char vhost[256];

	if (b->state != BROKER_HANDSHAKE || strstr(why, "not found") == NULL)
		return false;
	if (t->slashed) {
		t->slashed = false; /* neither: begin again with the plain one */
		return false;
	}
	if (t->uri.path == NULL || t->uri.path[0] == '/')
		return false;
	t->slashed = true;
	log_info("broker",
	    "broker[%s]: no vhost \"%s\", trying \"%s\" as the 2010 configuration meant it", b->id,
	    t->uri.path, broker_vhost(b, vhost, sizeof(vhost)));
	return true;
}

static void
vhost_failed(struct broker *b, const char *why)
{
	const char *path = broker_target(b)->uri.path;
	char where[320], vhost[256];
	char cure[TROUBLE_CURE_SIZE];

	broker_where(b, where, sizeof(where));
	if (strstr(why, "not found") == NULL)
		snprintf(cure, sizeof(cure),
		    "rabbitmqctl set_permissions -p %s %s CONFIGURE WRITE READ",
		    broker_vhost(b, vhost, sizeof(vhost)), user_of(b));
	else
		snprintf(cure, sizeof(cure),
		    "rabbitmqctl add_vhost %s, or correct the path of the broker URI", path);
	if (strstr(why, "not found") == NULL)
		broker_fail(b, BROKER_ERR_VHOST, cure, "%s: the broker says \"%s\"", where, why);
	else
		broker_fail(b, BROKER_ERR_VHOST, cure,
		    "%s: there is no vhost \"%s\"%s%s%s, the broker says \"%s\"", where, path,
		    path[0] == '/' ? "" : " and no \"/", path[0] == '/' ? "" : path,
		    path[0] == '/' ? "" : "\" either", why);
}

static void
connection_failed(struct broker *b, unsigned int code, const char *why)
{
	char where[320];

	broker_where(b, where, sizeof(where));
	if (code == AMQP_ACCESS_REFUSED && b->external)
		broker_fail(b, BROKER_ERR_AUTH,
		    "it takes the user's name from the certificate (ssl_cert_login_from in "
		    "rabbitmq.conf), and that user must exist",
		    "%s: our certificate does not log us in, the broker says \"%s\"", where, why);
	else if (code == AMQP_ACCESS_REFUSED)
		broker_fail(b, BROKER_ERR_AUTH,
		    strcmp(user_of(b), "guest") == 0
			? "check user and password of the broker URI (RabbitMQ takes \"guest\" "
			  "from its own machine only)"
			: "check user and password of the broker URI",
		    "%s: user \"%s\" was refused, the broker says \"%s\"", where, user_of(b), why);
	else if (code == AMQP_NOT_ALLOWED && strstr(why, "vhost") != NULL)
		vhost_failed(b, why);
	else if (code == AMQP_CONNECTION_FORCED || code == AMQP_INTERNAL_ERROR)
		broker_fail(b, BROKER_ERR_SHUTDOWN, NULL,
		    "%s: the broker ended the connection: \"%s\"", where, why);
	else if (code == AMQP_INVALID_PATH)
		broker_fail(b, BROKER_ERR_VHOST, "correct the path of the broker URI",
		    "%s: the broker says \"%s\"", where, why);
	else
		broker_fail(b, BROKER_ERR_PROTOCOL, NULL,
		    "%s: the broker closed the connection: %u \"%s\"", where, code, why);
}

void
broker_connection_closed(struct broker *b, const amqp_connection_close_t *m)
{
	amqp_connection_close_ok_t ok = {0};
	char *why = frame_strdup(m->reply_text);
	const char *text = why == NULL ? "?" : why;

	broker_send(b, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
	b->linger = true;
	if (m->reply_code == AMQP_NOT_ALLOWED && try_other_vhost(b, text))
		broker_raise(b, BROKER_EV_RELOGIN);
	else
		connection_failed(b, m->reply_code, text);
	free(why);
}

static bool
names_object(const struct broker *b)
{
	return b->state == BROKER_TOPOLOGY || broker_consumer_starting(b) != NULL;
}

static const char *
object_at_hand(const struct broker *b, char *out, size_t size)
{
	const struct consumer *starting = broker_consumer_starting(b);

	if (b->state == BROKER_TOPOLOGY)
		return broker_setup_what(b, out, size);
	if (starting == NULL && broker_rebind_what(b, out, size) != NULL)
		return out;
	if (starting != NULL)
		snprintf(out, size, "queue \"%s\"", starting->queue);
	else if (b->asked != NULL)
		snprintf(out, size, "queue \"%s\"", b->asked);
	else
		snprintf(out, size, "the channel");
	return out;
}

/* Our own connection that died stays in the broker's books until it misses heartbeats: only after
 * that is somebody else there. */
bool
broker_in_use_by_another(const struct broker *b)
{
	int64_t patience = (int64_t)b->opt.heartbeat_s * 1000 * BROKER_IN_USE_HEARTBEATS;

	return b->in_use_since.ms != 0 && mono_diff(loop_now(b->loop), b->in_use_since) >= patience;
}

static void
in_use(struct broker *b, const char *why)
{
	struct mono now = loop_now(b->loop), *since = &b->in_use_since;
	const struct trouble *mine = b->opt.in_use;
	char where[320], what[512];

	if (since->ms == 0)
		*since = now;
	broker_where(b, where, sizeof(where));
	object_at_hand(b, what, sizeof(what));
	if (!broker_in_use_by_another(b))
		broker_fail(b, BROKER_ERR_IN_USE, NULL,
		    "%s: %s is in use, the broker says \"%s\": perhaps by our own connection that "
		    "was lost, so it is tried again",
		    where, what, why);
	else
		broker_fail(b, BROKER_ERR_IN_USE,
		    mine != NULL ? mine->cure
				 : "is a second program running under this name? (rabbitmqctl "
				   "list_consumers)",
		    "%s: %s is in use by another client, the broker says \"%s\"%s%s", where, what,
		    why, mine != NULL ? ": " : "", mine != NULL ? mine->what : "");
}

/* What is missing and may not be made is another's to make: a host that was given the right to make
 * its queue could make any other. What is of this connection alone nobody else can make. */
static void
cure_of_refusal(const struct broker *b, char *out, size_t size)
{
	const struct topology *t = b->opt.topology;
	const char *host = "";

	if (b->state != BROKER_TOPOLOGY || b->phase != TOPOLOGY_DECLARE ||
	    broker_topology_item(b)->transient) {
		snprintf(out, size,
		    "let an administrator give it these with rabbitmqctl set_permissions");
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		if (t->items[i].role == QUEUE_HOST)
			host = t->items[i].name;
	snprintf(out, size, "let an administrator run \"vogeler-admin setup%s%s\", which makes it",
	    *host == '\0' ? "" : " ", host);
}

static void
not_permitted(struct broker *b, const char *why)
{
	char where[320], what[512], cure[512];

	broker_topology_unreadable(b, why);
	cure_of_refusal(b, cure, sizeof(cure));
	/* The channel is no thing to have rights on: the broker's words name it. */
	broker_fail(b, BROKER_ERR_PERMISSION, cure,
	    "%s: user \"%s\" lacks rights%s%s, the broker says \"%s\"",
	    broker_where(b, where, sizeof(where)), user_of(b), names_object(b) ? " on " : "",
	    names_object(b) ? object_at_hand(b, what, sizeof(what)) : "", why);
}

/* RabbitMQ: "message size 70000 is larger than configured max size 65536"; older ones leave out
 * "configured". It is told when the message is there already, and costs the channel. */
static bool
is_message_too_large(struct broker *b, const char *why)
{
	const char *size = strstr(why, "message size "), *max = strstr(why, "max size ");
	unsigned long long n;

	if (size == NULL || max == NULL || sscanf(max, "max size %llu", &n) != 1 || n == 0)
		return false;
	b->message_max = n;
	return true;
}

static void
message_too_large(struct broker *b, const char *where, const char *why)
{
	broker_fail(b, BROKER_ERR_TOO_LARGE,
	    "raise max_message_size in its rabbitmq.conf, or lower max_output",
	    "%s: a message of ours is larger than the broker takes, it says \"%s\"", where, why);
}

static void
precondition_failed(struct broker *b, const char *why)
{
	char where[320], what[512];

	broker_where(b, where, sizeof(where));
	object_at_hand(b, what, sizeof(what));
	if (is_message_too_large(b, why))
		message_too_large(b, where, why);
	else if (strstr(why, "unknown delivery tag") != NULL)
		broker_fail(b, BROKER_ERR_PROTOCOL, "a bug in Vogeler, please report it",
		    "%s: we acknowledged what was not ours, the broker says \"%s\"", where, why);
	else if (strstr(why, "timed out") != NULL)
		broker_fail(b, BROKER_ERR_TIMEOUT, NULL,
		    "%s: a delivery was held for too long, the broker says \"%s\"", where, why);
	else
		broker_fail(b, BROKER_ERR_MISMATCH,
		    "set the options to what is there; vogeler-admin setup says what else can be "
		    "done",
		    "%s: %s is not as asked for, the broker says \"%s\"", where, what, why);
}

static void
channel_failed(struct broker *b, unsigned int code, const char *why)
{
	char where[320], what[512];

	broker_where(b, where, sizeof(where));
	switch (code) {
	case AMQP_ACCESS_REFUSED:
		if (strstr(why, "exclusive use") != NULL)
			in_use(b, why);
		else
			not_permitted(b, why);
		return;
	case AMQP_RESOURCE_LOCKED:
		in_use(b, why);
		return;
	case AMQP_NOT_FOUND:
		broker_fail(b, BROKER_ERR_NOT_FOUND, NULL,
		    "%s: something that was there is gone (%s), the broker says \"%s\": it is "
		    "looked for, or made, at the next connection",
		    where, object_at_hand(b, what, sizeof(what)), why);
		return;
	case AMQP_PRECONDITION_FAILED:
		precondition_failed(b, why);
		return;
	}
	broker_fail(b, BROKER_ERR_PROTOCOL, NULL, "%s: the broker closed the channel: %u \"%s\"",
	    where, code, why);
}

/* There is one channel, so its end is the connection's, said politely: all of setting up is done
 * once more, topology included. Only a passive declaration may fail and go on. */
void
broker_channel_closed(struct broker *b, const amqp_channel_close_t *m)
{
	amqp_channel_close_ok_t ok = {0};
	amqp_connection_close_t close = {
	    .reply_code = AMQP_REPLY_SUCCESS,
	    .reply_text = amqp_cstring_bytes("channel was closed"),
	};
	char *why = frame_strdup(m->reply_text);
	const char *text = why == NULL ? "?" : why;

	if (m->reply_code == AMQP_ACCESS_REFUSED && b->trying)
		b->may_not_try = true;
	broker_send(b, BROKER_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
	if (b->state != BROKER_CLOSING && !broker_setup_refused(b, m->reply_code, text)) {
		broker_send(b, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
		b->linger = true;
		channel_failed(b, m->reply_code, text);
	}
	free(why);
}
