/* SPDX-License-Identifier: Apache-2.0 */
/* This finds which of the names that there are was meant by one that is not among them. */
#ifndef VOGELER_NEAR_H
#define VOGELER_NEAR_H

#include <stddef.h>

#define NEAR_MAX 2 /* slips of the finger */

/* Levenshtein's distance, with two letters that changed places counted as one slip (optimal string
 * alignment); of words too long to be typed, a large one. */
size_t near_distance(const char *a, const char *b);
/* The one that is at most NEAR_MAX slips away, and less than its own length; NULL = none is.
 * Borrowed from names. */
const char *near_name(const char *typed, const char *const *names, size_t n);
/* Finds it among hosts: the one that is typed in other letters, with or without its domain, with
 * other zeros before a number (web1 for web01), or a slip or two away; never one with another
 * number, which is another host. NULL = none is. */
const char *near_host(const char *typed, const char *const *names, size_t n);

#endif
