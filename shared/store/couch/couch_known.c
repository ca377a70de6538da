/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_known.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/wire/jsonx.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct known_job {
	char *id;
	UT_hash_handle hh; /* by id */
	TAILQ_ENTRY(known_job) link;
};

struct couch_known {
	struct known_job *by_id;
	TAILQ_HEAD(, known_job) lru; /* the next to go is first */
};

struct couch_known *
couch_known_create(void)
{
	struct couch_known *k = xcalloc(1, sizeof(*k));

	TAILQ_INIT(&k->lru);
	return k;
}

static void
let_go(struct couch_known *k, struct known_job *job)
{
	HASH_DEL(k->by_id, job);
	TAILQ_REMOVE(&k->lru, job, link);
	free(job->id);
	free(job);
}

void
couch_known_clear(struct couch_known *k)
{
	while (!TAILQ_EMPTY(&k->lru))
		let_go(k, TAILQ_FIRST(&k->lru));
}

void
couch_known_destroy(struct couch_known *k)
{
	if (k == NULL)
		return;
	couch_known_clear(k);
	free(k);
}

bool
couch_known_has(struct couch_known *k, const char *id)
{
	struct known_job *job;

	HASH_FIND_STR(k->by_id, id, job);
	if (job == NULL)
		return false;
	TAILQ_REMOVE(&k->lru, job, link);
	TAILQ_INSERT_TAIL(&k->lru, job, link);
	return true;
}

void
couch_known_add(struct couch_known *k, const char *id)
{
	struct known_job *job;

	if (couch_known_has(k, id))
		return;
	job = xcalloc(1, sizeof(*job));
	job->id = xstrdup(id);
	HASH_ADD_KEYPTR(hh, k->by_id, job->id, strlen(job->id), job);
	TAILQ_INSERT_TAIL(&k->lru, job, link);
	if (HASH_COUNT(k->by_id) > COUCH_KNOWN_MAX)
		let_go(k, TAILQ_FIRST(&k->lru));
}

size_t
couch_known_count(const struct couch_known *k)
{
	return HASH_COUNT(k->by_id);
}

/* ---- asking ---- */

bool
couch_known_ask(struct buf *out, const json_t *jobs)
{
	json_t *keys = json_array(), *body = json_pack("{s:o}", "keys", keys);
	const char *job;
	json_t *none;
	bool ok;

	json_object_foreach ((json_t *)jobs, job, none)
		json_array_append_new(keys, json_sprintf(COUCH_JOBS_START "%s", job));
	ok = jsonx_write(out, body);
	json_decref(body);
	return ok;
}

bool
couch_known_take(struct couch_known *k, const char *body, size_t len, json_t *there)
{
	const size_t prefix = strlen(COUCH_JOBS_START);
	struct couch_rows rows;
	struct couch_row row;
	bool ok = couch_rows_open(&rows, body, len);

	for (; ok && couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		if (row.error) {
			ok = false;
		} else if (row.rev != NULL && strncmp(row.id, COUCH_JOBS_START, prefix) == 0) {
			couch_known_add(k, row.id + prefix);
			json_object_set_new(there, row.id + prefix, json_null());
		}
	}
	return ok && !rows.it.bad;
}
