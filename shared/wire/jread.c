/* SPDX-License-Identifier: Apache-2.0 */
/* See jread.h. */
#include "shared/wire/jread.h"

#include "shared/base/buf.h"
#include "shared/base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_SIZE 24 /* an integer of 64 bits, its sign, a NUL */
#define REAL_SIZE    64 /* longer ones are copied elsewhere */
#define FOUND_MAX    40 /* bytes of the text that a complaint shows */

static const char control_in_text[] =
    "a control character is in a text, where JSON writes it as an escape";

void
jread_init(struct jread *j, const char *text, size_t len, const struct jsonx_limits *limits)
{
	*j = (struct jread){
	    .text = text,
	    .len = len,
	    .depth_max = JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND,
	    .keys_max = SIZE_MAX,
	    .values_max = SIZE_MAX,
	};
	if (limits != NULL) {
		j->depth_max = limits->depth < JSONX_DEPTH_MAX ? limits->depth : JSONX_DEPTH_MAX;
		j->keys_max = limits->keys != 0 ? limits->keys : SIZE_MAX;
		j->values_max = limits->values != 0 ? limits->values : SIZE_MAX;
	}
	if (utf8_has_bom(text, len))
		j->pos = UTF8_BOM_LEN;
}

static enum jread_token
refuse(struct jread *j, enum jsonx_refusal refusal, const char *problem)
{
	j->refusal = refusal;
	j->problem = problem;
	return JREAD_ERROR;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
skip_blank(struct jread *j)
{
	while (j->pos < j->len && is_blank(j->text[j->pos]))
		j->pos++;
}

static bool
count_value(struct jread *j)
{
	return ++j->values <= j->values_max;
}

void
jread_odd(struct jread *j, enum jsonx_odd odd, size_t at)
{
	if (j->odd[odd].count++ == 0 || at < j->odd[odd].first)
		j->odd[odd].first = at;
}

/* ---- strings ---- */

/* Length of the escape at pos, 0 if it is none. */
static size_t
escape_length(const struct jread *j)
{
	const char *s = j->text + j->pos;
	size_t left = j->len - j->pos;

	if (left < 2)
		return 0;
	if (s[1] == 'u')
		return left >= 6 && utf8_hex(s + 2, 4) >= 0 ? 6 : 0;
	return memchr("\"\\/bfnrt", s[1], 8) != NULL ? 2 : 0;
}

/* Scans from the opening quote to behind the closing one. */
static bool
scan_string(struct jread *j)
{
	size_t n;

	j->escaped = false;
	j->pos++;
	for (;;) {
		n = jsonx_plain_length(j->text + j->pos, j->len - j->pos);
		if (!utf8_is_valid(j->text + j->pos, n)) {
			refuse(j, JSONX_SYNTAX, "a text is not UTF-8");
			return false;
		}
		j->pos += n;
		if (j->pos == j->len) {
			refuse(j, JSONX_SYNTAX, "it ends within a text");
			return false;
		}
		if (j->text[j->pos] == '"')
			break;
		if (j->text[j->pos] != '\\') {
			refuse(j, JSONX_SYNTAX, control_in_text);
			return false;
		}
		n = escape_length(j);
		if (n == 0) {
			refuse(j, JSONX_SYNTAX, "a backslash begins nothing that JSON has");
			return false;
		}
		j->escaped = true;
		j->pos += n;
	}
	j->end = ++j->pos;
	return true;
}

/* The code point of the escape \uXXXX at *s, which is moved behind it. */
static uint32_t
read_unicode(struct jread *j, const char **s, const char *end)
{
	uint32_t code = (uint32_t)utf8_hex(*s + 2, 4), pair = 0;

	*s += 6;
	if (!utf8_is_surrogate(code))
		return code;
	if (end - *s >= 6 && (*s)[0] == '\\' && (*s)[1] == 'u')
		pair = utf8_pair(code, (uint32_t)utf8_hex(*s + 2, 4));
	if (pair != 0) {
		*s += 6;
		return pair;
	}
	jread_odd(j, JSONX_SURROGATE, j->start);
	return 0xfffd;
}

static char
simple_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	}
	return c;
}

size_t
jread_text(struct jread *j, char *out)
{
	const char *s = j->text + j->start + 1, *end = j->text + j->end - 1, *backslash;
	char *p = out;

	while (s < end) {
		backslash = j->escaped ? memchr(s, '\\', (size_t)(end - s)) : NULL;
		if (backslash == NULL)
			backslash = end;
		memcpy(p, s, (size_t)(backslash - s));
		p += backslash - s;
		s = backslash;
		if (s == end)
			break;
		if (s[1] == 'u') {
			p += utf8_write(read_unicode(j, &s, end), p);
		} else {
			*p++ = simple_escape(s[1]);
			s += 2;
		}
	}
	return (size_t)(p - out);
}

char *
jread_text_new(struct jread *j, size_t *len)
{
	char *text = malloc(j->end - j->start), *shorter;

	if (text == NULL)
		return NULL;
	*len = jread_text(j, text);
	text[*len] = '\0';
	shorter = realloc(text, *len + 1);
	return shorter != NULL ? shorter : text;
}

char *
jread_key_new(struct jread *j)
{
	size_t len;
	char *key = jread_text_new(j, &len), *shown;

	if (key == NULL || memchr(key, '\0', len) == NULL)
		return key;
	jread_odd(j, JSONX_KEY_NUL, j->start);
	shown = jsonx_key_new(key, len);
	free(key);
	return shown;
}

/* ---- numbers ---- */

static bool
scan_digits(struct jread *j)
{
	size_t start = j->pos;

	while (j->pos < j->len && is_digit(j->text[j->pos]))
		j->pos++;
	return j->pos > start;
}

static bool
is_at(const struct jread *j, const char *set)
{
	return j->pos < j->len && j->text[j->pos] != '\0' && strchr(set, j->text[j->pos]) != NULL;
}

static enum jread_token
scan_word(struct jread *j, const char *word, enum jread_token token)
{
	size_t len = strlen(word);

	if (j->len - j->pos < len || memcmp(j->text + j->pos, word, len) != 0)
		return refuse(j, JSONX_SYNTAX, "a value is due");
	j->end = j->pos += len;
	return token;
}

static enum jread_token
scan_number(struct jread *j)
{
	enum jread_token token = JREAD_INTEGER;
	bool ok;

	if (is_at(j, "-"))
		j->pos++;
	if (is_at(j, "I"))
		return scan_word(j, "Infinity", JREAD_NOT_A_NUMBER);
	if (is_at(j, "0")) {
		j->pos++;
		ok = true;
	} else {
		ok = scan_digits(j);
	}
	if (ok && is_at(j, ".")) {
		token = JREAD_REAL;
		j->pos++;
		ok = scan_digits(j);
	}
	if (ok && is_at(j, "eE")) {
		token = JREAD_REAL;
		j->pos++;
		if (is_at(j, "+-"))
			j->pos++;
		ok = scan_digits(j);
	}
	j->end = j->pos;
	return ok ? token : refuse(j, JSONX_SYNTAX, "a digit is due");
}

bool
jread_integer(const struct jread *j, int64_t *value)
{
	char text[INTEGER_SIZE];
	size_t len = j->end - j->start;

	if (len >= sizeof(text))
		return false;
	memcpy(text, j->text + j->start, len);
	text[len] = '\0';
	errno = 0;
	*value = strtoll(text, NULL, 10);
	return errno == 0;
}

bool
jread_real(const struct jread *j, double *value)
{
	char text[REAL_SIZE];
	size_t len = j->end - j->start;
	struct buf longer;
	bool ok;

	if (len < sizeof(text)) {
		memcpy(text, j->text + j->start, len);
		text[len] = '\0';
		return jsonx_real(text, value);
	}
	buf_init(&longer, len);
	ok = buf_append(&longer, j->text + j->start, len) && jsonx_real(longer.data, value);
	buf_finish(&longer);
	return ok;
}

/* ---- tokens ---- */

static enum jread_token
scan_open(struct jread *j, bool is_object)
{
	if (j->depth == j->depth_max)
		return refuse(j, JSONX_DEPTH, NULL);
	j->keys[j->depth] = 0;
	j->is_object[j->depth++] = is_object;
	j->end = ++j->pos;
	j->due = is_object ? JREAD_DUE_FIRST_KEY : JREAD_DUE_FIRST_ITEM;
	return is_object ? JREAD_OBJECT : JREAD_ARRAY;
}

static enum jread_token
scan_close(struct jread *j)
{
	j->depth--;
	j->end = ++j->pos;
	j->due = j->depth == 0 ? JREAD_DUE_NOTHING : JREAD_DUE_COMMA;
	return j->is_object[j->depth] ? JREAD_OBJECT_END : JREAD_ARRAY_END;
}

static enum jread_token
scan_scalar(struct jread *j)
{
	switch (j->text[j->pos]) {
	case '"':
		return scan_string(j) ? JREAD_STRING : JREAD_ERROR;
	case 't':
		return scan_word(j, "true", JREAD_TRUE);
	case 'f':
		return scan_word(j, "false", JREAD_FALSE);
	case 'n':
		return scan_word(j, "null", JREAD_NULL);
	case 'N':
		return scan_word(j, "NaN", JREAD_NOT_A_NUMBER);
	case 'I':
		return scan_word(j, "Infinity", JREAD_NOT_A_NUMBER);
	}
	if (j->text[j->pos] == '-' || is_digit(j->text[j->pos]))
		return scan_number(j);
	return refuse(j, JSONX_SYNTAX, "a value is due");
}

static enum jread_token
scan_value(struct jread *j)
{
	char c = j->text[j->pos];
	enum jread_token token;

	if (!count_value(j))
		return refuse(j, JSONX_VALUES, NULL);
	if (c == '{' || c == '[')
		return scan_open(j, c == '{');
	token = scan_scalar(j);
	if (token != JREAD_ERROR)
		j->due = j->depth == 0 ? JREAD_DUE_NOTHING : JREAD_DUE_COMMA;
	return token;
}

/* Scans a key with the colon behind it. */
static enum jread_token
scan_key(struct jread *j)
{
	if (j->text[j->pos] != '"')
		return refuse(j, JSONX_SYNTAX, "a key in double quotes is due");
	if (!scan_string(j))
		return JREAD_ERROR;
	skip_blank(j);
	if (!is_at(j, ":"))
		return refuse(j, JSONX_SYNTAX, "':' is due behind a key");
	j->pos++;
	if (j->keys[j->depth - 1]++ == j->keys_max)
		return refuse(j, JSONX_KEYS, NULL);
	if (!count_value(j))
		return refuse(j, JSONX_VALUES, NULL);
	j->due = JREAD_DUE_VALUE;
	return JREAD_KEY;
}

/* Behind a value in what is open: true when a comma was passed over. */
static bool
scan_comma(struct jread *j)
{
	if (!is_at(j, ","))
		return false;
	j->pos++;
	j->due = j->is_object[j->depth - 1] ? JREAD_DUE_KEY : JREAD_DUE_VALUE;
	skip_blank(j);
	j->start = j->pos;
	return true;
}

enum jread_token
jread_next(struct jread *j)
{
	if (j->refusal != JSONX_READ)
		return JREAD_ERROR;
	skip_blank(j);
	j->start = j->pos;
	if (j->due == JREAD_DUE_COMMA && !scan_comma(j)) {
		if (is_at(j, j->is_object[j->depth - 1] ? "}" : "]"))
			return scan_close(j);
		return refuse(j, JSONX_SYNTAX,
		    j->pos == j->len             ? "it ends too early"
		    : j->is_object[j->depth - 1] ? "',' or '}' is due"
						 : "',' or ']' is due");
	}
	if (j->due == JREAD_DUE_NOTHING)
		return j->pos == j->len ? JREAD_END : refuse(j, JSONX_SYNTAX, "the end is due");
	if (j->pos == j->len)
		return refuse(j, JSONX_SYNTAX, "it ends too early");
	switch (j->due) {
	case JREAD_DUE_FIRST_ITEM:
		return is_at(j, "]") ? scan_close(j) : scan_value(j);
	case JREAD_DUE_FIRST_KEY:
		return is_at(j, "}") ? scan_close(j) : scan_key(j);
	case JREAD_DUE_KEY:
		return scan_key(j);
	case JREAD_DUE_VALUE:
	case JREAD_DUE_COMMA:
	case JREAD_DUE_NOTHING:
		break;
	}
	return scan_value(j);
}

/* Goes on behind a token that opens something, to its end. */
static bool
skip(struct jread *j)
{
	size_t depth = j->depth;
	enum jread_token token;

	do {
		token = jread_next(j);
		if (token == JREAD_ERROR)
			return false;
	} while (j->depth >= depth);
	return true;
}

bool
jread_value(struct jread *j, enum jread_token token)
{
	size_t start = j->start;

	if (token == JREAD_ERROR)
		return false;
	if ((token == JREAD_OBJECT || token == JREAD_ARRAY) && !skip(j))
		return false;
	j->start = start;
	return true;
}

/* Is the last key that name, written without escapes? */
static bool
key_is(const struct jread *j, const char *name)
{
	size_t len = strlen(name);

	return !j->escaped && j->end - j->start == len + 2 &&
	       memcmp(j->text + j->start + 1, name, len) == 0;
}

bool
jread_member(struct jread *j, const char *name)
{
	bool found;

	if (jread_next(j) != JREAD_OBJECT)
		return false;
	while (jread_next(j) == JREAD_KEY) {
		found = key_is(j, name);
		if (!jread_value(j, jread_next(j)))
			return false;
		if (found)
			return true;
	}
	return false;
}

/* ---- what is wrong ---- */

static struct jsonx_place
place_of(const struct jread *j, size_t at)
{
	const char *p = j->text, *end = j->text + at, *eol;
	struct jsonx_place place = {1, 1};

	while ((eol = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		place.line++;
		p = eol + 1;
	}
	for (; p < end; p++)
		place.column += ((unsigned char)*p & 0xc0) != 0x80;
	return place;
}

/* Writes what stands there, on one line: in whole characters, for a sentence. */
static int
found_at(const struct jread *j, size_t at)
{
	size_t i = at, n;

	while (i < j->len && (unsigned char)j->text[i] >= 0x20 && j->text[i] != 0x7f) {
		n = utf8_char(j->text + i, j->len - i);
		if (n == 0 || i + n > at + FOUND_MAX)
			break;
		i += n;
	}
	return (int)(i - at);
}

/* A later line that begins as JSON mostly does; 0: there is none. */
static size_t
line_that_may_begin(const struct jread *j, size_t at)
{
	const char *p = j->text + at, *end = j->text + j->len;
	size_t line = place_of(j, at).line;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		line++;
		if (++p < end && (*p == '{' || *p == '['))
			return line;
	}
	return 0;
}

/* Something that is no JSON stands before it, as is seen by a later line. */
static bool
explain_before(const struct jread *j, char *err, size_t err_size)
{
	size_t first = utf8_has_bom(j->text, j->len) ? UTF8_BOM_LEN : 0, later;
	struct jsonx_place place;

	while (first < j->len && is_blank(j->text[first]))
		first++;
	if (first == j->len)
		return false;
	place = place_of(j, first);
	later = line_that_may_begin(j, j->pos);
	if (later == 0 || place_of(j, j->pos).line != place.line)
		return false;
	snprintf(err, err_size,
	    "line %zu, column %zu: \"%.*s\" is no JSON, which seems to begin in line %zu",
	    place.line, place.column, found_at(j, first), j->text + first, later);
	return true;
}

/* Shows what stands at pos, for a sentence: a piece of text in quotes. */
static const char *
show_found(const struct jread *j, char shown[FOUND_MAX + 3])
{
	int len = found_at(j, j->pos);

	if (len == 0)
		return "a control character";
	snprintf(shown, FOUND_MAX + 3, "\"%.*s\"", len, j->text + j->pos);
	return shown;
}

static void
explain_syntax(const struct jread *j, char *err, size_t err_size)
{
	struct jsonx_place place = place_of(j, j->pos);
	char found[FOUND_MAX + 3];

	if (explain_before(j, err, err_size))
		return;
	if (j->depth == 0 && j->due == JREAD_DUE_VALUE && j->start == j->len)
		snprintf(err, err_size, "empty");
	else if (j->due == JREAD_DUE_NOTHING)
		snprintf(err, err_size, "line %zu, column %zu: %s stands behind the JSON",
		    place.line, place.column, show_found(j, found));
	else if (j->pos == j->len || j->problem == control_in_text)
		snprintf(err, err_size, "line %zu, column %zu: %s", place.line, place.column,
		    j->problem);
	else
		snprintf(err, err_size, "line %zu, column %zu: %s, there is %s", place.line,
		    place.column, j->problem, show_found(j, found));
}

/* The key there as it is written, without its quotes. */
static void
show_key(const struct jread *j, size_t at, char shown[JSONX_KEY_SHOWN + 1])
{
	const char *key = j->text + at + 1;
	size_t len = 0;

	while (key[len] != '"')
		len += key[len] == '\\' ? 2 : 1;
	len = jsonx_key_shown(key, len);
	memcpy(shown, key, len);
	shown[len] = '\0';
}

void
jread_note(const struct jread *j, enum jsonx_refusal refusal, struct jsonx_note *note)
{
	size_t i;

	*note = (struct jsonx_note){.refusal = refusal};
	for (i = 0; refusal == JSONX_READ && i < JSONX_N_ODD; i++) {
		if (j->odd[i].count == 0)
			continue;
		note->odd[i].count = j->odd[i].count;
		note->odd[i].first = place_of(j, j->odd[i].first);
	}
	if (note->odd[JSONX_KEY_TWICE].count > 0)
		show_key(j, j->odd[JSONX_KEY_TWICE].first, note->twice);
}

void
jread_explain(const struct jread *j, enum jsonx_refusal refusal, char *err, size_t err_size)
{
	struct jsonx_place place = place_of(j, j->pos);

	switch (refusal) {
	case JSONX_DEPTH:
		snprintf(err, err_size, "line %zu, column %zu: nested deeper than %zu levels%s",
		    place.line, place.column, j->depth_max,
		    j->depth_max < JSONX_DEPTH_MAX ? " ([limits] json_depth)" : "");
		break;
	case JSONX_KEYS:
		snprintf(err, err_size,
		    "line %zu, column %zu: more than %zu keys in an object ([limits] object_keys)",
		    place.line, place.column, j->keys_max);
		break;
	case JSONX_VALUES:
		snprintf(err, err_size,
		    "line %zu, column %zu: more than %zu values and keys ([limits] json_nodes)",
		    place.line, place.column, j->values_max);
		break;
	case JSONX_SYNTAX:
		explain_syntax(j, err, err_size);
		break;
	case JSONX_BYTES:
		snprintf(err, err_size, "line %zu, column %zu: the value is too large", place.line,
		    place.column);
		break;
	case JSONX_MEMORY:
		snprintf(
		    err, err_size, "line %zu, column %zu: out of memory", place.line, place.column);
		break;
	case JSONX_READ:
		snprintf(err, err_size, "nothing is wrong");
		break;
	}
}
