/* SPDX-License-Identifier: Apache-2.0 */
/* Standard output as all programs have it: what was not written is told, and no success. */
#ifndef VOGELER_CLI_STDOUT_H
#define VOGELER_CLI_STDOUT_H

/* Comes before any descriptor is opened: a stdin, stdout or stderr that is missing becomes
 * /dev/null, or a pipe or a socket that took its number would be written to by mistake. Its stdout
 * takes nothing: whoever prints finds out. */
void cli_fill_descriptors(void);
/* Writes what is in stdout's buffer at every end of the program, by exit() or out of main(). When
 * it cannot be, or any of what was printed before could not, a line on stderr says so, and a status
 * of 0 becomes 1. Ignores SIGPIPE, so that a closed pipe is no other case. Puts another stream in
 * the place of stdout: fileno() knows nothing of it, STDOUT_FILENO is what it writes to.
 */
void cli_guard_stdout(const char *program);
/* Writes what is in the buffer: why that or anything before it could not be written, or NULL. */
const char *cli_stdout_error(void);

#endif
