/* SPDX-License-Identifier: Apache-2.0 */
/* Notes have a table of their own in the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/xalloc.h"
#include "shared/event/worker.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

struct note {
	char *id, *text;
};

/* Run on the thread, done on the loop. */
struct notes_task {
	struct sqlite_store *s;
	union {
		store_done_fn *done;
		store_got_fn *got;
	} fn;
	void *arg;
	bool ok;
	struct trouble why;
	struct note *notes; /* put */
	size_t n;
	char *prefix;
	json_t *found;
};

static struct notes_task *
task_create(struct store *base, void *arg)
{
	struct notes_task *t = xcalloc(1, sizeof(*t));

	t->s = (struct sqlite_store *)base;
	t->arg = arg;
	return t;
}

static void
task_free(struct notes_task *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->notes[i].id);
		free(t->notes[i].text);
	}
	free(t->notes);
	free(t->prefix);
	json_decref(t->found);
	free(t);
}

static void
task_end(struct notes_task *t)
{
	if (t->ok)
		return;
	sqldb_roll_back(&t->s->db);
	t->why = t->s->db.why;
}

static void
put_run(void *arg)
{
	struct notes_task *t = arg;
	struct sqldb *db = &t->s->db;

	t->ok = sqldb_file_is_there(db) && sqldb_run(db, STMT_BEGIN_WRITE);
	for (size_t i = 0; t->ok && i < t->n; i++) {
		sqldb_bind_str(db, STMT_NOTE_PUT, 1, t->notes[i].id);
		sqldb_bind_str(db, STMT_NOTE_PUT, 2, t->notes[i].text);
		t->ok = sqldb_run(db, STMT_NOTE_PUT);
	}
	t->ok = t->ok && sqldb_run(db, STMT_COMMIT);
	task_end(t);
}

static void
put_done(void *arg)
{
	struct notes_task *t = arg;

	if (!t->s->closed)
		t->fn.done(t->ok ? NULL : &t->why, t->ok ? "stored" : NULL, t->arg);
	task_free(t);
}

void
sqlite_notes_put(struct store *base, const json_t *notes, store_done_fn *fn, void *arg)
{
	struct notes_task *t = task_create(base, arg);
	const char *id;
	json_t *value;

	t->fn.done = fn;
	t->notes = xcalloc(json_object_size(notes) + 1, sizeof(*t->notes));
	json_object_foreach ((json_t *)notes, id, value) {
		t->notes[t->n].id = xstrdup(id);
		t->notes[t->n].text =
		    json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
		if (t->notes[t->n++].text == NULL)
			abort(); /* out of memory */
	}
	worker_submit(t->s->worker, put_run, put_done, t);
}

static void
get_run(void *arg)
{
	struct notes_task *t = arg;
	struct sqldb *db = &t->s->db;
	int rc;

	t->found = json_object();
	t->ok = true;
	sqldb_bind_str(db, STMT_NOTES, 1, t->prefix);
	for (rc = sqldb_step(db, STMT_NOTES); rc == SQLITE_ROW; rc = sqldb_step(db, STMT_NOTES)) {
		size_t len;
		const char *id = sqldb_column_text(db, STMT_NOTES, 0, &len);
		json_t *value = NULL;

		t->ok = id != NULL && sqldb_column_json(db, STMT_NOTES, 1, &value) &&
			json_object_set_new(t->found, id, value) == 0;
		if (!t->ok) {
			sqldb_done(db, STMT_NOTES);
			break;
		}
	}
	t->ok = t->ok && rc == SQLITE_DONE;
	task_end(t);
}

static void
get_done(void *arg)
{
	struct notes_task *t = arg;

	if (!t->s->closed)
		t->fn.got(t->ok ? STORE_FOUND : STORE_FAILED, t->ok ? t->found : NULL,
		    t->ok ? NULL : &t->why, t->arg);
	task_free(t);
}

void
sqlite_notes(struct store *base, const char *prefix, store_got_fn *fn, void *arg)
{
	struct notes_task *t = task_create(base, arg);

	t->fn.got = fn;
	t->prefix = xstrdup(prefix);
	worker_submit(t->s->worker, get_run, get_done, t);
}
