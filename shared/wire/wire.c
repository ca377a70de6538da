/* SPDX-License-Identifier: Apache-2.0 */
/* See wire.h. */
#include "shared/wire/wire.h"

#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jread.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APP_ID       "vogeler"
#define CONTENT_TYPE "application/json"
#define DAY_MS       INT64_C(86400000)
/* RabbitMQ refuses a message whose expiration does not fit 32 bits. */
#define EXPIRATION_MAX   UINT32_MAX
#define BODY_MAX         (128 * 1024 * 1024) /* RabbitMQ 3.10's own limit */
#define SHORT_HEADER_MAX 64 /* machine-id(5) has 32 digits, a boot id with hyphens 36 */
#define SECONDS_MAX      INT64_C(253402300799) /* the last of year 9999 */
#define SHOWN            64                    /* bytes of a hostile text that an error repeats */

static const char *const format_names[] = {
    [WIRE_OUTPUT] = "output",
    [WIRE_JSON] = "json",
    [WIRE_YAML] = "yaml",
    [WIRE_STRING] = "string",
    [WIRE_RAW] = "raw",
    [WIRE_PYLIST] = "pylist",
    [WIRE_PYDICT] = "pydict",
};

static const char *const state_names[] = {
    [WIRE_OK] = "ok",
    [WIRE_FAILED] = "failed",
    [WIRE_TIMEOUT] = "timeout",
    [WIRE_REFUSED] = "refused",
    [WIRE_SUPERSEDED] = "superseded",
    [WIRE_CANCELLED] = "cancelled",
    [WIRE_EXPIRED] = "expired",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Index of text among names, n if it is none of them. */
static size_t
lookup(const char *const *names, size_t n, const char *text)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(names[i], text) == 0)
			break;
	}
	return i;
}

const char *
wire_format_name(enum wire_format f)
{
	return (size_t)f < COUNT(format_names) ? format_names[f] : "?";
}

bool
wire_format_parse(const char *text, enum wire_format *f)
{
	size_t i = lookup(format_names, COUNT(format_names), text);

	if (i == COUNT(format_names))
		return false;
	*f = (enum wire_format)i;
	return true;
}

const char *
wire_state_name(enum wire_state s)
{
	return (size_t)s < COUNT(state_names) ? state_names[s] : "?";
}

bool
wire_state_parse(const char *text, enum wire_state *s)
{
	size_t i = lookup(state_names, COUNT(state_names), text);

	if (i == COUNT(state_names))
		return false;
	*s = (enum wire_state)i;
	return true;
}

bool
wire_is_passed_over(enum wire_state s)
{
	return s == WIRE_SUPERSEDED || s == WIRE_CANCELLED || s == WIRE_EXPIRED;
}

/* A JSON string that a C string can hold; NULL if it is none or has a NUL inside. */
static const char *
plain_text(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && strlen(text) == json_string_length(value) ? text : NULL;
}

static void
common_properties(struct message *m, int64_t wall)
{
	m->app_id = xstrdup(APP_ID);
	m->content_type = xstrdup(CONTENT_TYPE);
	m->persistent = true;
	m->timestamp = wall / 1000;
}

static int64_t
timestamp_ms(const struct message *m)
{
	return m->timestamp > 0 && m->timestamp <= SECONDS_MAX ? m->timestamp * 1000 : 0;
}

void
command_finish(struct command *c)
{
	free(c->plugin);
	free(c->job);
	free(c->cancels);
	free(c->reply_to);
	free(c->user_id);
	*c = (struct command){0};
}

/* When the broker may throw the command away, to be on the safe side a day after the agent would
 * refuse it. NULL: never, or so late that the broker cannot be told. */
static char *
command_expiration(const struct command *c)
{
	int64_t left = c->not_after - c->sent_at;
	char *text;

	if (c->not_after <= 0 || c->sent_at <= 0)
		return NULL;
	if (left < 0)
		left = 0;
	if (left > (int64_t)EXPIRATION_MAX - DAY_MS)
		return NULL;
	xasprintf(&text, "%" PRId64, left + DAY_MS);
	return text;
}

void
wire_command_encode(const struct command *c, struct message *m)
{
	const char *what = c->cancels != NULL ? WIRE_CANCEL_BODY : c->plugin;
	json_t *name = jsonx_string_lossy(what, strlen(what), NULL);
	struct buf body;
	size_t len;
	char *text;

	message_init(m);
	common_properties(m, c->sent_at);
	m->message_id = xstrdup_null(c->job);
	m->reply_to = xstrdup_null(c->reply_to);
	m->user_id = xstrdup_null(c->user_id);
	m->expiration = command_expiration(c);
	message_add_int(m, "not_after", c->not_after);
	message_add_str(m, "job", c->cancels);
	buf_init(&body, 6 * strlen(what) + 2); /* each byte escaped, and the quotes */
	if (name == NULL || !jsonx_write(&body, name))
		xalloc_fail(0);
	text = buf_take(&body, &len);
	message_set_body(m, text, len);
	json_decref(name);
}

static bool
has_header(const struct message *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->n_headers; i++) {
		if (strcmp(m->headers[i].name, name) == 0)
			return true;
	}
	return false;
}

static const char *
command_name_error(const char *name)
{
	const unsigned char *p;

	if (name == NULL)
		return "is not a JSON string";
	if (name[0] == '\0')
		return "is empty";
	for (p = (const unsigned char *)name; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f)
			return "has a control character";
	}
	return NULL;
}

static bool
decode_command_body(const struct message *m, struct command *c, char *err, size_t err_size)
{
	char why[256];
	const char *error;
	json_t *body;

	if (m->body_len > WIRE_COMMAND_MAX) {
		snprintf(err, err_size, "command of %zu bytes, more than %d", m->body_len,
		    WIRE_COMMAND_MAX);
		return false;
	}
	body = jsonx_parse(m->body == NULL ? "" : m->body, m->body_len, NULL, why, sizeof(why));
	if (body == NULL) {
		snprintf(err, err_size, "command is not JSON: %s", why);
		return false;
	}
	error = command_name_error(plain_text(body));
	if (error == NULL)
		c->plugin = xstrdup(json_string_value(body));
	else
		snprintf(err, err_size, "command %s", error);
	json_decref(body);
	return error == NULL;
}

/* A limit that cannot be read must not become none. */
static bool
decode_not_after(const struct message *m, struct command *c, char *err, size_t err_size)
{
	if (!has_header(m, "not_after"))
		return true;
	if (message_int(m, "not_after", &c->not_after) && c->not_after >= 0)
		return true;
	snprintf(err, err_size, "header not_after is not a time in milliseconds");
	return false;
}

/* Reads whom it cancels; the header of an ordinary command says nothing. */
static bool
decode_cancels(const struct message *m, struct command *c, char *err, size_t err_size)
{
	const char *job = message_str(m, "job");

	if (strcmp(c->plugin, WIRE_CANCEL_BODY) != 0)
		return true;
	if (job == NULL || job[0] == '\0' || strlen(job) > WIRE_JOB_MAX) {
		snprintf(err, err_size, "cancel without the job that it is about");
		return false;
	}
	c->cancels = xstrdup(job);
	return true;
}

bool
wire_command_decode(const struct message *m, struct command *c, char *err, size_t err_size)
{
	*c = (struct command){0};
	if (!decode_command_body(m, c, err, err_size) || !decode_not_after(m, c, err, err_size) ||
	    !decode_cancels(m, c, err, err_size)) {
		command_finish(c);
		return false;
	}
	c->job = xstrdup_null(m->message_id);
	c->reply_to = xstrdup_null(m->reply_to);
	c->user_id = xstrdup_null(m->user_id);
	c->sent_at = timestamp_ms(m);
	return true;
}

void
response_init(struct response *r)
{
	*r = (struct response){
	    .format = WIRE_PYDICT,
	    .meta = {.duration_ms = -1, .exit_status = -1},
	};
	r->results = json_object();
	if (r->results == NULL)
		xalloc_fail(0);
}

void
response_meta_finish(struct response_meta *meta)
{
	free(meta->response_id);
	free(meta->job);
	free(meta->reply_to);
	free(meta->user_id);
	free(meta->plugin);
	free(meta->machine_id);
	free(meta->boot_id);
	free(meta->version);
	free(meta->stderr_tail);
	free(meta->stdout_tail);
	*meta = (struct response_meta){.duration_ms = -1, .exit_status = -1};
}

void
response_finish(struct response *r)
{
	size_t i;

	for (i = 0; i < r->n_values; i++)
		free(r->values[i].key);
	free(r->values);
	free(r->host);
	json_decref(r->results);
	response_meta_finish(&r->meta);
	*r = (struct response){0};
}

static bool
write_member(struct buf *body, const char *key, const json_t *value)
{
	json_t *name = json_string(key);
	bool ok = name != NULL && (body->len == 1 || buf_append_char(body, ',')) &&
		  jsonx_write(body, name) && buf_append_char(body, ':') && jsonx_write(body, value);

	json_decref(name);
	return ok;
}

static bool
write_text_member(struct buf *body, const char *key, const char *text)
{
	json_t *value = json_string(text);
	bool ok = value != NULL && write_member(body, key, value);

	json_decref(value);
	return ok;
}

/* Writes in the order in which 2010 wrote it: syskey, the results, format. */
static bool
write_body(struct buf *body, const struct response *r)
{
	const char *key;
	json_t *value;

	if (r->host == NULL || !buf_append_char(body, '{') ||
	    !write_text_member(body, "syskey", r->host))
		return false;
	json_object_foreach (r->results, key, value) {
		if (strcmp(key, "syskey") == 0 || strcmp(key, "format") == 0 ||
		    !write_member(body, key, value))
			return false;
	}
	return write_text_member(body, "format", wire_format_name(r->format)) &&
	       buf_append_char(body, '}');
}

static void
encode_meta(const struct response_meta *meta, struct message *m)
{
	common_properties(m, meta->collected_at);
	m->message_id = xstrdup_null(meta->response_id);
	m->correlation_id = xstrdup_null(meta->job);
	m->reply_to = xstrdup_null(meta->reply_to);
	m->user_id = xstrdup_null(meta->user_id);
	message_add_str(m, "plugin", meta->plugin);
	message_add_str(m, "state", wire_state_name(meta->state));
	if (meta->order > 0)
		message_add_int(m, "order", meta->order);
	if (meta->exit_status >= 0)
		message_add_int(m, "exit_status", meta->exit_status);
	if (meta->signal > 0)
		message_add_int(m, "signal", meta->signal);
	if (meta->duration_ms >= 0)
		message_add_int(m, "duration_ms", meta->duration_ms);
	if (meta->collected_at > 0)
		message_add_int(m, "collected_at", meta->collected_at);
	if (meta->truncated)
		message_add_bool(m, "truncated", true);
	message_add_str(m, "machine_id", meta->machine_id);
	message_add_str(m, "boot_id", meta->boot_id);
	message_add_str(m, "version", meta->version);
	message_add_str(m, "stdout_tail", meta->stdout_tail);
	message_add_str(m, "stderr_tail", meta->stderr_tail);
	if (meta->replaced > 0)
		message_add_int(m, "replaced", meta->replaced);
}

bool
wire_response_encode(const struct response *r, struct message *m)
{
	struct buf body;
	size_t len;
	char *text;

	message_init(m);
	buf_init(&body, BODY_MAX);
	if (!write_body(&body, r)) {
		buf_finish(&body);
		return false;
	}
	text = buf_take(&body, &len);
	message_set_body(m, text, len);
	encode_meta(&r->meta, m);
	return true;
}

/* A header that is absent, no number or out of range says nothing. */
static int64_t
int_header(const struct message *m, const char *name, int64_t low, int64_t high, int64_t absent)
{
	int64_t value;

	if (!message_int(m, name, &value) || value < low || value > high)
		return absent;
	return value;
}

static char *
short_header(const struct message *m, const char *name)
{
	const char *text = message_str(m, name);

	if (text == NULL || text[0] == '\0' || strlen(text) > SHORT_HEADER_MAX)
		return NULL;
	return xstrdup(text);
}

/* 2010 said only in the body that something went wrong. */
static enum wire_state
decode_state(const struct message *m, const struct response *r)
{
	const char *text = message_str(m, "state");
	enum wire_state state;

	if (text != NULL && wire_state_parse(text, &state))
		return state;
	if (r->n_values == 1 && strcmp(r->values[0].key, "last_error") == 0)
		return WIRE_FAILED;
	return WIRE_OK;
}

static void
decode_meta(const struct message *m, struct response *r)
{
	struct response_meta *meta = &r->meta;

	meta->response_id = xstrdup_null(m->message_id);
	meta->job = xstrdup_null(m->correlation_id);
	meta->reply_to = xstrdup_null(m->reply_to);
	meta->user_id = xstrdup_null(m->user_id);
	meta->plugin = xstrdup_null(message_str(m, "plugin"));
	meta->state = decode_state(m, r);
	meta->order = int_header(m, "order", 1, INT64_MAX, 0);
	meta->exit_status = (int)int_header(m, "exit_status", 0, 255, -1);
	meta->signal = (int)int_header(m, "signal", 1, 64, 0);
	meta->duration_ms = int_header(m, "duration_ms", 0, INT64_MAX, -1);
	meta->collected_at = int_header(m, "collected_at", 1, SECONDS_MAX * 1000, 0);
	if (!message_bool(m, "truncated", &meta->truncated))
		meta->truncated = false;
	meta->machine_id = short_header(m, "machine_id");
	meta->boot_id = short_header(m, "boot_id");
	meta->version = short_header(m, "version");
	meta->stdout_tail = xstrdup_null(message_str(m, "stdout_tail"));
	meta->stderr_tail = xstrdup_null(message_str(m, "stderr_tail"));
	meta->replaced = int_header(m, "replaced", 1, INT64_MAX, 0);
}

void
wire_response_meta(const struct message *m, struct response_meta *meta)
{
	struct response r = {0};

	decode_meta(m, &r);
	*meta = r.meta;
}

/* The text of a value that is one, which a C string can hold; else NULL. */
static char *
text_of(const struct wire_value *v)
{
	struct jread j;
	char *text = NULL;
	size_t len;

	if (v == NULL)
		return NULL;
	jread_init(&j, v->json, v->len, NULL);
	if (jread_next(&j) == JREAD_STRING)
		text = jread_text_new(&j, &len);
	if (text == NULL || strlen(text) == len)
		return text;
	free(text);
	return NULL;
}

static struct wire_value *
find_value(const struct response *r, const char *key)
{
	size_t i;

	for (i = 0; i < r->n_values; i++) {
		if (strcmp(r->values[i].key, key) == 0)
			return &r->values[i];
	}
	return NULL;
}

static void
remove_value(struct response *r, struct wire_value *v)
{
	free(v->key);
	r->n_values--;
	memmove(v, v + 1, (size_t)(r->values + r->n_values - v) * sizeof(*v));
}

static bool
decode_host(struct response *r, char *err, size_t err_size)
{
	struct wire_value *syskey = find_value(r, "syskey");
	const char *error;

	r->host = text_of(syskey);
	if (syskey == NULL)
		error = "no syskey";
	else if (r->host == NULL)
		error = "syskey is not a text";
	else
		error = name_host_error(r->host);
	if (error != NULL) {
		snprintf(err, err_size, "%s", error);
		return false;
	}
	remove_value(r, syskey);
	return true;
}

static bool
decode_format(struct response *r, char *err, size_t err_size)
{
	struct wire_value *format = find_value(r, "format");
	char *text = text_of(format);
	bool ok = text != NULL && wire_format_parse(text, &r->format);

	if (ok)
		remove_value(r, format);
	else if (format == NULL)
		snprintf(err, err_size, "no format");
	else
		snprintf(err, err_size, "unknown format '%.*s'", SHOWN, text == NULL ? "" : text);
	free(text);
	return ok;
}

static const char *
key_error(const struct wire_value *v)
{
	if (strcmp(v->key, "last_error") == 0)
		return v->json[0] == '{' ? NULL : "not an object";
	return name_plugin_error(v->key);
}

static bool
check_keys(const struct response *r, char *err, size_t err_size)
{
	const char *error;
	size_t i;

	for (i = 0; i < r->n_values; i++) {
		error = key_error(&r->values[i]);
		if (error != NULL) {
			snprintf(err, err_size, "key '%.*s': %s", SHOWN, r->values[i].key, error);
			return false;
		}
	}
	return true;
}

/* The plugin's name becomes a key of the record as those of the body do. Only a command that was
 * refused, or passed over before it was looked at, may name what is no plugin. */
static bool
check_plugin(const struct response_meta *meta, char *err, size_t err_size)
{
	const char *error;

	if (meta->plugin == NULL || meta->state == WIRE_REFUSED || wire_is_passed_over(meta->state))
		return true;
	error = name_plugin_error(meta->plugin);
	if (error != NULL)
		snprintf(err, err_size, "header plugin '%.*s': %s", SHOWN, meta->plugin, error);
	return error == NULL;
}

/* One more member, whose key is the reader's last token. */
static bool
add_value(struct response *r, struct jread *j, char *err, size_t err_size)
{
	char *key = jread_key_new(j);
	const char *error = NULL;

	if (key == NULL)
		error = "out of memory";
	else if (r->n_values == WIRE_VALUES_MAX)
		error = "more keys than any response has";
	else if (find_value(r, key) != NULL)
		error = "not JSON: a key is there twice";
	if (error != NULL) {
		snprintf(err, err_size, "%s", error);
		free(key);
		return false;
	}
	r->values = xreallocarray(r->values, r->n_values + 1, sizeof(*r->values));
	r->values[r->n_values++] = (struct wire_value){.key = key};
	if (!jread_value(j, jread_next(j)))
		return true; /* the reader says what is wrong */
	r->values[r->n_values - 1].json = j->text + j->start;
	r->values[r->n_values - 1].len = j->end - j->start;
	return true;
}

static bool
split_body(const struct message *m, struct response *r, char *err, size_t err_size)
{
	static const struct jsonx_limits depth_only = {.depth = JSONX_DEPTH_MAX};
	char why[256];
	enum jread_token token;
	struct jread j;

	jread_init(&j, m->body == NULL ? "" : m->body, m->body_len, &depth_only);
	token = jread_next(&j);
	if (token != JREAD_OBJECT && token != JREAD_ERROR) {
		snprintf(err, err_size, "not a JSON object");
		return false;
	}
	while (token != JREAD_ERROR && (token = jread_next(&j)) == JREAD_KEY) {
		if (!add_value(r, &j, err, err_size))
			return false;
	}
	if (token == JREAD_OBJECT_END && jread_next(&j) == JREAD_END)
		return true;
	jread_explain(&j, j.refusal, why, sizeof(why));
	snprintf(err, err_size, "not JSON: %s", why);
	return false;
}

bool
wire_response_decode(const struct message *m, struct response *r, char *err, size_t err_size)
{
	bool ok;

	response_init(r);
	json_decref(r->results);
	r->results = NULL;
	ok = split_body(m, r, err, err_size) && decode_host(r, err, err_size) &&
	     decode_format(r, err, err_size) && check_keys(r, err, err_size);
	if (ok) {
		decode_meta(m, r);
		ok = check_plugin(&r->meta, err, err_size);
	}
	if (!ok)
		response_finish(r);
	return ok;
}

json_t *
wire_last_error(int64_t wall, const char *text)
{
	char stamp[WALLCLOCK_TEXT_SIZE + 3];
	json_t *error = json_object();
	size_t len;

	if (error == NULL)
		xalloc_fail(0);
	/* 2010-09-26T06:16:29.609Z becomes 2010-09-26 06:16:29.609000 */
	wallclock_format(wall, stamp);
	*strchr(stamp, 'T') = ' ';
	len = strlen(stamp);
	memcpy(stamp + len - 1, "000", sizeof("000"));
	jsonx_set_str(error, "timestamp", stamp);
	jsonx_set_str(error, "message", text);
	return error;
}
