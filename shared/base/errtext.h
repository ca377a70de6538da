/* Errors as plain phrases, for log lines, reasons and people: "connection refused". Static strings,
 * but where it says otherwise. */
#ifndef VOGELER_ERRTEXT_H
#define VOGELER_ERRTEXT_H

#include <stdbool.h>

/* What is wrong and the way out are one sentence, with this between them. */
#define ERRTEXT_CURE "; cure: "

/* The way out that a sentence names: what follows ERRTEXT_CURE; NULL if it names none. */
const char *errtext_cure(const char *sentence);
const char *errtext_errno(int err);
/* What a host says of a plugin that it has not, in the words that the wire has had since 2010
 * ("Plugin ps is not authorized for this host. Ignoring"), as people are told of it; other texts as
 * they are. Malloced. */
char *errtext_of_host(const char *text);
/* The same for where the plugin is named beside it: without the "packages: " that the text begins
 * with. Malloced. */
char *errtext_of_plugin(const char *plugin, const char *text);
/* rc: what getaddrinfo() returned; err: errno, for EAI_SYSTEM. */
const char *errtext_resolve(int rc, int err);
/* Is this what errtext_resolve() says of a name, or of who should know it? Then nobody was reached
 * whom one could cure. */
bool errtext_is_of_names(const char *phrase);

#endif
