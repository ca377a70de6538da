/* SPDX-License-Identifier: Apache-2.0 */
/* "doctor": is each link there, from the configuration file to the collector? A line each, with the
 * cure for what is not. */
#include "admin/doctor.h"

#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/wire/jsonx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_WARN_MS 5000

static void (*const chains[])(struct doctor *d) = {
    doctor_local, doctor_broker, doctor_store, doctor_commands};

const char *
check_status_name(enum check_status status)
{
	switch (status) {
	case CHECK_OK:
		return "ok";
	case CHECK_WARN:
		return "warn";
	case CHECK_FAIL:
		return "FAIL";
	case CHECK_SKIP:
		return "skip";
	}
	return "?";
}

static void
say(struct doctor *d, const char *check, enum check_status status, const char *text,
    const char *cure)
{
	char *detail = uri_mask_sentence(text); /* a folder may be given as one, by mistake */

	if (status == CHECK_FAIL)
		d->failed = true;
	if (d->v->json) {
		json_array_append_new(
		    d->list, json_pack("{s:s, s:s, s:o, s:s?}", "check", check, "status",
				 check_status_name(status), "detail",
				 jsonx_string_lossy(detail, strlen(detail), NULL), "cure", cure));
	} else {
		printable_line(stdout, "%-5s %-17s %s%s%s", check_status_name(status), check,
		    detail, cure == NULL ? "" : TROUBLE_CURE, cure == NULL ? "" : cure);
		fflush(stdout); /* the next check may take a while */
	}
	free(detail);
}

void
doctor_say(struct doctor *d, const char *check, enum check_status status, const char *cure,
    const char *fmt, ...)
{
	char detail[1536];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	say(d, check, status, detail, cure);
}

void
doctor_say_trouble(
    struct doctor *d, const char *check, enum check_status status, const struct trouble *t)
{
	say(d, check, status, t->what, t->cure[0] == '\0' ? NULL : t->cure);
}

void
doctor_say_clock(struct doctor *d, const char *check, int64_t off)
{
	if (off > CLOCK_WARN_MS || off < -CLOCK_WARN_MS)
		doctor_say(d, check, CHECK_WARN, "let both follow NTP: timedatectl set-ntp true",
		    "ours is %lld s %s the store's", (long long)(off < 0 ? -off : off) / 1000,
		    off < 0 ? "behind" : "before");
	else
		doctor_say(d, check, CHECK_OK, NULL, "agrees with ours");
}

void
doctor_skip(struct doctor *d, const char *const *checks, const char *why)
{
	for (size_t i = 0; checks[i] != NULL; i++)
		say(d, checks[i], CHECK_SKIP, why, NULL);
}

static void
print_list(const struct doctor *d)
{
	if (d->v->json) {
		json_dumpf(d->list, stdout, JSON_INDENT(2));
		putchar('\n');
	}
}

/* Each link has a time of its own, but there may be many, and a name server or a store that asks
 * for a long pause. Whatever is in the middle of something ends with the program. */
static void
doctor_on_patience(void *arg)
{
	struct doctor *d = arg;
	char text[UNITS_TEXT_SIZE];

	doctor_say(d, "doctor", CHECK_FAIL,
	    "look at what would have been checked next, or give it longer with --timeout",
	    "not done within %s", units_format_ms(d->v->timeout_ms, text));
	print_list(d);
	exit(VERB_TROUBLE);
}

static void
doctor_on_end(void *arg)
{
	struct doctor *d = arg;

	print_list(d);
	verb_done(d->v, d->failed ? VERB_TROUBLE : VERB_OK);
	json_decref(d->list);
	loop_timer_destroy(d->end);
	loop_timer_destroy(d->patience);
	free(d);
}

void
doctor_end(struct doctor *d)
{
	loop_timer_arm(d->end, 0);
}

void
doctor_next(struct doctor *d)
{
	if (d->role_unusable && d->next > 0)
		d->next = sizeof(chains) / sizeof(chains[0]);
	if (d->next == sizeof(chains) / sizeof(chains[0]) && d->at + 1 < d->n_roles) {
		d->at++;
		d->next = 0;
		doctor_take_role(d);
	}
	if (d->next < sizeof(chains) / sizeof(chains[0]))
		chains[d->next++](d);
	else
		doctor_end(d);
}

void
verb_doctor(struct verb_context *v)
{
	struct doctor *d = xcalloc(1, sizeof(*d));

	d->v = v;
	d->options = &v->cli->options;
	d->list = json_array();
	d->end = loop_timer_create(v->loop, "doctor", doctor_on_end, d);
	d->patience = loop_timer_create(v->loop, "doctor-patience", doctor_on_patience, d);
	loop_timer_arm(d->patience, (int64_t)v->timeout_ms);
	doctor_choose_roles(d);
	if (v->cli->complaint.kind ==
	    TROUBLE_NONE) /* else its options are not those of anybody here */
		doctor_take_role(d);
	doctor_next(d);
}
