/* SPDX-License-Identifier: Apache-2.0 */
/* buf: caps, growth, ownership, files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
appends_and_terminates(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_null(b.data);
	assert_true(buf_append(&b, "ab\0c", 4));
	assert_true(buf_append_str(&b, "de"));
	assert_true(buf_append_char(&b, 'f'));
	assert_true(buf_printf(&b, "-%d", 42));
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "ab\0cdef-42", 11);
	buf_finish(&b);
	assert_null(b.data);
	assert_int_equal(b.max, 1000);
}

static void
an_empty_append_terminates(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	assert_true(buf_append(&b, NULL, 0));
	assert_string_equal(b.data, "");
	assert_false(buf_append_char(&b, 'x'));
	assert_string_equal(b.data, "");
	buf_finish(&b);
}

static void
the_cap_holds_and_leaves_content(void **state)
{
	struct buf b;

	buf_init(&b, 5);
	assert_true(buf_append_str(&b, "abc"));
	assert_false(buf_append_str(&b, "def"));
	assert_string_equal(b.data, "abc");
	assert_false(buf_printf(&b, "%s", "def"));
	assert_string_equal(b.data, "abc");
	assert_int_equal(b.len, 3);
	assert_true(buf_append_str(&b, "de"));
	assert_string_equal(b.data, "abcde");
	assert_true(b.cap <= 6);
	assert_false(buf_append(&b, "x", SIZE_MAX));
	buf_finish(&b);
}

static void
grows_byte_by_byte(void **state)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	for (int i = 0; i < 100000; i++)
		assert_true(buf_append_char(&b, (char)('a' + i % 26)));
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_true(b.data[i] == 'a' + i % 26);
	buf_finish(&b);
}

static void
truncates_drops_and_resets(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	buf_drop_front(&b, 0);
	buf_truncate(&b, 0);
	assert_true(buf_append_str(&b, "hello world"));
	buf_drop_front(&b, 6);
	assert_string_equal(b.data, "world");
	buf_truncate(&b, 2);
	assert_string_equal(b.data, "wo");
	buf_drop_front(&b, 2);
	assert_string_equal(b.data, "");
	assert_true(buf_append_str(&b, "again"));
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_non_null(b.data);
	buf_finish(&b);
}

static void
what_is_taken_has_little_room_left(void **state)
{
	char fill[1000];
	struct buf b;

	memset(fill, 'x', sizeof(fill));
	buf_init(&b, 1 << 20);
	for (size_t len = 1; len < 300000; len += len / 3 + 1) {
		size_t got;
		char *s;

		while (b.len + sizeof(fill) <= len)
			assert_true(buf_append(&b, fill, sizeof(fill)));
		assert_true(buf_append(&b, fill, len - b.len));
		s = buf_take(&b, &got);
		assert_int_equal(got, len);
		assert_int_equal(strspn(s, "x"), len);
		/* malloc's own rounding is small change. */
		assert_true(malloc_usable_size(s) <= len + len / 8 + 32);
		free(s);
	}
	buf_finish(&b);
}

static void
take_moves_ownership(void **state)
{
	struct buf b;
	size_t len;
	char *s;

	buf_init(&b, 100);
	s = buf_take(&b, &len);
	assert_string_equal(s, "");
	assert_int_equal(len, 0);
	free(s);
	assert_true(buf_append_str(&b, "mine"));
	s = buf_take(&b, NULL);
	assert_string_equal(s, "mine");
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_true(buf_append_str(&b, "next"));
	assert_string_equal(s, "mine");
	free(s);
	buf_finish(&b);
}

static char *
temp_file(char *path, const char *data, size_t len)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
	return path;
}

static void
reads_a_file(void **state)
{
	char path[] = "/tmp/vogeler-buf-XXXXXX";
	struct buf b;
	int err = 0;

	temp_file(path, "one\0two", 7);
	buf_init(&b, 9);
	assert_true(buf_append_str(&b, ">"));
	assert_true(buf_read_file(&b, path, &err));
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, ">one\0two", 9);
	assert_false(buf_read_file(&b, path, &err));
	assert_int_equal(err, EFBIG);
	assert_int_equal(b.len, 8);
	unlink(path);
	buf_finish(&b);
}

static void
reads_a_large_file_up_to_its_cap(void **state)
{
	char path[] = "/tmp/vogeler-buf-XXXXXX";
	size_t size = 300 * 1000;
	char *data = malloc(size);
	struct buf b;
	int err = 0;

	assert_non_null(data);
	memset(data, 'x', size);
	temp_file(path, data, size);
	buf_init(&b, size);
	assert_true(buf_read_file(&b, path, &err));
	assert_int_equal(b.len, size);
	buf_finish(&b);
	buf_init(&b, size - 1);
	assert_false(buf_read_file(&b, path, &err));
	assert_int_equal(err, EFBIG);
	assert_int_equal(b.len, 0);
	buf_finish(&b);
	unlink(path);
	free(data);
}

static void
refuses_what_is_not_a_regular_file(void **state)
{
	char dir[] = "/tmp/vogeler-buf-XXXXXX";
	char fifo[64];
	struct buf b;
	int err = 0;

	buf_init(&b, 100);
	assert_non_null(mkdtemp(dir));
	assert_false(buf_read_file(&b, dir, &err));
	assert_int_equal(err, EISDIR);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_false(buf_read_file(&b, fifo, &err));
	assert_int_equal(err, ENOENT);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_false(buf_read_file(&b, fifo, &err)); /* and does not wait for a writer */
	assert_int_equal(err, EINVAL);
	unlink(fifo);
	rmdir(dir);
	assert_false(buf_read_file(&b, "/dev/zero", &err));
	assert_int_equal(err, EINVAL);
	buf_finish(&b);
}

/* As for each program that is given it in the place of a file. */
static void
the_null_device_is_an_empty_file(void **state)
{
	struct buf b;
	int err = 0;

	buf_init(&b, 100);
	assert_true(buf_read_file(&b, "/dev/null", &err));
	assert_int_equal(b.len, 0);
	buf_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(appends_and_terminates),
	    cmocka_unit_test(an_empty_append_terminates),
	    cmocka_unit_test(the_cap_holds_and_leaves_content),
	    cmocka_unit_test(grows_byte_by_byte),
	    cmocka_unit_test(truncates_drops_and_resets),
	    cmocka_unit_test(take_moves_ownership),
	    cmocka_unit_test(what_is_taken_has_little_room_left),
	    cmocka_unit_test(reads_a_file),
	    cmocka_unit_test(reads_a_large_file_up_to_its_cap),
	    cmocka_unit_test(refuses_what_is_not_a_regular_file),
	    cmocka_unit_test(the_null_device_is_an_empty_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
