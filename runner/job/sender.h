/* SPDX-License-Identifier: Apache-2.0 */
/* Who sits at the runner. */
#ifndef VOGELER_SENDER_H
#define VOGELER_SENDER_H

#include "shared/store/job.h"

/* The login name; malloced, never NULL: "uid 1000" of who has none. Of root it is SUDO_USER, who
 * became root by sudo: root may say what it likes anyhow. */
char *sender_login(void);
/* A line on stderr about a job that was sent: what, to whom, when, by whom. */
void sender_tell_job(const struct job *job, int64_t now_ms);

#endif
