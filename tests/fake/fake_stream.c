/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_stream.h. */
#include "tests/fake/fake_stream.h"

#include "shared/base/trouble.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
	char *data;
	size_t len;
};

struct stream {
	stream_fn *fn;
	void *arg;
	bool up, paused, congested;
	size_t output_max, held;
	struct bytes in;
	struct trouble error;
};

static struct stream *current;
static struct bytes written;
static char opened[300];

static void
append(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	b->data = realloc(b->data, b->len + len);
	assert(b->data != NULL);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void
drop_front(struct bytes *b, size_t len)
{
	assert(len <= b->len);
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

const char *
stream_event_name(enum stream_event sev)
{
	static const char *const names[] = {"UP", "DATA", "LOW", "DOWN"};

	return names[sev];
}

struct stream *
stream_open(struct loop *loop, const struct stream_options *opt, stream_fn *fn, void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));

	assert(s != NULL);
	assert(current == NULL); /* the one before was closed */
	s->fn = fn;
	s->arg = arg;
	s->output_max = opt->output_max;
	snprintf(opened, sizeof(opened), "%s:%u", opt->host, opt->port);
	written.len = 0;
	current = s;
	return s;
}

/* The real one frees after the pass; here at once, so that a use after it is found. */
void
stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	assert(s == current);
	current = NULL;
	free(s->in.data);
	free(s);
}

const void *
stream_peek(struct stream *s, size_t *len)
{
	assert(s == current);
	*len = s->in.len > 65536 ? 65536 : s->in.len;
	return s->in.data;
}

void
stream_drain(struct stream *s, size_t len)
{
	assert(s == current);
	drop_front(&s->in, len);
}

bool
stream_write(struct stream *s, const void *data, size_t len)
{
	assert(s == current);
	if (!s->up || s->held + written.len + len > s->output_max)
		return false;
	append(&written, data, len);
	return true;
}

bool
stream_congested(const struct stream *s)
{
	return s->congested;
}

void
stream_pause(struct stream *s)
{
	assert(s == current);
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	assert(s == current);
	s->paused = false;
}

const struct trouble *
stream_error(const struct stream *s)
{
	return &s->error;
}

bool
stream_tls_failed(const struct stream *s)
{
	return false;
}

int64_t
stream_certificate_end(const struct stream *s)
{
	return 0;
}

const char *
stream_peer(const struct stream *s)
{
	return "192.0.2.1:5672";
}

const char *
fake_stream_opened(void)
{
	static char last[sizeof(opened)];

	if (opened[0] == '\0')
		return NULL;
	memcpy(last, opened, sizeof(last));
	opened[0] = '\0';
	return last;
}

bool
fake_stream_is_open(void)
{
	return current != NULL;
}

bool
fake_stream_is_paused(void)
{
	return current != NULL && current->paused;
}

static void
fire(enum stream_event sev)
{
	assert(current != NULL);
	current->fn(current, sev, current->arg);
}

void
fake_stream_up(void)
{
	assert(current != NULL);
	current->up = true;
	fire(STREAM_UP);
}

void
fake_stream_pump(void)
{
	size_t before;

	while (current != NULL && !current->paused && current->in.len > 0) {
		before = current->in.len;
		fire(STREAM_DATA);
		if (current == NULL || current->in.len == before)
			return;
	}
}

void
fake_stream_data(const void *data, size_t len)
{
	if (current == NULL)
		return; /* the peer talks to nobody */
	append(&current->in, data, len);
	fake_stream_pump();
}

void
fake_stream_down(const char *error)
{
	bool of_names = strcmp(error, "no such host") == 0 ||
			strcmp(error, "the name server does not answer") == 0;

	assert(current != NULL);
	trouble_set(&current->error, of_names ? TROUBLE_NAMES : TROUBLE_OTHER, NULL, "%s", error);
	current->up = false;
	fire(STREAM_DOWN);
}

void
fake_stream_low(void)
{
	current->congested = false;
	fire(STREAM_LOW);
}

/* On the fake line everything has arrived, unless it is congested. */
size_t
stream_unsent(const struct stream *s)
{
	return s != NULL && s->congested ? 1 : 0;
}

void
fake_stream_congest(bool congested)
{
	current->congested = congested;
}

void
fake_stream_hold(size_t bytes)
{
	current->held = bytes;
}

const void *
fake_stream_written(size_t *len)
{
	*len = written.len;
	return written.data;
}

void
fake_stream_written_drain(size_t len)
{
	drop_front(&written, len);
}

void
fake_stream_finish(void)
{
	stream_close(current);
	free(written.data);
	written = (struct bytes){0};
}
