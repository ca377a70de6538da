/* SPDX-License-Identifier: Apache-2.0 */
/* A path that a jq program takes from its input, as far as it is plain: names and numbers, as a
 * path of value_path.h. */
#ifndef VOGELER_JQ_PATH_H
#define VOGELER_JQ_PATH_H

#include <stdbool.h>

struct jq_path {
	char *text; /* ".facter.os.name"; malloced */
	/* "?" or "//" is behind it, or what is not understood: that it is not there was thought of,
	 * perhaps, and nothing is to be said of more than its first name. */
	bool tolerant;
	bool assigned; /* "=" or the like is behind it: it is made where it is not there */
	bool set;      /* by "=", and no pipe behind that goes on with the record */
};

/* first: the name that it begins with. rest: what is behind that in the program. alone: a pipe
 * behind the path has nothing but the path before it, so that what is behind the pipe goes on with
 * it. */
void jq_path_read(struct jq_path *path, const char *first, const char *rest, bool alone);

#endif
