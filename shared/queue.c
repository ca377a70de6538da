/* See queue.h. */
#include "shared/queue.h"

#include "shared/topology.h"
#include "shared/xalloc.h"

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

static void
add(struct queue_arguments *a, struct queue_argument argument)
{
	assert(a->n < QUEUE_ARGUMENTS_MAX);
	a->list[a->n++] = argument;
}

static void
add_text(struct queue_arguments *a, const char *name, const char *text)
{
	add(a, (struct queue_argument){.name = name, .kind = QUEUE_ARG_TEXT, .text = text});
}

static void
add_number(struct queue_arguments *a, const char *name, uint64_t number)
{
	if (number > 0)
		add(a, (struct queue_argument){
			   .name = name, .kind = QUEUE_ARG_NUMBER, .number = number});
}

static void
add_dead_letter(struct queue_arguments *a, const struct queue_options *q)
{
	add_text(a, "x-dead-letter-exchange", "");
	add_text(a, "x-dead-letter-routing-key", TOPOLOGY_DEAD_QUEUE);
	/* Only with both does the broker let go of a message after the other queue has it. */
	if (q->type == QUEUE_QUORUM && q->overflow == QUEUE_REJECT_PUBLISH)
		add_text(a, "x-dead-letter-strategy", "at-least-once");
}

void
queue_arguments(const struct queue_options *q, enum queue_role role, struct queue_arguments *out)
{
	*out = (struct queue_arguments){0};
	if (role == QUEUE_PLAIN)
		return;
	/* "classic" goes without saying: so said, a broker before 3.8 would refuse it on a queue of
	 * 2010. */
	if (q->type == QUEUE_QUORUM) {
		add_text(out, "x-queue-type", queue_type_name(q->type));
		/* A quorum queue ignores the wish for exclusiveness of a consumer. */
		if (role == QUEUE_HOST)
			add(out, (struct queue_argument){.name = "x-single-active-consumer",
				     .kind = QUEUE_ARG_FLAG,
				     .number = 1});
		add_number(out, "x-delivery-limit", q->delivery_limit);
	}
	add_number(out, "x-expires", q->expires_ms);
	add_number(out, "x-max-length", q->max_length);
	add_number(out, "x-max-length-bytes", q->max_length_bytes);
	if (q->overflow != QUEUE_DROP_HEAD)
		add_text(out, "x-overflow", queue_overflow_name(q->overflow));
	add_number(out, "x-message-ttl", q->message_ttl_ms);
	if (q->dead_letter)
		add_dead_letter(out, q);
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

bool
queue_argument_in_policy(const struct queue_argument *a)
{
	return strcmp(a->name, "x-queue-type") != 0 &&
	       strcmp(a->name, "x-single-active-consumer") != 0;
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
