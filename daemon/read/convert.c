/* SPDX-License-Identifier: Apache-2.0 */
/* See convert.h. */
#include "daemon/read/convert.h"

#include "daemon/read/yamlx.h"
#include "shared/base/buf.h"
#include "shared/base/name.h"
#include "shared/base/units.h"
#include "shared/base/utf8.h"
#include "shared/base/xalloc.h"
#include "shared/config/options.h"
#include "shared/wire/jread.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_SIZE       384
#define CLOCKS_DIFFER_MS 60000 /* less than that is the way of an answer */

static void
set_note(struct result *r, const char *text)
{
	if (r->note == NULL)
		r->note = json_array();
	json_array_append_new(r->note, json_string(text));
}

static void
note_count(struct result *r, int64_t n, const char *what)
{
	char *text;

	if (n == 0)
		return;
	xasprintf(&text, "%" PRId64 " %s", n, what);
	set_note(r, text);
	free(text);
}

/* Notes what was kept in another form, and where the first of it is. */
static void
note_reading(struct result *r, const struct jsonx_note *note)
{
	char *text;
	size_t i;

	for (i = 0; i < JSONX_N_ODD; i++) {
		const char *key = i == JSONX_KEY_TWICE ? note->twice : NULL;
		const struct jsonx_place *first = &note->odd[i].first;

		if (note->odd[i].count == 0)
			continue;
		xasprintf(&text, "%u %s (first: %s%s%sline %zu, column %zu)", note->odd[i].count,
		    jsonx_odd_text((enum jsonx_odd)i), key == NULL ? "" : "\"",
		    key == NULL ? "" : key, key == NULL ? "" : "\", ", first->line, first->column);
		set_note(r, text);
		free(text);
	}
}

/* Takes over the content of text. */
static void
set_value(struct result *r, struct buf *text)
{
	r->value = buf_take(text, &r->value_len);
	ident_hash(r->hash, r->value, r->value_len);
}

/* A text is what a plugin printed, or a part of the message that is no text: owned, with a NUL
 * behind it. */
struct text {
	char *s; /* NULL: memory is out, or it was taken */
	size_t len;
};

/* A result's raw text ends at a NUL: those in it are shown by their symbol, so that nothing behind
 * them is lost. */
static char *
text_without_nul(struct result *r, struct text *text)
{
	struct buf out;
	const char *p = text->s, *end = p + text->len;
	char *taken = text->s;
	bool ok = true;

	if (memchr(text->s, '\0', text->len) == NULL) {
		text->s = NULL;
		return taken;
	}
	buf_init(&out, CONVERT_TEXT_MAX);
	while (ok && p < end) {
		size_t part = strnlen(p, (size_t)(end - p));

		ok = buf_append(&out, p, part);
		p += part;
		if (ok && p < end) {
			ok = buf_append_str(&out, UTF8_NUL_SHOWN);
			p++;
		}
	}
	set_note(r, "each NUL in unparsed is shown as U+2400");
	if (ok)
		return buf_take(&out, NULL);
	buf_finish(&out);
	return NULL;
}

/* Takes the text. */
static bool
set_unparsed(struct result *r, struct text *text, enum jsonx_refusal refusal, const char *why)
{
	r->unparsed = text_without_nul(r, text);
	r->refusal = refusal;
	if (r->error == NULL)
		r->error = xstrdup(why);
	return r->unparsed != NULL;
}

static bool
set_too_large(struct result *r, struct text *text)
{
	return set_unparsed(r, text, JSONX_BYTES, "the value is too large or too deep");
}

static const char *
plugin_of(const struct result *r)
{
	return r->plugin == NULL ? "the value" : r->plugin;
}

static bool
set_unreadable(struct result *r, struct text *text, const char *language,
    enum jsonx_refusal refusal, const char *why)
{
	char *said;
	bool ok;

	if (refusal == JSONX_MEMORY)
		return false;
	xasprintf(&said, "%s: the output cannot be read as %s: %s", plugin_of(r), language, why);
	ok = set_unparsed(r, text, refusal, said);
	free(said);
	return ok;
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

static bool
convert_output(struct result *r, struct text *text)
{
	struct buf out;
	bool ok;

	buf_init(&out, CONVERT_TEXT_MAX);
	ok = write_lines(&out, text->s + (utf8_has_bom(text->s, text->len) ? UTF8_BOM_LEN : 0),
	    text->s + text->len);
	if (ok)
		set_value(r, &out);
	buf_finish(&out);
	return ok || set_too_large(r, text);
}

static bool
convert_string(struct result *r, struct text *text)
{
	struct buf out;
	bool ok;

	buf_init(&out, CONVERT_TEXT_MAX);
	ok = jsonx_write_string(&out, text->s, text->len);
	if (ok)
		set_value(r, &out);
	buf_finish(&out);
	return ok || set_too_large(r, text);
}

static bool
is_blank(const char *s, size_t len)
{
	if (utf8_has_bom(s, len)) {
		s += UTF8_BOM_LEN;
		len -= UTF8_BOM_LEN;
	}
	while (len > 0 && is_space(s[len - 1]))
		len--;
	return len == 0;
}

/* An empty text is no value where JSON is due, though the plugin ended well. */
static bool
set_blank(struct result *r, struct text *text)
{
	char *said;
	bool ok;

	xasprintf(&said, "%s: printed nothing where JSON is due", plugin_of(r));
	ok = set_unparsed(r, text, JSONX_SYNTAX, said);
	free(said);
	return ok;
}

/* Sets r's value, unless it returns why not. */
static enum jsonx_refusal
rewrite(struct result *r, const char *json, size_t len, const struct convert_limits *limits,
    char why[ERROR_SIZE])
{
	struct jsonx_note note = {0};
	struct buf out;

	buf_init(&out, CONVERT_TEXT_MAX);
	if (jsonx_rewrite(&out, json, len, &limits->json, &note, why, ERROR_SIZE)) {
		note_reading(r, &note);
		set_value(r, &out);
	}
	buf_finish(&out);
	return note.refusal;
}

static bool
convert_json(struct result *r, struct text *text, const struct convert_limits *limits)
{
	char why[ERROR_SIZE];
	enum jsonx_refusal refusal;

	if (is_blank(text->s, text->len))
		return set_blank(r, text);
	refusal = rewrite(r, text->s, text->len, limits, why);
	return refusal == JSONX_READ || set_unreadable(r, text, "JSON", refusal, why);
}

static bool
convert_yaml(struct result *r, struct text *text, const struct convert_limits *limits)
{
	struct jsonx_note note = {0};
	char why[ERROR_SIZE] = "";
	json_t *value = yamlx_parse(text->s, text->len, &limits->yaml, &note, why, sizeof(why));
	struct buf out;
	bool ok;

	if (value == NULL)
		return set_unreadable(r, text, "YAML", note.refusal, why);
	buf_init(&out, CONVERT_TEXT_MAX);
	ok = jsonx_write(&out, value);
	json_decref(value);
	if (ok) {
		note_reading(r, &note);
		set_value(r, &out);
	}
	buf_finish(&out);
	return ok || set_too_large(r, text);
}

/* The text in a JSON string, or of any other value as it is there. */
static struct text
text_of(const char *json, size_t len)
{
	struct text text = {.len = len};
	struct jread j;

	jread_init(&j, json, len, NULL);
	if (json[0] == '"' && jread_next(&j) == JREAD_STRING) {
		text.s = jread_text_new(&j, &text.len);
		return text;
	}
	text.s = malloc(len + 1);
	if (text.s != NULL) {
		memcpy(text.s, json, len);
		text.s[len] = '\0';
	}
	return text;
}

/* Converts what was JSON in the message; it is copied only to be kept as it was. */
static bool
convert_native(struct result *r, const char *json, size_t len, const struct convert_limits *limits)
{
	char why[ERROR_SIZE];
	enum jsonx_refusal refusal = rewrite(r, json, len, limits, why);
	struct text text;
	bool ok;

	if (refusal == JSONX_READ || refusal == JSONX_MEMORY)
		return refusal == JSONX_READ;
	text = text_of(json, len);
	ok = text.s != NULL && set_unreadable(r, &text, "JSON", refusal, why);
	free(text.s);
	return ok;
}

static bool
convert_text(struct result *r, struct text *text, const struct convert_limits *limits)
{
	switch (r->format) {
	case WIRE_OUTPUT:
		return convert_output(r, text);
	case WIRE_JSON:
		return convert_json(r, text, limits);
	case WIRE_YAML:
		return convert_yaml(r, text, limits);
	case WIRE_STRING:
	case WIRE_RAW:
	case WIRE_PYLIST:
	case WIRE_PYDICT:
		break;
	}
	return convert_string(r, text);
}

void
convert_limits_of(struct convert_limits *limits, const struct options *o)
{
	*limits = (struct convert_limits){.yaml = {.depth = o->yaml_depth,
					      .nodes = o->yaml_nodes,
					      .keys = o->object_keys,
					      .bytes = o->yaml_bytes},
	    .json = {.depth = o->json_depth, .keys = o->object_keys, .values = o->json_nodes}};
}

bool
convert_value(struct result *r, const char *json, size_t len, const struct convert_limits *limits)
{
	const struct convert_limits standard = {.yaml = yamlx_limits_default,
	    .json = {.depth = JSONX_DEPTH_MAX,
		.keys = yamlx_limits_default.keys,
		.values = CONVERT_JSON_VALUES}};
	struct text text;
	bool ok;

	if (limits == NULL)
		limits = &standard;
	if (json[0] != '"')
		return convert_native(r, json, len, limits);
	text = text_of(json, len);
	ok = text.s != NULL && convert_text(r, &text, limits);
	free(text.s);
	return ok;
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
	r->meta.version = xstrdup_null(m->version);
	r->meta.stderr_tail = xstrdup_null(m->stderr_tail);
	r->meta.stdout_tail = xstrdup_null(m->stdout_tail);
	if (plugin != NULL && (m->plugin == NULL || strcmp(m->plugin, plugin) == 0))
		note_count(r, m->replaced, "bytes that are not UTF-8 are shown as U+FFFD");
	return r;
}

/* The text of a member of an object, which must be a string if so asked; NULL: it has none, or
 * memory is out. */
static char *
member_text(const struct wire_value *v, const char *name, bool must_be_string)
{
	struct jread j;

	jread_init(&j, v->json, v->len, NULL);
	if (!jread_member(&j, name) || (must_be_string && v->json[j.start] != '"'))
		return NULL;
	return text_of(v->json + j.start, j.end - j.start).s;
}

/* A host whose clock is ahead drops commands that are not too late. That it is behind would not
 * show: its answer may have waited. */
static void
note_clock(struct result *r)
{
	int64_t ahead = r->meta.collected_at - r->received_at;
	char span[UNITS_SPAN_SIZE], *error;

	if (r->meta.state != WIRE_EXPIRED || r->error == NULL || ahead < CLOCKS_DIFFER_MS)
		return;
	xasprintf(&error, "%s; the host's clock is %s ahead of the collector's", r->error,
	    units_span(ahead, span));
	free(r->error);
	r->error = error;
}

/* {"timestamp": ..., "message": ...} as 2010 sent it, or a bare text. */
static bool
set_last_error(struct result *r, const struct wire_value *v)
{
	if (r->meta.state == WIRE_OK)
		r->meta.state = WIRE_FAILED; /* a 2010 agent has no headers to say it with */
	r->error_timestamp = member_text(v, "timestamp", true);
	r->error = member_text(v, "message", false);
	if (r->error == NULL)
		r->error = text_of(v->json, v->len).s;
	if (r->error == NULL)
		return false;
	if (r->error[0] == '\0') {
		free(r->error);
		r->error = xstrdup("the host gave no reason");
	}
	return true;
}

/* Keeps what a plugin printed that did not end well. */
static bool
set_not_run(struct result *r, const struct wire_value *v)
{
	struct text text = text_of(v->json, v->len);
	bool ok =
	    text.s != NULL && set_unparsed(r, &text, JSONX_READ, wire_state_name(r->meta.state));

	free(text.s);
	return ok;
}

/* Makes the result of a body without any: a greeting, or an answer that lacks what it
 * should tell. */
static void
set_no_value(struct result *r)
{
	if (r->meta.state != WIRE_OK) {
		r->error = xstrdup(wire_state_name(r->meta.state));
		return;
	}
	if (r->plugin == NULL && r->meta.job == NULL)
		return;
	r->meta.state = WIRE_FAILED;
	xasprintf(&r->error, "%s%sthe answer says ok and has no result",
	    r->plugin == NULL ? "" : r->plugin, r->plugin == NULL ? "" : ": ");
}

static bool
has_value(const struct response *resp, const char *key)
{
	size_t i;

	for (i = 0; i < resp->n_values; i++) {
		if (strcmp(resp->values[i].key, key) == 0)
			return true;
	}
	return false;
}

/* *r is made in any case. */
static bool
result_of_value(const struct response *resp, const struct wire_value *v,
    const struct convert_limits *limits, int64_t received_at, struct result **r)
{
	const char *plugin = resp->meta.plugin;

	if (strcmp(v->key, "last_error") == 0) {
		/* This error is of the plugin that the headers name, unless the body has a value of
		 * it too. */
		if (plugin != NULL && has_value(resp, plugin))
			plugin = NULL;
		*r = new_result(resp, plugin, received_at);
		if (!set_last_error(*r, v))
			return false;
		note_clock(*r);
		return true;
	}
	*r = new_result(resp, v->key, received_at);
	if (plugin != NULL && strcmp(plugin, v->key) != 0)
		(*r)->meta.state = WIRE_OK; /* the state is that of the plugin in the headers */
	if ((*r)->meta.state == WIRE_OK)
		return convert_value(*r, v->json, v->len, limits);
	return set_not_run(*r, v);
}

size_t
convert_response(const struct response *resp, const struct convert_limits *limits,
    int64_t received_at, struct result ***results)
{
	size_t n = resp->n_values, i;
	struct result **list = xcalloc(n == 0 ? 1 : n, sizeof(*list));

	*results = NULL;
	for (i = 0; i < n; i++) {
		if (!result_of_value(resp, &resp->values[i], limits, received_at, &list[i])) {
			convert_free(list, i + 1);
			return 0;
		}
	}
	if (n == 0) {
		list[n] = new_result(resp, resp->meta.plugin, received_at);
		set_no_value(list[n]);
		n++;
	}
	*results = list;
	return n;
}

struct result *
convert_failure(const struct message *m, const char *why, int64_t received_at)
{
	struct result *r = xcalloc(1, sizeof(*r));
	struct response_meta *meta = &r->meta;

	result_init(r);
	wire_response_meta(m, meta);
	free(meta->reply_to);
	free(meta->user_id);
	free(meta->stdout_tail); /* a record that is too large has no room for these */
	free(meta->stderr_tail);
	meta->reply_to = meta->user_id = meta->stdout_tail = meta->stderr_tail = NULL;
	if (meta->plugin != NULL && name_plugin_error(meta->plugin) == NULL)
		r->plugin = xstrdup(meta->plugin);
	if (meta->state == WIRE_OK)
		meta->state = WIRE_FAILED;
	r->received_at = received_at;
	xasprintf(&r->error, "%s%sthe answer was not stored: %s",
	    r->plugin == NULL ? "" : r->plugin, r->plugin == NULL ? "" : ": ", why);
	return r;
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
