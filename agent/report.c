/* SPDX-License-Identifier: Apache-2.0 */
/* See report.h. */
#include "agent/report.h"

#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX    1024
#define FIRST_LINE_MAX 300

/* Bytes as text for a header: UTF-8, without NUL, which ends a C string. Adds to *replaced the
 * bytes that were not UTF-8. */
static char *
header_text(const char *bytes, size_t len, int64_t *replaced)
{
	json_t *text;
	size_t bad = 0;
	char *copy, *plain = xcalloc(len + 1, 1);

	for (size_t i = 0; i < len; i++)
		plain[i] = bytes[i] != '\0' ? bytes[i] : ' ';
	text = jsonx_string_lossy(plain, len, &bad);
	*replaced += (int64_t)bad;
	free(plain);
	if (text == NULL)
		return NULL;
	copy = xstrdup(json_string_value(text));
	json_decref(text);
	return copy;
}

/* Is text cut inside a character of UTF-8, if it is cut at i? Then its bytes would count as
 * replaced although the plugin printed a whole character. */
static bool
is_inside_character(const char *bytes, size_t len, size_t i)
{
	return i < len && (bytes[i] & 0xc0) == 0x80;
}

#define CHARACTER_REST 3 /* bytes of a character behind its first */

/* The length of what is at most max bytes of the front. */
static size_t
head_length(const char *bytes, size_t len, size_t max)
{
	size_t n = len < max ? len : max, i;

	for (i = 0; i < CHARACTER_REST && n > 0 && is_inside_character(bytes, len, n); i++)
		n--;
	return n;
}

static char *
head_of(const char *bytes, size_t len, int64_t *replaced)
{
	return len == 0 ? NULL
			: header_text(bytes, head_length(bytes, len, REPORT_TAIL_MAX), replaced);
}

/* partial: the beginning was cut off before. */
static char *
tail_of(const char *bytes, size_t len, bool partial, int64_t *replaced)
{
	size_t cut = len > REPORT_TAIL_MAX ? len - REPORT_TAIL_MAX : 0, i;

	partial = partial || cut > 0;
	for (i = 0; i < CHARACTER_REST && partial && is_inside_character(bytes, len, cut); i++)
		cut++;
	return len == 0 ? NULL : header_text(bytes + cut, len - cut, replaced);
}

/* The first line with something on it, into out; "" when there is none. When the beginning was cut
 * off (`partial`) the first line is not whole and is passed over. */
static void
first_line(const char *bytes, size_t len, bool partial, char out[FIRST_LINE_MAX])
{
	size_t i = 0, n = 0;
	int64_t replaced = 0; /* counted in the tail, where the line is as well */
	char *text;

	out[0] = '\0';
	if (partial) {
		const char *end = memchr(bytes, '\n', len);

		i = end != NULL ? (size_t)(end - bytes) : 0;
	}
	while (i < len && (bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == ' '))
		i++;
	while (i + n < len && bytes[i + n] != '\n' && bytes[i + n] != '\r')
		n++;
	if (n == 0)
		return;
	/* Cut to a third, as each byte may become a U+FFFD of three. */
	n = head_length(bytes + i, n, (FIRST_LINE_MAX - 1) / 3);
	text = header_text(bytes + i, n, &replaced);
	if (text != NULL)
		snprintf(out, FIRST_LINE_MAX, ": %s", text);
	free(text);
}

static void
describe_failure(const char *plugin, const struct child_event *done, char out[MESSAGE_MAX])
{
	char line[FIRST_LINE_MAX] = "";

	if (done->outcome != CHILD_NOT_STARTED)
		first_line(done->data, done->length, done->stderr_bytes > done->length, line);
	switch ((enum child_outcome)done->outcome) {
	case CHILD_NOT_STARTED:
		snprintf(out, MESSAGE_MAX, "%s: %.*s", plugin, (int)done->length, done->data);
		break;
	case CHILD_STOPPED:
		snprintf(out, MESSAGE_MAX, "%s: stopped, as the agent was", plugin);
		break;
	case CHILD_TIMEOUT:
		snprintf(out, MESSAGE_MAX, "%s: not done after %u.%u s, its timeout%s", plugin,
		    done->timeout_ms / 1000, done->timeout_ms % 1000 / 100, line);
		break;
	case CHILD_OVERFLOW:
		snprintf(out, MESSAGE_MAX,
		    "%s: more than %llu bytes of output, its max_output (the plugin's own, else that of [client])",
		    plugin, (unsigned long long)done->output_max);
		break;
	case CHILD_SIGNALED:
		snprintf(out, MESSAGE_MAX, "%s: killed by signal %d (%s)%s", plugin,
		    (int)done->signal, strsignal(done->signal), line);
		break;
	case CHILD_EXITED:
		snprintf(
		    out, MESSAGE_MAX, "%s: exit status %d%s", plugin, (int)done->exit_status, line);
		break;
	}
}

/* Makes the value: agents of 2010 only sent text; pylist and pydict say that it is JSON already. */
static json_t *
make_value(enum wire_format format, const struct buf *out, int64_t *replaced)
{
	const char *text = out->len > 0 ? out->data : "";
	size_t bad = 0;
	json_t *value = NULL;
	char err[128];

	if (format == WIRE_PYLIST || format == WIRE_PYDICT)
		value = jsonx_parse(text, out->len, NULL, err, sizeof(err));
	if (value == NULL)
		value = jsonx_string_lossy(text, out->len, &bad);
	*replaced = (int64_t)bad;
	return value;
}

static void
set_member(struct response *r, const char *key, json_t *value)
{
	if (value == NULL || json_object_set_new(r->results, key, value) != 0)
		xalloc_fail(0);
}

static void
set_failure(struct response *r, enum wire_state state, const char *text, int64_t wallclock_ms)
{
	json_object_clear(r->results);
	r->format = WIRE_PYDICT;
	r->meta.state = state;
	set_member(r, "last_error", wire_last_error(wallclock_ms, text));
}

static void
begin(struct response *r, const struct report_origin *origin, int64_t wallclock_ms)
{
	response_init(r);
	r->host = xstrdup(origin->host);
	if (r->results == NULL)
		r->results = json_object();
	if (r->results == NULL)
		xalloc_fail(0);
	r->format = WIRE_PYDICT;
	r->meta.machine_id = xstrdup_null(origin->machine_id);
	r->meta.boot_id = xstrdup_null(origin->boot_id);
	r->meta.version = xstrdup(VOGELER_VERSION);
	r->meta.collected_at = wallclock_ms;
}

/* A command of 2010 has no id to derive ours from. */
static char *
response_id(
    const struct report_origin *origin, const struct report_request *req, int64_t wallclock_ms)
{
	char id[IDENT_SIZE];

	if (req != NULL && req->job != NULL)
		ident_response(id, req->job, origin->host, req->plugin);
	else
		ident_job(id, wallclock_ms);
	return xstrdup(id);
}

static void
begin_answer(struct response *r, const struct report_origin *origin,
    const struct report_request *req, int64_t order, int64_t wallclock_ms)
{
	begin(r, origin, wallclock_ms);
	r->meta.response_id = response_id(origin, req, wallclock_ms);
	r->meta.job = xstrdup_null(req->job);
	r->meta.reply_to = xstrdup_null(req->reply_to);
	r->meta.plugin = xstrdup(req->plugin);
	r->meta.order = order;
}

static void
set_unsendable(struct response *r, const char *plugin, int64_t wallclock_ms)
{
	char text[MESSAGE_MAX];

	snprintf(text, sizeof(text), "%s: its output is too large to be sent", plugin);
	set_failure(r, WIRE_FAILED, text, wallclock_ms);
	r->meta.truncated = true;
}

static void
set_run_failure(struct response *r, const struct report_request *req,
    const struct child_event *done, const struct buf *out, int64_t wallclock_ms)
{
	char text[MESSAGE_MAX];

	describe_failure(req->plugin, done, text);
	set_failure(
	    r, done->outcome == CHILD_TIMEOUT ? WIRE_TIMEOUT : WIRE_FAILED, text, wallclock_ms);
	r->meta.truncated = done->outcome == CHILD_OVERFLOW;
	if (done->outcome == CHILD_NOT_STARTED)
		return;
	/* The beginning of a flood says what it was; of anything else the end says why. */
	r->meta.stdout_tail = done->outcome == CHILD_OVERFLOW
				  ? head_of(out->data, out->len, &r->meta.replaced)
				  : tail_of(out->data, out->len, false, &r->meta.replaced);
	r->meta.stderr_tail =
	    tail_of(done->data, done->length, done->stderr_bytes > done->length, &r->meta.replaced);
}

void
report_begin(struct response *r, const struct report_origin *origin,
    const struct report_request *req, const struct child_event *done, const struct buf *out,
    int64_t order, int64_t wallclock_ms)
{
	begin_answer(r, origin, req, order, wallclock_ms);
	r->meta.duration_ms = done->duration_ms;
	r->meta.exit_status = done->exit_status;
	r->meta.signal = done->signal;
	if (!done->success) {
		set_run_failure(r, req, done, out, wallclock_ms);
	} else if (out->len > REPORT_MESSAGE_MAX) {
		set_unsendable(
		    r, req->plugin, wallclock_ms); /* unread: a list of 60 MB took 10 s */
	} else {
		r->format = req->format;
		r->meta.state = WIRE_OK;
	}
}

void
report_value(struct response *r, const struct buf *out)
{
	set_member(r, r->meta.plugin, make_value(r->format, out, &r->meta.replaced));
}

void
report_run(struct response *r, const struct report_origin *origin, const struct report_request *req,
    const struct child_event *done, const struct buf *out, int64_t order, int64_t wallclock_ms)
{
	report_begin(r, origin, req, done, out, order, wallclock_ms);
	if (r->meta.state == WIRE_OK)
		report_value(r, out);
}

void
report_without_result(struct response *r, const struct report_origin *origin,
    const struct report_request *req, enum wire_state state, const char *why, int64_t order,
    int64_t wallclock_ms)
{
	begin_answer(r, origin, req, order, wallclock_ms);
	set_failure(r, state, why, wallclock_ms);
}

void
report_unsendable(struct response *r, const struct report_origin *origin,
    const struct report_request *req, int64_t order, int64_t wallclock_ms)
{
	begin_answer(r, origin, req, order, wallclock_ms);
	set_unsendable(r, req->plugin, wallclock_ms);
}

bool
report_try_encode(const struct response *r, struct message *m)
{
	if (wire_response_encode(r, m) && message_size(m) <= REPORT_MESSAGE_MAX)
		return true;
	message_finish(m);
	return false;
}

void
report_replace(struct response *r, const struct report_origin *origin,
    const struct report_request *req, struct sequence *order, struct message *m)
{
	int64_t now = wallclock_ms();

	log_error("report", "%s: its output is too large to be sent, job=%s", req->plugin,
	    req->job != NULL ? req->job : "none");
	response_finish(r);
	report_unsendable(r, origin, req, sequence_next(order, now), now);
	if (!wire_response_encode(r, m))
		fatal("report", "a failure report cannot be encoded");
}

void
report_encode(struct response *r, const struct report_origin *origin,
    const struct report_request *req, struct sequence *order, struct message *m)
{
	if (!report_try_encode(r, m))
		report_replace(r, origin, req, order, m);
}

void
report_too_large_for_broker(struct message *m, const char *host, int64_t wallclock_ms)
{
	const char *plugin = message_str(m, "plugin");
	char *text = NULL, *body;
	json_t *obj = json_object();

	xasprintf(&text,
	    "Plugin %.64s: its output, a message of %zu bytes, is larger than the broker takes: raise "
	    "max_message_size in rabbitmq.conf there, or lower the plugin's max_output",
	    plugin != NULL ? plugin : "?", m->body_len);
	jsonx_set_str(obj, "syskey", host);
	json_object_set_new(obj, "last_error", wire_last_error(wallclock_ms, text));
	jsonx_set_str(obj, "format", wire_format_name(WIRE_PYDICT));
	body = json_dumps(obj, JSON_COMPACT);
	if (body == NULL)
		fatal("report", "a failure report cannot be encoded");
	message_set_body(m, body, strlen(body));
	message_drop(m, "state");
	message_add_str(m, "state", wire_state_name(WIRE_FAILED));
	json_decref(obj);
	free(text);
}

const char *
report_failure_text(const struct response *r)
{
	return json_string_value(
	    json_object_get(json_object_get(r->results, "last_error"), "message"));
}

void
report_greeting(struct response *r, const struct report_origin *origin, int64_t wallclock_ms)
{
	begin(r, origin, wallclock_ms);
	r->meta.response_id = response_id(origin, NULL, wallclock_ms);
	r->meta.state = WIRE_OK;
}

void
report_waiting(struct response *r, const struct report_origin *origin, int64_t wallclock_ms)
{
	char *text = NULL;

	report_greeting(r, origin, wallclock_ms);
	xasprintf(&text,
	    WIRE_WAITING ": the agent with the machine id %s waits for its queue, "
			 "which another agent reads: give one of them another [client] name",
	    origin->machine_id != NULL ? origin->machine_id : "not known");
	r->meta.state = WIRE_FAILED;
	set_member(r, "last_error", wire_last_error(wallclock_ms, text));
	free(text);
}
