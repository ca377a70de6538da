/* SPDX-License-Identifier: Apache-2.0 */
/* What a response that was decoded holds, as a tree, for tests. */
#ifndef VOGELER_TEST_DECODED_H
#define VOGELER_TEST_DECODED_H

#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"

/* The caller json_decref()s. */
static inline json_t *
decoded(const struct response *r)
{
	json_t *all = json_object();
	char err[256];
	size_t i;

	for (i = 0; i < r->n_values; i++)
		json_object_set_new(all, r->values[i].key,
		    jsonx_parse(r->values[i].json, r->values[i].len, NULL, err, sizeof(err)));
	return all;
}

#endif
