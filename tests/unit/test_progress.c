/* SPDX-License-Identifier: Apache-2.0 */
/* The line on the terminal: its text at every width, when it is drawn, and that it is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/progress.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void
assert_text(const struct progress_state *s, unsigned int width, bool color, const char *expected)
{
	char *text = progress_text(s, width, color);

	assert_string_equal(text, expected);
	free(text);
}

static void
text_at_a_width(void **state)
{
	struct progress_state s = {.counts = {.targets = 40}, .rate = 2.5};

	s.counts.by[OUTCOME_OK] = 18;
	s.counts.by[OUTCOME_FAILED] = 2;
	s.counts.by[OUTCOME_QUEUED] = 20;
	s.counts.open = 20;
	assert_text(&s, 200, false,
	    "[####################--------------------] 20/40  18 ok  2 failed  2.5/s  8 s left");
	assert_text(&s, 60, false, "[########---------] 20/40  18 ok  2 failed  2.5/s  8 s left");
	assert_text(&s, 50, false, "20/40  18 ok  2 failed  2.5/s  8 s left");
	assert_text(&s, 20, false, "20/40  18 ok  2 fai");
	assert_text(&s, 1, false, "");
	assert_text(&s, 0, false, "");
	assert_text(&s, 60, true,
	    "[########---------] 20/40  18 ok  \033[31m2 failed\033[0m  2.5/s  8 s left");
	assert_text(&s, 20, true, "20/40  18 ok  2 fai");
	for (unsigned int width = 1; width < 120; width++) {
		char *text = progress_text(&s, width, false);

		assert_true(strlen(text) < width);
		free(text);
	}
}

static void
text_at_both_ends(void **state)
{
	struct progress_state s = {.counts = {.targets = 4}};

	s.counts.by[OUTCOME_QUEUED] = 4;
	s.counts.open = 4;
	assert_text(&s, 40, false, "[---------------------------------] 0/4");
	s.counts.by[OUTCOME_QUEUED] = 0;
	s.counts.open = 0;
	s.counts.by[OUTCOME_OK] = 4;
	s.rate = 100;
	assert_text(&s, 40, false, "[####################] 4/4  4 ok  100/s");
	s = (struct progress_state){0};
	assert_text(&s, 24, false, "[#################] 0/0");
}

#define MARK "\001" /* nothing else writes it */

struct fixture {
	struct loop *loop;
	int terminal, master;
	size_t done;
	unsigned int asked;
	struct progress *progress;
};

static void
count(struct fold_counts *out, void *arg)
{
	struct fixture *w = arg;

	w->asked++;
	*out = (struct fold_counts){.targets = 100};
	out->by[OUTCOME_OK] = w->done;
	out->by[OUTCOME_QUEUED] = out->open = 100 - w->done;
}

static int
setup(void **state)
{
	struct winsize size = {.ws_col = 60, .ws_row = 20};
	struct fixture *w = calloc(1, sizeof(*w));

	w->loop = loop_create();
	assert_int_equal(openpty(&w->master, &w->terminal, NULL, NULL, &size), 0);
	setenv("TERM", "xterm", 1);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	progress_destroy(w->progress);
	loop_destroy(w->loop);
	close(w->terminal);
	close(w->master);
	free(w);
	return 0;
}

/* What the terminal got since the last call. The kernel hands it over in its own time, in order: so
 * all of it is there when a mark that was written behind it is. */
static const char *
got(struct fixture *w)
{
	static char text[65536];
	size_t len = 0;

	assert_int_equal(write(w->terminal, MARK, 1), 1);
	do {
		ssize_t n = read(w->master, text + len, sizeof(text) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	} while (text[len - 1] != MARK[0]);
	text[len - 1] = '\0';
	return text;
}

static void
drawn_at_most_five_times_a_second_and_cleaned_away(void **state)
{
	struct fixture *w = *state;
	struct progress *p = w->progress = progress_create(w->loop, w->terminal, false, count, w);

	assert_non_null(p);
	assert_string_equal(got(w), "");
	for (int ms = 0; ms < 2000; ms += 10) {
		w->done = (size_t)(ms / 20);
		progress_touch(p);
		fake_advance(w->loop, 10);
	}
	assert_in_range(w->asked, 8, 10);
	assert_non_null(strstr(got(w), "/100"));
	w->asked = 0;
	fake_advance(w->loop, 10000); /* nothing new: as often as the rate falls */
	assert_in_range(w->asked, 9, 11);
	got(w);
	progress_clear(p);
	assert_string_equal(got(w), "\r\033[K");
	progress_clear(p);
	assert_string_equal(got(w), "");
	fake_advance(w->loop, 1000);
	assert_true(strncmp(got(w), "\r\033[K[", 5) == 0);
	progress_destroy(p);
	w->progress = NULL;
	assert_string_equal(got(w), "\r\033[K");
}

static void
as_wide_as_the_terminal(void **state)
{
	struct winsize narrow = {.ws_col = 8, .ws_row = 20};
	struct fixture *w = *state;
	struct progress *p = w->progress = progress_create(w->loop, w->terminal, false, count, w);

	assert_non_null(p);
	fake_advance(w->loop, 1000);
	assert_int_equal(strlen(strrchr(got(w), '\r')), strlen("\r\033[K") + 40 + 2 + 1 + 5);
	assert_int_equal(ioctl(w->master, TIOCSWINSZ, &narrow), 0);
	fake_advance(w->loop, 1000);
	assert_string_equal(strrchr(got(w), '\r'), "\r\033[K0/100");
}

static void
nothing_where_nobody_looks(void **state)
{
	struct fixture *w = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_null(progress_create(w->loop, ends[1], true, count, w));
	close(ends[0]);
	close(ends[1]);
	setenv("TERM", "dumb", 1);
	assert_null(progress_create(w->loop, w->terminal, true, count, w));
	unsetenv("TERM");
	assert_null(progress_create(w->loop, w->terminal, true, count, w));
	progress_touch(NULL);
	progress_clear(NULL);
	progress_destroy(NULL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_at_a_width),
	    cmocka_unit_test(text_at_both_ends),
	    TEST(drawn_at_most_five_times_a_second_and_cleaned_away),
	    TEST(as_wide_as_the_terminal),
	    TEST(nothing_where_nobody_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
