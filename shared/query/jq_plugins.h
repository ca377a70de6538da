/* SPDX-License-Identifier: Apache-2.0 */
/* This tells from its text which plugins of a record a jq program reads, so that only these are
 * fetched. Cautious: where it cannot be told, all are. */
#ifndef VOGELER_JQ_PLUGINS_H
#define VOGELER_JQ_PLUGINS_H

#include "shared/query/jq_child.h"
#include "shared/query/jq_path.h"
#include <stdbool.h>
#include <stddef.h>

struct jq_record_path {
	struct jq_path path;
	char *plugin;   /* its first name */
	bool condition; /* it stands in the brackets of select() and the like */
};

/* true: with these plugins, of which there may be some too many, the program yields what it yields
 * with the whole record, as far as mode looks at it: select(.facter) is as true with a part of it,
 * and another value; *names is sorted, NULL-terminated, and freed with shellwords_free(). false: it
 * may look at any. */
bool jq_plugins(const char *program, enum jq_mode mode, char ***names, size_t *n);

/* The paths that are surely taken from the record, as far as the program is understood; in *paths,
 * which the caller frees with jq_paths_free(). */
size_t jq_record_paths(const char *program, struct jq_record_path **paths);
void jq_paths_free(struct jq_record_path *paths, size_t n);

#endif
