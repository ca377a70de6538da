/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever happens, and in whatever order: every command is acked in the end, each one with an id
 * has been answered in one way alone, and each one without (of 2010) was dealt with once. A model
 * of the broker keeps what is not acked and gives it back after a lost connection, unless somebody
 * has purged the queue. Reproducible: seeds are numbers, and a failure names its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/cmdq.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS     400
#define STEPS     150
#define SENT_MAX  (2 * STEPS)
#define ASKED_MAX 4096

struct sent {             /* a message of the host's queue */
	char job[16];     /* "" = of 2010 */
	char cancels[16]; /* "" = a command */
	const char *plugin;
	int64_t sent_at;
	uint64_t tag; /* of the connection that is; 0 = not delivered on it */
	bool delivered, acked;
	uint32_t ack; /* the how many-th of the connection it was acked on */
};

struct asked { /* of the children */
	uint64_t id;
	char plugin[CHILDMSG_PLUGIN];
	bool told_to_stop, ended;
};

struct fixture {
	unsigned int seed;
	bool nameless; /* all commands are of 2010; no ack is lost, as they cannot be known after */
	uint32_t random;
	char dir[64], path[96];
	struct loop *loop;
	struct broker *broker;
	struct outbox *outbox;
	struct sequence *order;
	struct cmdq *cmdq;
	struct registry registry;
	struct plugin plugins[3];
	struct sent sent[SENT_MAX];
	size_t n_sent;
	struct asked asked[ASKED_MAX];
	size_t n_asked;
	size_t n_answered; /* publishes that were looked at, all answered below it */
	bool up;
	uint32_t n_acks; /* of this connection */
};

static uint32_t
draw(struct fixture *w, uint32_t below)
{
	w->random = w->random * 1664525 + 1013904223;
	return (w->random >> 8) % below;
}

static struct asked *
find_asked(struct fixture *w, uint64_t id)
{
	for (size_t i = 0; i < w->n_asked; i++) {
		if (w->asked[i].id == id)
			return &w->asked[i];
	}
	return NULL;
}

static void
request(const struct child_request *req, void *arg)
{
	struct fixture *w = arg;
	struct asked *a;

	if (req->op == CHILD_OP_KILL) {
		a = find_asked(w, req->id);
		assert_non_null(a);
		a->told_to_stop = true;
		return;
	}
	for (size_t i = 0; i < w->n_asked; i++) {
		if (!w->asked[i].ended && strcmp(w->asked[i].plugin, req->plugin) == 0)
			fail_msg("seed %u: %s runs twice at once", w->seed, req->plugin);
	}
	assert_in_range(w->n_asked, 0, ASKED_MAX - 1);
	a = &w->asked[w->n_asked++];
	*a = (struct asked){.id = req->id};
	memcpy(a->plugin, req->plugin, sizeof(a->plugin));
}

static void
on_ready(struct broker *b, void *arg)
{
	struct fixture *w = arg;

	outbox_on_ready(w->outbox);
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *w = arg;

	assert_true(outbox_on_confirm(w->outbox, id, outcome, why));
}

static void
on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct fixture *w = arg;

	for (size_t i = 0; i < w->n_sent; i++) {
		if (!w->sent[i].acked && w->sent[i].tag == 0) {
			d->redelivered = w->sent[i].delivered;
			w->sent[i].delivered = true;
			w->sent[i].tag = d->tag.tag;
			break;
		}
	}
	cmdq_take(w->cmdq, d);
}

static void
on_confirmed(uint64_t id, void *arg)
{
	struct fixture *w = arg;

	cmdq_on_confirmed(w->cmdq, id);
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_confirm = on_confirm,
    .on_delivery = on_delivery,
};

/* An answer without a queue has the bindings made again, which is no business of commands. */
static const char *
behind_keeps(const char *p)
{
	static const char keep[] = "keep; ";

	while (strncmp(p, keep, sizeof(keep) - 1) == 0)
		p += sizeof(keep) - 1;
	return p;
}

/* What was acked since the last look. */
static void
note_acks(struct fixture *w)
{
	const char *p = behind_keeps(fake_broker_log(w->broker));
	unsigned long long tag;
	char what[16];
	int n;

	while (sscanf(p, "%15s %llu%n", what, &tag, &n) == 2) {
		bool stale = strncmp(p + n, " stale; ", 8) == 0;
		size_t i = 0;

		assert_string_equal(what, "ack");
		p = behind_keeps(p + n + (stale ? 8 : 2));
		if (stale)
			continue; /* the broker does not see it */
		while (i < w->n_sent && (w->sent[i].acked || w->sent[i].tag != tag))
			i++;
		if (i == w->n_sent)
			fail_msg(
			    "seed %u: tag %llu is acked twice, or was never given", w->seed, tag);
		w->sent[i].acked = true;
		w->sent[i].ack = ++w->n_acks;
	}
	if (*p != '\0')
		fail_msg("seed %u: %s", w->seed, p);
	fake_broker_log_clear(w->broker);
}

static void
deliver(struct fixture *w, const struct sent *s)
{
	struct command c = {
	    .plugin = (char *)s->plugin,
	    .job = s->job[0] != '\0' ? (char *)s->job : NULL,
	    .cancels = s->cancels[0] != '\0' ? (char *)s->cancels : NULL,
	    .sent_at = s->sent_at,
	};
	struct message m;

	wire_command_encode(&c, &m);
	fake_broker_deliver(w->broker, "vogeler.broadcast.in", "web01", &m);
	note_acks(w);
}

/* Steps. */

static void
send_one(struct fixture *w)
{
	static const char *const plugins[] = {"facter", "facter", "get_facts", "ps", "ohai", "no"};
	struct sent *s = &w->sent[w->n_sent++];

	*s = (struct sent){
	    .plugin = plugins[draw(w, 6)],
	    .sent_at = wallclock_ms() - (draw(w, 2) == 0 ? 86400000 : 0),
	};
	if (!w->nameless && draw(w, 5) != 0)
		snprintf(s->job, sizeof(s->job), "j%u", (unsigned int)w->n_sent);
	if (!w->nameless && w->n_sent > 3 && draw(w, 4) == 0) {
		snprintf(s->job, sizeof(s->job), "c%u", (unsigned int)w->n_sent);
		snprintf(s->cancels, sizeof(s->cancels), "j%u",
		    (unsigned int)(w->n_sent - 1 - draw(w, 3)));
	}
	if (w->up)
		deliver(w, s);
}

static void
end_one(struct fixture *w)
{
	size_t first = draw(w, (uint32_t)w->n_asked + 1);

	for (size_t i = 0; i < w->n_asked; i++) {
		struct asked *a = &w->asked[(first + i) % w->n_asked];
		struct child_event ev = {.kind = CHILD_DONE, .id = a->id, .outcome = CHILD_EXITED};

		if (a->ended)
			continue;
		ev.success = draw(w, 4) != 0;
		if (a->told_to_stop && draw(w, 4) != 0)
			ev.outcome = CHILD_STOPPED;
		a->ended = true;
		cmdq_on_child(w->cmdq, &ev);
		note_acks(w);
		return;
	}
}

static bool
answer_one(struct fixture *w, bool only_confirm)
{
	size_t n = fake_broker_published(w->broker), first;

	while (w->n_answered < n && fake_broker_publish_at(w->broker, w->n_answered)->answered)
		w->n_answered++;
	first = w->n_answered + draw(w, 3);
	for (size_t i = first < n ? first : w->n_answered; i < n; i++) {
		const struct fake_publish *p = fake_broker_publish_at(w->broker, i);
		uint32_t chance = only_confirm ? 9 : draw(w, 10);

		if (p->answered)
			continue;
		fake_broker_confirm(w->broker, p->id,
		    chance == 0   ? BROKER_NACKED
		    : chance == 1 ? BROKER_RETURNED
				  : BROKER_CONFIRMED,
		    NULL);
		note_acks(w);
		return true;
	}
	return false;
}

/* The last acks may be lost with the connection. */
static void
go_down(struct fixture *w)
{
	uint32_t lost = w->n_acks > 0 && !w->nameless ? draw(w, w->n_acks < 5 ? w->n_acks : 5) : 0;
	uint32_t arrived = w->n_acks - lost;

	w->up = false;
	fake_broker_down(w->broker);
	fake_broker_log_clear(w->broker);
	for (size_t i = 0; i < w->n_sent; i++) {
		if (w->sent[i].tag != 0 && w->sent[i].ack > arrived)
			w->sent[i].acked = false;
		w->sent[i].tag = 0;
		w->sent[i].ack = 0;
	}
	w->n_acks = 0;
}

/* While the connection is down all of the queue is there to be purged. Those with an id stay: each
 * is to be answered. */
static void
purge(struct fixture *w)
{
	for (size_t i = 0; i < w->n_sent; i++)
		w->sent[i].acked = w->sent[i].acked || w->sent[i].job[0] == '\0';
}

/* What is not acked comes in order; between two of them time may pass, so that what is here begins
 * or ends, and the connection may be lost again. */
static void
deliver_all(struct fixture *w)
{
	for (size_t i = 0; i < w->n_sent && w->up; i++) {
		if (w->sent[i].acked)
			continue;
		deliver(w, &w->sent[i]);
		switch (draw(w, 30)) {
		case 0:
			go_down(w);
			break;
		case 1:
		case 2:
			fake_advance(w->loop, 2 * CMDQ_SILENCE_MS);
			note_acks(w);
			end_one(w);
			break;
		default:
			break;
		}
	}
}

static void
go_up(struct fixture *w)
{
	uint32_t n = 0;

	w->up = true;
	for (size_t i = 0; i < w->n_sent; i++)
		n += !w->sent[i].acked;
	fake_broker_up(w->broker);
	/* Sometimes the broker has dropped some; sometimes more waits than it delivers at once. */
	cmdq_catch_up(w->cmdq, draw(w, 5) == 0 ? n + 2 : n, 5 + draw(w, 20));
	cmdq_on_consuming(w->cmdq);
	fake_broker_log_clear(w->broker);
	deliver_all(w);
}

static void
step(struct fixture *w)
{
	switch (draw(w, 12)) {
	case 0:
		if (w->up)
			go_down(w);
		else if (draw(w, 3) == 0)
			purge(w);
		else
			go_up(w);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		send_one(w);
		break;
	case 5:
	case 6:
		end_one(w);
		break;
	case 7:
		fake_advance(w->loop, draw(w, 4000));
		note_acks(w);
		break;
	default:
		if (w->up)
			answer_one(w, false);
		break;
	}
}

/* The end. */

static bool
all_acked(const struct fixture *w)
{
	for (size_t i = 0; i < w->n_sent; i++) {
		if (!w->sent[i].acked)
			return false;
	}
	return true;
}

/* What was purged may run still. */
static bool
is_at_rest(const struct fixture *w)
{
	return all_acked(w) && cmdq_waiting(w->cmdq) + cmdq_running(w->cmdq) == 0;
}

static void
come_to_rest(struct fixture *w)
{
	for (int i = 0; i < 10000 && !is_at_rest(w); i++) {
		if (!w->up)
			go_up(w);
		end_one(w);
		if (!answer_one(w, true))
			fake_advance(w->loop, 10000);
		note_acks(w);
	}
	if (!all_acked(w))
		fail_msg("seed %u: something is never acked", w->seed);
}

static void
check_answers_of(struct fixture *w, const struct sent *s)
{
	const char *state = NULL;

	for (size_t i = 0; i < fake_broker_published(w->broker); i++) {
		const struct message *m = &fake_broker_publish_at(w->broker, i)->message;
		const char *other = message_str(m, "state");

		if (m->correlation_id == NULL || strcmp(m->correlation_id, s->job) != 0)
			continue;
		if (state != NULL && strcmp(state, other) != 0)
			fail_msg("seed %u: %s is %s and %s", w->seed, s->job, state, other);
		state = other;
	}
	if (s->cancels[0] == '\0' && state == NULL)
		fail_msg("seed %u: %s was acked and not answered", w->seed, s->job);
	if (s->cancels[0] != '\0' && state != NULL)
		fail_msg("seed %u: %s is a cancel and was answered", w->seed, s->job);
}

/* Each has run, was refused, or gave way to a newer one. */
static void
check_dealt_with(const struct fixture *w)
{
	const uint64_t *results = cmdq_stats(w->cmdq)->results;
	uint64_t n = results[CMDQ_OK] + results[CMDQ_FAILED] + results[CMDQ_REFUSED] +
		     results[CMDQ_SUPERSEDED];
	uint64_t came = 0;

	for (size_t i = 0; i < w->n_sent; i++)
		came += w->sent[i].delivered;
	if (n != came)
		fail_msg("seed %u: of %llu commands came %llu results", w->seed,
		    (unsigned long long)came, (unsigned long long)n);
}

static void
world_open(struct fixture *w, unsigned int seed, bool nameless)
{
	struct broker_options opt;
	struct cmdq_config config = {
	    .origin = {.host = "web01"},
	    .concurrency = 2,
	    .max_output = 1000,
	    .catch_up_splay_ms = 3000,
	    .request = request,
	    .arg = w,
	};
	struct trouble trouble;

	*w = (struct fixture){.seed = seed, .nameless = nameless, .random = seed * 2654435761U};
	strcpy(w->dir, "/tmp/vogeler-cmdq-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/order", w->dir);
	w->plugins[0] = (struct plugin){.name = (char *)"facter", .alias = (char *)"get_facts"};
	w->plugins[1] = (struct plugin){.name = (char *)"ohai"};
	w->plugins[2] = (struct plugin){.name = (char *)"ps"};
	w->registry.set = (struct plugin_set){.plugins = w->plugins, .n = 3};
	w->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "agent";
	opt.program = "test";
	w->broker = broker_create(w->loop, &opt, &handlers, w);
	w->outbox = outbox_create(w->loop, w->broker, "vogeler.master.in", on_confirmed, w);
	w->order = sequence_open(w->path, wallclock_ms(), &trouble);
	assert_non_null(w->order);
	config.loop = w->loop;
	config.registry = &w->registry;
	config.order = w->order;
	config.broker = w->broker;
	config.outbox = w->outbox;
	w->cmdq = cmdq_create(&config);
	broker_start(w->broker);
	fake_broker_log_clear(w->broker);
}

static void
world_close(struct fixture *w)
{
	cmdq_destroy(w->cmdq);
	outbox_destroy(w->outbox);
	sequence_close(w->order);
	broker_destroy(w->broker);
	loop_destroy(w->loop);
	unlink(w->path);
	rmdir(w->dir);
}

static void
live(struct fixture *w)
{
	go_up(w);
	for (int i = 0; i < STEPS; i++)
		step(w);
	come_to_rest(w);
	assert_int_equal(cmdq_waiting(w->cmdq), 0);
}

static void
every_command_has_one_end(void **state)
{
	static struct fixture w;

	ident_init();
	for (unsigned int seed = 1; seed <= SEEDS; seed++) {
		world_open(&w, seed, false);
		live(&w);
		for (size_t i = 0; i < w.n_sent; i++) {
			if (w.sent[i].job[0] != '\0')
				check_answers_of(&w, &w.sent[i]);
		}
		world_close(&w);
	}
}

static void
every_command_of_2010_is_dealt_with_once(void **state)
{
	static struct fixture w;

	ident_init();
	for (unsigned int seed = 1; seed <= SEEDS; seed++) {
		world_open(&w, seed, true);
		live(&w);
		check_dealt_with(&w);
		world_close(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_command_has_one_end),
	    cmocka_unit_test(every_command_of_2010_is_dealt_with_once),
	};

	return cmocka_run_group_tests_name("cmdq_random", tests, NULL, NULL);
}
