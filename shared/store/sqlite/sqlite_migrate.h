/* SPDX-License-Identifier: Apache-2.0 */
/* A file of an older Vogeler (schemas 1 to 4) is brought up to date: all of it or nothing, since it
 * is one transaction, whenever this process or the machine ends. It takes about half a minute for a
 * million plugins' values; the file keeps its size, with room in it for what comes.
 *
 * Schema 1 had no ledger, 2 did not tell which outcomes are of jobs that are not there, 3 had no
 * notes; 4 had a value in the place of the one before, and names in each row. */
#ifndef VOGELER_SQLITE_MIGRATE_H
#define VOGELER_SQLITE_MIGRATE_H

#include <stdatomic.h>
#include <stdbool.h>

struct sqldb;

/* What another thread may see and say meanwhile. */
struct sqlite_migration {
	atomic_int percent; /* done; -1 = nothing is under way */
	atomic_bool cancel;
};

/* Does nothing with a file that is not old. Then its statements can be run. false: db->why, and it
 * is as it was. */
bool sqlite_migrate(struct sqldb *db, struct sqlite_migration *m);

#endif
