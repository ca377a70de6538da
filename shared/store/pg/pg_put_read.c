/* SPDX-License-Identifier: Apache-2.0 */
/* What is stored of the hosts of a put. See pg_put.h. */
#include "shared/store/pg/pg_put.h"

#include "shared/base/xalloc.h"
#include "shared/store/pg/pg_fact.h"
#include "shared/wire/jsonx.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A value below this is kept whole: a difference could not save anything. */
#define BASE_MIN_BYTES 256

static void
add_pair(struct buf arrays[4], const struct pg_host *h, const struct pg_touched *t)
{
	const struct result *r = t->newest;
	size_t bytes = r == NULL || r->value_len < BASE_MIN_BYTES ? 0 : r->value_len;
	char hash[sizeof("\\x") + IDENT_HASH_SIZE], number[24];

	snprintf(hash, sizeof(hash), "\\x%s", r == NULL ? "" : r->hash);
	snprintf(number, sizeof(number), "%zu", bytes);
	pg_array_add(&arrays[0], h->w->host);
	pg_array_add(&arrays[1], t->plugin);
	pg_array_add(&arrays[2], r == NULL ? NULL : hash);
	pg_array_add(&arrays[3], number);
}

static void
send_arrays(struct pg_session *c, enum pg_stmt stmt, struct buf *arrays, int n)
{
	struct pg_args args = {0};

	for (int i = 0; i < n; i++) {
		pg_arg_text(&args, pg_array_end(&arrays[i]));
	}
	pg_send(c, stmt, &args);
	for (int i = 0; i < n; i++)
		buf_finish(&arrays[i]);
}

void
pg_put_send_reads(struct pg_session *c, struct pg_host *hosts, size_t n)
{
	struct buf names, arrays[4];

	pg_array_init(&names);
	for (int i = 0; i < 4; i++)
		pg_array_init(&arrays[i]);
	for (size_t i = 0; i < n; i++) {
		struct pg_host *h = &hosts[i];

		h->is_asked = h->state == PG_HOST_READ;
		if (!h->is_asked)
			continue;
		pg_array_add(&names, h->w->host);
		for (size_t k = 0; k < h->n_touched; k++)
			add_pair(arrays, h, &h->touched[k]);
	}
	send_arrays(c, PG_STMT_READ_HEADS, &names, 1);
	send_arrays(c, PG_STMT_READ_FACTS, arrays, 4);
}

/* ---- what comes back ---- */

static void
damaged(struct pg_host *h, const char *plugin)
{
	h->state = PG_HOST_ANSWERED;
	h->status = STORE_REJECT;
	free(h->why);
	h->why = xcalloc(1, sizeof(*h->why));
	trouble_set(h->why, TROUBLE_OTHER, NULL, "what is stored of %s%s%s is damaged: not JSON",
	    h->w->host, plugin == NULL ? "" : ", plugin ", plugin == NULL ? "" : plugin);
}

static void
take_head(struct pg_host *h, const PGresult *res, int row)
{
	char err[128];
	size_t len;
	const char *error = pg_text(res, row, PG_HEAD_LAST_ERROR, &len);

	strlcpy(h->guard, pg_text(res, row, PG_HEAD_GUARD, NULL), sizeof(h->guard));
	h->head.created_at = pg_int(res, row, PG_HEAD_CREATED_AT, 0);
	h->head.updated_at = pg_int(res, row, PG_HEAD_GREETED_AT, 0);
	h->stored_bytes = pg_int(res, row, PG_HEAD_BYTES, 0);
	if (error == NULL)
		return;
	h->error_bytes = (int64_t)len;
	h->head.last_error = jsonx_parse_stored(error, len, err, sizeof(err));
	if (h->head.last_error == NULL)
		damaged(h, NULL);
}

/* Rows come in any order, those that are not there do not come. */
void
pg_put_take_heads(struct pg_host *hosts, size_t n, const PGresult *res)
{
	struct pg_host **asked = xcalloc(n + 1, sizeof(struct pg_host *));
	size_t n_asked = 0;

	for (size_t i = 0; i < n; i++)
		if (hosts[i].is_asked)
			asked[n_asked++] = &hosts[i];
	for (int row = 0; row < PQntuples(res); row++) {
		int64_t k = pg_int(res, row, PG_HEAD_N, 0) - 1;

		if (k >= 0 && (size_t)k < n_asked)
			take_head(asked[k], res, row);
	}
	free(asked);
}

static char *
copy_of(const char *bytes, size_t len)
{
	char *copy = xcalloc(1, len + 1);

	memcpy(copy, bytes, len);
	return copy;
}

static void
take_base(struct pg_touched *t, const PGresult *res, int row)
{
	size_t len;
	const char *v = pg_text(res, row, PG_READ_BASE_V, &len);

	t->at = pg_int(res, row, PG_READ_AT, 0);
	if (v == NULL)
		return;
	t->base = (struct pg_base){
	    .seq = pg_int(res, row, PG_READ_BASE, 0),
	    .codec = (int)pg_int(res, row, PG_READ_BASE_CODEC, 0),
	    .bytes = (size_t)pg_int(res, row, PG_READ_BASE_BYTES, 0),
	    .v = copy_of(v, len),
	    .v_len = len,
	    .since = pg_int(res, row, PG_READ_SINCE_BASE, 0),
	};
}

/* A raw text, which may be megabytes, stays where it is: "unparsed" is true in its place, which a
 * result may keep or replace. */
static void
take_fact(struct pg_host *h, struct pg_touched *t, const PGresult *res, int row)
{
	strlcpy(t->guard, pg_text(res, row, PG_READ_GUARD, NULL), sizeof(t->guard));
	t->received_at = pg_int(res, row, PG_READ_FACT + PG_FACT_RECEIVED_AT, 0);
	t->value_bytes = pg_int(res, row, PG_READ_FACT + PG_FACT_BYTES, 0);
	t->meta_bytes = pg_int(res, row, PG_READ_META_BYTES, 0);
	t->unparsed_bytes = pg_int(res, row, PG_READ_UNPARSED_BYTES, -1);
	t->grown = -(t->value_bytes + t->meta_bytes);
	take_base(t, res, row);
	t->fact.meta = pg_fact_meta(res, row, PG_READ_FACT);
	if (t->fact.meta == NULL)
		damaged(h, t->plugin);
	else if (t->unparsed_bytes >= 0 &&
		 json_object_set_new(t->fact.meta, "unparsed", json_true()) != 0)
		xalloc_fail(0);
}

/* A fact that was asked for, in the order in which they were. */
struct asked {
	struct pg_host *h;
	struct pg_touched *t;
};

void
pg_put_take_facts(struct pg_host *hosts, size_t n, const PGresult *res)
{
	struct asked *asked;
	size_t n_asked = 0, room = 1;

	for (size_t i = 0; i < n; i++)
		room += hosts[i].n_touched;
	asked = xcalloc(room, sizeof(*asked));
	for (size_t i = 0; i < n; i++) {
		if (!hosts[i].is_asked)
			continue;
		for (size_t k = 0; k < hosts[i].n_touched; k++) {
			asked[n_asked].h = &hosts[i];
			asked[n_asked++].t = &hosts[i].touched[k];
		}
	}
	for (int row = 0; row < PQntuples(res); row++) {
		int64_t k = pg_int(res, row, PG_READ_N, 0) - 1;

		if (k >= 0 && (size_t)k < n_asked)
			take_fact(asked[k].h, asked[k].t, res, row);
	}
	free(asked);
}
