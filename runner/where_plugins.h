/* Which plugins of a record a jq program reads, told from its text, so that only these are fetched.
 * Cautious: where it cannot be told, all are. */
#ifndef VOGELER_WHERE_PLUGINS_H
#define VOGELER_WHERE_PLUGINS_H

#include <stdbool.h>
#include <stddef.h>

/* true: with these plugins, of which there may be some too many, the program yields what it yields
 * with the whole record; *names is sorted, NULL-terminated, and freed with words_free(). false: it
 * may look at any. */
bool where_plugins(const char *program, char ***names, size_t *n);

#endif
