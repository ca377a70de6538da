/* SPDX-License-Identifier: Apache-2.0 */
/* What is said about a plugin (record.h: the metadata of a fact) as columns of a table: a column
 * for what nearly every answer has, and one JSON for all else. What a column cannot give back
 * exactly as it was stays in the JSON, so what was taken apart comes together the same, member by
 * member. Pure. */
#ifndef VOGELER_FACT_COLUMNS_H
#define VOGELER_FACT_COLUMNS_H

#include "shared/base/ident.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct fact_columns {
	int64_t order;                    /* 0 = absent */
	int64_t received_at;              /* of the latest answer, whatever it was; wall ms */
	int64_t collected_at, changed_at; /* 0 = absent */
	int64_t duration_ms, exit_status; /* -1 = absent */
	int format;                       /* enum wire_format; -1 = absent */
	bool has_hash;
	unsigned char hash[IDENT_HASH_BYTES];
	/* Borrowed, NULL = absent. */
	const char *machine_id, *boot_id, *version, *job, *response_id;
	json_t *rest; /* owned; NULL = nothing */
};

/* Takes meta apart; the strings of c are meta's. heard_at: when the latest answer came. */
void fact_columns_take(struct fact_columns *c, const json_t *meta, int64_t heard_at);
/* Puts it together. The caller's. */
json_t *fact_columns_meta(const struct fact_columns *c);
void fact_columns_finish(struct fact_columns *c);
/* When meta says that its latest answer came, good or not; 0 = it does not. */
int64_t fact_columns_heard_at(const json_t *meta);

#endif
