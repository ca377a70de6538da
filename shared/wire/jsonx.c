/* SPDX-License-Identifier: Apache-2.0 */
/* See jsonx.h. Reading is jread's, jansson keeps the tree; writing is our own, because the text
 * must be canonical and jansson's reals are not. */
#include "shared/wire/jsonx.h"

#include "shared/base/utf8.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jread.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INT64_DIGITS 19 /* both limits have so many */
#define REAL_SIZE    64
#define SORT_STACK   32 /* members of an object sorted without asking for memory */

/* ---- memory ---- */

static _Thread_local bool looks_itself;

static void *
ask_for(size_t bytes)
{
	void *ptr = malloc(bytes);

	if (ptr == NULL && !looks_itself)
		xalloc_fail(bytes);
	return ptr;
}

void
jsonx_init(void)
{
	json_set_alloc_funcs(ask_for, free);
}

bool
jsonx_may_fail(bool may_fail)
{
	bool before = looks_itself;

	looks_itself = may_fail;
	return before;
}

/* ---- a tree ---- */

struct builder {
	struct jread reader;
	bool no_memory; /* or the reader has the reason */
};

static json_t *build(struct builder *b, enum jread_token token);

static json_t *
no_memory(struct builder *b)
{
	b->no_memory = true;
	return NULL;
}

static json_t *
build_string(struct builder *b)
{
	struct jread *j = &b->reader;
	size_t len;
	json_t *value;
	char *text;

	if (!j->escaped) {
		value = json_stringn_nocheck(j->text + j->start + 1, j->end - j->start - 2);
		return value != NULL ? value : no_memory(b);
	}
	text = jread_text_new(j, &len);
	value = text == NULL ? NULL : json_stringn_nocheck(text, len);
	free(text);
	return value != NULL ? value : no_memory(b);
}

/* A number that JSON has and we have not: its digits as text. */
static json_t *
build_digits(struct builder *b, enum jsonx_odd odd)
{
	struct jread *j = &b->reader;
	json_t *value = json_stringn_nocheck(j->text + j->start, j->end - j->start);

	jread_odd(j, odd, j->start);
	return value != NULL ? value : no_memory(b);
}

static json_t *
build_number(struct builder *b, bool is_real)
{
	int64_t integer;
	double real;
	json_t *value;

	if (is_real && !jread_real(&b->reader, &real))
		return build_digits(b, JSONX_BIG_REAL);
	if (!is_real && !jread_integer(&b->reader, &integer))
		return build_digits(b, JSONX_BIG_INTEGER);
	value = is_real ? json_real(real) : json_integer(integer);
	return value != NULL ? value : no_memory(b);
}

static json_t *
build_array(struct builder *b)
{
	json_t *array = json_array(), *value;
	enum jread_token token;

	if (array == NULL)
		return no_memory(b);
	while ((token = jread_next(&b->reader)) != JREAD_ARRAY_END) {
		value = build(b, token);
		if (value == NULL || json_array_append_new(array, value) != 0) {
			json_decref(array);
			return value == NULL ? NULL : no_memory(b);
		}
	}
	return array;
}

static bool
build_member(struct builder *b, json_t *object)
{
	char *key = jread_key_new(&b->reader);
	json_t *value;
	bool ok;

	if (key == NULL)
		return no_memory(b) != NULL;
	if (json_object_get(object, key) != NULL)
		jread_odd(&b->reader, JSONX_KEY_TWICE, b->reader.start);
	value = build(b, jread_next(&b->reader));
	ok = value != NULL;
	if (ok && json_object_set_new_nocheck(object, key, value) != 0)
		ok = no_memory(b) != NULL;
	free(key);
	return ok;
}

static json_t *
build_object(struct builder *b)
{
	json_t *object = json_object();
	enum jread_token token;

	if (object == NULL)
		return no_memory(b);
	while ((token = jread_next(&b->reader)) != JREAD_OBJECT_END) {
		if (token == JREAD_ERROR || !build_member(b, object)) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* jansson's own reader is not used: where memory is out it loses the end of a text and then reads
 * and writes beyond it (2.14, seen under a limited address space). Its constructors say so. */
static json_t *
build(struct builder *b, enum jread_token token)
{
	switch (token) {
	case JREAD_OBJECT:
		return build_object(b);
	case JREAD_ARRAY:
		return build_array(b);
	case JREAD_STRING:
		return build_string(b);
	case JREAD_INTEGER:
	case JREAD_REAL:
		return build_number(b, token == JREAD_REAL);
	case JREAD_NOT_A_NUMBER:
		return build_digits(b, JSONX_NOT_A_NUMBER);
	case JREAD_TRUE:
		return json_true();
	case JREAD_FALSE:
		return json_false();
	case JREAD_NULL:
		return json_null();
	case JREAD_ERROR:
	case JREAD_END:
	case JREAD_OBJECT_END:
	case JREAD_ARRAY_END:
	case JREAD_KEY:
		break;
	}
	return NULL;
}

static json_t *
parse(const char *text, size_t len, const struct jsonx_limits *limits, struct jsonx_note *note,
    char *err, size_t err_size)
{
	struct builder b = {0};
	bool before = jsonx_may_fail(true);
	enum jsonx_refusal refusal = JSONX_READ;
	json_t *value;

	jread_init(&b.reader, text, len, limits);
	value = build(&b, jread_next(&b.reader));
	if (value != NULL && jread_next(&b.reader) != JREAD_END) {
		json_decref(value);
		value = NULL;
	}
	if (value == NULL) {
		refusal = b.no_memory ? JSONX_MEMORY : b.reader.refusal;
		jread_explain(&b.reader, refusal, err, err_size);
	}
	if (note != NULL)
		jread_note(&b.reader, refusal, note);
	jsonx_may_fail(before);
	return value;
}

json_t *
jsonx_parse(const char *text, size_t len, struct jsonx_note *note, char *err, size_t err_size)
{
	static const struct jsonx_limits depth_only = {.depth = JSONX_DEPTH_MAX};

	return parse(text, len, &depth_only, note, err, err_size);
}

json_t *
jsonx_parse_stored(const char *text, size_t len, char *err, size_t err_size)
{
	struct jsonx_note note;
	json_t *value = parse(text, len, NULL, &note, err, err_size);

	if (value == NULL && note.refusal == JSONX_MEMORY)
		xalloc_fail(len);
	return value;
}

/* ---- writing ---- */

struct writer {
	struct buf *out;
	bool pretty; /* indented, keys in their order; else compact and sorted */
	unsigned int depth;
};

struct member {
	const char *key;
	size_t len;
	json_t *value;
};

static bool write_value(struct writer *w, const json_t *value);

static bool
write_escape(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		return buf_append(out, "\\\"", 2);
	case '\\':
		return buf_append(out, "\\\\", 2);
	case '\b':
		return buf_append(out, "\\b", 2);
	case '\f':
		return buf_append(out, "\\f", 2);
	case '\n':
		return buf_append(out, "\\n", 2);
	case '\r':
		return buf_append(out, "\\r", 2);
	case '\t':
		return buf_append(out, "\\t", 2);
	}
	return buf_printf(out, "\\u%04x", c);
}

bool
jsonx_write_string(struct buf *out, const char *s, size_t len)
{
	size_t n;

	if (!buf_append_char(out, '"'))
		return false;
	for (;;) {
		n = jsonx_plain_length(s, len);
		if (!buf_append(out, s, n))
			return false;
		if (n == len)
			return buf_append_char(out, '"');
		if (!write_escape(out, (unsigned char)s[n]))
			return false;
		s += n + 1;
		len -= n + 1;
	}
}

size_t
jsonx_string_length(const char *s, size_t len)
{
	size_t length = 2;

	for (;;) {
		char room[8];
		struct buf escape = {.data = room, .cap = sizeof(room), .max = sizeof(room) - 1};
		size_t n = jsonx_plain_length(s, len);

		length += n;
		if (n == len || !write_escape(&escape, (unsigned char)s[n]))
			return length;
		length += escape.len;
		s += n + 1;
		len -= n + 1;
	}
}

bool
jsonx_write_text(struct buf *out, const char *text)
{
	return jsonx_write_string(out, text, strlen(text));
}

static bool
write_integer(struct buf *out, json_int_t i)
{
	char text[INT64_DIGITS + 2], *p = text + sizeof(text);
	uint64_t rest = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (i < 0)
		*--p = '-';
	return buf_append(out, p, (size_t)(text + sizeof(text) - p));
}

/* 15 significant digits always survive the way to a double, but for those next to 0, which have
 * fewer; 17 always suffice for the way back.
 * Whatever is neither digit, sign nor exponent in the result is the locale's decimal point. */
bool
jsonx_write_real(struct buf *out, double real)
{
	char printed[REAL_SIZE], text[REAL_SIZE + 2];
	size_t i, n = 0;
	int digits;
	bool is_real = false;

	for (digits = isnormal(real) ? 15 : 1; digits <= 17; digits++) {
		snprintf(printed, sizeof(printed), "%.*g", digits, real);
		if (strtod(printed, NULL) == real)
			break;
	}
	for (i = 0; printed[i] != '\0'; i++) {
		if (strchr("0123456789+-e", printed[i]) != NULL) {
			is_real = is_real || printed[i] == 'e';
			text[n++] = printed[i];
		} else if (!is_real) {
			is_real = true;
			text[n++] = '.';
		}
	}
	if (!is_real) {
		text[n++] = '.';
		text[n++] = '0';
	}
	return buf_append(out, text, n);
}

static bool
write_break(struct writer *w)
{
	unsigned int i;

	if (!w->pretty)
		return true;
	if (!buf_append_char(w->out, '\n'))
		return false;
	for (i = 0; i < w->depth; i++) {
		if (!buf_append(w->out, "  ", 2))
			return false;
	}
	return true;
}

static bool
write_array(struct writer *w, const json_t *array)
{
	size_t i, n = json_array_size(array);

	w->depth++;
	for (i = 0; i < n; i++) {
		if (i > 0 && !buf_append_char(w->out, ','))
			return false;
		if (!write_break(w) || !write_value(w, json_array_get(array, i)))
			return false;
	}
	w->depth--;
	return n == 0 || write_break(w);
}

static int
member_cmp(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

	if (order != 0)
		return order;
	return (x->len > y->len) - (x->len < y->len);
}

static bool
write_members(struct writer *w, const struct member *members, size_t n)
{
	size_t i;

	w->depth++;
	for (i = 0; i < n; i++) {
		if (i > 0 && !buf_append_char(w->out, ','))
			return false;
		if (!write_break(w) ||
		    !jsonx_write_string(w->out, members[i].key, members[i].len) ||
		    !buf_append(w->out, ": ", w->pretty ? 2 : 1) ||
		    !write_value(w, members[i].value))
			return false;
	}
	w->depth--;
	return n == 0 || write_break(w);
}

static bool
write_object(struct writer *w, const json_t *value)
{
	json_t *object = (json_t *)value; /* iterating does not change it */
	struct member some[SORT_STACK], *members = some;
	size_t n = json_object_size(object), i = 0;
	bool ok;
	void *it;

	if (n > SORT_STACK)
		members = reallocarray(NULL, n, sizeof(*members));
	if (members == NULL)
		return false;
	it = json_object_iter(object);
	for (; it != NULL && i < n; it = json_object_iter_next(object, it)) {
		members[i].key = json_object_iter_key(it);
		members[i].len = json_object_iter_key_len(it);
		members[i++].value = json_object_iter_value(it);
	}
	if (!w->pretty)
		qsort(members, i, sizeof(*members), member_cmp);
	ok = write_members(w, members, i);
	if (members != some)
		free(members);
	return ok;
}

static bool
write_value(struct writer *w, const json_t *value)
{
	bool too_deep = w->depth >= JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND;

	if (value == NULL)
		return false;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return !too_deep && buf_append_char(w->out, '{') && write_object(w, value) &&
		       buf_append_char(w->out, '}');
	case JSON_ARRAY:
		return !too_deep && buf_append_char(w->out, '[') && write_array(w, value) &&
		       buf_append_char(w->out, ']');
	case JSON_STRING:
		return jsonx_write_string(
		    w->out, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return write_integer(w->out, json_integer_value(value));
	case JSON_REAL:
		return jsonx_write_real(w->out, json_real_value(value));
	case JSON_TRUE:
		return buf_append(w->out, "true", 4);
	case JSON_FALSE:
		return buf_append(w->out, "false", 5);
	case JSON_NULL:
		return buf_append(w->out, "null", 4);
	}
	return false;
}

bool
jsonx_write(struct buf *out, const json_t *value)
{
	struct writer w = {.out = out};

	return write_value(&w, value);
}

bool
jsonx_write_pretty(struct buf *out, const json_t *value)
{
	struct writer w = {.out = out, .pretty = true};

	return write_value(&w, value);
}

static bool
append_lossy(struct buf *out, const char *bytes, size_t len, size_t *replaced)
{
	size_t i = 0, start = 0;

	while (i < len) {
		size_t n = utf8_char(bytes + i, len - i);

		if (n > 0) {
			i += n;
			continue;
		}
		if (!buf_append(out, bytes + start, i - start) ||
		    !buf_append_str(out, UTF8_REPLACEMENT))
			return false;
		(*replaced)++;
		start = ++i;
	}
	return buf_append(out, bytes + start, len - start);
}

json_t *
jsonx_string_lossy(const char *bytes, size_t len, size_t *replaced)
{
	bool before = jsonx_may_fail(true);
	size_t bad = 0;
	json_t *string = json_stringn(bytes, len);

	if (string == NULL) {
		struct buf out;

		buf_init(&out, 3 * len);
		if (append_lossy(&out, bytes, len, &bad))
			string = json_stringn(out.data, out.len);
		buf_finish(&out);
	}
	jsonx_may_fail(before);
	if (replaced != NULL)
		*replaced = bad;
	return string;
}

static void
set_new(json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value) != 0)
		xalloc_fail(0);
}

void
jsonx_set_str(json_t *obj, const char *key, const char *value)
{
	if (value != NULL)
		set_new(obj, key, jsonx_string_lossy(value, strlen(value), NULL));
}

void
jsonx_set_int(json_t *obj, const char *key, json_int_t value)
{
	set_new(obj, key, json_integer(value));
}

const char *
jsonx_get_str(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

void
jsonx_set_time(json_t *obj, const char *key, int64_t ms)
{
	char text[WALLCLOCK_TEXT_SIZE];

	if (ms > 0)
		jsonx_set_str(obj, key, wallclock_format(ms, text));
}

bool
jsonx_get_time(const json_t *obj, const char *key, int64_t *ms)
{
	const json_t *value = json_object_get(obj, key);

	*ms = 0;
	return value == NULL ||
	       (json_is_string(value) && wallclock_parse(json_string_value(value), ms));
}
