/* SPDX-License-Identifier: Apache-2.0 */
/* Any message as a command: refused with a reason, or one that can be sent again. The first byte
 * says which properties it has; eight bytes for the times, if any; the rest is the body. */
#include "tests/fuzz/fuzz.h"

#include "shared/wire/wire.h"

#include <stdlib.h>
#include <string.h>

enum {
	HAS_ID = 1,
	HAS_REPLY_TO = 2,
	HAS_TIMESTAMP = 4,
	HAS_NOT_AFTER = 8,
	AS_TEXT = 16,
	HAS_JOB = 32
};

static void
fill(struct message *m, uint8_t flags, int64_t time)
{
	if ((flags & HAS_ID) != 0)
		m->message_id = strdup("0193c0de-0000-7000-8000-000000000000");
	if ((flags & HAS_REPLY_TO) != 0)
		m->reply_to = strdup("amq.gen-1");
	if ((flags & HAS_TIMESTAMP) != 0)
		m->timestamp = time;
	if ((flags & HAS_NOT_AFTER) != 0 && (flags & AS_TEXT) != 0)
		message_add_str(m, "not_after", "soon");
	else if ((flags & HAS_NOT_AFTER) != 0)
		message_add_int(m, "not_after", time);
	if ((flags & HAS_JOB) != 0)
		message_add_str(m, "job", "0193c0de-0000-7000-8000-000000000001");
}

static void
check_command(const struct command *c)
{
	struct command again;
	struct message m;
	char err[256];

	if (c->plugin == NULL || c->plugin[0] == '\0' || c->not_after < 0)
		abort();
	if ((strcmp(c->plugin, WIRE_CANCEL_BODY) == 0) != (c->cancels != NULL))
		abort();
	wire_command_encode(c, &m);
	if (!wire_command_decode(&m, &again, err, sizeof(err)) ||
	    strcmp(again.plugin, c->plugin) != 0 || again.not_after != c->not_after ||
	    (again.cancels == NULL) != (c->cancels == NULL))
		abort();
	command_finish(&again);
	message_finish(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[256] = "", *body;
	struct message m;
	struct command c;
	int64_t time = 0;

	if (size < 1 + sizeof(time))
		return 0;
	message_init(&m);
	memcpy(&time, data + 1, sizeof(time));
	fill(&m, data[0], time);
	data += 1 + sizeof(time);
	size -= 1 + sizeof(time);
	body = malloc(size + 1);
	if (body == NULL)
		abort();
	if (size > 0)
		memcpy(body, data, size);
	body[size] = '\0';
	message_set_body(&m, body, size);
	if (wire_command_decode(&m, &c, err, sizeof(err))) {
		check_command(&c);
		command_finish(&c);
	} else if (err[0] == '\0') {
		abort();
	}
	message_finish(&m);
	return 0;
}
