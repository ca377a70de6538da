/* SPDX-License-Identifier: Apache-2.0 */
/* Stale runs are what plugins of an agent before this one left running. A keeper (subreaper.h) ends
 * what is left of its run, even when the agent is killed. When both are killed nobody does, and
 * where no service manager ends the rest, it would go on beside the command that is then run again.
 *
 * So what plugins start is known again, by two things:
 * - a mark, a random number for the life of an agent, in the environment of all its plugins, which
 *   what they start inherits;
 * - pid and start time of all that was seen below the keepers while they ran, also of what has
 *   emptied its environment. A number that was given away since goes with another start time.
 * Both are in a file of the state folder. An agent that starts ends, before it runs anything, what
 * it finds by them, with the children of that and with all that is in a session of it. Agents with
 * other state folders have other marks. */
#ifndef VOGELER_STALE_RUNS_H
#define VOGELER_STALE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stale_runs;

#define STALE_RUNS_FILE     "running"
#define STALE_RUNS_VARIABLE "PLUGIN_MARK"
#define STALE_RUNS_PIDS_MAX 512  /* that are written down */
#define STALE_RUNS_TERM_MS  2000 /* from SIGTERM to SIGKILL */
#define STALE_RUNS_KILL_MS  5000 /* from SIGKILL to giving up (uninterruptible sleep) */

/* Ends what an agent before this one left, which may take as long as these two, and begins a file
 * of our own. Whoever calls it has the lock of the folder. Never NULL. */
struct stale_runs *stale_runs_open(const char *state_dir);
/* NAME=value, for plugins. */
const char *stale_runs_mark(const struct stale_runs *r);
/* Writes down what there is below these processes, and themselves. */
void stale_runs_note(struct stale_runs *r, const pid_t *keepers, size_t n);
/* The file stays when something may be left. NULL is fine. */
void stale_runs_close(struct stale_runs *r, bool something_left);

#endif
