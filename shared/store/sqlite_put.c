/* What one write changes in the tables of the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite.h"

#include "shared/buf.h"
#include "shared/xalloc.h"

#include <stdlib.h>
#include <string.h>

/* A fact that a write is about. */
struct touched {
	const char *plugin;
	struct fact fact; /* its value is there only if it is new */
	int64_t value_bytes;
	int64_t grown; /* bytes, against what is stored */
	enum record_change change;
};

struct update {
	struct sqldb *db;
	const struct store_write *w;
	uint64_t record_max_bytes;
	struct record_head head;
	bool head_changed;
	size_t error_bytes; /* of last_error, as it was stored */
	int64_t head_grown;
	struct touched *facts; /* room for one a result */
	size_t n;
};

static bool
load_fact(struct update *u, struct touched *t)
{
	struct sqldb *db = u->db;
	size_t len;
	bool ok;
	int rc;

	sqldb_bind_str(db, STMT_FACT_GET, 1, u->w->host);
	sqldb_bind_str(db, STMT_FACT_GET, 2, t->plugin);
	rc = sqldb_step(db, STMT_FACT_GET);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	ok = sqldb_column_json(db, STMT_FACT_GET, 0, &t->fact.meta);
	sqldb_column_text(db, STMT_FACT_GET, 0, &len);
	t->value_bytes = sqlite3_column_int64(db->stmts[STMT_FACT_GET], 1);
	t->grown = -(int64_t)len - t->value_bytes;
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
	return load_fact(u, t) ? t : NULL;
}

static bool
apply_results(struct update *u)
{
	enum record_change change;
	size_t i;

	for (i = 0; i < u->w->n; i++) {
		const struct result *r = u->w->results[i];
		struct touched *t = NULL;

		if (r->plugin != NULL) {
			t = fact_of(u, r->plugin);
			if (t == NULL)
				return false;
		}
		change = record_apply(&u->head, t == NULL ? NULL : &t->fact, r, &u->head_changed);
		if (t != NULL && change > t->change)
			t->change = change;
	}
	return true;
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
		sqldb_bind_str(db, STMT_VALUE_PUT, 1, u->w->host);
		sqldb_bind_str(db, STMT_VALUE_PUT, 2, t->plugin);
		sqldb_bind_text(db, STMT_VALUE_PUT, 3, t->fact.value, t->fact.value_len);
		ok = sqldb_run(db, STMT_VALUE_PUT);
	}
	if (!ok || !sqldb_write_json(db, &meta, t->fact.meta))
		return false;
	t->grown += t->value_bytes + (int64_t)meta.len;
	sqldb_bind_str(db, STMT_FACT_PUT, 1, u->w->host);
	sqldb_bind_str(db, STMT_FACT_PUT, 2, t->plugin);
	sqldb_bind_text(db, STMT_FACT_PUT, 3, meta.data, meta.len);
	sqldb_bind_int(db, STMT_FACT_PUT, 4, t->value_bytes);
	ok = sqldb_run(db, STMT_FACT_PUT);
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

	for (i = 0; i < u->n; i++) {
		if (!save_fact(u, &u->facts[i]))
			return false;
	}
	return save_head(u);
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

	*too_large = false;
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

/* What is stored of this host cannot be read: nothing can be merged with it, now or later, and the
 * other hosts are to go on. */
static enum store_status
give_up_damaged(struct sqldb *db, const struct update *u, char **said)
{
	const char *plugin = u->n == 0 ? NULL : u->facts[u->n - 1].plugin;

	xasprintf(said, "what is stored of %s%s%s is damaged: not JSON", u->w->host,
	    plugin == NULL ? "" : ", plugin ", plugin == NULL ? "" : plugin);
	if (!sqldb_run(db, STMT_UNDO) || !sqldb_run(db, STMT_RELEASE))
		return STORE_RETRY;
	return STORE_REJECT;
}

enum store_status
sqlite_put_one(struct sqlite_store *s, const struct store_write *w, const char **why, char **said)
{
	enum store_status status;
	struct sqldb *db = &s->db;
	struct update u = {.db = db,
	    .w = w,
	    .record_max_bytes = s->record_max_bytes,
	    .head = {.host = xstrdup(w->host)}};
	bool found, too_large = false, ok;
	size_t i;

	u.facts = xcalloc(w->n + 1, sizeof(*u.facts));
	db->damaged = false;
	ok = sqldb_run(db, STMT_SAVE) && sqlite_read_head(db, &u.head, &found, &u.error_bytes) &&
	     apply_results(&u) && save_update(&u) && is_too_large(&u, &too_large);
	if (!ok) {
		status = db->damaged ? give_up_damaged(db, &u, said) : STORE_RETRY;
		*why = *said;
	} else {
		status = too_large ? STORE_REJECT : STORE_OK;
		*why = too_large ? "record too large" : NULL;
		if ((too_large && !sqldb_run(db, STMT_UNDO)) || !sqldb_run(db, STMT_RELEASE) ||
		    (!too_large && !sqlite_put_outcomes(db, w)))
			status = STORE_RETRY;
	}
	for (i = 0; i < u.n; i++)
		fact_finish(&u.facts[i].fact);
	free(u.facts);
	record_head_finish(&u.head);
	return status;
}
