/* SPDX-License-Identifier: Apache-2.0 */
/* One test-suite over all stores: a record is the same, key by key, whichever store it is in. A
 * test program for a store makes a factory and hands it over:
 *
 *   static const struct suite_factory factory = {.begin = begin, .end = end};
 *   int main(void) { return store_suite_run(&factory); }
 *
 * Each test opens the URI on a real loop, sets the store up, and is alone in it. Expected records
 * are JSON literals: their times come from the results' received_at. "_rev" is not compared. */
#ifndef VOGELER_STORE_SUITE_H
#define VOGELER_STORE_SUITE_H

#include <stdbool.h>

struct suite_factory {
	/* The URI of a store that is empty or not there yet, another one at each call; borrowed
	 * until the next call. test_couch_store.c adds a database name of its own to
	 * VOGELER_TEST_COUCH_URI. */
	const char *(*begin)(void);
	void (*end)(void); /* after each test, when the store is closed; NULL = nothing to do */
	/* Numbers come back as JavaScript has them (pouchdb-server): integers beyond 2^53 and reals
	 * without a fraction are left out of what is compared. */
	bool javascript_numbers;
	/* Of outcomes of jobs that are not there it keeps OUTCOME_STRAYS_MAX a host at any time. */
	bool bounds_strays;
};
int store_suite_run(const struct suite_factory *factory); /* for main: 0 when all passed */

#endif
