/* SPDX-License-Identifier: Apache-2.0 */
/* Any body as a response: refused with a reason, or results that are whole. */
#include "tests/fuzz/fuzz.h"

#include "daemon/read/convert.h"
#include "shared/amqp/message.h"

#include <stdlib.h>
#include <string.h>

static void
check(const struct result *r)
{
	if (r->value != NULL && (strlen(r->value) != r->value_len || r->hash[0] == '\0'))
		abort();
	if (r->value != NULL && r->unparsed != NULL)
		abort();
	if (r->unparsed != NULL && r->error == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;
	struct response resp;
	struct result **results;
	char *body = malloc(size + 1), err[128] = "";
	size_t i, n;

	if (body == NULL)
		return 0;
	if (size > 0)
		memcpy(body, data, size);
	body[size] = '\0';
	message_init(&m);
	message_set_body(&m, body, size);
	if (wire_response_decode(&m, &resp, err, sizeof(err))) {
		n = convert_response(&resp, NULL, 0, &results);
		for (i = 0; i < n; i++)
			check(results[i]);
		convert_free(results, n);
		response_finish(&resp);
	} else if (err[0] == '\0') {
		abort();
	}
	message_finish(&m);
	return 0;
}
