/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, compared by value. Included after cmocka.h. */
#ifndef VOGELER_ASSERT_JSON_H
#define VOGELER_ASSERT_JSON_H

#include "shared/wire/jsonx.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static inline json_t *
parse(const char *text)
{
	char err[256] = "";
	json_t *json = jsonx_parse(text, strlen(text), NULL, err, sizeof(err));

	assert_string_equal(err, "");
	return json;
}

static inline void
assert_json(json_t *is, const char *want_text)
{
	json_t *want = parse(want_text);

	if (!json_equal(is, want)) {
		char *text = json_dumps(is, JSON_SORT_KEYS);

		print_error("is:        %s\nshould be: %s\n", text, want_text);
		free(text);
		fail();
	}
	json_decref(want);
	json_decref(is);
}

#endif
