/* Many host names in few words: "db01, web[01-12,15].example.com". */
#ifndef VOGELER_RANGES_H
#define VOGELER_RANGES_H

#include <stddef.h>

/* Names that differ in the last number of their first label alone are folded. The text has at most
 * max pieces (a name, or a range within brackets); *left is how many names are not in it. Malloced.
 */
char *ranges_text(const char *const *names, size_t n, size_t max, size_t *left);

#endif
