/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_fact.h. */
#include "shared/store/pg/pg_fact.h"

#include "shared/store/pg/pg_sql.h"
#include "shared/wire/jsonx.h"

#include <string.h>

json_t *
pg_fact_meta(const PGresult *res, int row, int first)
{
	struct fact_columns c = {
	    .order = pg_int(res, row, first + PG_FACT_ORD, 0),
	    .received_at = pg_int(res, row, first + PG_FACT_RECEIVED_AT, 0),
	    .collected_at = pg_int(res, row, first + PG_FACT_COLLECTED_AT, 0),
	    .changed_at = pg_int(res, row, first + PG_FACT_CHANGED_AT, 0),
	    .duration_ms = pg_int(res, row, first + PG_FACT_DURATION_MS, -1),
	    .exit_status = pg_int(res, row, first + PG_FACT_EXIT_STATUS, -1),
	    .format = (int)pg_int(res, row, first + PG_FACT_FORMAT, -1),
	    .machine_id = pg_text(res, row, first + PG_FACT_MACHINE_ID, NULL),
	    .boot_id = pg_text(res, row, first + PG_FACT_BOOT_ID, NULL),
	    .version = pg_text(res, row, first + PG_FACT_AGENT, NULL),
	    .job = pg_text(res, row, first + PG_FACT_JOB, NULL),
	    .response_id = pg_text(res, row, first + PG_FACT_RESPONSE_ID, NULL),
	};
	json_t *meta;
	char err[128];
	size_t len;
	const char *hash = pg_text(res, row, first + PG_FACT_HASH, &len);
	const char *rest;

	c.has_hash = hash != NULL && len == sizeof(c.hash);
	if (c.has_hash)
		memcpy(c.hash, hash, sizeof(c.hash));
	rest = pg_text(res, row, first + PG_FACT_META, &len);
	if (rest != NULL) {
		c.rest = jsonx_parse_stored(rest, len, err, sizeof(err));
		if (!json_is_object(c.rest)) {
			json_decref(c.rest);
			return NULL;
		}
	}
	meta = fact_columns_meta(&c);
	fact_columns_finish(&c);
	return meta;
}

static void
arg_positive(struct pg_args *a, int64_t value)
{
	if (value > 0)
		pg_arg_int(a, value);
	else
		pg_arg_null(a);
}

static void
arg_measured(struct pg_args *a, int64_t value)
{
	if (value >= 0)
		pg_arg_int(a, value);
	else
		pg_arg_null(a);
}

void
pg_fact_args(struct pg_args *a, const struct fact_columns *c, int64_t bytes, const char *rest)
{
	pg_arg_int(a, bytes);
	arg_positive(a, c->order);
	pg_arg_int(a, c->received_at);
	arg_positive(a, c->collected_at);
	arg_positive(a, c->changed_at);
	arg_measured(a, c->duration_ms);
	arg_measured(a, c->exit_status);
	arg_measured(a, c->format);
	pg_arg_bytes(a, c->has_hash ? c->hash : NULL, c->has_hash ? sizeof(c->hash) : 0);
	pg_arg_text(a, c->machine_id);
	pg_arg_text(a, c->boot_id);
	pg_arg_text(a, c->version);
	pg_arg_text(a, c->job);
	pg_arg_text(a, c->response_id);
	pg_arg_text(a, rest);
}
