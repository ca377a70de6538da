/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: what is taken must be written, read back as the same, and written as the same
 * again, with a tree between and without; jansson's own reader says the same of it, but for what we
 * take and it does not; and as the body of a response, which shares the reader. */
#include "tests/fuzz/fuzz.h"

#include "shared/amqp/message.h"
#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (16 * 1024 * 1024)

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* The text without a tree between: as it is with one. */
static void
rewritten(const char *text, size_t len, const struct buf *expected, const struct jsonx_note *noted)
{
	const struct jsonx_limits limits = {.depth = JSONX_DEPTH_MAX};
	struct jsonx_note note;
	struct buf out;
	char err[256] = "";
	bool ok;

	buf_init(&out, TEXT_MAX);
	ok = jsonx_rewrite(&out, text, len, &limits, &note, err, sizeof(err));
	must(memcmp(&note, noted, sizeof(note)) == 0);
	must(ok == (expected != NULL) && ok == (err[0] == '\0'));
	must(!ok || (out.len == expected->len && memcmp(out.data, expected->data, out.len) == 0));
	buf_finish(&out);
}

/* Where we changed nothing, jansson has the same value; what it takes, we take unless it is too
 * deep. */
static void
as_jansson(const char *text, size_t len, const json_t *value, const struct jsonx_note *note)
{
	json_t *other;

	if (memchr(text, '\0', len) != NULL) /* jansson passes over one behind a number */
		return;
	other =
	    json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	if (value == NULL)
		must(other == NULL || note->refusal == JSONX_DEPTH);
	else if (other != NULL && note->odd[JSONX_BIG_REAL].count == 0)
		must(json_equal(value, other));
	else if (other == NULL)
		must(jsonx_is_odd(note) || (unsigned char)text[0] == 0xef);
	json_decref(other);
}

static void
round_trip(const char *text, size_t len)
{
	struct buf first, second;
	char err[256];
	struct jsonx_note note;
	json_t *value = jsonx_parse(text, len, &note, err, sizeof(err)), *again;

	as_jansson(text, len, value, &note);
	if (value == NULL) {
		rewritten(text, len, NULL, &note);
		return;
	}
	buf_init(&first, TEXT_MAX);
	buf_init(&second, TEXT_MAX);
	must(jsonx_write(&first, value));
	rewritten(text, len, &first, &note);
	again = jsonx_parse(first.data, first.len, NULL, err, sizeof(err));
	must(again != NULL && json_equal(value, again));
	must(jsonx_write(&second, again));
	must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	buf_reset(&first);
	must(jsonx_write_pretty(&first, value));
	buf_finish(&first);
	buf_finish(&second);
	json_decref(value);
	json_decref(again);
}

static void
lossy(const char *bytes, size_t len)
{
	size_t replaced;
	json_t *text = jsonx_string_lossy(bytes, len, &replaced);

	must(text != NULL && json_string_length(text) == len + 2 * replaced);
	json_decref(text);
}

/* What a response that is taken holds is JSON, and no more than its body. */
static void
response(const char *bytes, size_t len)
{
	struct message m;
	struct response r;
	char err[256], *body = malloc(len + 1);
	json_t *value;
	size_t i;

	must(body != NULL);
	memcpy(body, bytes, len);
	body[len] = '\0';
	message_init(&m);
	message_set_body(&m, body, len);
	if (wire_response_decode(&m, &r, err, sizeof(err))) {
		for (i = 0; i < r.n_values; i++) {
			must(r.values[i].json >= body && r.values[i].len <= len);
			value =
			    jsonx_parse_stored(r.values[i].json, r.values[i].len, err, sizeof(err));
			must(value != NULL);
			json_decref(value);
		}
		response_finish(&r);
	}
	message_finish(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size == 0 ? "" : (const char *)data;

	round_trip(text, size);
	lossy(text, size);
	response(text, size);
	return 0;
}
