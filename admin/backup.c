/* SPDX-License-Identifier: Apache-2.0 */
/* "backup FILE", "restore FILE": the store of sqlite:// into one file and back, while others use
 * it. (Copying the file itself leaves out what is still in the log beside it.) */
#include "admin/confirm.h"
#include "admin/verb.h"

#include "shared/base/mono.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/sqlite/sqlite_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROGRESS_MS 500
#define MIB         (1024 * 1024)

struct backup {
	struct verb_context *v;
	struct sqlite_copy *copy;
	struct loop_timer *slice;
	struct mono shown;
	const char *file; /* of the user */
	const char *said;
	bool terminal;
};

static void
backup_finish(struct backup *b)
{
	b->v->undo = NULL;
	if (b->terminal)
		fputs("\r\033[K", stderr);
	sqlite_copy_destroy(b->copy);
	loop_timer_destroy(b->slice);
	free(b);
}

static void
backup_undo(void *arg)
{
	backup_finish(arg);
}

static void
show_progress(struct backup *b)
{
	struct mono now = loop_now(b->v->loop);
	int64_t done, all;

	if (!b->terminal || mono_diff(now, b->shown) < PROGRESS_MS)
		return;
	b->shown = now;
	sqlite_copy_progress(b->copy, &done, &all);
	fprintf(stderr, "\r\033[K%" PRId64 " of %" PRId64 " MiB", done / MIB, all / MIB);
}

static void
backup_on_slice(void *arg)
{
	struct backup *b = arg;
	struct trouble why;

	switch (sqlite_copy_step(b->copy, &why)) {
	case SQLITE_COPY_MORE:
		show_progress(b);
		loop_timer_arm(b->slice, 0);
		return;
	case SQLITE_COPY_DONE:
		if (b->terminal)
			fputs("\r\033[K", stderr);
		printf("%s %s\n", b->said, b->file);
		verb_done(b->v, VERB_OK);
		break;
	case SQLITE_COPY_FAILED:
		verb_fail(b->v, TROUBLE_FMT, TROUBLE_ARGS(&why));
		break;
	}
	backup_finish(b);
}

/* NULL: why not was said, and the verb is done. */
static struct sqlite_copy *
open_copy(struct verb_context *v, const char *from, const char *to, bool replace)
{
	struct trouble why;
	struct sqlite_copy *copy = sqlite_copy_create(from, to, replace, &why);

	if (copy == NULL)
		verb_fail(v, TROUBLE_FMT, TROUBLE_ARGS(&why));
	return copy;
}

/* Takes over copy. */
static void
start(struct verb_context *v, struct sqlite_copy *copy, const char *said)
{
	struct backup *b = xcalloc(1, sizeof(*b));

	b->v = v;
	b->copy = copy;
	b->file = v->args[0];
	b->said = said;
	b->terminal = isatty(STDERR_FILENO);
	b->shown = loop_now(v->loop);
	b->slice = loop_timer_create(v->loop, "backup slice", backup_on_slice, b);
	v->undo = backup_undo;
	v->undo_arg = b;
	loop_timer_arm(b->slice, 0);
}

/* The path of the store, which lives as long as uri. false: it is not a file. */
static bool
store_path(struct verb_context *v, struct uri *uri)
{
	cli_store(v->cli, uri);
	if (uri->scheme == URI_SQLITE)
		return true;
	verb_fail(v,
	    "%s: %s:// is kept by a server" TROUBLE_CURE
	    "use what that server has for it; docs/couchdb.md tells how with CouchDB",
	    v->args[0], uri_scheme_name(uri->scheme));
	return false;
}

void
verb_backup(struct verb_context *v)
{
	struct uri uri = {0};
	struct sqlite_copy *copy = NULL;

	if (store_path(v, &uri))
		copy = open_copy(v, uri.path, v->args[0], false);
	if (copy != NULL)
		start(v, copy, "backed up into");
	uri_finish(&uri);
}

/* The question comes last: a yes to what cannot be done would be for nothing. */
static void
restore_into(struct verb_context *v, const char *path)
{
	bool is_new = access(path, F_OK) != 0;
	struct sqlite_copy *copy = open_copy(v, v->args[0], path, true);
	char question[1024];

	if (copy == NULL)
		return;
	snprintf(question, sizeof(question), "replace all that %s holds by %s?", path, v->args[0]);
	if (is_new || confirm(v, question)) {
		start(v, copy, "restored from");
		return;
	}
	sqlite_copy_destroy(copy);
	verb_done(v, VERB_TROUBLE);
}

void
verb_restore(struct verb_context *v)
{
	struct uri uri = {0};

	if (store_path(v, &uri))
		restore_into(v, uri.path);
	uri_finish(&uri);
}
