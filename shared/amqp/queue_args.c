/* SPDX-License-Identifier: Apache-2.0 */
/* See queue_args.h. */
#include "shared/amqp/queue_args.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENT_TEXT_SIZE 96

const char *
queue_type_name(enum queue_type type)
{
	switch (type) {
	case QUEUE_CLASSIC:
		return "classic";
	case QUEUE_QUORUM:
		return "quorum";
	case QUEUE_AUTO:
		return "auto";
	}
	return "?";
}

const char *
queue_overflow_name(enum queue_overflow overflow)
{
	switch (overflow) {
	case QUEUE_DROP_HEAD:
		return "drop-head";
	case QUEUE_REJECT_PUBLISH:
		return "reject-publish";
	}
	return "?";
}

void
queue_arguments_add(struct queue_arguments *a, const struct queue_argument *argument)
{
	assert(a->n < QUEUE_ARGUMENTS_MAX);
	a->list[a->n++] = *argument;
}

static size_t
index_of(const struct queue_arguments *a, const char *name)
{
	size_t i = 0;

	while (i < a->n && strcmp(a->list[i].name, name) != 0)
		i++;
	return i;
}

bool
queue_arguments_have(const struct queue_arguments *a, const char *name)
{
	return index_of(a, name) < a->n;
}

void
queue_arguments_remove(struct queue_arguments *a, const char *name)
{
	size_t i = index_of(a, name);

	if (i == a->n)
		return;
	a->n--;
	memmove(&a->list[i], &a->list[i + 1], (a->n - i) * sizeof(a->list[0]));
}

enum queue_type
queue_arguments_type(const struct queue_arguments *a)
{
	return queue_arguments_have(a, "x-queue-type") ? QUEUE_QUORUM : QUEUE_CLASSIC;
}

static void
add_text(struct queue_arguments *a, const char *name, const char *text)
{
	queue_arguments_add(
	    a, &(struct queue_argument){.name = name, .kind = QUEUE_ARG_TEXT, .text = text});
}

static void
add_number(struct queue_arguments *a, const char *name, uint64_t number)
{
	if (number > 0)
		queue_arguments_add(
		    a, &(struct queue_argument){
			   .name = name, .kind = QUEUE_ARG_NUMBER, .number = number});
}

static void
add_implied(struct queue_arguments *a, const char *name, uint64_t number)
{
	add_number(a, name, number);
	a->list[a->n - 1].implied = true;
}

static void
add_delivery_limit(struct queue_arguments *a, const struct queue_options *q, enum queue_role role)
{
	if (q->delivery_limit > 0 && role != QUEUE_DEAD)
		add_number(a, "x-delivery-limit", q->delivery_limit);
	else
		add_implied(a, "x-delivery-limit", QUEUE_NO_DELIVERY_LIMIT);
}

static void
add_dead_letter(struct queue_arguments *a, const struct queue_options *q, const char *dead_queue)
{
	add_text(a, "x-dead-letter-exchange", "");
	add_text(a, "x-dead-letter-routing-key", dead_queue);
	/* Only with both does the broker let go of a message after the other queue has it. */
	if (q->type == QUEUE_QUORUM && q->overflow == QUEUE_REJECT_PUBLISH)
		add_text(a, "x-dead-letter-strategy", "at-least-once");
}

void
queue_arguments(const struct queue_options *q, enum queue_role role, const char *dead_queue,
    struct queue_arguments *out)
{
	*out = (struct queue_arguments){0};
	assert(q->type != QUEUE_AUTO);
	if (role == QUEUE_PLAIN)
		return;
	/* "classic" goes without saying: so said, a broker before 3.8 would refuse it on a queue of
	 * 2010. */
	if (q->type == QUEUE_QUORUM) {
		add_text(out, "x-queue-type", queue_type_name(q->type));
		/* A quorum queue ignores the wish for exclusiveness of a consumer. */
		if (role == QUEUE_HOST)
			queue_arguments_add(
			    out, &(struct queue_argument){.name = "x-single-active-consumer",
				     .kind = QUEUE_ARG_FLAG,
				     .number = 1});
		add_delivery_limit(out, q, role);
	}
	if (role == QUEUE_DEAD) {
		add_implied(out, "x-max-length-bytes", QUEUE_DEAD_BYTES);
		/* Said, so that no policy for all queues makes it refuse dead letters: that would
		 * hold up the answers behind them. */
		add_text(out, "x-overflow", queue_overflow_name(QUEUE_DROP_HEAD));
		out->list[out->n - 1].implied = true;
		return;
	}
	add_number(out, "x-expires", q->expires_ms);
	add_number(out, "x-max-length", q->max_length);
	add_number(out, "x-max-length-bytes", q->max_length_bytes);
	if (q->overflow != QUEUE_DROP_HEAD)
		add_text(out, "x-overflow", queue_overflow_name(q->overflow));
	add_number(out, "x-message-ttl", q->message_ttl_ms);
	if (q->dead_letter)
		add_dead_letter(out, q, dead_queue);
}

static void
print_argument(const struct queue_argument *a, char *out, size_t size)
{
	switch (a->kind) {
	case QUEUE_ARG_TEXT:
		snprintf(out, size, "%s %s", a->name, a->text[0] != '\0' ? a->text : "\"\"");
		return;
	case QUEUE_ARG_NUMBER:
		snprintf(out, size, "%s %" PRIu64, a->name, a->number);
		return;
	case QUEUE_ARG_FLAG:
		snprintf(out, size, "%s true", a->name);
		return;
	}
}

char *
queue_arguments_text(const struct queue_arguments *a)
{
	char text[QUEUE_ARGUMENTS_MAX * ARGUMENT_TEXT_SIZE] = "", one[ARGUMENT_TEXT_SIZE];
	size_t len = 0;

	if (a->n == 0)
		return xstrdup("no arguments");
	for (size_t i = 0; i < a->n; i++) {
		print_argument(&a->list[i], one, sizeof(one));
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, "%s%s", i > 0 ? ", " : "", one);
		assert(len < sizeof(text));
	}
	return xstrdup(text);
}

const struct queue_argument *
queue_argument_named(const struct queue_arguments *a, const char *why)
{
	char named[ARGUMENT_TEXT_SIZE];

	for (size_t i = 0; i < a->n; i++) {
		snprintf(named, sizeof(named), "inequivalent arg '%s'", a->list[i].name);
		if (strstr(why, named) != NULL)
			return &a->list[i];
	}
	return NULL;
}

bool
queue_argument_in_policy(const struct queue_argument *a)
{
	return strcmp(a->name, "x-queue-type") != 0 &&
	       strcmp(a->name, "x-single-active-consumer") != 0;
}

char *
queue_silent_cure(const char *vhost, const char *queue)
{
	char *text;

	xasprintf(&text,
	    "see the log of the broker, and what rabbitmq-queues quorum_status -p '%s' '%s' says: "
	    "a quorum queue waits while most of its nodes are down; one without a leader, whose "
	    "node was killed in the second in which the queue was made, has nothing to lose: "
	    "rabbitmqctl delete_queue -p '%s' '%s', and it is made anew",
	    vhost, queue, vhost, queue);
	return text;
}

const char *
queue_argument_option(const struct queue_argument *a)
{
	static const struct {
		const char *argument, *option;
	} rows[] = {
	    {"x-dead-letter-exchange", "dead_letter"},
	    {"x-dead-letter-routing-key", "dead_letter"},
	    {"x-delivery-limit", "delivery_limit"},
	    {"x-expires", "expires"},
	    {"x-max-length", "max_length"},
	    {"x-max-length-bytes", "max_length_bytes"},
	    {"x-message-ttl", "message_ttl"},
	    {"x-overflow", "overflow"},
	    {"x-queue-type", "type"},
	};

	for (size_t i = 0; !a->implied && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].argument, a->name) == 0)
			return rows[i].option;
	}
	return NULL;
}

char *
queue_policy(const struct queue_arguments *a)
{
	json_t *definition = json_object();
	char *text = NULL;

	for (size_t i = 0; i < a->n; i++) {
		const struct queue_argument *x = &a->list[i];

		/* The keys of a policy are the names without "x-". */
		if (queue_argument_in_policy(x))
			json_object_set_new(definition, x->name + 2,
			    x->kind == QUEUE_ARG_TEXT ? json_string(x->text)
						      : json_integer((json_int_t)x->number));
	}
	if (json_object_size(definition) > 0)
		text = json_dumps(definition, JSON_COMPACT);
	json_decref(definition);
	return text;
}
