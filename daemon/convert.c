/* See convert.h. */
#include "daemon/convert.h"

#include "daemon/yamlx.h"
#include "shared/buf.h"
#include "shared/jsonx.h"
#include "shared/xalloc.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void
set_note(struct result *r, const char *text)
{
	if (r->note == NULL)
		r->note = json_array();
	json_array_append_new(r->note, json_string(text));
}

static void
note_big_integers(struct result *r, const struct jsonx_note *note)
{
	char *text;

	if (note->big_integers == 0)
		return;
	xasprintf(&text, "%u integers beyond 64 bits are kept as text", note->big_integers);
	set_note(r, text);
	free(text);
}

/* Takes over the content of text. */
static void
set_value(struct result *r, struct buf *text)
{
	r->value = buf_take(text, &r->value_len);
	ident_hash(r->hash, r->value, r->value_len);
}

/* A result's raw text ends at a NUL: those in it are shown by their symbol, so that nothing behind
 * them is lost. */
static char *
text_without_nul(struct result *r, const char *text, size_t len)
{
	static const char symbol[] = "\xe2\x90\x80"; /* U+2400 */
	struct buf out;
	const char *p = text, *end = text + len;
	bool ok = true;

	if (memchr(text, '\0', len) == NULL)
		return xstrndup(text, len);
	buf_init(&out, CONVERT_TEXT_MAX);
	while (ok && p < end) {
		size_t part = strnlen(p, (size_t)(end - p));

		ok = buf_append(&out, p, part);
		p += part;
		if (ok && p < end) {
			ok = buf_append_str(&out, symbol);
			p++;
		}
	}
	set_note(r, "each NUL in unparsed is shown as U+2400");
	return buf_take(&out, NULL);
}

static void
set_unparsed(struct result *r, const char *text, size_t len, const char *why)
{
	r->unparsed = text_without_nul(r, text, len);
	if (r->error == NULL)
		r->error = xstrdup(why);
}

/* The text of any value: of a string its bytes, else as JSON. */
static void
set_unparsed_value(struct result *r, const json_t *value, const char *why)
{
	struct buf text;

	if (json_is_string(value)) {
		set_unparsed(r, json_string_value(value), json_string_length(value), why);
		return;
	}
	buf_init(&text, CONVERT_TEXT_MAX);
	if (jsonx_write(&text, value))
		set_unparsed(r, text.data, text.len, why);
	else
		set_unparsed(r, "", 0, why);
	buf_finish(&text);
}

static void
set_too_large(struct result *r, const json_t *raw)
{
	set_unparsed_value(r, raw, "the value is too large or too deep");
	r->refusal = JSONX_BYTES;
}

static void
set_json(struct result *r, const json_t *value, const json_t *raw)
{
	struct buf text;

	buf_init(&text, CONVERT_TEXT_MAX);
	if (jsonx_write(&text, value))
		set_value(r, &text);
	else
		set_too_large(r, raw);
	buf_finish(&text);
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A part of a text that is UTF-8, cut at ASCII: so is the part. */
static bool
write_line(struct buf *out, const char *line, const char *end)
{
	while (line < end && is_space(*line))
		line++;
	while (end > line && is_space(end[-1]))
		end--;
	return jsonx_write_string(out, line, (size_t)(end - line));
}

/* Line by line into the text: millions of short lines would take a hundred bytes each as values. */
static bool
write_lines(struct buf *out, const char *p, const char *end)
{
	bool first = true, ok = buf_append_char(out, '[');

	while (ok && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		if (eol == NULL)
			eol = end;
		ok = (first || buf_append_char(out, ',')) && write_line(out, p, eol);
		first = false;
		p = eol + 1;
	}
	return ok && buf_append_char(out, ']');
}

static void
convert_output(struct result *r, const json_t *raw)
{
	const char *text = json_string_value(raw);
	struct buf out;

	buf_init(&out, CONVERT_TEXT_MAX);
	if (write_lines(&out, text, text + json_string_length(raw)))
		set_value(r, &out);
	else
		set_too_large(r, raw);
	buf_finish(&out);
}

static void
set_unreadable(struct result *r, const char *text, size_t len, const char *why)
{
	char *said;

	xasprintf(&said, "%s%scannot be read as %s: %s", r->plugin == NULL ? "" : r->plugin,
	    r->plugin == NULL ? "" : ": the output ", r->format == WIRE_YAML ? "YAML" : "JSON",
	    why);
	set_unparsed(r, text, len, said);
	free(said);
}

static json_t *
parse_within(const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size)
{
	json_t *value = NULL;
	struct buf out;

	buf_init(&out, CONVERT_TEXT_MAX);
	if (jsonx_rewrite(&out, text, len, limits, note, err, err_size))
		value = jsonx_parse(out.data, out.len, NULL, err, err_size);
	buf_finish(&out);
	return value;
}

static void
convert_text(struct result *r, const json_t *raw, const struct convert_limits *limits)
{
	const struct jsonx_limits json = {limits->json_depth, limits->json_keys, 0};
	struct jsonx_note note = {0};
	const char *text = json_string_value(raw);
	size_t len = json_string_length(raw);
	char err[256] = "";
	json_t *value;

	if (r->format == WIRE_YAML)
		value = yamlx_parse(text, len, &limits->yaml, &note, err, sizeof(err));
	else
		value = parse_within(text, len, &json, &note, err, sizeof(err));
	if (value == NULL) {
		set_unreadable(r, text, len, err);
		r->refusal = note.refusal;
		return;
	}
	note_big_integers(r, &note);
	set_json(r, value, raw);
	json_decref(value);
}

void
convert_value(struct result *r, const json_t *value, const struct convert_limits *limits)
{
	const struct convert_limits standard = {
	    yamlx_limits_default, JSONX_DEPTH_MAX, yamlx_limits_default.keys};

	if (!json_is_string(value)) {
		set_json(r, value, value);
		return;
	}
	switch (r->format) {
	case WIRE_OUTPUT:
		convert_output(r, value);
		return;
	case WIRE_JSON:
	case WIRE_YAML:
		convert_text(r, value, limits != NULL ? limits : &standard);
		return;
	case WIRE_STRING:
	case WIRE_RAW:
	case WIRE_PYLIST:
	case WIRE_PYDICT:
		set_json(r, value, value);
		return;
	}
}

static struct result *
new_result(const struct response *resp, const char *plugin, int64_t received_at)
{
	struct result *r = xcalloc(1, sizeof(*r));
	const struct response_meta *m = &resp->meta;

	result_init(r);
	r->plugin = xstrdup_null(plugin);
	r->format = resp->format;
	r->received_at = received_at;
	r->meta = *m;
	r->meta.response_id = xstrdup_null(m->response_id);
	r->meta.job = xstrdup_null(m->job);
	r->meta.reply_to = NULL;
	r->meta.user_id = NULL;
	r->meta.plugin = NULL;
	r->meta.machine_id = xstrdup_null(m->machine_id);
	r->meta.boot_id = xstrdup_null(m->boot_id);
	r->meta.stderr_tail = xstrdup_null(m->stderr_tail);
	r->meta.stdout_tail = xstrdup_null(m->stdout_tail);
	return r;
}

/* {"timestamp": ..., "message": ...} as 2010 sent it, or a bare text. */
static void
set_last_error(struct result *r, const json_t *value)
{
	const json_t *message = json_is_object(value) ? json_object_get(value, "message") : value;
	const json_t *timestamp = json_object_get(value, "timestamp");
	struct buf text;

	if (r->meta.state == WIRE_OK)
		r->meta.state = WIRE_FAILED; /* a 2010 agent has no headers to say it with */
	if (json_is_string(timestamp))
		r->error_timestamp = xstrdup(json_string_value(timestamp));
	if (json_is_string(message)) {
		r->error = xstrdup(json_string_value(message));
		return;
	}
	buf_init(&text, CONVERT_TEXT_MAX);
	if (jsonx_write(&text, message != NULL ? message : value))
		r->error = buf_take(&text, NULL);
	else
		r->error = xstrdup("an error that cannot be shown");
	buf_finish(&text);
}

static struct result *
result_of_key(const struct response *resp, const char *key, const json_t *value,
    const struct convert_limits *limits, int64_t received_at)
{
	const char *plugin = resp->meta.plugin;
	struct result *r;

	if (strcmp(key, "last_error") == 0) {
		/* Of the plugin that the headers name, unless the body has a value of it too. */
		if (plugin != NULL && json_object_get(resp->results, plugin) != NULL)
			plugin = NULL;
		r = new_result(resp, plugin, received_at);
		set_last_error(r, value);
		return r;
	}
	r = new_result(resp, key, received_at);
	if (plugin != NULL && strcmp(plugin, key) != 0)
		r->meta.state = WIRE_OK; /* the state is that of the plugin in the headers */
	if (r->meta.state == WIRE_OK)
		convert_value(r, value, limits);
	else
		set_unparsed_value(r, value, wire_state_name(r->meta.state));
	return r;
}

size_t
convert_response(const struct response *resp, const struct convert_limits *limits,
    int64_t received_at, struct result ***results)
{
	size_t n = json_object_size(resp->results), i = 0;
	struct result **list = xcalloc(n == 0 ? 1 : n, sizeof(*list));
	const char *key;
	json_t *value;

	json_object_foreach (resp->results, key, value)
		list[i++] = result_of_key(resp, key, value, limits, received_at);
	if (i == 0) {
		list[i] = new_result(resp, resp->meta.plugin, received_at);
		if (resp->meta.state != WIRE_OK)
			list[i]->error = xstrdup(wire_state_name(resp->meta.state));
		i++;
	}
	*results = list;
	return i;
}

void
convert_free(struct result **results, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		result_finish(results[i]);
		free(results[i]);
	}
	free(results);
}
