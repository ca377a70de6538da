/* Which plugins of a record a jq program reads, told from its text, so that only these are fetched.
 * Cautious: where it cannot be told, all are. */
#ifndef VOGELER_JQ_PLUGINS_H
#define VOGELER_JQ_PLUGINS_H

#include "shared/query/jq_child.h"
#include <stdbool.h>
#include <stddef.h>

/* true: with these plugins, of which there may be some too many, the program yields what it yields
 * with the whole record, as far as mode looks at it: select(.facter) is as true with a part of it,
 * and another value; *names is sorted, NULL-terminated, and freed with words_free(). false: it
 * may look at any. */
bool jq_plugins(const char *program, enum jq_mode mode, char ***names, size_t *n);

#endif
