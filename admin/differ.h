/* What is at the broker and is not what the options ask for: said, with the ways out. */
#ifndef VOGELER_DIFFER_H
#define VOGELER_DIFFER_H

#include <stdio.h>

struct topology_item;

/* why: the broker's words, "PRECONDITION_FAILED - inequivalent arg ..."; it stops comparing at the
 * first argument that differs. */
void differ_explain(
    FILE *out, const char *vhost, const struct topology_item *item, const char *why);

#endif
