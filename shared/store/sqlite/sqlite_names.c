/* SPDX-License-Identifier: Apache-2.0 */
/* What is said again and again has a number in the tables of the sqlite backend. See sqlite_rows.h.
 */
#include "shared/store/sqlite/sqlite_rows.h"

#include "shared/base/xalloc.h"

#include <string.h>

/* The statement is bound: takes the number that it finds. SQLITE_ROW, _DONE, or an error. */
static int
find(struct sqldb *db, enum stmt get, int64_t *id)
{
	int rc = sqldb_step(db, get);

	if (rc == SQLITE_ROW) {
		*id = sqldb_column_int(db, get, 0);
		sqldb_done(db, get);
	}
	return rc;
}

static bool
find_or_add(
    struct sqldb *db, enum stmt get, enum stmt add, const char *const texts[], int n, int64_t *id)
{
	int rc;

	for (int i = 0; i < n; i++)
		sqldb_bind_str(db, get, i + 1, texts[i]);
	rc = find(db, get, id);
	if (rc != SQLITE_DONE)
		return rc == SQLITE_ROW;
	for (int i = 0; i < n; i++)
		sqldb_bind_str(db, add, i + 1, texts[i]);
	if (!sqldb_run(db, add))
		return false;
	*id = sqldb_last_id(db);
	return true;
}

bool
sqlite_host_id(struct sqldb *db, const char *name, int64_t *id)
{
	return find_or_add(db, STMT_HOST_GET, STMT_HOST_ADD, &name, 1, id);
}

/* The same few plugins and the same job are in many answers of one transaction. In the next they
 * may have other numbers: another process can put a backup in the place of what was there. */
static bool
is_known(const struct sqldb *db, const struct sqldb_known *k, const char *name, int64_t *id)
{
	if (k->epoch != db->epoch || strcmp(k->name, name) != 0)
		return false;
	*id = k->id;
	return true;
}

static void
know(const struct sqldb *db, struct sqldb_known *k, const char *name, int64_t id)
{
	if (strlen(name) >= sizeof(k->name))
		return;
	k->epoch = db->epoch;
	k->id = id;
	memcpy(k->name, name, strlen(name) + 1);
}

bool
sqlite_plugin_id(struct sqldb *db, const char *name, int64_t *id)
{
	struct sqldb_known *place = &db->plugins[(unsigned char)name[0] % SQLDB_KNOWN];

	if (is_known(db, place, name, id))
		return true;
	if (!find_or_add(db, STMT_PLUGIN_GET, STMT_PLUGIN_ADD, &name, 1, id))
		return false;
	know(db, place, name, *id);
	return true;
}

bool
sqlite_job_id(struct sqldb *db, const char *name, int64_t *id)
{
	if (is_known(db, &db->job, name, id))
		return true;
	if (!find_or_add(db, STMT_JOB_ID_GET, STMT_JOB_ID_ADD, &name, 1, id))
		return false;
	know(db, &db->job, name, *id);
	return true;
}

bool
sqlite_machine_id(
    struct sqldb *db, const char *machine, const char *boot, const char *agent, int64_t *id)
{
	const char *texts[] = {
	    machine == NULL ? "" : machine, boot == NULL ? "" : boot, agent == NULL ? "" : agent};

	return find_or_add(db, STMT_MACHINE_GET, STMT_MACHINE_ADD, texts, 3, id);
}

int
sqlite_find_host(struct sqldb *db, const char *name, int64_t *id)
{
	bool is_record;
	int rc;

	sqldb_bind_str(db, STMT_HOST_GET, 1, name);
	rc = sqldb_step(db, STMT_HOST_GET);
	if (rc != SQLITE_ROW)
		return rc;
	*id = sqldb_column_int(db, STMT_HOST_GET, 0);
	is_record = !sqldb_column_is_null(db, STMT_HOST_GET, 1);
	sqldb_done(db, STMT_HOST_GET);
	return is_record ? SQLITE_ROW : SQLITE_DONE;
}

int
sqlite_find_job(struct sqldb *db, const char *name, int64_t *id)
{
	sqldb_bind_str(db, STMT_JOB_ID_GET, 1, name);
	return find(db, STMT_JOB_ID_GET, id);
}

/* *name: NULL when there is none of that number. */
bool
sqlite_host_name(struct sqldb *db, int64_t id, char **name)
{
	size_t len;
	int rc;

	sqldb_bind_int(db, STMT_HOST_NAME, 1, id);
	rc = sqldb_step(db, STMT_HOST_NAME);
	*name = NULL;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	*name = xstrdup_null(sqldb_column_text(db, STMT_HOST_NAME, 0, &len));
	sqldb_done(db, STMT_HOST_NAME);
	return true;
}
