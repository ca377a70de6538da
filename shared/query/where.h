/* SPDX-License-Identifier: Apache-2.0 */
/* --where: which hosts' records are so, as shared/query says of each. A host is in when the program
 * yields anything but false and null for its record, as with jq's select; one that it fails on is
 * out, and told. */
#ifndef VOGELER_WHERE_H
#define VOGELER_WHERE_H

#include "shared/query/jq_child.h"
#include "shared/target/target.h"
#include <stddef.h>

#define WHERE_NAMED_MAX 5 /* hosts that it failed on, with why */

struct where { /* all 0 before the first answer */
	struct hosts in;
	size_t n, failed;
	char *why; /* "web01: text; web02: text" */
};

void where_take(struct where *w, const char *host, enum jq_word word, const char *text);
/* "2 of 3 hosts left out, it failed on them: web01: text"; malloced; NULL: it failed on none. */
char *where_trouble(const struct where *w);
void where_finish(struct where *w);

#endif
