/* The reason of an outcome as the ledger keeps it. For ledger.c and ledger_fold.c. */
#ifndef VOGELER_LEDGER_WHY_H
#define VOGELER_LEDGER_WHY_H

#include "shared/store/ledger.h"

#define LEDGER_WHY_SIZE (OUTCOME_WHY_MAX + 1)

/* One line of at most OUTCOME_WHY_MAX bytes, whole characters of UTF-8: other control characters
 * than the end of it become blanks. Returns out; NULL for NULL. */
const char *ledger_why(const char *why, char out[LEDGER_WHY_SIZE]);

#endif
