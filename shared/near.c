/* See near.h. */
#include "shared/near.h"

#include <string.h>

#define WORD_MAX 63

size_t
near_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *
near_name(const char *typed, const char *const *names, size_t n)
{
	size_t best_distance = NEAR_MAX + 1, len = strlen(typed);
	const char *best = NULL;

	if (len < best_distance) /* of two letters any two are two slips away */
		best_distance = len;
	for (size_t i = 0; i < n; i++) {
		size_t d = near_distance(typed, names[i]);

		if (d < best_distance) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
