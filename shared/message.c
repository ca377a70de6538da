/* See message.h. */
#include "shared/message.h"

#include "shared/xalloc.h"
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
	if (h->kind == HEADER_STR)
		free(h->u.str);
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

/* The next free header, NULL when there are enough. */
static struct header *
add(struct message *m, const char *name, enum header_kind kind)
{
	struct header *h;

	if (m->n_headers >= MESSAGE_HEADERS_MAX)
		return NULL;
	m->headers = xreallocarray(m->headers, m->n_headers + 1, sizeof(*m->headers));
	h = &m->headers[m->n_headers++];
	*h = (struct header){.name = xstrdup(name), .kind = kind};
	return h;
}

void
message_add_str(struct message *m, const char *name, const char *value)
{
	struct header *h;

	if (value == NULL)
		return;
	h = add(m, name, HEADER_STR);
	if (h != NULL)
		h->u.str = xstrdup(value);
}

void
message_add_int(struct message *m, const char *name, int64_t value)
{
	struct header *h = add(m, name, HEADER_INT);

	if (h != NULL)
		h->u.i64 = value;
}

void
message_add_bool(struct message *m, const char *name, bool value)
{
	struct header *h = add(m, name, HEADER_BOOL);

	if (h != NULL)
		h->u.boolean = value;
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

/* The first of that name and kind. */
static const struct header *
find(const struct message *m, const char *name, enum header_kind kind)
{
	for (size_t i = 0; i < m->n_headers; i++) {
		if (m->headers[i].kind == kind && strcmp(m->headers[i].name, name) == 0)
			return &m->headers[i];
	}
	return NULL;
}

const char *
message_str(const struct message *m, const char *name)
{
	const struct header *h = find(m, name, HEADER_STR);

	return h != NULL ? h->u.str : NULL;
}

bool
message_int(const struct message *m, const char *name, int64_t *value)
{
	const struct header *h = find(m, name, HEADER_INT);

	if (h != NULL)
		*value = h->u.i64;
	return h != NULL;
}

bool
message_bool(const struct message *m, const char *name, bool *value)
{
	const struct header *h = find(m, name, HEADER_BOOL);

	if (h != NULL)
		*value = h->u.boolean;
	return h != NULL;
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
		size += str_size(m->headers[i].name);
		if (m->headers[i].kind == HEADER_STR)
			size += str_size(m->headers[i].u.str);
	}
	return size;
}
