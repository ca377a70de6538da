/* SPDX-License-Identifier: Apache-2.0 */
/* This makes what one write changes in the tables of the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jread.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_WRITE (1024 * 1024)

/* A fact that a write is about. */
struct touched {
	const char *plugin;
	struct fact fact;   /* its value is there only if it is new */
	struct result *raw; /* whose unparsed text the fact borrows, if it does */
	size_t meta_bytes;  /* as it is stored */
	int64_t value_bytes;
	int64_t grown; /* bytes, against what is stored */
	enum record_change change;
};

struct update {
	struct sqldb *db;
	const struct store_write *w;
	uint64_t record_max_bytes;
	uint64_t *strays_dropped;
	bool over; /* it is too large whatever else there is */
	struct record_head head;
	bool head_changed;
	size_t error_bytes; /* of last_error, as it was stored */
	int64_t head_grown;
	struct touched *facts; /* room for one a result */
	size_t n;
};

/* Leaves a raw text of megabytes of what is stored where it is; "unparsed" is true in its place,
 * which a result may keep or replace. */
static bool
read_meta(struct sqldb *db, struct touched *t)
{
	const char *text = sqldb_column_text(db, STMT_FACT_GET, 0, &t->meta_bytes);
	struct buf rest;
	struct jread j;
	char err[128];
	bool ok;

	if (t->meta_bytes < LARGE_WRITE)
		return sqldb_column_json(db, STMT_FACT_GET, 0, &t->fact.meta);
	jread_init(&j, text, t->meta_bytes, NULL);
	if (!jread_member(&j, "unparsed"))
		return sqldb_column_json(db, STMT_FACT_GET, 0, &t->fact.meta);
	buf_init(&rest, SQLDB_JSON_MAX);
	ok = buf_append(&rest, text, j.start) && buf_append_str(&rest, "true") &&
	     buf_append(&rest, text + j.end, t->meta_bytes - j.end);
	if (ok)
		t->fact.meta = jsonx_parse_stored(rest.data, rest.len, err, sizeof(err));
	buf_finish(&rest);
	if (!ok)
		sqldb_fail(db, NULL, "out of memory");
	else if (t->fact.meta == NULL)
		sqldb_damaged(db, "damaged: a column does not hold JSON");
	return t->fact.meta != NULL;
}

static bool
load_fact(struct update *u, struct touched *t)
{
	struct sqldb *db = u->db;
	bool ok;
	int rc;

	sqldb_bind_str(db, STMT_FACT_GET, 1, u->w->host);
	sqldb_bind_str(db, STMT_FACT_GET, 2, t->plugin);
	rc = sqldb_step(db, STMT_FACT_GET);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	ok = read_meta(db, t);
	t->value_bytes = sqlite3_column_int64(db->stmts[STMT_FACT_GET], 1);
	t->grown = -(int64_t)t->meta_bytes - t->value_bytes;
	sqldb_done(db, STMT_FACT_GET);
	return ok;
}

static struct touched *
fact_of(struct update *u, const char *plugin)
{
	struct touched *t;
	size_t i;

	for (i = 0; i < u->n; i++) {
		if (strcmp(u->facts[i].plugin, plugin) == 0)
			return &u->facts[i];
	}
	t = &u->facts[u->n++];
	t->plugin = plugin;
	t->fact.borrows = true;
	return load_fact(u, t) ? t : NULL;
}

/* Says whether it alone is more than a record may grow by: then it need not be written to find that
 * out. */
static bool
is_over(struct update *u, const struct touched *t, size_t more)
{
	u->over = u->over || t->grown + (int64_t)more > (int64_t)u->record_max_bytes;
	return u->over;
}

static void
note_raw(struct touched *t, struct result *r)
{
	if (t->fact.unparsed == NULL)
		t->raw = NULL;
	else if (t->fact.unparsed == r->unparsed)
		t->raw = r;
}

static bool
apply_results(struct update *u)
{
	enum record_change change;
	size_t i;

	for (i = 0; i < u->w->n; i++) {
		struct result *r = u->w->results[i];
		struct touched *t = NULL;

		if (r->plugin != NULL) {
			t = fact_of(u, r->plugin);
			if (t == NULL)
				return false;
		}
		/* A text is this long at least in the record: no copies are made of it. */
		if (t != NULL && r->unparsed != NULL &&
		    is_over(u, t, jsonx_string_length(r->unparsed, strlen(r->unparsed))))
			return true;
		change = record_apply(&u->head, t == NULL ? NULL : &t->fact, r, &u->head_changed);
		if (t != NULL && change > t->change)
			t->change = change;
		if (t != NULL)
			note_raw(t, r);
	}
	return true;
}

/* SQLite makes a row of a copy of the text, in which the raw text is a second time: for so long the
 * result's own is not held, which may be megabytes. */
static void
drop_raw(struct touched *t, const struct buf *meta)
{
	if (t->raw == NULL || meta->len < LARGE_WRITE)
		return;
	free(t->raw->unparsed);
	t->raw->unparsed = NULL;
	t->fact.unparsed = NULL;
}

/* The write may be undone, and come again. */
static void
restore_raw(struct touched *t, const struct buf *meta)
{
	struct jread j;
	size_t len;

	if (t->raw == NULL || t->raw->unparsed != NULL)
		return;
	jread_init(&j, meta->data, meta->len, NULL);
	if (jread_member(&j, "unparsed"))
		t->raw->unparsed = jread_text_new(&j, &len);
	if (t->raw->unparsed == NULL)
		fatal("store", "out of memory");
	t->fact.unparsed = t->raw->unparsed;
}

/* The raw text that is kept goes from the row into the text of the new one. */
static bool
append_stored_raw(struct update *u, struct touched *t, struct buf *meta)
{
	struct sqldb *db = u->db;
	const char *text;
	struct jread j;
	size_t len;
	bool ok;

	sqldb_bind_str(db, STMT_FACT_GET, 1, u->w->host);
	sqldb_bind_str(db, STMT_FACT_GET, 2, t->plugin);
	if (sqldb_step(db, STMT_FACT_GET) != SQLITE_ROW)
		return false;
	text = sqldb_column_text(db, STMT_FACT_GET, 0, &len);
	jread_init(&j, text, len, NULL);
	buf_truncate(meta, meta->len - 1); /* the brace; meta is not empty: it says its state */
	ok = jread_member(&j, "unparsed") && buf_append_str(meta, ",\"unparsed\":") &&
	     buf_append(meta, text + j.start, j.end - j.start) && buf_append_char(meta, '}');
	sqldb_done(db, STMT_FACT_GET);
	return ok;
}

static bool
write_meta(struct update *u, struct touched *t, struct buf *meta)
{
	bool keeps_raw = json_is_true(json_object_get(t->fact.meta, "unparsed"));

	if (keeps_raw)
		json_object_del(t->fact.meta, "unparsed");
	return fact_write_meta(meta, &t->fact) && (!keeps_raw || append_stored_raw(u, t, meta));
}

/* Drops the row first: to write over one SQLite takes what is in it and what it becomes twice; in
 * the place of one that is gone, the new one alone. */
static bool
drop_row(struct update *u, const struct touched *t)
{
	sqldb_bind_str(u->db, STMT_FACT_DROP, 1, u->w->host);
	sqldb_bind_str(u->db, STMT_FACT_DROP, 2, t->plugin);
	return sqldb_run(u->db, STMT_FACT_DROP);
}

static bool
put_meta(struct update *u, const struct touched *t, const struct buf *meta)
{
	struct sqldb *db = u->db;

	sqldb_bind_str(db, STMT_FACT_PUT, 1, u->w->host);
	sqldb_bind_str(db, STMT_FACT_PUT, 2, t->plugin);
	sqldb_bind_text(db, STMT_FACT_PUT, 3, meta->data, meta->len);
	sqldb_bind_int(db, STMT_FACT_PUT, 4, t->value_bytes);
	return sqldb_run(db, STMT_FACT_PUT);
}

static bool
save_fact(struct update *u, struct touched *t)
{
	struct sqldb *db = u->db;
	struct buf meta;
	bool ok = true;

	if (t->change == RECORD_UNCHANGED)
		return true;
	if (t->change == RECORD_VALUE) {
		t->value_bytes = (int64_t)t->fact.value_len;
		if (is_over(u, t, t->fact.value_len))
			return true;
		sqldb_bind_str(db, STMT_VALUE_PUT, 1, u->w->host);
		sqldb_bind_str(db, STMT_VALUE_PUT, 2, t->plugin);
		sqldb_bind_text(db, STMT_VALUE_PUT, 3, t->fact.value, t->fact.value_len);
		ok = sqldb_run(db, STMT_VALUE_PUT);
	}
	if (!ok)
		return false;
	buf_init(&meta, SQLDB_JSON_MAX);
	if (!write_meta(u, t, &meta)) {
		buf_finish(&meta);
		sqldb_fail(db, NULL, "out of memory");
		return false;
	}
	json_decref(t->fact.meta); /* it may hold megabytes, as the text now does */
	t->fact.meta = NULL;
	t->grown += t->value_bytes + (int64_t)meta.len;
	if (is_over(u, t, 0)) {
		buf_finish(&meta);
		return true;
	}
	drop_raw(t, &meta);
	ok = (t->meta_bytes < LARGE_WRITE || drop_row(u, t)) && put_meta(u, t, &meta);
	restore_raw(t, &meta);
	buf_finish(&meta);
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
	sqldb_bind_str(db, STMT_HEAD_PUT, 1, u->head.host);
	sqldb_bind_int(db, STMT_HEAD_PUT, 2, u->head.created_at);
	sqldb_bind_int(db, STMT_HEAD_PUT, 3, u->head.updated_at);
	sqldb_bind_text(db, STMT_HEAD_PUT, 4, error.data, error.len);
	ok = sqldb_run(db, STMT_HEAD_PUT);
	u->head_grown = (int64_t)error.len - (int64_t)u->error_bytes;
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
	if (grown <= 0)
		return true;
	sqldb_bind_str(db, STMT_RECORD_BYTES, 1, u->w->host);
	if (sqldb_step(db, STMT_RECORD_BYTES) != SQLITE_ROW)
		return false;
	bytes = sqlite3_column_double(db->stmts[STMT_RECORD_BYTES], 0);
	sqldb_done(db, STMT_RECORD_BYTES);
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
	const char *plugin = u->n == 0 ? NULL : u->facts[u->n - 1].plugin;

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

static enum store_status
put_update(struct sqldb *db, struct update *u, struct trouble **why)
{
	bool found, too_large = false;
	bool ok = sqldb_run(db, STMT_SAVE) &&
		  sqlite_read_head(db, &u->head, &found, &u->error_bytes) && apply_results(u) &&
		  save_update(u) && is_too_large(u, &too_large) &&
		  (too_large || sqlite_put_outcomes(db, u->w, u->strays_dropped));

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

enum store_status
sqlite_put_one(struct sqlite_store *s, const struct store_write *w, struct trouble **why)
{
	struct update u = {.db = &s->db,
	    .w = w,
	    .record_max_bytes = s->record_max_bytes,
	    .strays_dropped = &s->strays_dropped,
	    .head = {.host = xstrdup(w->host)}};
	enum store_status status;
	size_t i;

	u.facts = xcalloc(w->n + 1, sizeof(*u.facts));
	sqldb_use_small_cache(&s->db, w->bytes > LARGE_WRITE);
	s->db.fault = SQLDB_FAULT_NONE;
	status = put_update(&s->db, &u, why);
	for (i = 0; i < u.n; i++)
		fact_finish(&u.facts[i].fact);
	free(u.facts);
	record_head_finish(&u.head);
	return status;
}
