/* SPDX-License-Identifier: Apache-2.0 */
/* vogelerd -l DIR: loads design documents into the store, says what became of each, and is done. */
#ifndef VOGELER_LOAD_DESIGN_H
#define VOGELER_LOAD_DESIGN_H

struct loop;
struct store;

/* Runs the loop until it is over. Makes the database when it is not there, as 2010 did here.
 * Returns the exit status: 0, or 1 after a line on stderr. */
int load_designs(struct loop *loop, struct store *store, const char *dir);

#endif
