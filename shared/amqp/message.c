/* SPDX-License-Identifier: Apache-2.0 */
/* See message.h. */
#include "shared/amqp/message.h"

#include "shared/base/xalloc.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
message_init(struct message *m)
{
	*m = (struct message){0};
}

static void
free_header(struct header *h)
{
	free(h->name);
	free(h->value);
}

void
message_finish(struct message *m)
{
	free(m->message_id);
	free(m->correlation_id);
	free(m->reply_to);
	free(m->user_id);
	free(m->app_id);
	free(m->content_type);
	free(m->content_encoding);
	free(m->expiration);
	for (size_t i = 0; i < m->n_headers; i++)
		free_header(&m->headers[i]);
	free(m->headers);
	free(m->body);
	message_init(m);
}

void
message_set_body(struct message *m, char *body, size_t len)
{
	free(m->body);
	m->body = body;
	m->body_len = len;
}

void
message_add_str(struct message *m, const char *name, const char *value)
{
	if (value == NULL || m->n_headers >= MESSAGE_HEADERS_MAX)
		return;
	m->headers = xreallocarray(m->headers, m->n_headers + 1, sizeof(*m->headers));
	m->headers[m->n_headers++] = (struct header){xstrdup(name), xstrdup(value)};
}

void
message_add_int(struct message *m, const char *name, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	message_add_str(m, name, digits);
}

void
message_add_bool(struct message *m, const char *name, bool value)
{
	message_add_str(m, name, value ? "true" : "false");
}

bool
message_drop(struct message *m, const char *name)
{
	size_t n = 0, before = m->n_headers;

	for (size_t i = 0; i < before; i++) {
		if (strcmp(m->headers[i].name, name) == 0)
			free_header(&m->headers[i]);
		else
			m->headers[n++] = m->headers[i];
	}
	m->n_headers = n;
	return n < before;
}

const char *
message_str(const struct message *m, const char *name)
{
	for (size_t i = 0; i < m->n_headers; i++) {
		if (strcmp(m->headers[i].name, name) == 0)
			return m->headers[i].value;
	}
	return NULL;
}

/* Digits and perhaps a minus, nothing else: strtoll() alone would take blanks and a plus too. */
bool
message_int(const struct message *m, const char *name, int64_t *value)
{
	const char *text = message_str(m, name);
	const char *digits = text != NULL && text[0] == '-' ? text + 1 : text;
	long long number;

	if (digits == NULL || digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
		return false;
	errno = 0;
	number = strtoll(text, NULL, 10);
	if (errno != 0)
		return false;
	*value = number;
	return true;
}

bool
message_bool(const struct message *m, const char *name, bool *value)
{
	const char *text = message_str(m, name);

	if (text == NULL || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
		return false;
	*value = strcmp(text, "true") == 0;
	return true;
}

static size_t
str_size(const char *s)
{
	return s != NULL ? strlen(s) + 1 : 0;
}

size_t
message_size(const struct message *m)
{
	size_t size = sizeof(*m) + m->body_len + m->n_headers * sizeof(*m->headers);

	size += str_size(m->message_id) + str_size(m->correlation_id) + str_size(m->reply_to) +
		str_size(m->user_id) + str_size(m->app_id) + str_size(m->content_type) +
		str_size(m->content_encoding) + str_size(m->expiration);
	for (size_t i = 0; i < m->n_headers; i++) {
		size += str_size(m->headers[i].name) + str_size(m->headers[i].value);
	}
	return size;
}
