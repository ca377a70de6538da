/* SPDX-License-Identifier: Apache-2.0 */
/* Driving the parts of a collector from a test: responses come from a fake broker. */
#ifndef VOGELER_COLLECTOR_DRIVE_H
#define VOGELER_COLLECTOR_DRIVE_H

#include "shared/amqp/broker.h"

struct loop;

#define GOOD "{\"syskey\":\"web01\",\"ps\":\"a\\nb\",\"format\":\"output\"}"

struct broker *make_broker(
    struct loop *loop, const char *role, const struct broker_handlers *handlers, void *arg);
/* The message is the caller's; user may be NULL. */
struct message make_message(const char *body, const char *user);

void deliver(struct broker *consumer, const char *body);
void deliver_from(struct broker *consumer, const char *body, const char *user);
void deliver_from_with(struct broker *consumer, const char *body, const char *user,
    const char *header, const char *value);
void deliver_fresh(struct broker *consumer, const char *body);

/* What the consumer was told since the last look (fake_broker_log). */
void assert_told(struct broker *consumer, const char *expected);

#endif
