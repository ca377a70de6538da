/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as plain phrases, for log lines, reasons and people: "connection refused". Static strings,
 * but where it says otherwise. */
#ifndef VOGELER_ERRTEXT_H
#define VOGELER_ERRTEXT_H

struct trouble;

const char *errtext_errno(int err);
/* Returns what a host says of a plugin that it has not, in the words that the wire has had since
 * 2010 ("Plugin ps is not authorized for this host. Ignoring"), as people are told of it; other
 * texts as they are. Malloced. */
char *errtext_of_host(const char *text);
/* Does so where the plugin is named beside it: without the "packages: " that the text begins with.
 * Malloced. */
char *errtext_of_plugin(const char *plugin, const char *text);
/* rc: what getaddrinfo() returned; err: errno, for EAI_SYSTEM. The kind is TROUBLE_NAMES when the
 * name, or who should know it, is the trouble. */
void errtext_resolve(int rc, int err, struct trouble *t);

#endif
