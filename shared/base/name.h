/* SPDX-License-Identifier: Apache-2.0 */
/* These rules say which names may be hosts and which may be plugins. Host names become queue names,
 * routing keys and document ids, so the rules are those of all three. */
#ifndef VOGELER_NAME_H
#define VOGELER_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_HOST_MAX   253
#define NAME_PLUGIN_MAX 63

/* RFC 1123 host name: labels of letters, digits and inner hyphens, 1 to 63 bytes each, 253 in all,
 * case kept, no trailing dot; and not one of ours or the broker's: all, master.in, vogeler*,
 * broadcasts.*, amq.*. NULL when the name is good, else why it is not (a static string). */
const char *name_host_error(const char *name);

/* Letters, digits, '_', '-' and '.', 1 to 63 bytes, not starting with '_' or '.', and not a key
 * that a record has of its own (name_is_reserved). NULL when good, else why not. */
const char *name_plugin_error(const char *name);

/* _*, syskey, format, last_error, system_name, doc_type, created_at, updated_at, vogeler. */
bool name_is_reserved(const char *key);

/* Returns this machine's name as 2010 had it (platform.node(): the node name of uname(2));
 * malloced, caller frees. */
char *name_of_this_host(void);

/* Returns "a, b and 7 more", malloced: the first max of n names as they are; the others are not
 * looked at. ranges_some() in shared/target/ranges.h puts names of hosts together. */
char *names_some(const char *const *names, size_t n, size_t max);

#endif
