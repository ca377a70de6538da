/* SPDX-License-Identifier: Apache-2.0 */
/* Driving a command queue from a test: commands come from a fake broker, runs end when the test
 * says so. */
#ifndef VOGELER_CMDQ_DRIVE_H
#define VOGELER_CMDQ_DRIVE_H

#include "agent/cmdq.h"
#include "agent/registry.h"
#include "shared/config/plugin.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_encode_worker.h"
#include "tests/fake/fake_loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fixture {
	char dir[64], path[96];
	struct loop *loop;
	struct broker *broker;
	struct outbox *outbox;
	struct encode_worker maker;
	struct sequence *order;
	struct cmdq *cmdq;
	struct cmdq_config config;
	struct registry registry;
	struct plugin plugins[4];
	struct child_request requests[2 * CMDQ_JOBS_MAX];
	size_t n_requests;
	int answered;
	bool redelivered; /* what comes */
};

int cmdq_setup(void **state);
int cmdq_teardown(void **state);
struct broker_tag deliver_command(struct fixture *f, struct command c);
/* job NULL: a command of 2010. */
struct broker_tag deliver_until(
    struct fixture *f, const char *plugin, const char *job, int64_t not_after);
/* Sent a day ago. */
void deliver_old(struct fixture *f, const char *plugin, const char *job);
void cancel(struct fixture *f, const char *job);
void set_splay(struct fixture *f, uint32_t ms);
/* Consuming begins: so many messages wait. */
void catch_up(struct fixture *f, uint32_t messages);
void reconnect(struct fixture *f, uint32_t messages);
struct broker_tag deliver(struct fixture *f, const char *plugin, const char *job);
void finish_as(struct fixture *f, size_t i, enum child_outcome outcome, const char *text);
void finish(struct fixture *f, size_t i);
void made(struct fixture *f);
void confirm(struct fixture *f, size_t i);
const struct message *answer(struct fixture *f, size_t i);
void assert_log(struct fixture *f, const char *text);
void assert_answer(
    struct fixture *f, size_t i, const char *job, const char *state, const char *text);
const char *key(struct fixture *f, size_t i);

#define TEST(name) cmocka_unit_test_setup_teardown(name, cmdq_setup, cmdq_teardown)

#endif
