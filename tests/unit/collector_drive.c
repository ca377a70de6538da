/* SPDX-License-Identifier: Apache-2.0 */
/* See collector_drive.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/collector_drive.h"

#include "tests/fake/fake_broker_api.h"

#include <cmocka.h>
#include <string.h>

struct broker *
make_broker(struct loop *loop, const char *role, const struct broker_handlers *handlers, void *arg)
{
	struct broker_options opt;

	broker_options_default(&opt);
	opt.role = role;
	return broker_create(loop, &opt, handlers, arg);
}

struct message
make_message(const char *body, const char *user)
{
	struct message m;

	message_init(&m);
	message_set_body(&m, strdup(body), strlen(body));
	m.user_id = user == NULL ? NULL : strdup(user);
	return m;
}

void
deliver_from(struct broker *consumer, const char *body, const char *user)
{
	struct message m = make_message(body, user);

	fake_broker_deliver(consumer, "vogeler.master.in", "", &m);
}

void
deliver_from_with(struct broker *consumer, const char *body, const char *user, const char *header,
    const char *value)
{
	struct message m = make_message(body, user);

	message_add_str(&m, header, value);
	fake_broker_deliver(consumer, "vogeler.master.in", "", &m);
}

void
deliver_fresh(struct broker *consumer, const char *body)
{
	struct message m = make_message(body, NULL);

	fake_broker_deliver(consumer, "vogeler.master.in", "fresh", &m);
}

void
deliver(struct broker *consumer, const char *body)
{
	deliver_from(consumer, body, NULL);
}

void
assert_told(struct broker *consumer, const char *expected)
{
	assert_string_equal(fake_broker_log(consumer), expected);
	fake_broker_log_clear(consumer);
}
