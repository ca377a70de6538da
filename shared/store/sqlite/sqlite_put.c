/* SPDX-License-Identifier: Apache-2.0 */
/* This makes what one write changes in the tables of the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_WRITE (1024 * 1024)

/* Of a fact, beside its value and what has no column: names and columns, about. */
#define FACT_BYTES 400
/* In the place of a hash that is another than the result's; which does not matter. */
#define OTHER_HASH "-"

/* A fact that a write is about. */
struct touched {
	struct sqlite_fact row;
	struct fact fact;    /* its value is there only if it is new */
	bool knows_hash;     /* else row's prefix stands for it */
	int64_t value_bytes; /* as it is stored */
	int64_t grown;       /* bytes, against what is stored */
	enum record_change change;
};

struct update {
	struct sqldb *db;
	const struct store_write *w;
	uint64_t record_max_bytes;
	uint64_t *strays_dropped;
	struct sqlite_sizes *sizes;
	bool over; /* it is too large whatever else there is */
	struct sqlite_head row;
	struct record_head head;
	bool head_changed;
	int64_t head_grown;
	struct touched *facts; /* room for one a result */
	size_t n;
};

/* ---- what is there ---- */

/* A raw text of megabytes stays where it is: "unparsed" is true in its place, which a result may
 * keep or replace. */
static void
hide_unparsed(struct touched *t)
{
	if (json_object_get(t->fact.meta, "unparsed") != NULL &&
	    json_object_set_new(t->fact.meta, "unparsed", json_true()) != 0)
		xalloc_fail(0);
}

static bool
load_fact(struct update *u, struct touched *t)
{
	struct sqldb *db = u->db;
	bool ok;
	int rc;

	if (!sqlite_plugin_id(db, t->row.plugin_name, &t->row.plugin))
		return false;
	sqldb_bind_int(db, STMT_FACT_GET, 1, t->row.plugin);
	sqldb_bind_int(db, STMT_FACT_GET, 2, t->row.host);
	rc = sqldb_step(db, STMT_FACT_GET);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	ok = sqlite_fact_read(db, STMT_FACT_GET, &t->row, &t->fact.meta);
	sqldb_done(db, STMT_FACT_GET);
	t->knows_hash = !t->row.has_prefix || json_object_get(t->fact.meta, "hash") != NULL;
	t->value_bytes = t->row.bytes - t->row.unparsed_bytes;
	t->grown = -t->row.bytes - (int64_t)t->row.meta_bytes - FACT_BYTES;
	hide_unparsed(t);
	return ok;
}

static struct touched *
fact_of(struct update *u, const char *plugin)
{
	struct touched *t;
	size_t i;

	for (i = 0; i < u->n; i++) {
		if (strcmp(u->facts[i].row.plugin_name, plugin) == 0)
			return &u->facts[i];
	}
	t = &u->facts[u->n++];
	t->row =
	    (struct sqlite_fact){.plugin_name = plugin, .host_name = u->w->host, .host = u->row.id};
	t->fact.borrows = true;
	t->knows_hash = true;
	return load_fact(u, t) ? t : NULL;
}

/* ---- the results ---- */

/* Says whether it alone is more than a record may grow by: then it need not be written to find that
 * out. */
static bool
is_over(struct update *u, const struct touched *t, size_t more)
{
	u->over = u->over || t->grown + (int64_t)more > (int64_t)u->record_max_bytes;
	return u->over;
}

static bool
has_prefix(const struct sqlite_fact *row, const char *text)
{
	unsigned char hash[IDENT_HASH_BYTES];

	return ident_hash_to_bytes(text, hash) &&
	       memcmp(hash, row->prefix, sizeof(row->prefix)) == 0;
}

/* The rule asks of a stored hash only whether it is the result's. */
static void
show_hash(struct touched *t, const struct result *r)
{
	if (!t->knows_hash)
		jsonx_set_str(
		    t->fact.meta, "hash", has_prefix(&t->row, r->hash) ? r->hash : OTHER_HASH);
}

static void
hide_hash(struct touched *t)
{
	if (!t->knows_hash)
		json_object_del(t->fact.meta, "hash");
}

/* Each value is appended, also one that the next result of the same write replaces. */
static bool
append_value(struct update *u, struct touched *t, const struct result *r)
{
	const struct sqlite_value value = {.text = t->fact.value,
	    .len = t->fact.value_len,
	    .hash = r->hash,
	    .changed_at = r->received_at,
	    .order = r->meta.order};

	if (is_over(u, t, t->fact.value_len))
		return true;
	t->value_bytes = (int64_t)t->fact.value_len;
	t->knows_hash = true;
	return sqlite_value_append(u->db, &t->row, &value);
}

static bool
apply_to_fact(struct update *u, struct touched *t, struct result *r)
{
	bool touched = false; /* which the row of the fact says */
	enum record_change change;

	show_hash(t, r);
	change = record_apply(&u->head, &t->fact, r, &touched);
	if (change > t->change)
		t->change = change;
	if (change != RECORD_UNCHANGED && !r->forget_order && r->received_at > t->row.heard_at)
		t->row.heard_at = r->received_at;
	return change != RECORD_VALUE || append_value(u, t, r);
}

/* A text that could not be read is this long at least in the record: no copies are made of one that
 * is too long. */
static bool
is_raw_over(struct update *u, const struct touched *t, const struct result *r)
{
	return r->unparsed != NULL &&
	       is_over(u, t, jsonx_string_length(r->unparsed, strlen(r->unparsed)));
}

/* What a fact's row says need not be said by the head's: it is written when it is new, has another
 * error, or the result is about no plugin. */
static bool
apply_result(struct update *u, struct result *r)
{
	json_t *error = json_incref(u->head.last_error);
	bool is_new = u->head.created_at == 0, touched = false, ok = true;
	struct touched *t = NULL;

	if (r->plugin == NULL)
		record_apply(&u->head, NULL, r, &touched);
	else
		t = fact_of(u, r->plugin);
	if (t != NULL && !is_raw_over(u, t, r))
		ok = apply_to_fact(u, t, r);
	u->head_changed = u->head_changed || is_new || touched || u->head.last_error != error;
	json_decref(error);
	return ok && (r->plugin == NULL || t != NULL);
}

static bool
apply_results(struct update *u)
{
	for (size_t i = 0; i < u->w->n && !u->over; i++) {
		if (!apply_result(u, u->w->results[i]))
			return false;
	}
	return true;
}

/* ---- what comes of it ---- */

static bool
put_unparsed(struct update *u, struct touched *t, const char *text)
{
	struct sqldb *db = u->db;

	sqldb_bind_int(db, STMT_UNPARSED_PUT, 1, t->row.plugin);
	sqldb_bind_int(db, STMT_UNPARSED_PUT, 2, t->row.host);
	sqldb_bind_str(db, STMT_UNPARSED_PUT, 3, text);
	return sqldb_run(db, STMT_UNPARSED_PUT);
}

static bool
drop_unparsed(struct update *u, struct touched *t)
{
	struct sqldb *db = u->db;

	sqldb_bind_int(db, STMT_UNPARSED_DROP, 1, t->row.plugin);
	sqldb_bind_int(db, STMT_UNPARSED_DROP, 2, t->row.host);
	return sqldb_run(db, STMT_UNPARSED_DROP);
}

/* In the row there is its length alone. */
static bool
save_unparsed(struct update *u, struct touched *t)
{
	json_t *member = json_object_get(t->fact.meta, "unparsed");
	const char *text = t->fact.unparsed != NULL ? t->fact.unparsed : json_string_value(member);
	bool ok = true;

	if (text != NULL) {
		ok = put_unparsed(u, t, text);
		t->row.unparsed_bytes = (int64_t)jsonx_string_length(text, strlen(text));
	} else if (member == NULL) {
		ok = t->row.unparsed_bytes == 0 || drop_unparsed(u, t);
		t->row.unparsed_bytes = 0;
	}
	if (t->row.unparsed_bytes > 0)
		jsonx_set_int(t->fact.meta, "unparsed", t->row.unparsed_bytes);
	return ok;
}

static bool
save_fact(struct update *u, struct touched *t)
{
	bool ok;

	if (t->change == RECORD_UNCHANGED)
		return true;
	hide_hash(t);
	if (!save_unparsed(u, t))
		return false;
	t->row.bytes = t->value_bytes + t->row.unparsed_bytes;
	ok = sqlite_fact_write(u->db, &t->row, t->fact.meta);
	t->grown += t->row.bytes + (int64_t)t->row.meta_bytes + FACT_BYTES;
	return ok;
}

static bool
save_head(struct update *u)
{
	struct sqldb *db = u->db;
	struct buf error = {0};
	bool ok;

	if (!u->head_changed)
		return true;
	if (u->head.last_error != NULL && !sqldb_write_json(db, &error, u->head.last_error))
		return false;
	sqldb_bind_int(db, STMT_HOST_PUT, 1, u->row.id);
	sqldb_bind_int(db, STMT_HOST_PUT, 2, u->head.created_at);
	sqldb_bind_int(db, STMT_HOST_PUT, 3, u->head.updated_at);
	sqldb_bind_text(db, STMT_HOST_PUT, 4, error.data, error.len);
	ok = sqldb_run(db, STMT_HOST_PUT);
	u->head_grown = (int64_t)error.len - (int64_t)u->row.error_bytes;
	buf_finish(&error);
	return ok;
}

static bool
save_update(struct update *u)
{
	size_t i;

	for (i = 0; i < u->n && !u->over; i++) {
		if (!save_fact(u, &u->facts[i]))
			return false;
	}
	return u->over || save_head(u);
}

/* Too large, and this write made it larger: what shrinks a record, or leaves its size, is always
 * taken, so that lowering the limit does not lock a host out. */
static bool
is_too_large(struct update *u, bool *too_large)
{
	struct sqldb *db = u->db;
	int64_t grown = u->head_grown;
	double bytes;
	size_t i;

	*too_large = u->over;
	if (u->over)
		return true;
	for (i = 0; i < u->n; i++) {
		if (u->facts[i].change != RECORD_UNCHANGED)
			grown += u->facts[i].grown;
	}
	if (grown <= 0 ||
	    sqlite_sizes_fit(u->sizes, u->row.id, (uint64_t)grown, u->record_max_bytes))
		return true;
	sqldb_bind_int(db, STMT_RECORD_BYTES, 1, u->row.id);
	sqldb_bind_int(db, STMT_RECORD_BYTES, 2, FACT_BYTES);
	if (sqldb_step(db, STMT_RECORD_BYTES) != SQLITE_ROW)
		return false;
	bytes = sqlite3_column_double(db->stmts[STMT_RECORD_BYTES], 0);
	sqldb_done(db, STMT_RECORD_BYTES);
	sqlite_sizes_set(u->sizes, u->row.id, (uint64_t)bytes);
	*too_large = bytes > (double)u->record_max_bytes;
	return true;
}

/* Gives up a host of which what is stored cannot be read: nothing can be merged with it, and the
 * other hosts are to go on. JSON that is none stays so; a page that cannot be read may be put back
 * by somebody, so that is tried again. After such a page SQLite writes nothing more in the
 * transaction, or has ended it. */
static enum store_status
give_up_host(struct sqldb *db, const struct update *u, struct trouble *why)
{
	const char *plugin = u->n == 0 ? NULL : u->facts[u->n - 1].row.plugin_name;

	if (db->fault == SQLDB_FAULT_ROW) {
		*why = db->why;
		trouble_prefix(why, "what is stored of %s cannot be read or written: ", u->w->host);
		return STORE_DAMAGED;
	}
	if (!sqldb_run(db, STMT_UNDO) || !sqldb_run(db, STMT_RELEASE))
		return STORE_RETRY;
	trouble_set(why, TROUBLE_OTHER, NULL, "what is stored of %s%s%s is damaged: not JSON",
	    u->w->host, plugin == NULL ? "" : ", plugin ", plugin == NULL ? "" : plugin);
	return STORE_REJECT;
}

/* Facts and outcomes need its number. */
static bool
load_head(struct update *u)
{
	return sqlite_read_head(u->db, &u->head, &u->row) &&
	       (u->row.id != 0 || sqlite_host_id(u->db, u->w->host, &u->row.id));
}

static enum store_status
put_update(struct sqldb *db, struct update *u, struct trouble **why)
{
	bool too_large = false;
	bool ok = sqldb_run(db, STMT_SAVE) && load_head(u) && apply_results(u) && save_update(u) &&
		  is_too_large(u, &too_large) &&
		  (too_large || sqlite_put_outcomes(db, u->row.id, u->w, u->strays_dropped));

	*why = NULL;
	if (!ok && db->fault != SQLDB_FAULT_FILE) {
		*why = xcalloc(1, sizeof(**why));
		return give_up_host(db, u, *why);
	}
	if (!ok || (too_large && !sqldb_run(db, STMT_UNDO)) || !sqldb_run(db, STMT_RELEASE))
		return STORE_RETRY;
	if (!too_large)
		return STORE_OK;
	*why = xcalloc(1, sizeof(**why));
	trouble_set(*why, TROUBLE_OTHER, NULL, "record too large");
	return STORE_REJECT;
}

static void
touch_finish(struct touched *t)
{
	fact_finish(&t->fact);
	sqlite_fact_finish(&t->row);
}

enum store_status
sqlite_put_one(struct sqlite_store *s, const struct store_write *w, struct trouble **why)
{
	struct update u = {.db = &s->db,
	    .w = w,
	    .record_max_bytes = s->record_max_bytes,
	    .strays_dropped = &s->strays_dropped,
	    .sizes = &s->sizes,
	    .head = {.host = xstrdup(w->host)}};
	enum store_status status;
	size_t i;

	u.facts = xcalloc(w->n + 1, sizeof(*u.facts));
	sqldb_use_small_cache(&s->db, w->bytes > LARGE_WRITE);
	s->db.fault = SQLDB_FAULT_NONE;
	status = put_update(&s->db, &u, why);
	for (i = 0; i < u.n; i++)
		touch_finish(&u.facts[i]);
	free(u.facts);
	record_head_finish(&u.head);
	return status;
}
