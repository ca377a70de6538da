/* SPDX-License-Identifier: Apache-2.0 */
/* See ticker.h. */
#include "shared/print/ticker.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TICK_MS       500
#define WIDTH_DEFAULT 80
#define CLEAN         "\r\033[K"

struct ticker {
	int fd;
	ticker_text_fn *fn;
	void *arg;
	struct loop_timer *timer;
	bool drawn;
};

/* Writes at once or not at all: what does not go out is drawn again soon. */
static void
put(const struct ticker *t, const char *text, size_t len)
{
	ssize_t n = write(t->fd, text, len);

	(void)n;
}

static void
ticker_on_tick(void *arg)
{
	struct ticker *t = arg;
	struct winsize size;
	char *text = t->fn(t->arg);
	size_t len = strlen(text), width = WIDTH_DEFAULT;

	if (ioctl(t->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		width = size.ws_col;
	put(t, CLEAN, sizeof(CLEAN) - 1);
	put(t, text, len < width ? len : width - 1);
	free(text);
	t->drawn = true;
	loop_timer_arm(t->timer, TICK_MS);
}

struct ticker *
ticker_create(struct loop *loop, int fd, ticker_text_fn *fn, void *arg)
{
	const char *term = getenv("TERM");
	struct ticker *t;

	if (!isatty(fd) || term == NULL || strcmp(term, "dumb") == 0)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	*t = (struct ticker){.fd = fd, .fn = fn, .arg = arg};
	t->timer = loop_timer_create(loop, "ticker", ticker_on_tick, t);
	loop_timer_arm(t->timer, TICK_MS);
	return t;
}

static void
clear(struct ticker *t)
{
	if (!t->drawn)
		return;
	put(t, CLEAN, sizeof(CLEAN) - 1);
	t->drawn = false;
}

void
ticker_destroy(struct ticker *t)
{
	if (t == NULL)
		return;
	clear(t);
	loop_timer_destroy(t->timer);
	free(t);
}
