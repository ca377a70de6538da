/* SPDX-License-Identifier: Apache-2.0 */
/* The index of old values follows them, in the sqlite backend. See sqlite.h.
 *
 * To write a value into version_of at once would be a page of it for each. So its row goes to the
 * end of version_new, and when there are many of those they are brought into the index in the order
 * of its keys, a slice to a transaction, and a page has several of them. A slice that is written
 * again, after a kill or by another process, changes nothing: version_new loses its rows with the
 * last one. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>

#define MANY  32768
#define MOST  65536 /* at once: their keys are in memory */
#define SLICE 4096  /* answers wait for this thread */

struct sqlite_index_key {
	int64_t plugin, host, seq;
};

static int
compare(const void *a, const void *b)
{
	const struct sqlite_index_key *x = a, *y = b;

	if (x->plugin != y->plugin)
		return x->plugin < y->plugin ? -1 : 1;
	if (x->host != y->host)
		return x->host < y->host ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static bool
read_span(struct sqldb *db, int64_t *first, int64_t *last)
{
	if (sqldb_step(db, STMT_NEW_SPAN) != SQLITE_ROW)
		return false;
	*first = sqldb_column_int(db, STMT_NEW_SPAN, 0);
	*last = sqldb_column_int(db, STMT_NEW_SPAN, 1);
	sqldb_done(db, STMT_NEW_SPAN);
	return true;
}

static bool
read_keys(struct sqldb *db, struct sqlite_index *x, int64_t first)
{
	int rc;

	sqldb_bind_int(db, STMT_NEW_LIST, 1, first);
	sqldb_bind_int(db, STMT_NEW_LIST, 2, x->last);
	while ((rc = sqldb_step(db, STMT_NEW_LIST)) == SQLITE_ROW) {
		assert(x->n < MOST);
		x->keys[x->n++] = (struct sqlite_index_key){
		    .plugin = sqldb_column_int(db, STMT_NEW_LIST, 0),
		    .host = sqldb_column_int(db, STMT_NEW_LIST, 1),
		    .seq = sqldb_column_int(db, STMT_NEW_LIST, 2),
		};
	}
	return rc == SQLITE_DONE;
}

static bool
begin(struct sqldb *db, struct sqlite_index *x, int64_t many)
{
	int64_t first, last;

	if (!read_span(db, &first, &last))
		return false;
	if (last == 0 || last - first + 1 < many || last < x->not_before)
		return true;
	x->last = last - first < MOST ? last : first + MOST - 1;
	x->keys = xcalloc((size_t)(x->last - first + 1), sizeof(*x->keys));
	if (!read_keys(db, x, first))
		return false;
	qsort(x->keys, x->n, sizeof(*x->keys), compare);
	return true;
}

static bool
write_slice(struct sqldb *db, const struct sqlite_index *x, size_t end)
{
	for (size_t i = x->done; i < end; i++) {
		sqldb_bind_int(db, STMT_VERSION_OF_ADD, 1, x->keys[i].plugin);
		sqldb_bind_int(db, STMT_VERSION_OF_ADD, 2, x->keys[i].host);
		sqldb_bind_int(db, STMT_VERSION_OF_ADD, 3, x->keys[i].seq);
		if (!sqldb_run(db, STMT_VERSION_OF_ADD))
			return false;
	}
	if (end < x->n)
		return true;
	sqldb_bind_int(db, STMT_NEW_DROP, 1, x->last);
	return sqldb_run(db, STMT_NEW_DROP);
}

static void
end(struct sqlite_index *x)
{
	free(x->keys);
	x->keys = NULL;
	x->n = x->done = 0;
}

static bool
step(struct sqldb *db, struct sqlite_index *x)
{
	size_t to = x->n - x->done < SLICE ? x->n : x->done + SLICE;

	if (!sqldb_run(db, STMT_BEGIN_WRITE))
		return false;
	if (!write_slice(db, x, to) || !sqldb_run(db, STMT_COMMIT)) {
		sqldb_roll_back(db);
		return false;
	}
	x->done = to;
	if (x->done == x->n)
		end(x);
	return true;
}

bool
sqlite_index_step(struct sqlite_store *s, bool all, bool *more)
{
	struct sqlite_index *x = &s->index;
	bool ok;

	*more = false;
	if (all)
		x->not_before = 0;
	ok = (x->keys != NULL || begin(&s->db, x, all ? 1 : MANY)) &&
	     (x->keys == NULL || step(&s->db, x));
	*more = ok && x->keys != NULL;
	if (!ok) {
		x->not_before = x->last + SLICE;
		end(x);
	}
	return ok;
}

void
sqlite_index_finish(struct sqlite_store *s)
{
	end(&s->index);
}
