#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/store/couch_cache.h"

#include <cmocka.h>
#include <stdio.h>

static void
takes_back_what_was_given(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20);
	struct couch_doc *d = couch_doc_create("a");

	(void)state;
	couch_doc_set_rev(d, "1-x");
	assert_null(couch_cache_take(c, "a"));
	couch_cache_give(c, d);
	assert_int_equal(couch_cache_count(c), 1);
	assert_int_equal(couch_cache_peek(c, "a"), couch_cache_bytes(c));
	assert_int_equal(couch_cache_peek(c, "b"), 0);
	assert_ptr_equal(couch_cache_take(c, "a"), d);
	assert_null(couch_cache_take(c, "a")); /* out while it is being written */
	assert_int_equal(couch_cache_bytes(c), 0);
	couch_doc_destroy(d);
	couch_cache_destroy(c);
}

static void
replaces_the_same_host(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20);
	struct couch_doc *second = couch_doc_create("a");

	(void)state;
	couch_cache_give(c, couch_doc_create("a"));
	couch_cache_give(c, second);
	assert_int_equal(couch_cache_count(c), 1);
	assert_ptr_equal(couch_cache_take(c, "a"), second);
	couch_doc_destroy(second);
	couch_cache_destroy(c);
}

static void
lets_the_least_used_go(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20);
	size_t one;

	(void)state;
	couch_cache_give(c, couch_doc_create("h000"));
	one = couch_cache_bytes(c);
	couch_cache_destroy(c);
	c = couch_cache_create(10 * one);
	for (int i = 0; i < 10; i++) {
		char host[8];

		snprintf(host, sizeof(host), "h%03d", i);
		couch_cache_give(c, couch_doc_create(host));
	}
	couch_cache_give(c, couch_cache_take(c, "h000")); /* used again */
	couch_cache_give(c, couch_doc_create("h010"));
	assert_int_equal(couch_cache_count(c), 10);
	assert_true(couch_cache_peek(c, "h000") > 0);
	assert_int_equal(couch_cache_peek(c, "h001"), 0);
	assert_true(couch_cache_bytes(c) <= 10 * one);
	couch_cache_clear(c);
	assert_int_equal(couch_cache_count(c), 0);
	assert_int_equal(couch_cache_bytes(c), 0);
	couch_cache_destroy(c);
}

static void
holds_nothing_that_is_larger_than_itself(void **state)
{
	struct couch_cache *c = couch_cache_create(16);

	(void)state;
	couch_cache_give(c, couch_doc_create("a"));
	assert_int_equal(couch_cache_count(c), 0);
	couch_cache_destroy(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_back_what_was_given),
	    cmocka_unit_test(replaces_the_same_host),
	    cmocka_unit_test(lets_the_least_used_go),
	    cmocka_unit_test(holds_nothing_that_is_larger_than_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
