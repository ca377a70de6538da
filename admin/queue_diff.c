/* SPDX-License-Identifier: Apache-2.0 */
/* See queue_diff.h. */
#include "admin/queue_diff.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/printable.h"
#include "shared/base/xalloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *
section(const struct topology_item *item)
{
	switch (item->role) {
	case QUEUE_HOST:
		return "host_queue";
	case QUEUE_MASTER:
	case QUEUE_DEAD:
		return "master_queue";
	case QUEUE_PLAIN:
		break;
	}
	return NULL;
}

static char *
policy_command(
    const char *vhost, const struct topology_item *item, const struct queue_arguments *arguments)
{
	char *definition = queue_policy(arguments), *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		xalloc_fail(0);
	fprintf(out, "rabbitmqctl set_policy -p '%s' --apply-to queues '%s' '^", vhost, item->name);
	/* A regular expression, and names have dots. */
	for (const char *p = item->name; *p != '\0'; p++)
		fprintf(out, *p == '.' ? "\\%c" : "%c", *p);
	fprintf(out, "$' '%s'", definition);
	fclose(out);
	free(definition);
	return text;
}

bool
queue_diff_limit(const struct broker_look *look)
{
	for (size_t i = 0; i < look->lacks.n; i++) {
		if (!look->lacks.list[i].implied)
			return false;
	}
	return look->lacks.n > 0;
}

const char *
queue_diff_limit_danger(const struct broker_look *look)
{
	if (queue_arguments_have(&look->lacks, "x-max-length-bytes"))
		return "it grows without limit, and any host can make dead letters";
	if (queue_arguments_have(&look->lacks, "x-delivery-limit"))
		return "RabbitMQ 4 drops a message at the 21st time that it is given back";
	return "a policy for all queues can make it refuse dead letters";
}

char *
queue_diff_lacks(const struct broker_look *look)
{
	return queue_arguments_text(&look->lacks);
}

/* A policy adds to what a queue was made with; it changes none of that, and it cannot say what only
 * a declaration can. */
char *
queue_diff_policy(
    const char *vhost, const struct topology_item *item, const struct broker_look *look)
{
	for (size_t i = 0; i < look->lacks.n; i++) {
		if (!queue_argument_in_policy(&look->lacks.list[i]))
			return NULL;
	}
	return look->lacks.n == 0 ? NULL : policy_command(vhost, item, &look->lacks);
}

static bool
is_about_limit(const struct broker_look *look)
{
	return strstr(look->why, "inequivalent arg 'x-delivery-limit'") != NULL &&
	       strstr(look->why, "current is none") == NULL;
}

char *
queue_diff_delivery_policy(
    const char *vhost, const struct topology_item *item, const struct broker_look *look)
{
	static const struct queue_arguments limit = {.n = 1,
	    .list = {{.name = "x-delivery-limit",
		.kind = QUEUE_ARG_NUMBER,
		.number = QUEUE_NO_DELIVERY_LIMIT}}};
	/* The broker tells what a queue lacks only when nothing else differs. */
	bool may_lack =
	    look->lacks.n == 0 || queue_arguments_have(&look->lacks, "x-delivery-limit");

	if (item->kind != TOPOLOGY_QUEUE || look->type != QUEUE_QUORUM || !may_lack ||
	    is_about_limit(look))
		return NULL;
	return policy_command(vhost, item, &limit);
}

/* The least that [host_queue] and [master_queue] take for delivery_limit. */
#define DELIVERY_LIMIT_MIN 20

bool
queue_diff_sayable(const struct broker_look *look)
{
	const char *current = strstr(look->why, "current is "); /* '5', or the value '5' */
	const char *value = current == NULL ? NULL : strchr(current, '\'');

	return !is_about_limit(look) || value == NULL ||
	       strtol(value + 1, NULL, 10) >= DELIVERY_LIMIT_MIN;
}

/* The options of what the queue lacks, each once. */
static size_t
options_of(const struct broker_look *look, const char *options[QUEUE_ARGUMENTS_MAX])
{
	size_t n = 0, j;

	for (size_t i = 0; i < look->lacks.n; i++) {
		const char *option = queue_argument_option(&look->lacks.list[i]);

		for (j = 0; j < n && option != NULL && strcmp(options[j], option) != 0; j++)
			;
		if (option != NULL && j == n)
			options[n++] = option;
	}
	return n;
}

char *
queue_diff_options(const struct topology_item *item, const struct broker_look *look)
{
	const char *options[QUEUE_ARGUMENTS_MAX];
	size_t n = options_of(look, options), size;
	char *text = NULL;
	FILE *out;

	if (n == 0 || section(item) == NULL)
		return NULL;
	out = open_memstream(&text, &size);
	if (out == NULL)
		xalloc_fail(0);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " and ", options[i]);
	fprintf(out, " out of [%s]", section(item));
	fclose(out);
	return text;
}

static void
explain_limit(
    FILE *out, const struct topology_item *item, const struct broker_look *look, const char *policy)
{
	char *lacks = queue_diff_lacks(look);

	fprintf(out,
	    "queue %s was made without %s: %s; unless a policy does that already:\n      %s\n",
	    item->name, lacks, queue_diff_limit_danger(look), policy);
	free(lacks);
}

static void
print_policy(
    FILE *out, const struct topology_item *item, const struct broker_look *look, const char *policy)
{
	char *options = queue_diff_options(item, look);

	fprintf(out,
	    "  * or let a policy do it, which loses nothing: it holds for the queue that is there "
	    "and for any of its name, and is the only one that does (where there is one, add to "
	    "it)%s%s:\n      %s\n",
	    options == NULL ? "" : "; then take ", options == NULL ? "" : options, policy);
	free(options);
}

/* Prints the policy that is needed as long as the queue stays as it is. */
static void
print_delivery_policy(FILE *out, const char *vhost, const struct topology_item *item,
    const struct broker_look *look, const char *policy)
{
	char *limit = policy == NULL ? queue_diff_delivery_policy(vhost, item, look) : NULL;

	if (limit != NULL)
		fprintf(out,
		    "  It is a quorum queue%s: RabbitMQ 4 drops a message at the 21st time that it "
		    "is given back, unless a policy says otherwise:\n      %s\n",
		    look->lacks.n > 0
			? " without a delivery limit of ours"
			: ", and may have no delivery limit of ours, which cannot be seen from here",
		    limit);
	free(limit);
}

static void
explain_queue(
    FILE *out, const char *vhost, const struct topology_item *item, const struct broker_look *look)
{
	char *wanted = queue_arguments_text(look->wanted),
	     *policy = queue_diff_policy(vhost, item, look);

	if (queue_diff_limit(look)) {
		explain_limit(out, item, look, policy);
		free(wanted);
		free(policy);
		return;
	}
	fprintf(out, "queue %s exists with other arguments; wanted: %s; the broker says \"%s\"\n",
	    item->name, wanted, look->why);
	fprintf(out, "  It was not touched, and all programs go on using it as it is. Ways out:\n");
	if (section(item) != NULL && queue_diff_sayable(look))
		fprintf(out, "  * make [%s] say what is there\n", section(item));
	if (policy != NULL)
		print_policy(out, item, look, policy);
	else
		fprintf(out,
		    "  * or have it made anew, for no policy can change that: let it run empty, "
		    "then\n"
		    "      rabbitmqctl delete_queue -p '%s' '%s'   (what waits in it is lost)\n"
		    "    and run vogeler-admin setup again\n",
		    vhost, item->name);
	print_delivery_policy(out, vhost, item, look, policy);
	free(wanted);
	free(policy);
}

static void
explain(
    FILE *out, const char *vhost, const struct topology_item *item, const struct broker_look *look)
{
	if (item->kind == TOPOLOGY_QUEUE)
		explain_queue(out, vhost, item, look);
	else
		fprintf(out,
		    "exchange %s exists, but not as a durable one of type %s; the broker says "
		    "\"%s\"\n  Give the exchange of these options another name, or delete it when "
		    "nobody uses it.\n",
		    item->name, item->type, look->why);
}

void
queue_diff_explain(
    FILE *out, const char *vhost, const struct topology_item *item, const struct broker_look *look)
{
	char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	if (memory == NULL)
		xalloc_fail(0);
	explain(memory, vhost, item, look);
	fclose(memory);
	printable_put(out, text, PRINTABLE_KEEP_BREAKS);
	free(text);
}
