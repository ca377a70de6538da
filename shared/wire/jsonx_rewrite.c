/* SPDX-License-Identifier: Apache-2.0 */
/* This rewrites JSON as the canonical text of jsonx_write(), without a tree: the text is
 * written as it is read, and when an object closes its members are put in order, where they
 * stand. A tree takes up to a hundred times the memory of its text ("[],[],[]"), this never
 * more than four times. */
#include "shared/wire/jsonx.h"

#include "shared/base/buf.h"
#include "shared/wire/jread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64 /* bytes of a number as it is written */

/* A member of an object that is open: where it is in the text written so far. */
struct rewrite_member {
	uint32_t key; /* its opening quote */
	uint32_t key_len;
	uint32_t end;  /* behind the comma */
	uint32_t from; /* its key in what is read */
};

struct rewriter {
	struct jread reader;
	struct buf *out;
	struct rewrite_member *members; /* of all objects that are open, the outermost first */
	size_t n, cap;
	enum jsonx_refusal refusal; /* JSONX_READ: the reader's */
};

static bool
refuse(struct rewriter *w, enum jsonx_refusal refusal)
{
	w->refusal = refusal;
	return false;
}

static bool
no_memory(struct rewriter *w)
{
	return refuse(w, JSONX_MEMORY);
}

/* Nothing that is written is longer than its text, but for numbers and by a few bytes. */
static bool
appended(struct rewriter *w, bool ok)
{
	if (!ok && w->out->max - w->out->len < w->reader.len + NUMBER_MAX)
		return refuse(w, JSONX_BYTES);
	return ok || no_memory(w);
}

/* ---- members in order ---- */

/* The next byte of a key in its canonical form, in which escapes are few. */
static int
next_byte(const char **s, const char *end)
{
	static const char from[] = "\"\\bfnrt", to[] = "\"\\\b\f\n\r\t";
	const char *p = *s;

	if (p == end)
		return -1;
	if (*p != '\\') {
		*s = p + 1;
		return (unsigned char)*p;
	}
	if (p[1] != 'u') {
		*s = p + 2;
		return to[strchr(from, p[1]) - from];
	}
	*s = p + 6; /* \u00XX */
	return (int)strtol((const char[]){p[4], p[5], '\0'}, NULL, 16);
}

/* Compares as if the keys were compared byte by byte before they were written. */
static int
compare_keys(const struct buf *text, const struct rewrite_member *a, const struct rewrite_member *b)
{
	const char *p = text->data + a->key + 1, *q = text->data + b->key + 1;
	const char *p_end = p + a->key_len - 2, *q_end = q + b->key_len - 2;
	int x, y;

	do {
		x = next_byte(&p, p_end);
		y = next_byte(&q, q_end);
	} while (x == y && x != -1);
	return x - y;
}

/* Keeps those of one name in the order in which they came. */
static int
compare(const void *a, const void *b, void *text)
{
	const struct rewrite_member *x = a, *y = b;
	int order = compare_keys(text, x, y);

	return order != 0 ? order : (x->from > y->from) - (x->from < y->from);
}

static bool
are_sorted(const struct rewriter *w, size_t first)
{
	size_t i;

	for (i = first + 1; i < w->n; i++) {
		if (compare_keys(w->out, &w->members[i - 1], &w->members[i]) >= 0)
			return false;
	}
	return true;
}

/* They are behind begin, and now sorted. Of those of one name only the last one is kept. */
static bool
arrange(struct rewriter *w, size_t first, size_t begin)
{
	size_t len = w->out->len - begin, i, at = 0;
	char *text = malloc(len);

	if (text == NULL)
		return no_memory(w);
	for (i = first; i < w->n; i++) {
		const struct rewrite_member *m = &w->members[i];

		if (i + 1 < w->n && compare_keys(w->out, m, m + 1) == 0) {
			jread_odd(&w->reader, JSONX_KEY_TWICE, m[1].from);
			continue;
		}
		memcpy(text + at, w->out->data + m->key, m->end - m->key);
		at += m->end - m->key;
	}
	memcpy(w->out->data + begin, text, at);
	buf_truncate(w->out, begin + at);
	free(text);
	return true;
}

static bool
sort_members(struct rewriter *w, size_t first, size_t begin)
{
	if (are_sorted(w, first))
		return true;
	qsort_r(&w->members[first], w->n - first, sizeof(*w->members), compare, w->out);
	return arrange(w, first, begin);
}

static struct rewrite_member *
add_member(struct rewriter *w)
{
	size_t cap = w->cap == 0 ? 64 : 2 * w->cap;
	struct rewrite_member *more;

	if (w->n == w->cap) {
		more = reallocarray(w->members, cap, sizeof(*more));
		if (more == NULL) {
			no_memory(w);
			return NULL;
		}
		w->members = more;
		w->cap = cap;
	}
	return &w->members[w->n++];
}

/* ---- values ---- */

static bool write_value(struct rewriter *w, enum jread_token token);

static bool
write_raw(struct rewriter *w)
{
	const struct jread *j = &w->reader;

	return appended(w, buf_append(w->out, j->text + j->start, j->end - j->start));
}

/* Writes a text; one without an escape is canonical as it is. */
static bool
write_text(struct rewriter *w, bool is_key)
{
	size_t len;
	char *text;
	bool ok;

	if (!w->reader.escaped)
		return write_raw(w);
	text = is_key ? jread_key_new(&w->reader) : jread_text_new(&w->reader, &len);
	if (text == NULL)
		return no_memory(w);
	ok = appended(w, jsonx_write_string(w->out, text, is_key ? strlen(text) : len));
	free(text);
	return ok;
}

static bool
write_quoted(struct rewriter *w, enum jsonx_odd odd)
{
	jread_odd(&w->reader, odd, w->reader.start);
	return appended(w, buf_append_char(w->out, '"')) && write_raw(w) &&
	       appended(w, buf_append_char(w->out, '"'));
}

static bool
write_integer(struct rewriter *w)
{
	int64_t value;

	if (!jread_integer(&w->reader, &value))
		return write_quoted(w, JSONX_BIG_INTEGER);
	return value == 0 ? appended(w, buf_append_char(w->out, '0')) : write_raw(w); /* "-0" */
}

static bool
write_real(struct rewriter *w)
{
	double value;

	if (!jread_real(&w->reader, &value))
		return write_quoted(w, JSONX_BIG_REAL);
	return appended(w, jsonx_write_real(w->out, value));
}

/* Ends what is open, where a comma is behind each item: the last one becomes the end. */
static bool
write_end(struct rewriter *w, size_t begin, char end)
{
	if (w->out->len == begin)
		return appended(w, buf_append_char(w->out, end));
	w->out->data[w->out->len - 1] = end;
	return true;
}

static bool
write_array(struct rewriter *w)
{
	enum jread_token token;
	size_t begin;

	if (!appended(w, buf_append_char(w->out, '[')))
		return false;
	begin = w->out->len;
	while ((token = jread_next(&w->reader)) != JREAD_ARRAY_END) {
		if (!write_value(w, token) || !appended(w, buf_append_char(w->out, ',')))
			return false;
	}
	return write_end(w, begin, ']');
}

static bool
write_member(struct rewriter *w)
{
	struct rewrite_member *m = add_member(w);
	size_t at = w->n - 1;
	uint32_t key = (uint32_t)w->out->len, from = (uint32_t)w->reader.start;

	if (m == NULL || !write_text(w, true))
		return false;
	*m = (struct rewrite_member){
	    .key = key, .key_len = (uint32_t)w->out->len - key, .from = from};
	if (!appended(w, buf_append_char(w->out, ':')) || !write_value(w, jread_next(&w->reader)) ||
	    !appended(w, buf_append_char(w->out, ',')))
		return false;
	w->members[at].end = (uint32_t)w->out->len; /* m may have moved */
	return true;
}

static bool
write_object(struct rewriter *w)
{
	size_t first = w->n, begin;
	enum jread_token token;

	if (!appended(w, buf_append_char(w->out, '{')))
		return false;
	begin = w->out->len;
	while ((token = jread_next(&w->reader)) != JREAD_OBJECT_END) {
		if (token == JREAD_ERROR || !write_member(w))
			return false;
	}
	if (!sort_members(w, first, begin))
		return false;
	w->n = first;
	return write_end(w, begin, '}');
}

static bool
write_value(struct rewriter *w, enum jread_token token)
{
	switch (token) {
	case JREAD_OBJECT:
		return write_object(w);
	case JREAD_ARRAY:
		return write_array(w);
	case JREAD_STRING:
		return write_text(w, false);
	case JREAD_INTEGER:
		return write_integer(w);
	case JREAD_REAL:
		return write_real(w);
	case JREAD_NOT_A_NUMBER:
		return write_quoted(w, JSONX_NOT_A_NUMBER);
	case JREAD_TRUE:
	case JREAD_FALSE:
	case JREAD_NULL:
		return write_raw(w);
	case JREAD_ERROR:
	case JREAD_END:
	case JREAD_OBJECT_END:
	case JREAD_ARRAY_END:
	case JREAD_KEY:
		break;
	}
	return false;
}

bool
jsonx_rewrite(struct buf *out, const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size)
{
	struct rewriter w = {.out = out};
	enum jsonx_refusal refusal = JSONX_READ;
	bool ok;

	assert(out->max <= UINT32_MAX); /* struct rewrite_member has its offsets */
	jread_init(&w.reader, text, len, limits);
	ok = write_value(&w, jread_next(&w.reader)) && jread_next(&w.reader) == JREAD_END;
	if (!ok) {
		refusal = w.refusal != JSONX_READ ? w.refusal : w.reader.refusal;
		jread_explain(&w.reader, refusal, err, err_size);
	}
	if (note != NULL)
		jread_note(&w.reader, refusal, note);
	free(w.members);
	return ok;
}
