/* SPDX-License-Identifier: Apache-2.0 */
/* A machine id says which machine this is: order marks of one host name are compared under one
 * machine id only. */
#ifndef VOGELER_MACHINE_ID_H
#define VOGELER_MACHINE_ID_H

#define MACHINE_ID_SYSTEM "/etc/machine-id" /* machine-id(5) */
#define MACHINE_ID_FILE   "machine-id"      /* in the state folder */

/* The system's id, from its file; where that is missing, empty or "uninitialized" (an image that
 * was never booted, a container), one of our own, made once and kept in the state folder. Malloced.
 * NULL after a warning: it cannot be kept, so it would be another one at the next start. */
char *machine_id(const char *system_path, const char *state_dir);

#endif
