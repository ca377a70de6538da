/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_cache.h"
#include "shared/store/couch/pack.h"
#include "shared/store/store.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pack *pack;

static size_t
peek(const struct couch_cache *c, const char *host)
{
	struct store_write w = {.host = host};

	return couch_cache_peek(c, &w);
}

static void
takes_back_what_was_given(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20, pack);
	struct couch_doc *d = couch_doc_create("a");

	(void)state;
	couch_doc_set_rev(d, "1-x");
	assert_null(couch_cache_take(c, "a"));
	couch_cache_give(c, d);
	assert_int_equal(couch_cache_count(c), 1);
	assert_true(peek(c, "a") > 0);
	assert_int_equal(peek(c, "b"), 0);
	assert_ptr_equal(couch_cache_take(c, "a"), d);
	assert_null(couch_cache_take(c, "a")); /* out while it is being written */
	assert_int_equal(couch_cache_bytes(c), 0);
	couch_doc_destroy(d);
	couch_cache_destroy(c);
}

static void
replaces_the_same_host(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20, pack);
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
	struct couch_cache *c = couch_cache_create(1 << 20, pack);
	size_t one;

	(void)state;
	couch_cache_give(c, couch_doc_create("h000"));
	one = couch_cache_bytes(c);
	couch_cache_destroy(c);
	c = couch_cache_create(10 * one, pack);
	for (int i = 0; i < 10; i++) {
		char host[8];

		snprintf(host, sizeof(host), "h%03d", i);
		couch_cache_give(c, couch_doc_create(host));
	}
	couch_cache_give(c, couch_cache_take(c, "h000")); /* used again */
	couch_cache_give(c, couch_doc_create("h010"));
	assert_int_equal(couch_cache_count(c), 10);
	assert_true(peek(c, "h000") > 0);
	assert_int_equal(peek(c, "h001"), 0);
	assert_true(couch_cache_bytes(c) <= 10 * one);
	couch_cache_clear(c);
	assert_int_equal(couch_cache_count(c), 0);
	assert_int_equal(couch_cache_bytes(c), 0);
	couch_cache_destroy(c);
}

static void
holds_nothing_that_is_larger_than_itself(void **state)
{
	struct couch_cache *c = couch_cache_create(16, pack);

	(void)state;
	couch_cache_give(c, couch_doc_create("a"));
	assert_int_equal(couch_cache_count(c), 0);
	couch_cache_destroy(c);
}

/* What is kept of a large value is small, and is itself again before it is written. */
static void
values_lie_there_compressed(void **state)
{
	struct couch_cache *c = couch_cache_create(1 << 20, pack);
	struct couch_doc *d = couch_doc_create("a");
	struct result r, *one = &r;
	struct store_write w = {.host = "a", .results = &one, .n = 1};
	struct buf plain, again;
	char value[100000];

	(void)state;
	value[0] = '"';
	for (size_t i = 1; i < sizeof(value) - 2; i++)
		value[i] = "package-1.2.3 "[i % 14];
	memcpy(value + sizeof(value) - 2, "\"", 2);
	result_init(&r);
	r.plugin = xstrdup("p");
	r.value = xstrdup(value);
	r.value_len = strlen(value);
	ident_hash(r.hash, value, r.value_len);
	couch_doc_apply(d, &w);
	buf_init(&plain, 1 << 20);
	buf_init(&again, 1 << 20);
	assert_true(couch_doc_write(&plain, d));
	couch_cache_give(c, d);
	assert_true(couch_cache_bytes(c) < r.value_len / 5);
	d = couch_cache_take(c, "a");
	assert_null(d->facts[0].value);
	assert_true(couch_doc_unpack(d, pack));
	assert_true(couch_doc_write(&again, d));
	assert_string_equal(plain.data, again.data);
	/* The same value again, whose text is at hand, is not made a second time. */
	couch_doc_pack(d, pack);
	couch_doc_apply(d, &w);
	assert_ptr_equal(d->facts[0].value, r.value);
	assert_true(couch_doc_unpack(d, pack));
	assert_ptr_equal(d->facts[0].value, r.value);
	couch_doc_pack(d, pack);
	/* A value that takes its place is not mixed up with it. */
	free(r.value);
	r.value = xstrdup("\"short\"");
	r.value_len = strlen(r.value);
	ident_hash(r.hash, r.value, r.value_len);
	couch_doc_apply(d, &w);
	couch_cache_give(c, d);
	d = couch_cache_take(c, "a");
	assert_true(couch_doc_unpack(d, pack));
	assert_ptr_not_equal(d->facts[0].value, r.value);
	assert_string_equal(d->facts[0].value, "\"short\"");
	couch_doc_destroy(d);
	buf_finish(&plain);
	buf_finish(&again);
	result_finish(&r);
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
	    cmocka_unit_test(values_lie_there_compressed),
	};

	int failed;

	pack = pack_create();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	pack_destroy(pack);
	return failed;
}
