/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of several hosts, of "show". */
#ifndef VOGELER_SHOW_MANY_H
#define VOGELER_SHOW_MANY_H

#include <stdbool.h>

struct verb_context;

/* false: the first argument is the name of one host, and nothing was begun. The path is right. */
bool show_many(struct verb_context *v);

#endif
