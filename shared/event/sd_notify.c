/* SPDX-License-Identifier: Apache-2.0 */
/* See sd_notify.h. */
#include "shared/event/sd_notify.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STATUS_SIZE 512
#define AGAIN_MS    1000
#define STOP_SLACK  5000 /* ms: for what comes after the loop */
/* While something is prepared: so much more time, asked for so often. */
#define PREPARING_MS   30000
#define PREPARING_EACH 5000

enum phase { PHASE_STARTING, PHASE_PREPARING, PHASE_READY, PHASE_RELOADING, PHASE_STOPPING };

struct sd_notify {
	int fd; /* -1: there is nobody to tell */
	struct sockaddr_un address;
	socklen_t address_len;
	struct loop_timer *timer; /* READY=1, then the watchdog, or what was not taken */
	int64_t watchdog_ms;      /* between two pings; 0 = none asked for */
	enum phase phase;
	bool preparing;       /* READY is not to follow STARTING yet */
	bool owing;           /* the manager did not take the last datagram */
	uint64_t extend_usec; /* STOPPING: the time to ask for, until it was taken; 0 = none */
	char status[STATUS_SIZE];
};

static bool
set_address(struct sd_notify *n, const char *path)
{
	size_t len = strlen(path);

	/* A path, or a name in the abstract namespace, written with '@'. vsock is for machines. */
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(n->address.sun_path)) {
		log_warn("notify", "NOTIFY_SOCKET=%s is not understood: telling nobody", path);
		return false;
	}
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, path, len);
	if (path[0] == '@')
		n->address.sun_path[0] = '\0';
	n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

static bool
read_number(const char *name, uint64_t *number)
{
	const char *text = getenv(name);
	char *end = NULL;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

/* sd_watchdog_enabled(3): the environment may be another process's. */
static int64_t
watchdog_interval(void)
{
	uint64_t usec, pid;

	if (!read_number("WATCHDOG_USEC", &usec) || usec == 0 || usec > INT64_MAX)
		return 0;
	if (getenv("WATCHDOG_PID") != NULL &&
	    (!read_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	return usec < 2000 ? 1 : (int64_t)(usec / 2000); /* twice as often as needed */
}

/* The time to the next thing to do, if there is one. */
static void
set_timer(struct sd_notify *n)
{
	int64_t ms = n->watchdog_ms;

	if (n->phase == PHASE_PREPARING)
		loop_timer_arm(n->timer, ms == 0 || ms > PREPARING_EACH ? PREPARING_EACH : ms);
	else if (n->owing)
		loop_timer_arm(n->timer, ms == 0 || ms > AGAIN_MS ? AGAIN_MS : ms);
	else if (ms > 0 && !loop_timer_armed(n->timer))
		loop_timer_arm_within(n->timer, ms / 2, ms);
}

static void
tell(struct sd_notify *n, const char *text)
{
	ssize_t sent = sendto(n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
	    (const struct sockaddr *)&n->address, n->address_len);

	if (sent < 0 && !n->owing)
		log_warn("notify", "the service manager does not listen: %s", strerror(errno));
	n->owing = sent < 0;
	if (!n->owing)
		n->extend_usec = 0;
	set_timer(n);
}

static const char *
phase_text(enum phase phase)
{
	switch (phase) {
	case PHASE_STARTING:
	case PHASE_PREPARING:
	case PHASE_RELOADING:
		return "";
	case PHASE_READY:
		return "READY=1\n";
	case PHASE_STOPPING:
		return "STOPPING=1\n";
	}
	return "";
}

static void
tell_all(struct sd_notify *n)
{
	char text[STATUS_SIZE + 128], extend[64] = "";
	bool preparing = n->phase == PHASE_PREPARING;

	if (preparing)
		n->extend_usec = (uint64_t)PREPARING_MS * 1000;
	if (n->extend_usec > 0)
		snprintf(
		    extend, sizeof(extend), "EXTEND_TIMEOUT_USEC=%" PRIu64 "\n", n->extend_usec);
	snprintf(text, sizeof(text), "%s%s%sSTATUS=%s", phase_text(n->phase), extend,
	    preparing && n->watchdog_ms > 0 ? "WATCHDOG=1\n" : "", n->status);
	tell(n, text);
}

static void
on_timer(void *arg)
{
	struct sd_notify *n = arg;
	bool first = n->phase == PHASE_STARTING;

	if (first)
		n->phase = n->preparing ? PHASE_PREPARING : PHASE_READY;
	if (first || n->owing || n->phase == PHASE_PREPARING)
		tell_all(n);
	else if (n->watchdog_ms > 0)
		tell(n, "WATCHDOG=1");
	set_timer(n);
}

struct sd_notify *
sd_notify_create(struct loop *loop)
{
	struct sd_notify *n = xcalloc(1, sizeof(*n));
	const char *path = getenv("NOTIFY_SOCKET");

	n->fd = -1;
	if (path == NULL || !set_address(n, path))
		return n;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (n->fd < 0) {
		log_warn("notify", "telling the service manager nothing: %s", strerror(errno));
		return n;
	}
	n->watchdog_ms = watchdog_interval();
	n->timer = loop_timer_create(loop, "notify", on_timer, n);
	loop_timer_arm(n->timer, 0);
	return n;
}

void
sd_notify_destroy(struct sd_notify *n)
{
	if (n == NULL)
		return;
	loop_timer_destroy(n->timer);
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

void
sd_notify_preparing(struct sd_notify *n)
{
	n->preparing = true;
}

void
sd_notify_prepared(struct sd_notify *n)
{
	n->preparing = false;
	if (n->fd < 0 || n->phase != PHASE_PREPARING)
		return;
	n->phase = PHASE_READY;
	tell_all(n);
}

void
sd_notify_status(struct sd_notify *n, const char *fmt, ...)
{
	char status[STATUS_SIZE];
	va_list ap;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(status, sizeof(status), fmt, ap);
	va_end(ap);
	/* A line break would begin another variable. */
	status[strcspn(status, "\r\n")] = '\0';
	if (strcmp(status, n->status) == 0)
		return;
	memcpy(n->status, status, sizeof(status));
	if (n->phase != PHASE_STARTING)
		tell_all(n);
}

void
sd_notify_reloading(struct sd_notify *n)
{
	struct timespec now;
	char text[64];

	if (n->fd < 0 || n->phase != PHASE_READY)
		return;
	n->phase = PHASE_RELOADING;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	/* The time is for systemd 253 and later: which reload this is about. */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	tell(n, text);
}

void
sd_notify_reloaded(struct sd_notify *n)
{
	if (n->fd < 0 || n->phase != PHASE_RELOADING)
		return;
	n->phase = PHASE_READY;
	tell(n, "READY=1");
}

void
sd_notify_stopping(struct sd_notify *n, uint64_t need_ms)
{
	if (n->fd < 0)
		return;
	n->phase = PHASE_STOPPING;
	n->extend_usec = (need_ms + STOP_SLACK) * 1000;
	tell_all(n);
}
