/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a program, under a keeper of its own (subreaper.h), so that it can harm nobody by
 * accident: everything that may allocate, block or fail in a lookup happens when the plugin is
 * loaded; between fork and exec only async-signal-safe calls are left (signal-safety(7)).
 *
 * What a plugin finds: stdin /dev/null, stdout and stderr pipes, no other descriptor; a session and
 * process group of its own; every signal unblocked and at its default; umask 022; cwd "/";
 * PATH, LANG=C.UTF-8, HOME, its own env= and a mark (stale_runs.h), nothing of ours; its limits
 * (limits.h), no core files; and it dies with us: its keeper sees to that, and PR_SET_PDEATHSIG,
 * should that be killed. PR_SET_NO_NEW_PRIVS is set only for a plugin with user=: it was told to
 * run with less, while elsewhere it would break plugins that call sudo. */
#ifndef VOGELER_SPAWN_H
#define VOGELER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn;
struct limits;
struct plugin;

#define SPAWN_ERROR_SIZE 512
#define SPAWN_PATH       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Copies what it needs of p; mark is one more NAME=value of the environment, or NULL. Resolves
 * p->user, which may ask the network: at load only. A user that does not exist, or that we may not
 * become, is told at each start. Never NULL. */
struct spawn *spawn_create(const struct plugin *p, const struct limits *limits, const char *mark);
void spawn_destroy(struct spawn *l); /* NULL is fine */

struct spawned {
	pid_t keeper;
	int pidfd;   /* of the keeper: readable when nothing is left of the run */
	int control; /* of the keeper: orders and news */
	int out;     /* read ends, non-blocking, all close-on-exec */
	int err;
	int status; /* says why exec failed; see spawn_failure() */
};

/* false: nothing runs, *error is an errno and text one sentence. */
bool spawn_start(const struct spawn *l, struct spawned *child, int *error,
    char text[SPAWN_ERROR_SIZE]) __attribute__((warn_unused_result));
/* Once the plugin has exited: true when it never became the program; *error and text say why. */
bool spawn_failure(const struct spawn *l, int status_fd, int *error, char text[SPAWN_ERROR_SIZE]);

#endif
