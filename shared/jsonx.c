/* See jsonx.h. Reading is a pre-scan, which bounds what jansson will meet, and then jansson;
 * writing is our own, because the text must be canonical and jansson's reals are not. */
#include "shared/jsonx.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INT64_DIGITS 19 /* both limits have so many */
#define REAL_SIZE    64
#define SORT_STACK   32 /* members of an object sorted without asking for memory */

/* What the pre-scan knows of the text so far. */
struct scan {
	const char *text;
	size_t len, pos;
	size_t depth_max, keys_max;
	size_t depth;
	char kinds[JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND];  /* '{' or '[' for each open level, */
	size_t keys[JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND]; /* and how many members so far */
	bool too_deep;
	char before;     /* the last byte outside strings that was no white space */
	struct buf *out; /* the text as rewritten so far, up to `copied`; unused while big = 0 */
	size_t copied;
	unsigned int big;
	bool no_memory;
};

/* From the opening quote to beyond the closing one, or to the end of the text. Each run of
 * backslashes is looked at once, so this stays linear whatever the text. */
static void
scan_string(struct scan *s)
{
	size_t start = ++s->pos;

	while (s->pos < s->len) {
		const char *quote = memchr(s->text + s->pos, '"', s->len - s->pos);
		const char *p = quote;

		if (quote == NULL) {
			s->pos = s->len;
			return;
		}
		while (p > s->text + start && p[-1] == '\\')
			p--;
		s->pos = (size_t)(quote - s->text) + 1;
		if ((quote - p) % 2 == 0)
			return;
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
over_int64(const char *digits, size_t n, bool negative)
{
	if (n != INT64_DIGITS)
		return n > INT64_DIGITS;
	return memcmp(digits, negative ? "9223372036854775808" : "9223372036854775807", n) > 0;
}

/* A bare number where a key belongs must stay an error, so it may not become a string. */
static bool
value_is_due(const struct scan *s)
{
	return s->depth == 0 || s->kinds[s->depth - 1] == '[' || s->before == ':';
}

static void
quote_number(struct scan *s, size_t start, size_t end)
{
	s->big++;
	if (!buf_append(s->out, s->text + s->copied, start - s->copied) ||
	    !buf_append_char(s->out, '"') || !buf_append(s->out, s->text + start, end - start) ||
	    !buf_append_char(s->out, '"'))
		s->no_memory = true;
	s->copied = end;
}

static void
scan_number(struct scan *s)
{
	size_t start = s->pos, digits;
	bool negative = s->text[s->pos] == '-';

	if (negative)
		s->pos++;
	digits = s->pos;
	while (s->pos < s->len && is_digit(s->text[s->pos]))
		s->pos++;
	if (s->pos < s->len && strchr(".eE", s->text[s->pos]) != NULL && s->text[s->pos] != '\0') {
		while (s->pos < s->len &&
		       (is_digit(s->text[s->pos]) || memchr(".eE+-", s->text[s->pos], 5) != NULL))
			s->pos++;
		return;
	}
	if (s->pos > digits && s->text[digits] != '0' && value_is_due(s) &&
	    over_int64(s->text + digits, s->pos - digits, negative))
		quote_number(s, start, s->pos);
}

static bool
scan_open(struct scan *s, char kind)
{
	if (s->depth == s->depth_max) {
		s->too_deep = true;
		return false;
	}
	s->keys[s->depth] = 0;
	s->kinds[s->depth++] = kind;
	s->pos++;
	return true;
}

/* Behind a key. Where no key belongs, jansson will not take it. */
static bool
scan_colon(struct scan *s)
{
	if (s->depth > 0 && s->keys[s->depth - 1]++ == s->keys_max)
		return false;
	s->pos++;
	return true;
}

/* false: deeper than allowed, or an object of too many keys. Everything else that is wrong is left
 * for jansson to say. */
static bool
scan(struct scan *s)
{
	while (s->pos < s->len) {
		char c = s->text[s->pos];

		switch (c) {
		case '"':
			scan_string(s);
			break;
		case '[':
		case '{':
			if (!scan_open(s, c))
				return false;
			break;
		case ':':
			if (!scan_colon(s))
				return false;
			break;
		case ']':
		case '}':
			if (s->depth > 0)
				s->depth--;
			s->pos++;
			break;
		case ' ':
		case '\t':
		case '\n':
		case '\r':
			s->pos++;
			continue;
		default:
			if (c == '-' || is_digit(c))
				scan_number(s);
			else
				s->pos++;
		}
		s->before = c;
	}
	return true;
}

static json_t *
load(const char *text, size_t len, char *err, size_t err_size)
{
	json_error_t error;
	json_t *value = json_loadb(
	    text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

	if (value == NULL)
		snprintf(
		    err, err_size, "line %d, column %d: %s", error.line, error.column, error.text);
	return value;
}

const char *
jsonx_refusal_name(enum jsonx_refusal refusal)
{
	switch (refusal) {
	case JSONX_READ:
		return "read";
	case JSONX_SYNTAX:
		return "syntax";
	case JSONX_DEPTH:
		return "depth";
	case JSONX_KEYS:
		return "keys";
	case JSONX_VALUES:
		return "values";
	case JSONX_BYTES:
		return "bytes";
	}
	return "?";
}

static void
say_limit(const struct scan *s, char *err, size_t err_size)
{
	if (s->too_deep)
		snprintf(err, err_size, "nested deeper than %zu levels, at byte %zu", s->depth_max,
		    s->pos);
	else
		snprintf(err, err_size, "more than %zu keys in an object, at byte %zu", s->keys_max,
		    s->pos);
}

static json_t *
parse(const char *text, size_t len, size_t depth_max, size_t keys_max, struct jsonx_note *note,
    char *err, size_t err_size)
{
	json_t *value = NULL;
	enum jsonx_refusal refusal = JSONX_SYNTAX;
	struct buf out;
	struct scan s = {
	    .text = text, .len = len, .depth_max = depth_max, .keys_max = keys_max, .out = &out};

	/* A rewritten integer has 19 digits at least and grows by two quotes. */
	buf_init(&out, len + len / 8 + 16);
	if (len == 0)
		snprintf(err, err_size, "empty");
	else if (!scan(&s)) {
		say_limit(&s, err, err_size);
		refusal = s.too_deep ? JSONX_DEPTH : JSONX_KEYS;
	} else if (s.big == 0)
		value = load(text, len, err, err_size);
	else if (s.no_memory || !buf_append(&out, text + s.copied, len - s.copied))
		snprintf(err, err_size, "out of memory");
	else
		value = load(out.data, out.len, err, err_size);
	if (note != NULL) {
		note->big_integers = value == NULL ? 0 : s.big;
		note->refusal = value == NULL ? refusal : JSONX_READ;
	}
	buf_finish(&out);
	return value;
}

json_t *
jsonx_parse(const char *text, size_t len, struct jsonx_note *note, char *err, size_t err_size)
{
	return parse(text, len, JSONX_DEPTH_MAX, SIZE_MAX, note, err, err_size);
}

json_t *
jsonx_parse_within(const char *text, size_t len, const struct jsonx_limits *limits,
    struct jsonx_note *note, char *err, size_t err_size)
{
	unsigned int depth = limits->depth < JSONX_DEPTH_MAX ? limits->depth : JSONX_DEPTH_MAX;

	return parse(
	    text, len, depth, limits->keys != 0 ? limits->keys : SIZE_MAX, note, err, err_size);
}

json_t *
jsonx_parse_stored(const char *text, size_t len, char *err, size_t err_size)
{
	return parse(
	    text, len, JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND, SIZE_MAX, NULL, err, err_size);
}

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

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

/* Whether each of eight bytes is: a byte below 0x20, or one that became 0, borrows into its high
 * bit (Bit Twiddling Hacks, "Determine if a word has a byte less than n"). Most of what is stored
 * goes through here, so it is done eight at a time. */
static bool
all_plain(const char *s)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	uint64_t w, quote, backslash;

	memcpy(&w, s, sizeof(w));
	quote = w ^ ones * '"';
	backslash = w ^ ones * '\\';
	return ((((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) |
		    ((backslash - ones) & ~backslash)) &
		   highs) == 0;
}

/* How many bytes at the front need no escape. */
static size_t
plain_length(const char *s, size_t len)
{
	size_t i = 0;

	while (len - i >= sizeof(uint64_t) && all_plain(s + i))
		i += sizeof(uint64_t);
	while (i < len && is_plain((unsigned char)s[i]))
		i++;
	return i;
}

bool
jsonx_write_string(struct buf *out, const char *s, size_t len)
{
	size_t n;

	if (!buf_append_char(out, '"'))
		return false;
	for (;;) {
		n = plain_length(s, len);
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

/* 15 significant digits always survive the way to a double, 17 always suffice for the way back.
 * Whatever is neither digit, sign nor exponent in the result is the locale's decimal point. */
static bool
write_real(struct buf *out, double real)
{
	char printed[REAL_SIZE], text[REAL_SIZE + 2];
	size_t i, n = 0;
	int digits;
	bool is_real = false;

	for (digits = 15; digits <= 17; digits++) {
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
	for (it = json_object_iter(object); it != NULL && i < n;
	     it = json_object_iter_next(object, it)) {
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
		return write_real(w->out, json_real_value(value));
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

/* Length of the UTF-8 character at s (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF),
 * 0 if there is none. */
static size_t
utf8_char(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len < n)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xf0)
		low = 0x90;
	if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

static bool
append_lossy(struct buf *out, const char *bytes, size_t len, size_t *replaced)
{
	size_t i = 0, start = 0;

	while (i < len) {
		size_t n = utf8_char((const unsigned char *)bytes + i, len - i);

		if (n > 0) {
			i += n;
			continue;
		}
		if (!buf_append(out, bytes + start, i - start) ||
		    !buf_append(out, "\xef\xbf\xbd", 3))
			return false;
		(*replaced)++;
		start = ++i;
	}
	return buf_append(out, bytes + start, len - start);
}

json_t *
jsonx_string_lossy(const char *bytes, size_t len, size_t *replaced)
{
	size_t bad = 0;
	json_t *string = json_stringn(bytes, len);

	if (string == NULL) {
		struct buf out;

		buf_init(&out, 3 * len);
		if (append_lossy(&out, bytes, len, &bad))
			string = json_stringn(out.data, out.len);
		buf_finish(&out);
	}
	if (replaced != NULL)
		*replaced = bad;
	return string;
}

static void
set_new(json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value) != 0)
		abort();
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
