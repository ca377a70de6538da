/* SPDX-License-Identifier: Apache-2.0 */
/* This says what at the broker is not what the options ask for, with the ways out. */
#ifndef VOGELER_QUEUE_DIFF_H
#define VOGELER_QUEUE_DIFF_H

#include <stdbool.h>
#include <stdio.h>

struct broker_look;
struct topology_item;

/* look is of OTHER. */
void queue_diff_explain(
    FILE *out, const char *vhost, const struct topology_item *item, const struct broker_look *look);
/* Says whether all that the queue lacks is what no option asks for: it was made before there was
 * such a limit, and nothing else is wrong with it. Whether a policy sets it already, the broker's
 * answers do not tell. */
bool queue_diff_limit(const struct broker_look *look);
/* Says what comes of it then: "it grows without limit". */
const char *queue_diff_limit_danger(const struct broker_look *look);
/* The command that gives a quorum queue, which differs in more than that, the delivery limit that
 * it was made without, or may have been: while it is used as it is, RabbitMQ 4 goes by its own;
 * malloced. NULL: it is none, is not known to be one, or has a limit. */
char *queue_diff_delivery_policy(
    const char *vhost, const struct topology_item *item, const struct broker_look *look);
/* Says whether options can ask for what is there. */
bool queue_diff_sayable(const struct broker_look *look);
/* Names what the queue was made without, as queue_arguments_text(); malloced. */
char *queue_diff_lacks(const struct broker_look *look);
/* The command that gives the queue what it lacks, losing nothing; malloced. NULL: only a queue that
 * is made anew can have it. */
char *queue_diff_policy(
    const char *vhost, const struct topology_item *item, const struct broker_look *look);
/* "max_length and overflow out of [master_queue]": what the policy says, the options say no more,
 * for as arguments they would still differ; malloced. NULL: there are none. */
char *queue_diff_options(const struct topology_item *item, const struct broker_look *look);

#endif
