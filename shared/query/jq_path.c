/* SPDX-License-Identifier: Apache-2.0 */
/* See jq_path.h. */
#include "shared/query/jq_path.h"

#include "shared/base/buf.h"

#include <ctype.h>
#include <string.h>

#define PATH_MAX_BYTES 4096
#define BLANKS         " \t\r\n"

static size_t
name_length(const char *p)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*p) && *p != '_')
		return 0;
	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

/* A name in quotes without anything that a backslash says; 0: it is none. */
static size_t
quoted_length(const char *p)
{
	size_t n;

	if (*p != '"')
		return 0;
	n = strcspn(p + 1, "\"\\");
	return p[n + 1] == '"' ? n + 2 : 0;
}

/* Returns the length of what is in brackets: a number, or a name in quotes. */
static size_t
bracket_length(const char *p)
{
	size_t n = 1 + strspn(p + 1, BLANKS), inner = quoted_length(p + n);

	if (inner == 0) {
		inner = strspn(p + n + (p[n] == '-'), "0123456789");
		inner += inner > 0 && p[n] == '-' ? 1 : 0;
	}
	n += inner;
	n += strspn(p + n, BLANKS);
	return inner > 0 && p[n] == ']' ? n + 1 : 0;
}

/* Appends the bracket of so many bytes without its blanks. */
static bool
append_bracket(struct buf *out, const char *p, size_t len)
{
	bool quoted = false, ok = true;

	for (size_t i = 0; i < len && ok; i++) {
		quoted ^= p[i] == '"';
		if (quoted || strchr(BLANKS, p[i]) == NULL)
			ok = buf_append_char(out, p[i]);
	}
	return ok;
}

/* The next step, if there is a plain one; bytes that it takes, 0 = none. */
static size_t
read_step(struct buf *out, const char *p)
{
	size_t before = 0, n;

	if (*p == '.') {
		before = 1 + strspn(p + 1, BLANKS);
		n = name_length(p + before);
		if (n > 0)
			return buf_append_char(out, '.') && buf_append(out, p + before, n)
				   ? before + n
				   : 0;
		n = quoted_length(p + before);
		if (n > 0)
			return buf_append_char(out, '[') && buf_append(out, p + before, n) &&
				       buf_append_char(out, ']')
				   ? before + n
				   : 0;
	}
	if (p[before] != '[')
		return 0;
	n = bracket_length(p + before);
	return n > 0 && append_bracket(out, p + before, n) ? before + n : 0;
}

/* Who iterates with "[]" and no "?" behind it counts on the path up to there. */
static bool
is_tolerant(const char *p)
{
	if (p[0] == '[' && p[1 + strspn(p + 1, BLANKS)] == ']') {
		p = strchr(p, ']') + 1;
		return p[strspn(p, BLANKS)] == '?';
	}
	p += strspn(p, ")" BLANKS);
	return *p == '?' || *p == '[' || *p == '.' || strncmp(p, "//", 2) == 0;
}

static bool
is_set(const char *p)
{
	p += strspn(p, ")" BLANKS);
	return p[0] == '=' && p[1] != '=';
}

static bool
is_assigned(const char *p)
{
	static const char *const operators[] = {"|=", "+=", "-=", "*=", "/=", "%=", "//=", NULL};

	if (is_set(p))
		return true;
	p += strspn(p, ")" BLANKS);
	for (size_t i = 0; operators[i] != NULL; i++) {
		if (strncmp(p, operators[i], strlen(operators[i])) == 0)
			return true;
	}
	return false;
}

void
jq_path_read(struct jq_path *path, const char *first, const char *rest, bool alone)
{
	bool plain = name_length(first) == strlen(first);
	struct buf out;
	size_t n;

	buf_init(&out, PATH_MAX_BYTES);
	if (!buf_printf(&out, plain ? ".%s" : "[\"%s\"]", first))
		rest = ""; /* names are shorter */
	for (;;) {
		rest += strspn(rest, BLANKS);
		n = read_step(&out, rest);
		if (n == 0 && alone && rest[0] == '|' && rest[1] != '=') {
			const char *behind = rest + 1 + strspn(rest + 1, BLANKS);

			n = *behind == '.' ? read_step(&out, behind) : 0;
			n += n > 0 ? (size_t)(behind - rest) : 0;
		}
		if (n == 0)
			break;
		rest += n;
	}
	path->tolerant = is_tolerant(rest);
	path->assigned = is_assigned(rest);
	path->set = is_set(rest) && strchr(rest, '|') == NULL;
	path->text = buf_take(&out, NULL);
}
