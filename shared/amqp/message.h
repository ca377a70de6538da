/* SPDX-License-Identifier: Apache-2.0 */
/* A message as AMQP 0-9-1 has it: the basic properties (4.2.6.1, class 60) that Vogeler uses, a
 * flat header table, a body. The same struct for what is published and what is delivered.
 *
 * Headers are text: they are published as long strings alone, since the AMQP library of 2010 reads
 * hardly another type and drops the connection over one it does not know. Numbers and booleans that
 * others publish as such are text here too. */
#ifndef VOGELER_MESSAGE_H
#define VOGELER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_HEADERS_MAX 64

struct header {
	char *name;
	char *value;
};

struct message { /* every string owned, NULL = property absent */
	char *message_id;
	char *correlation_id;
	char *reply_to;
	char *user_id;
	char *app_id;
	char *content_type;
	char *content_encoding;
	char *expiration;  /* milliseconds as text */
	int64_t timestamp; /* seconds since the epoch; 0 = absent */
	bool persistent;   /* delivery_mode 2 */
	struct header *headers;
	size_t n_headers;
	char *body; /* NUL-terminated beyond body_len */
	size_t body_len;
};

void message_init(struct message *m);
void message_finish(struct message *m);
/* Takes ownership of body. */
void message_set_body(struct message *m, char *body, size_t len);
/* Past MESSAGE_HEADERS_MAX these do nothing: a header is never worth failing for. NULL str: not
 * added. */
void message_add_str(struct message *m, const char *name, const char *value);
void message_add_int(struct message *m, const char *name, int64_t value); /* its digits */
void message_add_bool(struct message *m, const char *name, bool value);   /* "true", "false" */
bool message_drop(struct message *m, const char *name); /* all of that name; false: none */
/* NULL, false: absent, or not what is asked for. The first of that name counts. */
const char *message_str(const struct message *m, const char *name);
bool message_int(const struct message *m, const char *name, int64_t *value);
bool message_bool(const struct message *m, const char *name, bool *value);
size_t message_size(const struct message *m); /* bytes it holds in memory, roughly: for limits */

#endif
