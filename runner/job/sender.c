/* SPDX-License-Identifier: Apache-2.0 */
/* See sender.h. */
#include "runner/job/sender.h"

#include "shared/base/printable.h"
#include "shared/base/utf8.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOGIN_MAX 256 /* bytes of what can be a name */

static bool
can_be_login(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= LOGIN_MAX && utf8_is_valid(name, len);
}

char *
sender_login(void)
{
	const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *pw;
	char *text;

	if (sudo != NULL && can_be_login(sudo))
		return xstrdup(sudo);
	pw = getpwuid(getuid());
	if (pw != NULL && can_be_login(pw->pw_name))
		return xstrdup(pw->pw_name);
	xasprintf(&text, "uid %ju", (uintmax_t)getuid());
	return text;
}

void
sender_tell_job(const struct job *job, int64_t now_ms)
{
	char at[WALLCLOCK_TEXT_SIZE], age[WALLCLOCK_AGE_SIZE], *sender = job_sender(job);

	/* This is no line for runner_say(): what stands between ":" and "@" is no password here. */
	printable_line(stderr, "job %s: %s to %s, sent %s (%s)%s%s%s%s", job->id, job->plugin,
	    job->target == NULL ? "-" : job->target, wallclock_format_s(job->sent_at, at),
	    wallclock_age(job->sent_at, now_ms, age), sender == NULL ? "" : " by ",
	    sender == NULL ? "" : sender, job->user == NULL ? "" : ", at the broker ",
	    job->user == NULL ? "" : job->user);
	free(sender);
}
