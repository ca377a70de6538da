/* See differ.h. */
#include "admin/differ.h"

#include "shared/topology.h"

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
		return "master_queue";
	case QUEUE_PLAIN:
		break;
	}
	return NULL;
}

/* A policy adds to a queue that was made without arguments; it changes no argument, and it cannot
 * say what only a declaration can. */
static bool
policy_would_do(const struct topology_item *item, const char *why)
{
	for (size_t i = 0; i < item->arguments.n; i++) {
		if (!queue_argument_in_policy(&item->arguments.list[i]))
			return false;
	}
	return section(item) != NULL && strstr(why, "current is none") != NULL;
}

static void
print_policy(FILE *out, const char *vhost, const struct topology_item *item)
{
	char *definition = queue_policy(&item->arguments);

	fprintf(out,
	    "  * or let a policy do it, to the queue that is there and any of its name; then take "
	    "these keys out of [%s]:\n"
	    "      rabbitmqctl set_policy -p '%s' --apply-to queues '%s' '^",
	    section(item), vhost, item->name);
	/* A regular expression, and names have dots. */
	for (const char *p = item->name; *p != '\0'; p++)
		fprintf(out, *p == '.' ? "\\%c" : "%c", *p);
	fprintf(out, "$' '%s'\n", definition);
	free(definition);
}

static void
explain_queue(FILE *out, const char *vhost, const struct topology_item *item, const char *why)
{
	char *wanted = queue_arguments_text(&item->arguments);

	fprintf(out, "queue %s exists with other arguments; wanted: %s; the broker says \"%s\"\n",
	    item->name, wanted, why);
	free(wanted);
	fprintf(out, "  It was not touched, and all programs go on using it as it is. Ways out:\n");
	if (section(item) != NULL)
		fprintf(out, "  * make [%s] say what is there\n", section(item));
	if (policy_would_do(item, why))
		print_policy(out, vhost, item);
	fprintf(out,
	    "  * or have it made anew: let it run empty, then\n"
	    "      rabbitmqctl delete_queue -p '%s' '%s'   (what waits in it is lost)\n"
	    "    and run vogeler-admin setup again\n",
	    vhost, item->name);
}

void
differ_explain(FILE *out, const char *vhost, const struct topology_item *item, const char *why)
{
	if (item->kind == TOPOLOGY_QUEUE)
		explain_queue(out, vhost, item, why);
	else
		fprintf(out,
		    "exchange %s exists, but not as a durable one of type %s; the broker says "
		    "\"%s\"\n  Give the exchange of these options another name, or delete it when "
		    "nobody uses it.\n",
		    item->name, item->type, why);
}
