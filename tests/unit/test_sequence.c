/* SPDX-License-Identifier: Apache-2.0 */
/* No mark is ever given twice: clocks that jump, files that are torn at any byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1790000000000)

struct fixture {
	char dir[64];
	char path[96];
	struct trouble trouble;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	ident_init();
	strcpy(f->dir, "/tmp/vogeler-order-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/order", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char path[128];

	unlink(f->path);
	snprintf(path, sizeof(path), "%s.new", f->path);
	unlink(path);
	rmdir(path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static struct sequence *
open_at(struct fixture *f, int64_t wallclock_ms)
{
	struct sequence *o = sequence_open(f->path, wallclock_ms, &f->trouble);

	if (o == NULL)
		fail_msg("%s", f->trouble.what);
	return o;
}

static size_t
read_file(struct fixture *f, char out[512])
{
	FILE *in = fopen(f->path, "re");
	size_t len;

	assert_non_null(in);
	len = fread(out, 1, 511, in);
	out[len] = '\0';
	fclose(in);
	return len;
}

static void
write_file(struct fixture *f, const char *text, size_t len)
{
	FILE *out = fopen(f->path, "we");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static void
follows_the_clock_and_never_repeats(void **state)
{
	struct sequence *o = open_at(*state, NOW);

	assert_int_equal(sequence_next(o, NOW), NOW);
	assert_int_equal(sequence_next(o, NOW), NOW + 1);
	assert_int_equal(sequence_next(o, NOW), NOW + 2);
	assert_int_equal(sequence_next(o, NOW + 10), NOW + 10);
	assert_int_equal(sequence_next(o, NOW - 1000000), NOW + 11);
	sequence_close(o);
}

static void
a_new_life_starts_above_the_last(void **state)
{
	struct fixture *f = *state;
	int64_t last = 0;

	for (int life = 0; life < 5; life++) {
		/* The clock is a year back each time. */
		int64_t wall = NOW - life * INT64_C(31536000000);
		struct sequence *o = open_at(f, wall);

		for (int i = 0; i < 200; i++) {
			int64_t mark = sequence_next(o, wall + i * 1000);

			assert_true(mark > last);
			last = mark;
		}
		sequence_close(o);
	}
}

/* Ends it without a word to the disk. */
static void
crash(struct fixture *f, struct sequence *o)
{
	char text[512];
	size_t len = read_file(f, text);

	sequence_close(o);
	write_file(f, text, len);
}

static void
whoever_ends_leaves_no_mark_ahead_of_the_clock(void **state)
{
	struct fixture *f = *state;
	int64_t wall = NOW;

	for (int life = 0; life < 20; life++, wall += 1000) {
		struct sequence *o = open_at(f, wall);

		assert_int_equal(sequence_next(o, wall), wall);
		sequence_close(o);
		sequence_close(open_at(f, wall + 1)); /* this one gives none */
	}
}

static void
crashes_do_not_run_away_from_the_clock(void **state)
{
	struct fixture *f = *state;
	int64_t wall = NOW, last = 0, mark;

	for (int life = 0; life < 100; life++, wall += 2 * SEQUENCE_AHEAD_MARKS) {
		struct sequence *o = open_at(f, wall);

		for (int i = 0; i < 10; i++) {
			mark = sequence_next(o, wall);
			assert_true(mark > last);
			last = mark;
		}
		assert_true(mark <= wall + SEQUENCE_AHEAD_MS + 2 * SEQUENCE_AHEAD_MARKS);
		crash(f, o);
	}
}

/* More marks than one ceiling has, all ahead of the clock. */
static void
marks_ahead_of_the_clock_are_kept_too(void **state)
{
	struct fixture *f = *state;
	struct sequence *o = open_at(f, NOW);
	int64_t mark = 0;

	for (int i = 0; i < 5 * SEQUENCE_AHEAD_MARKS; i++)
		mark = sequence_next(o, NOW - 1000000);
	crash(f, o);
	o = open_at(f, NOW - 1000000);
	assert_true(sequence_next(o, NOW - 1000000) > mark);
	sequence_close(o);
}

static void
writes_once_a_minute_at_most(void **state)
{
	struct fixture *f = *state;
	struct sequence *o = open_at(f, NOW);
	char before[512], after[512];

	read_file(f, before);
	sequence_next(o, NOW + SEQUENCE_AHEAD_MS);
	read_file(f, after);
	assert_string_equal(before, after);
	sequence_next(o, NOW + SEQUENCE_AHEAD_MS + 1);
	read_file(f, after);
	assert_string_not_equal(before, after);
	sequence_close(o);
}

static void
torn_at_any_byte_falls_back_to_the_clock(void **state)
{
	struct fixture *f = *state;
	char text[512];
	size_t len;

	crash(f, open_at(f, NOW));
	len = read_file(f, text);
	assert_true(len > 70);
	for (size_t cut = 0; cut < len; cut++) {
		struct sequence *o;

		write_file(f, text, cut);
		o = open_at(f, NOW + 5);
		assert_int_equal(sequence_next(o, NOW + 5), NOW + 5);
		sequence_close(o);
	}
	write_file(f, text, len); /* whole, it counts */
	{
		struct sequence *o = open_at(f, NOW + 5);

		assert_int_equal(sequence_next(o, NOW + 5), NOW + SEQUENCE_AHEAD_MS + 1);
		sequence_close(o);
	}
}

static void
altered_at_any_byte_falls_back_to_the_clock(void **state)
{
	struct fixture *f = *state;
	char text[512];
	size_t len;

	sequence_close(open_at(f, NOW));
	len = read_file(f, text);
	for (size_t i = 0; i < len; i++) {
		struct sequence *o;
		char bad[512];

		memcpy(bad, text, len);
		bad[i] ^= 1;
		write_file(f, bad, len);
		o = open_at(f, NOW + 5);
		assert_int_equal(sequence_next(o, NOW + 5), NOW + 5);
		sequence_close(o);
	}
}

static void
garbage_falls_back_to_the_clock(void **state)
{
	struct fixture *f = *state;
	char big[2000];
	struct sequence *o;

	memset(big, '9', sizeof(big));
	write_file(f, big, sizeof(big));
	o = open_at(f, NOW);
	assert_int_equal(sequence_next(o, NOW), NOW);
	sequence_close(o);
	write_file(f, "\0\0\0\0", 4);
	o = open_at(f, NOW);
	assert_int_equal(sequence_next(o, NOW), NOW);
	sequence_close(o);
}

static void
unwritable_names_the_path(void **state)
{
	struct fixture *f = *state;
	char path[128];

	/* Also for root, whom permissions do not stop. */
	snprintf(path, sizeof(path), "%s.new", f->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_null(sequence_open(f->path, NOW, &f->trouble));
	assert_non_null(strstr(f->trouble.what, f->path));
	assert_non_null(strstr(f->trouble.what, strerror(EISDIR)));
	assert_string_not_equal(f->trouble.cure, "");
	assert_null(sequence_open("/nonexistent/order", NOW, &f->trouble));
	assert_non_null(strstr(f->trouble.what, "/nonexistent/order"));
}

/* The disk fails later: marks go on, and are durable again when it is well. */
static void
goes_on_when_the_disk_fails(void **state)
{
	struct fixture *f = *state;
	struct sequence *o = open_at(f, NOW);
	int64_t later = NOW + 10 * SEQUENCE_AHEAD_MS;
	char path[128];

	snprintf(path, sizeof(path), "%s.new", f->path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(sequence_next(o, later), later);
	assert_int_equal(sequence_next(o, later), later + 1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(sequence_next(o, later), later + 2);
	sequence_close(o);
	o = open_at(f, NOW);
	assert_true(sequence_next(o, NOW) > later + 2);
	sequence_close(o);
}

static void
read_id(void **state)
{
	struct fixture *f = *state;
	char *id;

	assert_null(sequence_read_id(f->path));
	write_file(f, "", 0);
	assert_null(sequence_read_id(f->path));
	write_file(f, "\n", 1);
	assert_null(sequence_read_id(f->path));
	write_file(f, "abc\ndef\n", 8);
	id = sequence_read_id(f->path);
	assert_string_equal(id, "abc");
	free(id);
	id = sequence_read_id("/proc/sys/kernel/random/boot_id");
	assert_int_equal(strlen(id), 36);
	free(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(follows_the_clock_and_never_repeats),
	    TEST(a_new_life_starts_above_the_last),
	    TEST(whoever_ends_leaves_no_mark_ahead_of_the_clock),
	    TEST(crashes_do_not_run_away_from_the_clock),
	    TEST(marks_ahead_of_the_clock_are_kept_too),
	    TEST(writes_once_a_minute_at_most),
	    TEST(torn_at_any_byte_falls_back_to_the_clock),
	    TEST(altered_at_any_byte_falls_back_to_the_clock),
	    TEST(garbage_falls_back_to_the_clock),
	    TEST(unwritable_names_the_path),
	    TEST(goes_on_when_the_disk_fails),
	    TEST(read_id),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
