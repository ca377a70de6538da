/* SPDX-License-Identifier: Apache-2.0 */
/* See near.h. */
#include "shared/base/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 63

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
near_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], la = strlen(a), lb = strlen(b);
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *oldest = before;

		before = last;
		last = row;
		row = oldest;
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			row[j] = least(
			    least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
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

/* ---- hosts ---- */

/* web01 and web01.example.com. */
static bool
is_label_of(const char *label, const char *name)
{
	size_t len = strlen(label);

	return strncasecmp(label, name, len) == 0 && name[len] == '.';
}

/* Folds to small letters, and numbers to those without zeros before them. false: too long to be
 * typed. */
static bool
fold(const char *name, char out[WORD_MAX + 1])
{
	size_t n = 0;
	bool in_number = false;

	for (; *name != '\0'; name++) {
		bool digit = *name >= '0' && *name <= '9';

		if (!in_number && *name == '0' && name[1] >= '0' && name[1] <= '9')
			continue;
		in_number = digit;
		if (n == WORD_MAX)
			return false;
		out[n++] = (char)tolower((unsigned char)*name);
	}
	out[n] = '\0';
	return true;
}

/* web03 is no slip for web02, but another host. */
static bool
has_same_numbers(const char *a, const char *b)
{
	static const char digits[] = "0123456789";

	for (;;) {
		size_t len;

		a += strcspn(a, digits);
		b += strcspn(b, digits);
		len = strspn(a, digits);
		if (len != strspn(b, digits) || strncmp(a, b, len) != 0)
			return false;
		if (len == 0)
			return true;
		a += len;
		b += len;
	}
}

enum { HOST_CASE, HOST_DOMAIN, HOST_ZEROS, HOST_SLIPS, HOST_FAR = HOST_SLIPS + NEAR_MAX + 1 };

/* Both are folded, and cut into label and domain, which need not both have. */
static size_t
slips(char *typed, char *name)
{
	char *typed_dot = strchr(typed, '.'), *name_dot = strchr(name, '.');
	size_t d, in_domain = 0;

	if (typed_dot != NULL && name_dot != NULL)
		in_domain = near_distance(typed_dot, name_dot);
	if (typed_dot != NULL)
		*typed_dot = '\0';
	if (name_dot != NULL)
		*name_dot = '\0';
	d = near_distance(typed, name);
	/* Half of a name is another name. */
	return d == 0 || 2 * d < strlen(typed) ? d + in_domain : NEAR_MAX + 1;
}

static size_t
host_distance(const char *typed, const char *name)
{
	char a[WORD_MAX + 1], b[WORD_MAX + 1];
	size_t d;

	if (strcasecmp(typed, name) == 0)
		return HOST_CASE;
	if (is_label_of(typed, name) || is_label_of(name, typed))
		return HOST_DOMAIN;
	if (!fold(typed, a) || !fold(name, b) || !has_same_numbers(a, b))
		return HOST_FAR;
	d = slips(a, b);
	return d == 0 ? HOST_ZEROS : d <= NEAR_MAX ? HOST_SLIPS + d : HOST_FAR;
}

const char *
near_host(const char *typed, const char *const *names, size_t n)
{
	size_t best_distance = HOST_FAR;
	const char *best = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = host_distance(typed, names[i]);

		if (d < best_distance) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
