/* SPDX-License-Identifier: Apache-2.0 */
/* The book of contacts: what is stored of it, and what it says to readers. */
#include "shared/store/contacts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define T0 INT64_C(1285467389609)

static void
assert_contact(const struct contacts *c, const char *host, enum contact_state state, int64_t since)
{
	struct contact contact = contacts_get(c, host);

	assert_string_equal(contact_state_name(contact.state), contact_state_name(state));
	assert_int_equal(contact.since_ms, since);
}

static void
it_comes_back_as_it_was_stored(void **state)
{
	struct contacts *c = contacts_create(), *copy = contacts_create();
	json_t *notes;

	contacts_set(c, "web01", (struct contact){CONTACT_ONLINE, T0});
	contacts_set(c, "web02", (struct contact){CONTACT_OFFLINE, T0 + 1});
	contacts_set(c, "web03", (struct contact){CONTACT_NEVER, 0});
	contacts_look(c, T0 + 2);
	notes = contacts_take_changes(c);
	contacts_load(copy, notes);
	assert_contact(copy, "web01", CONTACT_ONLINE, T0);
	assert_contact(copy, "web02", CONTACT_OFFLINE, T0 + 1);
	assert_contact(copy, "web03", CONTACT_NEVER, 0);
	assert_contact(copy, "web04", CONTACT_UNKNOWN, 0);
	assert_int_equal(contacts_looked_at(copy), T0 + 2);
	assert_false(contacts_are_changed(copy));
	json_decref(notes);
	contacts_destroy(c);
	contacts_destroy(copy);
}

/* One host that changes is one small note, however many there are. */
static void
what_did_not_change_is_not_stored(void **state)
{
	struct contacts *c = contacts_create();
	json_t *notes, *again;
	char host[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(host, sizeof(host), "web%04d", i);
		contacts_set(c, host, (struct contact){CONTACT_ONLINE, T0});
	}
	notes = contacts_take_changes(c);
	assert_true(json_object_size(notes) > 10);
	json_decref(notes);
	assert_false(contacts_are_changed(c));
	contacts_set(c, "web0500", (struct contact){CONTACT_OFFLINE, T0 + 1});
	notes = contacts_take_changes(c);
	assert_int_equal(json_object_size(notes), 2); /* with the look */
	assert_false(contacts_are_changed(c));
	contacts_return_changes(c, notes); /* they were not stored */
	assert_true(contacts_are_changed(c));
	again = contacts_take_changes(c);
	assert_true(json_equal(notes, again));
	json_decref(again);
	json_decref(notes);
	contacts_destroy(c);
}

static bool
is_web01(const char *host, void *arg)
{
	return strcmp(host, "web01") == 0;
}

static void
hosts_that_are_gone(void **state)
{
	struct contacts *c = contacts_create();

	contacts_set(c, "web01", (struct contact){CONTACT_ONLINE, T0});
	contacts_set(c, "web02", (struct contact){CONTACT_ONLINE, T0});
	contacts_retain(c, is_web01, NULL);
	assert_contact(c, "web01", CONTACT_ONLINE, T0);
	assert_contact(c, "web02", CONTACT_UNKNOWN, 0);
	contacts_destroy(c);
}

/* Nobody knows how it is now when nobody has looked for long, or says that he does not any more. */
static void
a_book_that_nobody_keeps(void **state)
{
	struct contacts *c = contacts_create();

	assert_int_equal(contacts_now(c, "web01", 0, T0).state, CONTACT_UNKNOWN);
	contacts_set(c, "web01", (struct contact){CONTACT_ONLINE, T0});
	contacts_look(c, T0);
	assert_int_equal(contacts_now(c, "web01", 0, T0 + CONTACTS_FRESH_MS).state, CONTACT_ONLINE);
	assert_int_equal(
	    contacts_now(c, "web01", 0, T0 + CONTACTS_FRESH_MS + 1).state, CONTACT_UNKNOWN);
	contacts_end(c);
	assert_int_equal(contacts_now(c, "web01", 0, T0).state, CONTACT_UNKNOWN);
	contacts_look(c, T0);
	assert_int_equal(contacts_now(c, "web01", 0, T0).state, CONTACT_ONLINE);
	contacts_destroy(c);
}

/* Who has answered since the look has an agent, whatever the look saw. */
static void
an_answer_after_the_look(void **state)
{
	struct contacts *c = contacts_create();
	struct contact now;

	contacts_set(c, "web01", (struct contact){CONTACT_NEVER, 0});
	contacts_set(c, "web02", (struct contact){CONTACT_OFFLINE, T0 - 5});
	contacts_set(c, "web03", (struct contact){CONTACT_ONLINE, T0 - 5});
	contacts_look(c, T0);
	assert_int_equal(contacts_now(c, "web01", T0, T0 + 2).state, CONTACT_NEVER);
	for (const char *host = "web01\0web02\0web04\0"; *host != '\0'; host += strlen(host) + 1) {
		now = contacts_now(c, host, T0 + 1, T0 + 2);
		assert_int_equal(now.state, CONTACT_ONLINE);
		assert_int_equal(now.since_ms, T0 + 1);
	}
	assert_int_equal(contacts_now(c, "web03", T0 + 1, T0 + 2).since_ms, T0 - 5);
	contacts_end(c);
	assert_int_equal(contacts_now(c, "web01", T0 + 1, T0 + 2).state, CONTACT_UNKNOWN);
	contacts_destroy(c);
}

static void
what_is_garbled_is_not_known(void **state)
{
	struct contacts *c = contacts_create(), *odd = contacts_create();
	const char *id;
	json_t *notes, *value;

	contacts_set(c, "web01", (struct contact){CONTACT_ONLINE, T0});
	notes = contacts_take_changes(c);
	json_object_foreach (notes, id, value) {
		json_object_set_new(value, "web01", json_pack("[s]", "away"));
		json_object_set_new(value, "at", json_integer(7));
	}
	contacts_load(odd, notes);
	assert_contact(odd, "web01", CONTACT_UNKNOWN, 0);
	assert_int_equal(contacts_looked_at(odd), 0);
	json_decref(notes);
	contacts_destroy(c);
	contacts_destroy(odd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_comes_back_as_it_was_stored),
	    cmocka_unit_test(what_did_not_change_is_not_stored),
	    cmocka_unit_test(hosts_that_are_gone),
	    cmocka_unit_test(a_book_that_nobody_keeps),
	    cmocka_unit_test(an_answer_after_the_look),
	    cmocka_unit_test(what_is_garbled_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
