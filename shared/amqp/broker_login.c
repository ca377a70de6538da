/* SPDX-License-Identifier: Apache-2.0 */
/* HANDSHAKE: connection.start, tune, open (AMQP 0-9-1 2.2.4), with SASL PLAIN, or EXTERNAL:
 * who the certificate says that we are. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CAPABILITIES 5
#define N_PROPERTIES   7

const char *
broker_vhost(const struct broker *b, char *out, size_t size)
{
	const struct target *t = broker_target(b);

	snprintf(out, size, "%s%s", t->slashed ? "/" : "", t->uri.path);
	return out;
}

void
broker_login_begin(struct broker *b)
{
	b->login = LOGIN_START;
	b->external = false;
	b->heartbeat_ms = 0;
	if (frame_put_protocol(&b->out) && broker_flush(b))
		return;
	b->output_failed = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

/* Is word one of the space-separated ones in list? */
static bool
has_word(amqp_bytes_t list, const char *word)
{
	const char *p = list.bytes, *end = p + list.len;
	size_t len = strlen(word);

	while (p < end) {
		const char *space = memchr(p, ' ', (size_t)(end - p));
		const char *stop = space == NULL ? end : space;

		if ((size_t)(stop - p) == len && memcmp(p, word, len) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

static void
log_server(struct broker *b, const amqp_table_t *props)
{
	char *product = NULL, *version = NULL;

	for (int i = 0; i < props->num_entries; i++) {
		const amqp_table_entry_t *e = &props->entries[i];

		if (e->value.kind != AMQP_FIELD_KIND_UTF8)
			continue;
		if (product == NULL && frame_str_equal(e->key, "product"))
			product = frame_strdup(e->value.value.bytes);
		else if (version == NULL && frame_str_equal(e->key, "version"))
			version = frame_strdup(e->value.value.bytes);
	}
	log_msg(broker_step_level(b), "broker", "broker[%s]: peer is %s %s", b->id,
	    product == NULL ? "?" : product, version == NULL ? "?" : version);
	b->release = 0;
	if (product != NULL && strcmp(product, "RabbitMQ") == 0 && version != NULL)
		b->release = (unsigned int)strtoul(version, NULL, 10);
	free(product);
	free(version);
}

static void
set_text(amqp_table_entry_t *e, const char *key, const char *value)
{
	e->key = amqp_cstring_bytes(key);
	e->value.kind = AMQP_FIELD_KIND_UTF8;
	e->value.value.bytes = amqp_cstring_bytes(value);
}

static void
set_capabilities(amqp_table_entry_t *entries)
{
	static const char *const names[N_CAPABILITIES] = {"authentication_failure_close",
	    "basic.nack", "connection.blocked", "consumer_cancel_notify", "publisher_confirms"};

	for (int i = 0; i < N_CAPABILITIES; i++) {
		entries[i].key = amqp_cstring_bytes(names[i]);
		entries[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
		entries[i].value.value.boolean = 1;
	}
}

/* A URI that names nobody means RabbitMQ's guest, as the AMQP URI rules say. */
const char *
broker_login_user(const struct broker *b)
{
	const struct uri *u = &broker_target(b)->uri;

	if (u->user == NULL && b->external)
		return NULL;
	return u->user == NULL ? "guest" : u->user;
}

/* Who gives a certificate and no password means the certificate. */
static bool
may_be_external(const struct broker *b)
{
	const struct uri *u = &broker_target(b)->uri;

	return u->scheme == URI_AMQPS && b->tls.cert_file != NULL && u->password == NULL;
}

/* RFC 4616: NUL user NUL password. */
static amqp_bytes_t
plain(const struct broker *b, char *out, size_t size)
{
	const struct uri *u = &broker_target(b)->uri;
	const char *user = broker_login_user(b);
	const char *password = u->password != NULL ? u->password : u->user == NULL ? "guest" : "";
	size_t n_user = strlen(user), n_password = strlen(password);

	if (n_user + n_password + 2 > size)
		return amqp_empty_bytes;
	out[0] = '\0';
	memcpy(out + 1, user, n_user + 1);
	memcpy(out + n_user + 2, password, n_password);
	return (amqp_bytes_t){.len = n_user + n_password + 2, .bytes = out};
}

static void
send_start_ok(struct broker *b)
{
	amqp_table_entry_t caps[N_CAPABILITIES], props[N_PROPERTIES];
	char name[512], response[1024], *host = name_of_this_host();
	amqp_connection_start_ok_t m = {
	    .client_properties = {.num_entries = N_PROPERTIES, .entries = props},
	    .mechanism = amqp_cstring_bytes(b->external ? "EXTERNAL" : "PLAIN"),
	    .locale = amqp_cstring_bytes("en_US"),
	};

	snprintf(name, sizeof(name), "%s@%s/%s", b->program, host, b->role);
	set_text(&props[0], "product", "Vogeler");
	set_text(&props[1], "version", VOGELER_VERSION);
	set_text(&props[2], "platform", "C, librabbitmq");
	set_text(&props[3], "connection_name", name);
	set_text(&props[4], "program", b->program);
	set_text(&props[5], "role", b->role);
	set_capabilities(caps);
	props[6].key = amqp_cstring_bytes("capabilities");
	props[6].value.kind = AMQP_FIELD_KIND_TABLE;
	props[6].value.value.table = (amqp_table_t){.num_entries = N_CAPABILITIES, .entries = caps};
	/* RFC 4422 A: whom to be is asked for; nobody: whom the certificate names. */
	if (!b->external)
		m.response = plain(b, response, sizeof(response));
	else if (broker_login_user(b) != NULL)
		m.response = amqp_cstring_bytes(broker_login_user(b));
	broker_send(b, 0, AMQP_CONNECTION_START_OK_METHOD, &m);
	explicit_bzero(response, sizeof(response));
	free(host);
}

static void
on_start(struct broker *b, const amqp_connection_start_t *m)
{
	char where[320];

	if (m->version_major != 0 || m->version_minor != 9) {
		broker_fail(b, BROKER_ERR_PROTOCOL, NULL, "%s: it speaks AMQP %u-%u and not 0-9-1",
		    broker_where(b, where, sizeof(where)), m->version_major, m->version_minor);
		return;
	}
	b->external = may_be_external(b) && has_word(m->mechanisms, "EXTERNAL");
	if (!b->external && !has_word(m->mechanisms, "PLAIN")) {
		broker_fail(b, BROKER_ERR_AUTH, "see auth_mechanisms in rabbitmq.conf",
		    "%s: it does not take passwords (PLAIN) but only \"%.*s\"",
		    broker_where(b, where, sizeof(where)), (int)m->mechanisms.len,
		    (const char *)m->mechanisms.bytes);
		return;
	}
	log_server(b, &m->server_properties);
	b->login = LOGIN_TUNE;
	send_start_ok(b);
}

/* "No limit" and "no heartbeat" are 0: then the other's word holds. */
static uint32_t
lower(uint32_t a, uint32_t b)
{
	if (a == 0 || b == 0)
		return a == 0 ? b : a;
	return a < b ? a : b;
}

static void
on_tune(struct broker *b, const amqp_connection_tune_t *m)
{
	uint16_t heartbeat_s = (uint16_t)lower(m->heartbeat, b->opt.heartbeat_s);
	amqp_connection_tune_ok_t ok = {
	    .channel_max = FRAME_CHANNEL_MAX,
	    .frame_max = lower(m->frame_max, FRAME_MAX_BYTES),
	    .heartbeat = heartbeat_s,
	};
	char where[320], vhost[256];
	amqp_connection_open_t open = {
	    .virtual_host = amqp_cstring_bytes(broker_vhost(b, vhost, sizeof(vhost))),
	};

	if (!frame_tune(b->codec, ok.frame_max)) {
		broker_fail(b, BROKER_ERR_PROTOCOL, NULL,
		    "%s: it wants frames of at most %u bytes, and AMQP 0-9-1 says 4096 at least",
		    broker_where(b, where, sizeof(where)), m->frame_max);
		return;
	}
	b->heartbeat_ms = (uint32_t)heartbeat_s * 1000;
	b->login = LOGIN_OPEN;
	broker_send(b, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
	broker_send(b, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
}

void
broker_login_method(struct broker *b, const struct frame *f)
{
	if (b->login == LOGIN_START && f->method == AMQP_CONNECTION_START_METHOD)
		on_start(b, f->decoded);
	else if (b->login == LOGIN_TUNE && f->method == AMQP_CONNECTION_TUNE_METHOD)
		on_tune(b, f->decoded);
	else if (b->login == LOGIN_OPEN && f->method == AMQP_CONNECTION_OPEN_OK_METHOD)
		broker_raise(b, BROKER_EV_OPEN_OK);
	else
		broker_unexpected(b, amqp_method_name(f->method));
}
