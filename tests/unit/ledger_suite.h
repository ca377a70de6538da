/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's part of the test-suite over all stores; see store_suite.h. */
#ifndef VOGELER_LEDGER_SUITE_H
#define VOGELER_LEDGER_SUITE_H

#include "tests/unit/store_suite.h"

int ledger_suite_run(const struct suite_factory *factory); /* for main: 0 when all passed */

#endif
