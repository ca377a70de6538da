/* SPDX-License-Identifier: Apache-2.0 */
/* See attest.h. */
#include "daemon/attest.h"

#include "shared/amqp/message.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/shellwords.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000
#define AGAIN_MS (60 * 60 * 1000)

enum list_state {   /* of the store's hosts */
	LIST_NEVER, /* asked for */
	LIST_FIRST, /* on its way, or to be asked for again */
	LIST_KNOWN,
};

struct attest {
	struct loop *loop;
	struct store *store;
	attest_settled_fn *fn;
	void *arg;
	enum options_attest policy;
	json_t *hosts;       /* known: a set */
	json_t *own_users;   /* of the broker's URIs: never a host's */
	json_t *retry_users; /* whose x-sender counts */
	enum list_state list;
	bool asking;
	struct loop_timer *timer;
};

static void
set_add(json_t *set, const char *name)
{
	if (json_object_set_new_nocheck(set, name, json_true()) != 0)
		xalloc_fail(0);
}

static bool
set_has(const json_t *set, const char *name)
{
	return json_object_get(set, name) != NULL;
}

/* ---- the store's hosts ---- */

static void
attest_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct attest *a = arg;
	const char *host;

	if (found == STORE_FOUND) {
		host = json_string_value(json_object_get(rec, "_id"));
		if (host != NULL)
			set_add(a->hosts, host);
		return;
	}
	a->asking = false;
	if (found == STORE_FAILED) {
		log_info("attest", "cannot list the hosts yet: " TROUBLE_FMT, TROUBLE_ARGS(why));
		loop_timer_arm(a->timer, RETRY_MS);
		return;
	}
	loop_timer_arm(a->timer, AGAIN_MS);
	if (a->list == LIST_KNOWN)
		return;
	a->list = LIST_KNOWN;
	log_info("attest", "%zu hosts are known", json_object_size(a->hosts));
	a->fn(a->arg);
}

static void
attest_on_timer(void *arg)
{
	static const struct store_filter names = {NULL, 0};
	struct attest *a = arg;

	if (a->asking)
		return;
	a->asking = true;
	store_list(a->store, &names, attest_on_listed, a);
}

struct attest *
attest_create(struct loop *loop, struct store *store, attest_settled_fn *fn, void *arg)
{
	struct attest *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->store = store;
	a->fn = fn;
	a->arg = arg;
	a->hosts = json_object();
	a->own_users = json_object();
	a->retry_users = json_object();
	a->timer = loop_timer_create(loop, "attest", attest_on_timer, a);
	return a;
}

void
attest_destroy(struct attest *a)
{
	if (a == NULL)
		return;
	loop_timer_destroy(a->timer);
	json_decref(a->hosts);
	json_decref(a->own_users);
	json_decref(a->retry_users);
	free(a);
}

/* ---- options ---- */

static void
read_own_users(struct attest *a, const char *qhost)
{
	struct uri *list = NULL;
	size_t n = 0;
	struct trouble why;

	if (qhost == NULL || !uri_parse_brokers(qhost, &list, &n, &why))
		return;
	for (size_t i = 0; i < n; i++) {
		if (list[i].user != NULL)
			set_add(a->own_users, list[i].user);
	}
	uri_list_free(list, n);
}

static void
read_retry_users(struct attest *a, const char *names)
{
	char *copy, *rest, *name;

	if (names == NULL) {
		json_object_update(a->retry_users, a->own_users);
		return;
	}
	copy = rest = xstrdup(names);
	while ((name = strsep(&rest, ", \t")) != NULL) {
		if (name[0] != '\0')
			set_add(a->retry_users, name);
	}
	free(copy);
}

void
attest_set_options(struct attest *a, const struct options *opt)
{
	a->policy = opt->attest;
	json_object_clear(a->own_users);
	json_object_clear(a->retry_users);
	read_own_users(a, opt->qhost);
	read_retry_users(a, opt->retry_users);
	if (a->list == LIST_FIRST)
		loop_timer_arm(a->timer, 0);
}

/* ---- senders ---- */

void
attest_find_sender(const struct attest *a, struct message *m)
{
	const char *sender = message_str(m, "x-sender");

	if (sender == NULL || m->user_id == NULL || !set_has(a->retry_users, m->user_id))
		return;
	free(m->user_id);
	m->user_id = xstrdup(sender);
}

/* A user whose name no host can have, or that is ours, is no host's. */
static bool
may_be_host(const struct attest *a, const char *user)
{
	return user != NULL && !set_has(a->own_users, user) && name_host_error(user) == NULL;
}

bool
attest_settled(struct attest *a, const char *user)
{
	if (a->list == LIST_KNOWN || !may_be_host(a, user))
		return true;
	if (a->list == LIST_NEVER) {
		a->list = LIST_FIRST;
		loop_timer_arm(a->timer, 0);
	}
	return false;
}

bool
attest_is_host(const struct attest *a, const char *user)
{
	return may_be_host(a, user) && set_has(a->hosts, user);
}

bool
attest_is_bound(const struct attest *a, const char *user)
{
	switch (a->policy) {
	case OPTIONS_ATTEST_NO:
		return false;
	case OPTIONS_ATTEST_YES:
		return true;
	case OPTIONS_ATTEST_AUTO:
		return attest_is_host(a, user);
	}
	return true;
}

void
attest_saw(struct attest *a, const char *host)
{
	if (!set_has(a->hosts, host))
		set_add(a->hosts, host);
}
