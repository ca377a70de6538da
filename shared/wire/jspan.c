/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/wire/jspan.h"

#include "shared/base/xalloc.h"

#include <jansson.h>
#include <string.h>

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* p is at the opening quote; returns what is behind the closing one, NULL if there is none. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\')
			p++;
	}
	return NULL;
}

/* p is at a bracket. Counts brackets without telling [] from {}: a text that mixes them up fails
 * where its inside is walked or parsed. */
static const char *
skip_container(const char *p, const char *end)
{
	size_t depth = 0;

	while (p != NULL && p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1;
		p++;
	}
	return NULL;
}

static const char *
skip_word(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && strchr(" \t\r\n,:]}[{\"", *p) == NULL)
		p++;
	return p == start ? NULL : p;
}

static const char *
skip_value(const char *p, const char *end)
{
	if (p >= end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_container(p, end);
	return skip_word(p, end);
}

bool
jspan_value(const char *text, size_t len, struct jspan *value)
{
	const char *end = text + len, *start = skip_space(text, end), *p = skip_value(start, end);

	if (p == NULL || skip_space(p, end) != end)
		return false;
	*value = (struct jspan){start, (size_t)(p - start)};
	return true;
}

bool
jspan_open(struct jspan_iter *it, struct jspan container)
{
	char kind = jspan_kind(container);

	*it = (struct jspan_iter){.first = true, .bad = true};
	if (kind != '{' && kind != '[')
		return false;
	if (container.len < 2 || container.text[container.len - 1] != (kind == '{' ? '}' : ']'))
		return false;
	it->bad = false;
	it->p = container.text + 1;
	it->end = container.text + container.len - 1;
	return true;
}

static bool
fail(struct jspan_iter *it)
{
	it->bad = true;
	it->p = it->end;
	return false;
}

/* Steps to the start of the next entry. false at the end, or bad. */
static bool
step(struct jspan_iter *it)
{
	if (it->bad)
		return false;
	it->p = skip_space(it->p, it->end);
	if (it->p == it->end)
		return false;
	if (!it->first) {
		if (*it->p != ',')
			return fail(it);
		it->p = skip_space(it->p + 1, it->end);
		if (it->p == it->end)
			return fail(it); /* a comma and nothing behind it */
	}
	it->first = false;
	return true;
}

static bool
take(struct jspan_iter *it, struct jspan *value)
{
	const char *start = it->p, *p = skip_value(start, it->end);

	if (p == NULL)
		return fail(it);
	*value = (struct jspan){start, (size_t)(p - start)};
	it->p = p;
	return true;
}

bool
jspan_next_member(struct jspan_iter *it, struct jspan *key, struct jspan *value)
{
	if (!step(it))
		return false;
	if (*it->p != '"' || !take(it, key))
		return fail(it);
	it->p = skip_space(it->p, it->end);
	if (it->p == it->end || *it->p != ':')
		return fail(it);
	it->p = skip_space(it->p + 1, it->end);
	return take(it, value);
}

bool
jspan_next_element(struct jspan_iter *it, struct jspan *value)
{
	return step(it) && take(it, value);
}

char
jspan_kind(struct jspan s)
{
	return s.text != NULL && s.len > 0 ? s.text[0] : '\0';
}

char *
jspan_string(struct jspan s)
{
	json_t *j;
	char *text;

	if (jspan_kind(s) != '"')
		return NULL;
	j = json_loadb(s.text, s.len, JSON_DECODE_ANY, NULL);
	if (j == NULL)
		return NULL;
	text = xstrdup(json_string_value(j));
	json_decref(j);
	return text;
}

bool
jspan_is(struct jspan s, const char *text)
{
	return s.text != NULL && s.len == strlen(text) && memcmp(s.text, text, s.len) == 0;
}
