/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. */
#include "runner/print/progress.h"

#include "runner/print/output.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_MS       200  /* between two drawings at least */
#define TICK_MS       1000 /* and at most: the rate falls while nothing comes */
#define SAMPLES       11   /* one a second: the rate is that of the last ten seconds */
#define WIDTH_DEFAULT 80
#define BAR_MIN       10
#define BAR_MAX       40
#define CLEAN         "\r\033[K"

struct sample {
	struct mono at;
	size_t done;
};

struct progress {
	struct loop *loop;
	int fd;
	bool color;
	progress_count_fn *fn;
	void *arg;
	struct loop_timer *draw;
	struct mono drawn_at;
	bool drawn, touched;
	struct sample samples[SAMPLES]; /* the newest first */
	size_t n;
};

static void on_draw(void *arg);

struct progress *
progress_create(struct loop *loop, int fd, bool color, progress_count_fn *fn, void *arg)
{
	const char *term = getenv("TERM");
	struct progress *p;

	if (!isatty(fd) || term == NULL || strcmp(term, "dumb") == 0)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->loop = loop;
	p->fd = fd;
	p->color = color;
	p->fn = fn;
	p->arg = arg;
	p->draw = loop_timer_create(loop, "progress", on_draw, p);
	p->drawn_at = loop_now(loop); /* what is over at once is not worth a line */
	loop_timer_arm(p->draw, DRAW_MS);
	return p;
}

static size_t
done_of(const struct fold_counts *c)
{
	return c->targets - c->open;
}

/* ---- the text ---- */

static char *
describe(const struct progress_state *s, bool color)
{
	const struct fold_counts *c = &s->counts;
	char span[UNITS_SPAN_SIZE], *text = NULL;
	size_t size, done = done_of(c);
	FILE *out = xmemstream(&text, &size);

	fprintf(out, "%zu/%zu", done, c->targets);
	for (int i = 0; i < OUTCOME_QUEUED; i++) {
		bool bad = i != OUTCOME_OK && color;

		if (c->by[i] > 0)
			fprintf(out, "  %s%zu %s%s", bad ? "\033[31m" : "", c->by[i],
			    outcome_state_name((enum outcome_state)i), bad ? "\033[0m" : "");
	}
	if (s->rate > 0) {
		fprintf(out, s->rate < 10 ? "  %.1f/s" : "  %.0f/s", s->rate);
		if (done < c->targets)
			fprintf(out, "  %s left",
			    units_span(
				(int64_t)((double)(c->targets - done) / s->rate * 1000), span));
	}
	fclose(out);
	return text;
}

char *
progress_text(const struct progress_state *s, unsigned int width, bool color)
{
	char *plain = describe(s, false), *text, *line;
	char bar[BAR_MAX + 1];
	size_t len = strlen(plain), room, full;

	/* The last column stays free: some terminals begin a new line when it is written. */
	room = width > len + 4 ? width - 4 - len : 0;
	if (room < BAR_MIN) {
		if (len >= width)
			plain[width > 0 ? width - 1 : 0] = '\0';
		return plain;
	}
	if (room > BAR_MAX)
		room = BAR_MAX;
	full = s->counts.targets > 0 ? room * done_of(&s->counts) / s->counts.targets : room;
	memset(bar, '#', full);
	memset(bar + full, '-', room - full);
	bar[room] = '\0';
	text = describe(s, color);
	xasprintf(&line, "[%s] %s", bar, text);
	free(text);
	free(plain);
	return line;
}

/* ---- drawing ---- */

static unsigned int
width_of(int fd)
{
	struct winsize size;

	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_DEFAULT;
}

static double
rate_of(struct progress *p, size_t done)
{
	struct mono now = loop_now(p->loop);
	const struct sample *oldest;

	if (p->n == 0 || mono_diff(now, p->samples[0].at) >= TICK_MS) {
		p->n = p->n < SAMPLES ? p->n + 1 : SAMPLES;
		memmove(&p->samples[1], &p->samples[0], (p->n - 1) * sizeof(p->samples[0]));
		p->samples[0] = (struct sample){now, done};
	}
	oldest = &p->samples[p->n - 1];
	if (done <= oldest->done || mono_diff(now, oldest->at) < TICK_MS)
		return 0;
	return (double)(done - oldest->done) * 1000 / (double)mono_diff(now, oldest->at);
}

/* Writes at once or not at all: what does not go out is drawn again soon. */
static void
put(const struct progress *p, const char *text)
{
	ssize_t n = write(p->fd, text, strlen(text));

	(void)n;
}

static void
on_draw(void *arg)
{
	struct progress *p = arg;
	struct progress_state s = {0};
	char *text, *line;

	p->fn(&s.counts, p->arg);
	s.rate = rate_of(p, done_of(&s.counts));
	text = progress_text(&s, width_of(p->fd), p->color);
	xasprintf(&line, CLEAN "%s", text);
	put(p, line);
	free(line);
	free(text);
	p->drawn = true;
	p->touched = false;
	p->drawn_at = loop_now(p->loop);
	loop_timer_arm(p->draw, TICK_MS);
}

void
progress_touch(struct progress *p)
{
	int64_t since;

	if (p == NULL || p->touched)
		return;
	p->touched = true;
	since = mono_diff(loop_now(p->loop), p->drawn_at);
	loop_timer_arm(p->draw, since < DRAW_MS ? DRAW_MS - since : 0);
}

void
progress_clear(struct progress *p)
{
	if (p == NULL || !p->drawn)
		return;
	put(p, CLEAN);
	p->drawn = false;
}

void
progress_destroy(struct progress *p)
{
	if (p == NULL)
		return;
	progress_clear(p);
	loop_timer_destroy(p->draw);
	free(p);
}
