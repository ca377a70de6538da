/* Which of the names that there are was meant by one that is not among them. */
#ifndef VOGELER_NEAR_H
#define VOGELER_NEAR_H

#include <stddef.h>

#define NEAR_MAX 2 /* slips of the finger */

/* Levenshtein's distance; of words too long to be typed, a large one. */
size_t near_distance(const char *a, const char *b);
/* The one that is at most NEAR_MAX slips away, and less than its own length; NULL = none is.
 * Borrowed from names. */
const char *near_name(const char *typed, const char *const *names, size_t n);

#endif
