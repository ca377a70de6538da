/* SPDX-License-Identifier: Apache-2.0 */
/* Old values go, in the sqlite backend. See sqlite.h.
 *
 * A walk brings the newest values into the index, then goes over all in the order in which they
 * came, so that whole pages of them become free, up to where the age that is kept begins; then over
 * the index of them, pair by pair of plugin and host, for what is more than is kept of a pair, and
 * for what is left in the index of values that are gone: to take each out of it at once would be a
 * page written for each. Nobody may rely on it that what the index leads to is there.
 *
 * Then names go that nobody mentions any more: of machines that were started anew, of jobs that are
 * gone, of hosts that were forgotten; and nobody who invents such fills the disk.
 *
 * Each step is a transaction of its own, and to do one again does no harm; where a walk is is known
 * in memory alone. */
#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/xalloc.h"
#include "shared/event/worker.h"

#include <inttypes.h>
#include <stdlib.h>

/* Of a step: answers wait for this thread. */
#define STEP_VALUES 2000
#define STEP_INDEX  5000
#define NAMES_MANY  10000 /* new ones since they were gone through */

struct history_task {
	struct sqlite_store *s;
	struct options_keep keep;
	store_pruned_fn *fn;
	void *arg;
	bool ok;
	struct trouble why;
	uint64_t removed;
	bool more;
};

/* ---- where the age begins ---- */

/* The first value from seq on. *found: there is one. */
static bool
seek(struct sqldb *db, int64_t from, int64_t *seq, int64_t *at, bool *found)
{
	int rc;

	sqldb_bind_int(db, STMT_VERSION_SEEK, 1, from);
	rc = sqldb_step(db, STMT_VERSION_SEEK);
	*found = rc == SQLITE_ROW;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	*seq = sqldb_column_int(db, STMT_VERSION_SEEK, 0);
	*at = sqldb_column_int(db, STMT_VERSION_SEEK, 1);
	sqldb_done(db, STMT_VERSION_SEEK);
	return true;
}

/* *cut: the latest of those before that time; their times never go back. */
static bool
find_cut(struct sqldb *db, int64_t last, int64_t before, int64_t *cut)
{
	int64_t low = 0, high = last + 1; /* low is before it, high is not */

	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2, seq = high, at = before;
		bool found;

		if (!seek(db, middle, &seq, &at, &found))
			return false;
		if (found && at < before)
			low = seq;
		else
			high = middle;
	}
	*cut = low;
	return true;
}

static bool
last_version(struct sqldb *db, int64_t *seq, int64_t *at)
{
	int rc = sqldb_step(db, STMT_LAST_VERSION);

	*seq = *at = 0;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	*seq = sqldb_column_int(db, STMT_LAST_VERSION, 0);
	*at = sqldb_column_int(db, STMT_LAST_VERSION, 1);
	sqldb_done(db, STMT_LAST_VERSION);
	return true;
}

/* The values are gone through again when what is kept has moved by a tenth, or was changed. */
static bool
is_due(const struct sqlite_walk *w, const struct options_keep *keep, int64_t before)
{
	int64_t tenth = (int64_t)keep->age_s * 1000 / 10;

	return w->keep.age_s != keep->age_s || before - w->before > tenth || before < w->before;
}

static bool
begin_walk(struct history_task *t)
{
	struct sqlite_walk *w = &t->s->walk;
	struct sqldb *db = &t->s->db;
	int64_t last, at, before;

	if (!last_version(db, &last, &at))
		return false;
	if (last == w->last && w->keep.age_s == t->keep.age_s && w->keep.count == t->keep.count)
		return true; /* nothing has come since */
	before = at - (int64_t)t->keep.age_s * 1000;
	w->cut = 0;
	w->of_age = t->keep.age_s != OPTIONS_KEEP_ALL && is_due(w, &t->keep, before);
	if (w->of_age && !find_cut(db, last, before, &w->cut))
		return false;
	if (w->of_age)
		w->before = before;
	w->last = last;
	w->keep = t->keep;
	w->seq = w->plugin = w->host = 0;
	w->state = SQLITE_WALK_NEW;
	return true;
}

/* ---- steps ---- */

static bool
end_step(struct history_task *t, bool ok)
{
	struct sqldb *db = &t->s->db;

	if (ok && sqldb_run(db, STMT_COMMIT))
		return true;
	sqldb_roll_back(db);
	return false;
}

static bool
query_int(struct sqldb *db, enum stmt which, int64_t *value)
{
	if (sqldb_step(db, which) != SQLITE_ROW)
		return false;
	*value = sqldb_column_int(db, which, 0);
	sqldb_done(db, which);
	return true;
}

static bool
step_new(struct history_task *t)
{
	struct sqlite_walk *w = &t->s->walk;
	bool more;

	if (!sqlite_index_step(t->s, true, &more))
		return false;
	if (!more)
		w->state = w->of_age ? SQLITE_WALK_VALUES : SQLITE_WALK_INDEX;
	return true;
}

/* What was replaced before the cut: of a pair, what is before the latest that is not behind it, but
 * for its key value. */
static bool
drop_values(struct sqldb *db, const struct sqlite_walk *w, int64_t end)
{
	sqldb_bind_int(db, STMT_HISTORY_DROP_OLD, 1, w->seq);
	sqldb_bind_int(db, STMT_HISTORY_DROP_OLD, 2, end);
	sqldb_bind_int(db, STMT_HISTORY_DROP_OLD, 3, w->cut);
	return sqldb_run(db, STMT_HISTORY_DROP_OLD);
}

static bool
step_values(struct history_task *t)
{
	struct sqlite_walk *w = &t->s->walk;
	struct sqldb *db = &t->s->db;
	int64_t end;

	sqldb_bind_int(db, STMT_HISTORY_STEP, 1, w->seq);
	sqldb_bind_int(db, STMT_HISTORY_STEP, 2, w->cut);
	sqldb_bind_int(db, STMT_HISTORY_STEP, 3, STEP_VALUES);
	if (!query_int(db, STMT_HISTORY_STEP, &end))
		return false;
	if (end == 0) { /* there are no more */
		w->state = SQLITE_WALK_INDEX;
		return true;
	}
	if (!sqldb_run(db, STMT_BEGIN_WRITE) || !end_step(t, drop_values(db, w, end)))
		return false;
	t->removed = (uint64_t)sqldb_changes(db);
	w->seq = end;
	return true;
}

/* The pair with which the step ends. *more: there are others behind it. */
static bool
find_pair(struct sqldb *db, const struct sqlite_walk *w, int64_t *plugin, int64_t *host, bool *more)
{
	int rc;

	sqldb_bind_int(db, STMT_HISTORY_PAIR, 1, w->plugin);
	sqldb_bind_int(db, STMT_HISTORY_PAIR, 2, w->host);
	sqldb_bind_int(db, STMT_HISTORY_PAIR, 3, STEP_INDEX);
	rc = sqldb_step(db, STMT_HISTORY_PAIR);
	*more = rc == SQLITE_ROW;
	*plugin = *host = INT64_MAX;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	*plugin = sqldb_column_int(db, STMT_HISTORY_PAIR, 0);
	*host = sqldb_column_int(db, STMT_HISTORY_PAIR, 1);
	sqldb_done(db, STMT_HISTORY_PAIR);
	return true;
}

static void
bind_pairs(struct sqldb *db, enum stmt which, const struct sqlite_walk *w, int64_t plugin,
    int64_t host, int64_t more)
{
	sqldb_bind_int(db, which, 1, w->plugin);
	sqldb_bind_int(db, which, 2, w->host);
	sqldb_bind_int(db, which, 3, plugin);
	sqldb_bind_int(db, which, 4, host);
	sqldb_bind_int(db, which, 5, more);
}

/* Of a pair what is behind the newest so many that were replaced, but for the key value of the
 * oldest that stays; then what is left of values in the index. */
static bool
drop_pairs(struct history_task *t, int64_t plugin, int64_t host)
{
	const struct sqlite_walk *w = &t->s->walk;
	struct sqldb *db = &t->s->db;
	int64_t up_to = w->cut;

	if (t->keep.count != OPTIONS_KEEP_ALL) {
		bind_pairs(db, STMT_HISTORY_DROP_MANY, w, plugin, host, t->keep.count);
		if (!sqldb_run(db, STMT_HISTORY_DROP_MANY))
			return false;
		t->removed = (uint64_t)sqldb_changes(db);
		if (t->removed > 0)
			up_to = INT64_MAX;
	}
	if (up_to == 0)
		return true;
	bind_pairs(db, STMT_HISTORY_CUT_INDEX, w, plugin, host, up_to);
	return sqldb_run(db, STMT_HISTORY_CUT_INDEX);
}

static bool
step_index(struct history_task *t)
{
	struct sqlite_walk *w = &t->s->walk;
	struct sqldb *db = &t->s->db;
	int64_t plugin, host;
	bool more;

	if (!find_pair(db, w, &plugin, &host, &more) || !sqldb_run(db, STMT_BEGIN_WRITE) ||
	    !end_step(t, drop_pairs(t, plugin, host))) {
		t->removed = 0;
		return false;
	}
	w->plugin = plugin;
	w->host = host;
	if (!more)
		w->state = SQLITE_WALK_NAMES;
	return true;
}

/* A table at a time, and only where there may be many to find: each step reads all that may mention
 * one. */
static bool
step_names(struct history_task *t)
{
	static const enum stmt drops[] = {STMT_NAMES_DROP_HOSTS, STMT_NAMES_DROP_MACHINES,
	    STMT_NAMES_DROP_JOBS, STMT_NAMES_DROP_PLUGINS};
	struct sqlite_walk *w = &t->s->walk;
	struct sqldb *db = &t->s->db;
	int64_t names;

	if (w->table == 0 && !query_int(db, STMT_NAMES_COUNT, &names))
		return false;
	if (w->table == 0 && names - w->names < NAMES_MANY) {
		w->state = SQLITE_WALK_NONE;
		return true;
	}
	if (!sqldb_run(db, STMT_BEGIN_WRITE) || !end_step(t, sqldb_run(db, drops[w->table])))
		return false;
	if (++w->table < sizeof(drops) / sizeof(drops[0]))
		return true;
	w->table = 0;
	w->state = SQLITE_WALK_NONE;
	return query_int(db, STMT_NAMES_COUNT, &w->names);
}

static bool
step(struct history_task *t)
{
	switch (t->s->walk.state) {
	case SQLITE_WALK_NONE:
		return begin_walk(t);
	case SQLITE_WALK_NEW:
		return step_new(t);
	case SQLITE_WALK_VALUES:
		return step_values(t);
	case SQLITE_WALK_INDEX:
		return step_index(t);
	case SQLITE_WALK_NAMES:
		return step_names(t);
	}
	return true;
}

static void
prune_run(void *arg)
{
	struct history_task *t = arg;

	t->ok = sqldb_file_is_there(&t->s->db) && step(t);
	t->more = t->ok && t->s->walk.state != SQLITE_WALK_NONE;
	if (!t->ok)
		t->why = t->s->db.why;
}

static void
prune_done(void *arg)
{
	struct history_task *t = arg;

	if (!t->s->closed)
		t->fn(t->ok ? NULL : &t->why, t->removed, t->more, t->arg);
	free(t);
}

void
sqlite_history_prune(
    struct store *base, const struct options_keep *keep, store_pruned_fn *fn, void *arg)
{
	struct history_task *t = xcalloc(1, sizeof(*t));

	t->s = (struct sqlite_store *)base;
	t->keep = *keep;
	t->fn = fn;
	t->arg = arg;
	worker_submit(t->s->worker, prune_run, prune_done, t);
}
