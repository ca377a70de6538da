/* SPDX-License-Identifier: Apache-2.0 */
/* See ini_file.h. libini_config 0.6 parses; what it would take in silence is caught by a look at
 * the lines beforehand (measured: keys before any section vanish from its lists, an indented
 * comment is folded into the value above, NUL cuts a value, some bytes in a name fail without an
 * error). */
#include "shared/config/ini_file.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/utf8.h"
#include "shared/base/xalloc.h"
#include <ctype.h>
#include <errno.h>
#include <ini_configobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF_FILE_MAX (1024 * 1024)

/* A report says where errors go, and whether there was one. */
struct report {
	const char *path;
	ini_file_error_fn *on_error;
	void *arg;
	bool failed;
};

static void
report_cured(struct report *r, unsigned int line, const char *text, const char *cure)
{
	struct trouble what;

	trouble_set(&what, TROUBLE_OTHER, cure, "%s", text);
	r->failed = true;
	r->on_error(r->path, line, &what, r->arg);
}

static void
report(struct report *r, unsigned int line, const char *text)
{
	report_cured(r, line, text, NULL);
}

/* --- the look beforehand --- */

/* Does it read "word = ", a key as ours are? */
static bool
looks_like_key(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (len == 0)
		return false;
	s += len;
	return s[strspn(s, " \t")] == '=';
}

/* An indented line, which the library would fold into the value above whatever it is. */
static void
check_indented(struct report *r, unsigned int number, char *line)
{
	const char *text = line + strspn(line, " \t\r");

	if (*text == '\0')
		return;
	if (*text == '#' || *text == ';') {
		line[0] = '#';
	} else if (*text == '[') {
		report(r, number, "a [section] must not be indented");
		line[0] = '#';
	} else if (looks_like_key(text)) {
		report(r, number,
		    "this line is indented and so would continue the value above: begin it in the "
		    "first column");
		line[0] = '#';
	}
}

/* The library gives up on '!' and on bytes beyond ASCII in names, and does not say where. */
static void
check_name(struct report *r, unsigned int number, char *line)
{
	char *end = line + strcspn(line, line[0] == '[' ? "]" : "=");
	bool bad = false;

	for (char *p = line; p < end; p++) {
		if (*p == '!' || (unsigned char)*p >= 0x80 ||
		    ((unsigned char)*p < 0x20 && *p != '\t' && *p != '\r')) {
			*p = '_';
			bad = true;
		}
	}
	if (bad)
		report(r, number,
		    "'!', control characters and letters beyond ASCII cannot be in a "
		    "section's or key's name");
}

/* Lines are NUL-terminated for the time of the check. Changes what the library would misread. */
static void
check_lines(struct report *r, char *text)
{
	bool in_section = false;
	unsigned int number = 0;
	char *next;

	for (char *line = text; line != NULL; line = next) {
		number++;
		next = strchr(line, '\n');
		if (next != NULL)
			*next = '\0';
		if (line[0] == ' ' || line[0] == '\t') {
			check_indented(r, number, line);
		} else if (line[0] != '#' && line[0] != ';' && line[0] != '\r' && line[0] != '\0') {
			check_name(r, number, line);
			in_section = in_section || line[0] == '[';
			if (!in_section) {
				report(r, number, "this line stands before any [section]");
				line[0] = '#';
			}
		}
		if (next != NULL)
			*next++ = '\n';
	}
}

static const char *
unread_text(int err)
{
	if (err == EFBIG)
		return "larger than 1 MiB: this is no configuration file";
	return err == EINVAL ? "neither a file nor /dev/null" : strerror(err);
}

static const char *
unread_cure(int err)
{
	switch (err) {
	case EACCES:
		return "give this user the right to read it";
	case ENOENT:
		return "make it, or name another";
	case EINVAL:
	case EISDIR:
		return "name a file";
	}
	return NULL;
}

static bool
read_text(struct report *r, struct buf *text)
{
	int err;

	if (!buf_read_file(text, r->path, &err)) {
		report_cured(r, 0, unread_text(err), unread_cure(err));
		return false;
	}
	if (text->len > 0 && memchr(text->data, '\0', text->len) != NULL) {
		report(r, 0, "has NUL bytes: this is no text file");
		return false;
	}
	if (utf8_has_bom(text->data, text->len))
		buf_drop_front(text, UTF8_BOM_LEN);
	return true;
}

/* --- the encoding --- */

static bool
append_latin1(struct buf *out, const char *line, size_t len)
{
	char bytes[UTF8_CHAR_MAX];
	bool ok = true;

	for (size_t i = 0; ok && i < len; i++)
		ok = buf_append(out, bytes, utf8_write((unsigned char)line[i], bytes));
	return ok;
}

static bool
append_line(struct buf *out, const char *line, size_t len)
{
	return utf8_is_valid(line, len) ? buf_append(out, line, len)
					: append_latin1(out, line, len);
}

/* The library takes UTF-8 alone, and files of 2010 have comments and descriptions in Latin-1. Line
 * by line, as a file that was edited since may hold both. */
static void
read_latin1(struct report *r, struct buf *text)
{
	struct buf out;
	const char *p, *end, *next;
	bool ok = true;

	if (utf8_is_valid(text->data, text->len))
		return;
	buf_init(&out, 2 * text->len);
	end = text->data + text->len;
	for (p = text->data; ok && p < end; p = next) {
		next = memchr(p, '\n', (size_t)(end - p));
		next = next == NULL ? end : next + 1;
		ok = append_line(&out, p, (size_t)(next - p));
	}
	if (!ok)
		report(r, 0, "cannot be read: out of memory");
	explicit_bzero(text->data, text->len); /* there may be passwords in it */
	buf_finish(text);
	*text = out;
}

/* --- the library --- */

/* The library's errors are texts: "Error (5) on line 2: Equal sign is missing." */
static void
report_library_error(struct report *r, const char *text)
{
	unsigned int code = 0, line = 0;
	int said = 0;

	if (sscanf(text, "%*s (%u) on line %u: %n", &code, &line, &said) < 2 || said == 0) {
		report(r, 0, text);
		return;
	}
	switch (code) {
	case ERR_NOEQUAL:
		report(r, line, "neither \"[section]\" nor \"key = value\"");
		break;
	case ERR_SPACE:
	case ERR_TAB:
		report(r, line, "this line is indented but there is no value to continue");
		break;
	case ERR_NOCLOSESEC:
		report(r, line, "a section's line is \"[name]\" and nothing more");
		break;
	default:
		report(r, line, text + said);
	}
}

static void
report_library_errors(struct report *r, struct ini_cfgobj *ini, int rc)
{
	char **errors = NULL;

	if (ini != NULL && ini_config_get_errors(ini, &errors) == 0 && errors != NULL) {
		for (size_t i = 0; errors[i] != NULL; i++)
			report_library_error(r, errors[i]);
		ini_config_free_errors(errors);
	}
	if (rc != 0 && !r->failed)
		report(r, 0, strerror(rc));
}

static void
add_entry(struct ini_file *c, const char *path, const char *section, const char *key,
    struct value_obj *value, bool keep_comments)
{
	const char *text = NULL;
	uint32_t line = 0;
	struct ini_file_entry *e;
	size_t len;

	value_get_concatenated(value, &text);
	value_get_line(value, &line);
	c->entries = xreallocarray(c->entries, c->n + 1, sizeof(*c->entries));
	e = &c->entries[c->n++];
	*e = (struct ini_file_entry){
	    .section = xstrdup(section),
	    .key = xstrdup(key),
	    .value = xstrdup(text != NULL ? text : ""),
	    .file = xstrdup(path),
	    .line = line,
	};
	for (char *p = e->key; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	/* A line of blanks continues a value too. */
	for (len = strlen(e->value); len > 0 && isspace((unsigned char)e->value[len - 1]); len--)
		e->value[len - 1] = '\0';
	if (!keep_comments)
		ini_file_unquote(e->value);
}

static void
report_twice(struct report *r, unsigned int line, const struct ini_file_entry *first)
{
	char text[512];

	snprintf(text, sizeof(text), "\"%s\" stands in [%s] twice, the first time in line %u",
	    first->key, first->section, first->line);
	report(r, line, text);
}

/* Duplicates are looked for here, in a file that has no other mistakes. The library can
 * (INI_MV1S_DETECT), but then counts them wrong and ini_config_get_errors() writes beyond its array
 * (0.6.2, seen by ASan). */
static void
add_key(struct ini_file *c, struct report *r, struct ini_cfgobj *ini, const char *section,
    const char *key, bool keep_comments)
{
	struct value_obj *value = NULL;
	uint32_t line = 0;

	if (ini_file_find(c, section, key) != NULL)
		return; /* a duplicate's second place in the list */
	ini_get_config_valueobj(section, key, ini, INI_GET_FIRST_VALUE, &value);
	if (value != NULL)
		add_entry(c, r->path, section, key, value, keep_comments);
	while (value != NULL) {
		const struct ini_file_entry *first = &c->entries[c->n - 1];

		value = NULL;
		ini_get_config_valueobj(section, key, ini, INI_GET_NEXT_VALUE, &value);
		if (value != NULL && value_get_line(value, &line) == 0)
			report_twice(r, line, first);
	}
}

static void
add_section(struct ini_file *c, struct report *r, struct ini_cfgobj *ini, const char *section,
    bool keep_comments)
{
	int n = 0;
	char **keys = ini_get_attribute_list(ini, section, &n, NULL);

	for (int i = 0; keys != NULL && i < n; i++)
		add_key(c, r, ini, section, keys[i], keep_comments);
	ini_free_attribute_list(keys);
}

static int
by_line(const void *a, const void *b)
{
	const struct ini_file_entry *ea = a, *eb = b;

	return (ea->line > eb->line) - (ea->line < eb->line);
}

static void
add_all(struct ini_file *c, struct report *r, struct ini_cfgobj *ini, bool keep_comments)
{
	int n = 0;
	char **sections = ini_get_section_list(ini, &n, NULL);

	for (int i = 0; sections != NULL && i < n; i++)
		add_section(c, r, ini, sections[i], keep_comments);
	ini_free_section_list(sections);
	/* A section in two pieces was merged: back into the order of the file. */
	if (c->n > 0)
		qsort(c->entries, c->n, sizeof(*c->entries), by_line);
}

static void
parse(struct ini_file *c, struct report *r, struct buf *text, bool keep_comments)
{
	struct ini_cfgfile *file = NULL;
	struct ini_cfgobj *ini = NULL;
	int rc;

	if (text->len == 0) /* the library refuses that */
		return;
	rc = ini_config_file_from_mem(text->data, (uint32_t)text->len, &file);
	if (rc == 0)
		rc = ini_config_create(&ini);
	if (rc == 0)
		rc = ini_config_parse(file, INI_STOP_ON_NONE,
		    INI_MV1S_ALLOW | INI_MV2S_ALLOW | INI_MS_MERGE, INI_PARSE_NO_C_COMMENTS, ini);
	report_library_errors(r, ini, rc);
	if (ini != NULL)
		add_all(c, r, ini, keep_comments);
	ini_config_destroy(ini);
	ini_config_file_destroy(file);
}

static bool
read_lines(struct ini_file *c, struct report *r, struct buf *text, bool keep_comments)
{
	*c = (struct ini_file){0};
	if (!r->failed && text->len > 0)
		read_latin1(r, text);
	if (!r->failed && text->len > 0) {
		check_lines(r, text->data);
		parse(c, r, text, keep_comments);
	}
	if (text->data != NULL)
		explicit_bzero(text->data, text->len); /* there may be passwords in it */
	if (r->failed)
		ini_file_finish(c);
	return !r->failed;
}

bool
ini_file_read(struct ini_file *c, const char *path, bool keep_comments, ini_file_error_fn *on_error,
    void *arg)
{
	struct report r = {.path = path, .on_error = on_error, .arg = arg};
	struct buf text;
	bool ok;

	buf_init(&text, CONF_FILE_MAX);
	if (!read_text(&r, &text))
		r.failed = true;
	ok = read_lines(c, &r, &text, keep_comments);
	buf_finish(&text);
	return ok;
}

bool
ini_file_read_text(struct ini_file *c, const char *path, struct buf *text, bool keep_comments,
    ini_file_error_fn *on_error, void *arg)
{
	struct report r = {.path = path, .on_error = on_error, .arg = arg};

	return read_lines(c, &r, text, keep_comments);
}

void
ini_file_finish(struct ini_file *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct ini_file_entry *e = &c->entries[i];

		explicit_bzero(e->value, strlen(e->value));
		free(e->section);
		free(e->key);
		free(e->value);
		free(e->file);
	}
	free(c->entries);
	*c = (struct ini_file){0};
}

const struct ini_file_entry *
ini_file_find(const struct ini_file *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcasecmp(c->entries[i].section, section) == 0 &&
		    strcasecmp(c->entries[i].key, key) == 0)
			return &c->entries[i];
	}
	return NULL;
}

/* Is s nothing, or nothing but a comment? */
static bool
is_end(const char *s)
{
	const char *text = s + strspn(s, " \t");

	return *text == '\0' || (*text == ';' && text > s);
}

/* Finds where a comment begins: at a ";" that is the first thing, or behind a blank; else at the
 * end. */
static size_t
comment_at(const char *value)
{
	size_t i = 0;

	while (value[i] != '\0' &&
	       !(value[i] == ';' && (i == 0 || isspace((unsigned char)value[i - 1]))))
		i++;
	return i;
}

void
ini_file_unquote(char *value)
{
	char *close = NULL;

	if (value[0] == '\'' || value[0] == '"')
		close = strchr(value + 1, value[0]);
	if (close != NULL && is_end(close + 1)) {
		*close = '\0';
		memmove(value, value + 1, strlen(value + 1) + 1);
		return;
	}
	value[comment_at(value)] = '\0';
	for (size_t len = strlen(value); len > 0 && isspace((unsigned char)value[len - 1]); len--)
		value[len - 1] = '\0';
}

/* Does ini_file_unquote() leave it as it is? */
static bool
is_plain(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && strchr("'\"", text[0]) == NULL && !isspace((unsigned char)text[0]) &&
	       !isspace((unsigned char)text[len - 1]) && comment_at(text) == len;
}

char *
ini_file_quote(const char *text)
{
	size_t len = strlen(text);
	char *out;

	if (is_plain(text))
		return xstrdup(text);
	if (strchr(text, '\'') == NULL) {
		xasprintf(&out, "'%s'", text);
		return out;
	}
	xasprintf(&out, "\"%s\"", text);
	for (char *p = out + 1; p < out + len + 1; p++)
		*p = *p == '"' ? '\'' : *p;
	return out;
}
