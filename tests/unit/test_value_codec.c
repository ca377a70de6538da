/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/value_codec.h"

#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct value_coder *coder;

static int
set_up(void **state)
{
	(void)state;
	coder = value_coder_create();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	value_coder_destroy(coder);
	return 0;
}

/* A list like that of packages, n of them, of which one has another version. */
static char *
packages(unsigned int n, unsigned int odd, size_t *len)
{
	struct buf b;
	bool ok = true;

	buf_init(&b, SIZE_MAX / 2);
	for (unsigned int i = 0; i < n; i++)
		ok = ok && buf_printf(&b, "{\"name\":\"package-%u\",\"version\":\"%u.%u-%u\"},",
			       i * 2654435761u % 100003, i * 40503u % 97, i * 9973u % 89,
			       i == odd ? 7u : i % 5);
	assert_true(ok);
	return buf_take(&b, len);
}

static struct value_coded
keep(struct value_coded coded)
{
	char *copy = xcalloc(1, coded.len + 1);

	memcpy(copy, coded.data, coded.len);
	coded.data = copy;
	return coded;
}

static struct value_coded
encode(const char *text, size_t len, const char *key, size_t key_len)
{
	struct value_coded coded;

	assert_true(value_encode(coder, text, len, key, key_len, &coded));
	return keep(coded);
}

static void
assert_back(
    const struct value_coded *coded, const char *text, size_t len, const char *key, size_t key_len)
{
	char *back;

	assert_int_equal(
	    value_decode(coder, coded->codec, coded->data, coded->len, len, key, key_len, &back),
	    VALUE_DECODED);
	assert_memory_equal(back, text, len + 1);
	free(back);
}

static void
each_length_comes_back_whole(void **state)
{
	size_t len, most;
	char *text = packages(40, 3, &most);

	(void)state;
	for (len = 0; len <= most; len++) {
		char *part = xstrndup(text, len);
		struct value_coded coded = encode(part, len, NULL, 0);

		assert_in_range(coded.len, 0, len);
		assert_back(&coded, part, len, NULL, 0);
		free((char *)coded.data);
		free(part);
	}
	free(text);
}

/* From 10 bytes to some megabytes; what differs is small, and so is the difference. */
static void
a_difference_is_small_and_comes_back(void **state)
{
	static const unsigned int sizes[] = {4, 40, 1000, 30000, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len, key_len;
		char *key = packages(sizes[i], UINT_MAX, &key_len);
		char *text = packages(sizes[i], sizes[i] / 2, &len);
		struct value_coded coded = encode(text, len, key, key_len);

		assert_int_equal(coded.codec, VALUE_CODEC_DELTA);
		assert_in_range(coded.len, 1, 64 + len / 1000);
		assert_back(&coded, text, len, key, key_len);
		free((char *)coded.data);
		free(key);
		free(text);
	}
}

/* Each bit of a row that lies on a damaged disk: it is refused, or, since its hash is looked at by
 * who reads it, another text of the same length. */
static void
what_is_damaged_is_told_or_as_long(void **state)
{
	size_t len, key_len;
	char *key = packages(20, UINT_MAX, &key_len), *text = packages(20, 3, &len), *back;
	struct value_coded coded = encode(text, len, key, key_len);
	size_t told = 0;

	(void)state;
	for (size_t bit = 0; bit < coded.len * 8; bit++) {
		char *data = (char *)coded.data;
		enum value_decoded d;

		data[bit / 8] ^= (char)(1 << bit % 8);
		d = value_decode(coder, coded.codec, data, coded.len, len, key, key_len, &back);
		data[bit / 8] ^= (char)(1 << bit % 8);
		told += d == VALUE_DAMAGED;
		if (d == VALUE_DECODED)
			assert_int_equal(strlen(back) <= len, 1);
		free(back);
	}
	assert_true(told > 0);
	for (size_t n = 0; n < coded.len; n++)
		assert_int_equal(
		    value_decode(coder, coded.codec, coded.data, n, len, key, key_len, &back),
		    VALUE_DAMAGED);
	assert_back(&coded, text, len, key, key_len); /* the context is whole again */
	free((char *)coded.data);
	free(key);
	free(text);
}

static void
what_cannot_be_is_damaged(void **state)
{
	size_t len;
	char *text = packages(20, 3, &len), *back;
	struct value_coded coded = encode(text, len, NULL, 0);
	const struct {
		int64_t codec;
		size_t len;
		uint64_t bytes;
		const char *key;
	} rows[] = {
	    {-1, coded.len, len, NULL},
	    {3, coded.len, len, NULL},
	    {INT64_MAX, coded.len, len, NULL},
	    {VALUE_CODEC_ZSTD, coded.len, len + 1, NULL},
	    {VALUE_CODEC_ZSTD, coded.len, len - 1, NULL},
	    {VALUE_CODEC_ZSTD, coded.len, VALUE_CODEC_MAX + 1, NULL},
	    {VALUE_CODEC_ZSTD, coded.len, UINT64_MAX, NULL},
	    {VALUE_CODEC_ZSTD, coded.len, len, "a key that it was not made with"},
	    {VALUE_CODEC_DELTA, coded.len, len, NULL},
	    {VALUE_CODEC_TEXT, coded.len, len, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum value_decoded d =
		    value_decode(coder, rows[i].codec, coded.data, rows[i].len, rows[i].bytes,
			rows[i].key, rows[i].key == NULL ? 0 : strlen(rows[i].key), &back);

		if (d != VALUE_DAMAGED || back != NULL)
			fail_msg("row %zu is taken", i);
	}
	assert_back(&coded, text, len, NULL, 0);
	free((char *)coded.data);
	free(text);
}

static void
a_key_value_follows_when_differences_weigh_as_much(void **state)
{
	(void)state;
	assert_false(value_wants_key(0, 100, 1000));
	assert_false(value_wants_key(800, 100, 1000));
	assert_true(value_wants_key(900, 100, 1000));
	assert_true(value_wants_key(0, 1000, 1000)); /* as large as the value itself */
	assert_true(value_wants_key(0, 0, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_length_comes_back_whole),
	    cmocka_unit_test(a_difference_is_small_and_comes_back),
	    cmocka_unit_test(what_is_damaged_is_told_or_as_long),
	    cmocka_unit_test(what_cannot_be_is_damaged),
	    cmocka_unit_test(a_key_value_follows_when_differences_weigh_as_much),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
