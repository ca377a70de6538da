/* Any bytes as JSON: what is taken must be written, read back as the same, and written as the same
 * again; and as the body of a response, which shares the reader. */
#include "tests/fuzz/fuzz.h"

#include "shared/jsonx.h"
#include "shared/message.h"
#include "shared/wire.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (16 * 1024 * 1024)

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
round_trip(const char *text, size_t len)
{
	struct buf first, second;
	char err[256];
	json_t *value = jsonx_parse(text, len, NULL, err, sizeof(err)), *again;

	if (value == NULL)
		return;
	buf_init(&first, TEXT_MAX);
	buf_init(&second, TEXT_MAX);
	must(jsonx_write(&first, value));
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

/* A response that is taken can be sent on, and says the same then. */
static void
response(const char *bytes, size_t len)
{
	struct message m, out;
	struct response r, again;
	char err[256], *body = malloc(len + 1);

	must(body != NULL);
	memcpy(body, bytes, len);
	body[len] = '\0';
	message_init(&m);
	message_set_body(&m, body, len);
	if (wire_response_decode(&m, &r, err, sizeof(err))) {
		must(wire_response_encode(&r, &out));
		must(wire_response_decode(&out, &again, err, sizeof(err)));
		must(strcmp(r.host, again.host) == 0 && json_equal(r.results, again.results));
		message_finish(&out);
		response_finish(&again);
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
