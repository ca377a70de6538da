/* SPDX-License-Identifier: Apache-2.0 */
/* See yamlx.h.
 *
 * A stack of open collections, one for each level of depth, fed by libyaml's events. What an alias
 * stands for is counted when it is met, not when it is written: nodes, bytes and height of every
 * anchored value are known when it is closed, so a bomb is refused before it is built. */
#include "daemon/read/yamlx.h"

#include "daemon/read/yamlx_escape.h"
#include "daemon/read/yamlx_scalar.h"
#include "shared/base/utf8.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <yaml.h>

#define EXPANDED        4 /* times the input, with aliases expanded */
#define SURROGATE_ERROR "found invalid Unicode character escape code" /* libyaml's */
#define KEY_JSON_MAX    (64 * 1024 * 1024) /* of a list or map that is a key */

const struct yamlx_limits yamlx_limits_default = {
    .depth = YAMLX_DEPTH_MAX, .nodes = 100000, .keys = 20000, .bytes = 1024 * 1024};

struct anchor {
	UT_hash_handle hh;
	char *name;
	json_t *value;  /* NULL while it is open: an alias to it would contain itself */
	char *key_text; /* of a scalar: as it was written, for "*a: value" */
	size_t nodes;
	size_t bytes;
	unsigned int height; /* levels of collections in it */
};

/* An open collection. */
struct level {
	json_t *value;
	json_t *merges; /* array of maps named by "<<", the first one counts most; NULL = none */
	char *key;      /* of the member whose value comes next; NULL: a key comes next */
	bool key_is_merge;
	struct anchor *anchor; /* what will name it */
	size_t nodes_before;
	size_t bytes_before;
	unsigned int height; /* of the highest member so far */
};

struct yaml_builder {
	const struct yamlx_limits *limits;
	unsigned int depth_max;
	size_t expanded_max; /* bytes of scalars */
	struct level levels[YAMLX_DEPTH_MAX];
	unsigned int depth;
	struct anchor *anchors; /* uthash, by name */
	struct anchor *retired; /* names that were given again while they were open */
	json_t *root;
	size_t nodes;
	size_t bytes;
	unsigned int documents;
	struct jsonx_note note;
	enum jsonx_refusal refusal; /* if it fails */
	struct jsonx_place at;      /* of what is at hand */
	/* If libyaml refused an escape in it: the scalar, by the number of its first character. */
	bool is_escape;
	size_t scalar;
	struct jsonx_place scalar_at;
	char *err;
	size_t err_size;
};

/* A node that is complete: where it goes is the business of put_node. */
struct node {
	json_t *value;        /* owned */
	const char *key_text; /* NULL: not a scalar */
	size_t key_len;
	bool is_merge_key;
	unsigned int height;
};

static bool fail(struct yaml_builder *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
fail(struct yaml_builder *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(b->err, b->err_size, "line %zu, column %zu: ", b->at.line, b->at.column);
	if (n < 0 || (size_t)n >= b->err_size)
		return false;
	va_start(ap, fmt);
	vsnprintf(b->err + n, b->err_size - (size_t)n, fmt, ap);
	va_end(ap);
	return false;
}

/* The sentence is said already: by which limit. */
static bool
over(struct yaml_builder *b, enum jsonx_refusal limit)
{
	b->refusal = limit;
	return false;
}

/* libyaml has seen that the text is UTF-8. */
static bool
no_memory(struct yaml_builder *b)
{
	return fail(b, "out of memory") || over(b, JSONX_MEMORY);
}

static bool
count(struct yaml_builder *b, size_t nodes, size_t bytes)
{
	b->nodes += nodes;
	b->bytes += bytes;
	if (b->nodes > b->limits->nodes)
		return fail(b, "more than %zu values and keys ([limits] yaml_nodes)",
			   b->limits->nodes) ||
		       over(b, JSONX_VALUES);
	if (b->bytes > b->expanded_max)
		return fail(b,
			   "more than %zu bytes when aliases are expanded ([limits] yaml_bytes "
			   "allows %d times as many)",
			   b->expanded_max, EXPANDED) ||
		       over(b, JSONX_BYTES);
	return true;
}

static void
anchor_free(struct anchor *a)
{
	json_decref(a->value);
	free(a->key_text);
	free(a->name);
	free(a);
}

/* A name may be given again; from then on it means the newer value. */
static struct anchor *
anchor_new(struct yaml_builder *b, const yaml_char_t *name)
{
	struct anchor *a, *old;

	if (name == NULL)
		return NULL;
	HASH_FIND_STR(b->anchors, (const char *)name, old);
	if (old != NULL) {
		HASH_DEL(b->anchors, old);
		if (old->value != NULL) {
			anchor_free(old);
		} else {
			old->hh.next = b->retired; /* its level still points to it */
			b->retired = old;
		}
	}
	a = xcalloc(1, sizeof(*a));
	a->name = xstrdup((const char *)name);
	HASH_ADD_KEYPTR(hh, b->anchors, a->name, strlen(a->name), a);
	return a;
}

static void
anchors_free(struct yaml_builder *b)
{
	struct anchor *a, *tmp;

	HASH_ITER (hh, b->anchors, a, tmp) {
		HASH_DEL(b->anchors, a);
		anchor_free(a);
	}
	while (b->retired != NULL) {
		a = b->retired;
		b->retired = a->hh.next;
		anchor_free(a);
	}
}

static bool
too_deep(struct yaml_builder *b)
{
	return fail(b, "deeper than %u levels ([limits] yaml_depth)", b->depth_max) ||
	       over(b, JSONX_DEPTH);
}

static bool
too_many_keys(struct yaml_builder *b)
{
	return fail(b, "more than %zu keys in a map ([limits] object_keys)", b->limits->keys) ||
	       over(b, JSONX_KEYS);
}

static bool
has_too_many_keys(const struct yaml_builder *b, const struct level *l, size_t more)
{
	return b->limits->keys != 0 && json_object_size(l->value) + more > b->limits->keys;
}

/* A list or a map as a key; NULL: no memory for it. */
static char *
key_of_value(struct yaml_builder *b, const json_t *value)
{
	struct buf text;
	char *key = NULL;

	jsonx_odd(&b->note, JSONX_KEY_NO_TEXT, b->at);
	buf_init(&text, KEY_JSON_MAX);
	if (jsonx_write(&text, value))
		key = buf_take(&text, NULL);
	buf_finish(&text);
	return key;
}

static void
note_twice(struct yaml_builder *b, const char *key)
{
	size_t len = jsonx_key_shown(key, strlen(key));

	if (b->note.odd[JSONX_KEY_TWICE].count == 0)
		memcpy(b->note.twice, key, len);
	jsonx_odd(&b->note, JSONX_KEY_TWICE, b->at);
}

static bool
set_key(struct yaml_builder *b, struct level *l, const struct node *n)
{
	if (n->key_text == NULL)
		l->key = key_of_value(b, n->value);
	else
		l->key = jsonx_key_new(n->key_text, n->key_len);
	if (n->key_text != NULL && memchr(n->key_text, '\0', n->key_len) != NULL)
		jsonx_odd(&b->note, JSONX_KEY_NUL, b->at);
	if (l->key == NULL)
		return no_memory(b);
	l->key_is_merge = n->is_merge_key;
	if (!l->key_is_merge && json_object_get(l->value, l->key) != NULL)
		note_twice(b, l->key);
	else if (has_too_many_keys(b, l, l->key_is_merge ? 0 : 1))
		return too_many_keys(b);
	json_decref(n->value);
	return true;
}

static bool
can_be_merged(const json_t *value)
{
	const json_t *map;
	size_t i;

	if (!json_is_array(value))
		return json_is_object(value);
	json_array_foreach (value, i, map) {
		if (!json_is_object(map))
			return false;
	}
	return true;
}

/* The maps of value go before those of an earlier "<<", as PyYAML has it. */
static bool
add_merges(struct yaml_builder *b, struct level *l, json_t *value)
{
	size_t i, n = json_is_array(value) ? json_array_size(value) : 1;
	bool ok = true;

	if (l->merges == NULL)
		l->merges = json_array();
	for (i = 0; ok && i < n; i++)
		ok = json_array_insert(l->merges, i,
			 json_is_array(value) ? json_array_get(value, i) : value) == 0;
	json_decref(value);
	return ok || no_memory(b);
}

static bool
set_member(struct yaml_builder *b, struct level *l, json_t *value)
{
	if (json_object_set_new(l->value, l->key, value) == 0)
		return true;
	return no_memory(b);
}

/* Takes over the value of "<<". One that is no map is that of an ordinary key: facter prints such,
 * and to merge nothing is no reason to lose all facts. */
static bool
set_merge(struct yaml_builder *b, struct level *l, json_t *value)
{
	if (can_be_merged(value))
		return add_merges(b, l, value);
	if (json_object_get(l->value, l->key) != NULL) {
		note_twice(b, l->key);
	} else if (has_too_many_keys(b, l, 1)) {
		json_decref(value);
		return too_many_keys(b);
	}
	return set_member(b, l, value);
}

/* Merges never replace what is there, and of several maps the first one wins. */
static bool
apply_merges(struct yaml_builder *b, struct level *l)
{
	json_t *map;
	bool ok = true;
	size_t i;

	json_array_foreach (l->merges, i, map)
		ok = ok && json_object_update_missing(l->value, map) == 0;
	json_decref(l->merges);
	l->merges = NULL;
	return ok || no_memory(b);
}

/* Hands n's value to the collection that is open, or makes it the document. */
static bool
put_node(struct yaml_builder *b, struct node *n)
{
	struct level *l;
	bool ok = true;

	if (n->value == NULL)
		return no_memory(b);
	if (b->depth == 0) {
		b->root = n->value;
		return true;
	}
	l = &b->levels[b->depth - 1];
	if (n->height > l->height)
		l->height = n->height;
	if (json_is_array(l->value)) {
		ok = json_array_append_new(l->value, n->value) == 0;
		return ok || no_memory(b);
	}
	if (l->key == NULL) {
		ok = set_key(b, l, n);
		if (!ok)
			json_decref(n->value);
		return ok;
	}
	if (l->key_is_merge)
		ok = set_merge(b, l, n->value);
	else
		ok = set_member(b, l, n->value);
	free(l->key);
	l->key = NULL;
	return ok;
}

static bool
is_key_due(const struct yaml_builder *b)
{
	const struct level *l = b->depth == 0 ? NULL : &b->levels[b->depth - 1];

	return l != NULL && l->key == NULL && json_is_object(l->value);
}

/* A tag that is not one of YAML's own, as !ruby/sym, names a type that only its language knows:
 * what it is written in front of is text, whatever it looks like. So is what does not fit its tag,
 * and a key, so that there is nothing odd about one that looks like a number. */
static json_t *
type_scalar(struct yaml_builder *b, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	const char *tag = (const char *)ev->data.scalar.tag;
	size_t len = ev->data.scalar.length;
	struct jsonx_note *note = is_key_due(b) ? NULL : &b->note;
	json_t *value = NULL;

	if (tag != NULL)
		value = yamlx_scalar_tagged(tag, text, len, note, b->at);
	else if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		value = yamlx_scalar(text, len, note, b->at);
	return value != NULL ? value : json_stringn(text, len);
}

static bool
is_merge_key(const yaml_event_t *ev)
{
	const char *tag = (const char *)ev->data.scalar.tag;

	if (ev->data.scalar.length != 2 || memcmp(ev->data.scalar.value, "<<", 2) != 0)
		return false;
	if (tag != NULL)
		return strcmp(tag, "tag:yaml.org,2002:merge") == 0;
	return ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool
on_scalar(struct yaml_builder *b, const yaml_event_t *ev)
{
	struct node n = {0};
	struct anchor *a;

	if (!count(b, 1, ev->data.scalar.length))
		return false;
	n.key_text = (const char *)ev->data.scalar.value;
	n.key_len = ev->data.scalar.length;
	n.is_merge_key = is_merge_key(ev);
	n.value = type_scalar(b, ev);
	a = anchor_new(b, ev->data.scalar.anchor);
	if (a != NULL && n.value != NULL) {
		a->value = json_incref(n.value);
		if (strlen(n.key_text) == n.key_len)
			a->key_text = xstrdup(n.key_text);
		a->nodes = 1;
		a->bytes = n.key_len;
	}
	return put_node(b, &n);
}

/* "*name", which stands for nothing here: the text that it is. */
static bool
put_alias(struct yaml_builder *b, const char *name)
{
	struct node n = {0};
	char *text;
	bool ok;

	xasprintf(&text, "*%s", name);
	n.key_text = text;
	n.key_len = strlen(text);
	jsonx_odd(&b->note, JSONX_ALIAS, b->at);
	ok = count(b, 1, n.key_len);
	if (ok) {
		n.value = json_string(text);
		ok = put_node(b, &n);
	}
	free(text);
	return ok;
}

static bool
on_alias(struct yaml_builder *b, const yaml_event_t *ev)
{
	const char *name = (const char *)ev->data.alias.anchor;
	struct node n = {0};
	struct anchor *a;

	HASH_FIND_STR(b->anchors, name, a);
	if (a == NULL || a->value == NULL)
		return put_alias(b, name);
	if (b->depth + a->height > b->depth_max)
		return too_deep(b);
	if (!count(b, a->nodes, a->bytes))
		return false;
	n.value = json_incref(a->value);
	n.key_text = a->key_text;
	n.key_len = a->key_text == NULL ? 0 : strlen(a->key_text);
	n.height = a->height;
	return put_node(b, &n);
}

static bool
on_open(struct yaml_builder *b, json_t *value, const yaml_char_t *anchor)
{
	struct level *l;

	if (value == NULL)
		return no_memory(b);
	if (b->depth == b->depth_max) {
		json_decref(value);
		return too_deep(b);
	}
	l = &b->levels[b->depth++];
	memset(l, 0, sizeof(*l));
	l->value = value;
	l->nodes_before = b->nodes;
	l->bytes_before = b->bytes;
	l->anchor = anchor_new(b, anchor);
	return count(b, 1, 0);
}

static bool
on_close(struct yaml_builder *b)
{
	struct level *l = &b->levels[b->depth - 1];
	struct node n = {.value = l->value, .height = l->height + 1};

	if (!apply_merges(b, l))
		return false;
	if (has_too_many_keys(b, l, 0))
		return too_many_keys(b);
	if (l->anchor != NULL) {
		l->anchor->value = json_incref(l->value);
		l->anchor->nodes = b->nodes - l->nodes_before;
		l->anchor->bytes = b->bytes - l->bytes_before;
		l->anchor->height = n.height;
	}
	memset(l, 0, sizeof(*l));
	assert(b->depth > 0);
	b->depth--;
	return put_node(b, &n);
}

static bool
on_event(struct yaml_builder *b, const yaml_event_t *ev)
{
	b->at.line = ev->start_mark.line + 1;
	b->at.column = ev->start_mark.column + 1;
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev);
	case YAML_ALIAS_EVENT:
		return on_alias(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, json_array(), ev->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, json_object(), ev->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(b);
	case YAML_DOCUMENT_START_EVENT:
		return ++b->documents == 1 || fail(b, "more than one document");
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_NO_EVENT:
		break;
	}
	return true;
}

/* Columns are characters, as libyaml counts them. */
static void
find_offset(struct yaml_builder *b, const char *text, size_t len, size_t offset)
{
	b->at = (struct jsonx_place){1, 1};
	for (size_t i = 0; i < len && i < offset; i++) {
		b->at.column += ((unsigned char)text[i] & 0xc0) != 0x80;
		if (text[i] == '\n') {
			b->at.line++;
			b->at.column = 1;
		}
	}
}

static bool
fail_parser(struct yaml_builder *b, const yaml_parser_t *p, const char *text, size_t len)
{
	const char *problem = p->problem;

	if (p->error == YAML_MEMORY_ERROR || problem == NULL)
		return no_memory(b);
	b->at.line = p->problem_mark.line + 1;
	b->at.column = p->problem_mark.column + 1;
	if (p->error == YAML_READER_ERROR)
		find_offset(b, text, len, p->problem_offset);
	if (strcmp(problem, SURROGATE_ERROR) == 0) {
		b->is_escape = true;
		b->scalar = p->context_mark.index;
		b->scalar_at =
		    (struct jsonx_place){p->context_mark.line + 1, p->context_mark.column + 1};
	}
	if (p->context != NULL)
		return fail(b, "%s %s", problem, p->context);
	return fail(b, "%s", problem);
}

static bool
build(struct yaml_builder *b, yaml_parser_t *parser, const char *text, size_t len)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t ev;
	bool ok = true;

	while (ok && type != YAML_STREAM_END_EVENT) {
		if (yaml_parser_parse(parser, &ev) == 0)
			return fail_parser(b, parser, text, len);
		type = ev.type;
		ok = on_event(b, &ev);
		yaml_event_delete(&ev);
	}
	return ok;
}

static void
builder_finish(struct yaml_builder *b)
{
	while (b->depth > 0) {
		struct level *l = &b->levels[--b->depth];

		json_decref(l->value);
		json_decref(l->merges);
		free(l->key);
	}
	anchors_free(b);
}

/* libyaml compares every %TAG directive with all those before it. */
static bool
too_many_tag_lines(const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	unsigned int n = 0;

	while (p != NULL && n <= YAMLX_TAG_LINES) {
		n += end - p >= 4 && memcmp(p, "%TAG", 4) == 0;
		p = memchr(p, '\n', (size_t)(end - p));
		p = p == NULL ? NULL : p + 1;
	}
	return n > YAMLX_TAG_LINES;
}

static json_t *
parse(struct yaml_builder *b, const char *text, size_t len)
{
	yaml_parser_t parser;
	bool ok;

	if (yaml_parser_initialize(&parser) == 0) {
		no_memory(b);
		return NULL;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	ok = build(b, &parser, text, len);
	yaml_parser_delete(&parser);
	builder_finish(b);
	if (!ok) {
		json_decref(b->root);
		return NULL;
	}
	return b->root != NULL ? b->root : json_null();
}

/* Each scalar with surrogates in it costs one more reading from the start: of so many bytes in all
 * as one text may have. */
static json_t *
parse_escaped(
    struct yaml_builder *b, const struct yaml_builder *start, const char *text, size_t len)
{
	size_t again = b->limits->bytes;
	unsigned int halves, all_halves = 0;
	struct jsonx_place first = {0};
	char *joined = NULL;
	json_t *value;

	while ((value = parse(b, text, len)) == NULL && b->is_escape && len <= again) {
		char *next = yamlx_join_surrogates(text, len, b->scalar, &len, &halves);

		if (next == NULL)
			break;
		if (all_halves == 0 && halves > 0)
			first = b->scalar_at;
		all_halves += halves;
		free(joined);
		text = joined = next;
		again -= len;
		*b = *start;
	}
	free(joined);
	if (value == NULL && b->is_escape && len > again)
		fail(b,
		    "escapes of surrogates in more texts than are read again ([limits] yaml_bytes "
		    "allows %zu bytes in all)",
		    b->limits->bytes);
	if (all_halves > 0) {
		jsonx_odd(&b->note, JSONX_SURROGATE, first);
		b->note.odd[JSONX_SURROGATE].count = all_halves;
	}
	return value;
}

static json_t *
parse_limited(struct yaml_builder *b, const char *text, size_t len)
{
	struct yaml_builder start;

	if (len > b->limits->bytes) {
		snprintf(b->err, b->err_size,
		    "%zu bytes, at most %zu are read ([limits] yaml_bytes)", len, b->limits->bytes);
		b->refusal = JSONX_BYTES;
		return NULL;
	}
	if (utf8_has_bom(text, len)) {
		text += UTF8_BOM_LEN; /* libyaml takes it for a part of the first word */
		len -= UTF8_BOM_LEN;
	}
	if (too_many_tag_lines(text, len)) {
		snprintf(b->err, b->err_size, "more than %d %%TAG lines", YAMLX_TAG_LINES);
		return NULL;
	}
	start = *b;
	return parse_escaped(b, &start, text, len);
}

json_t *
yamlx_parse(const char *text, size_t len, const struct yamlx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size)
{
	struct yaml_builder b = {
	    .refusal = JSONX_SYNTAX, .at = {1, 1}, .err = err, .err_size = err_size};
	bool before = jsonx_may_fail(true);
	json_t *value;

	b.limits = limits != NULL ? limits : &yamlx_limits_default;
	b.depth_max = b.limits->depth < YAMLX_DEPTH_MAX ? b.limits->depth : YAMLX_DEPTH_MAX;
	b.expanded_max = b.limits->expanded != 0 ? b.limits->expanded : EXPANDED * b.limits->bytes;
	value = parse_limited(&b, text, len);
	jsonx_may_fail(before);
	if (value == NULL)
		b.note = (struct jsonx_note){.refusal = b.refusal};
	if (note != NULL)
		*note = b.note;
	return value;
}
