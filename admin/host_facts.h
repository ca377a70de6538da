/* SPDX-License-Identifier: Apache-2.0 */
/* This reads what the values of a record say about its host, as far as one of the sample plugins
 * has brought it: facter and ohai, os-release, network. */
#ifndef VOGELER_HOST_FACTS_H
#define VOGELER_HOST_FACTS_H

#include <jansson.h>

/* "Debian GNU/Linux 12 (bookworm)", or name and release. The caller's; NULL: nothing tells. */
char *host_facts_os(const json_t *rec);
/* The main one, or the first that is not of this host alone. Borrowed from rec; NULL: nothing
 * tells. */
const char *host_facts_address(const json_t *rec);

#endif
