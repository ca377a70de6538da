/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_wire.h"

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- requests --- */

/* RFC 3986 2.3 */
static bool
unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static char *
escape(const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = xcalloc(strlen(s) * 3 + 1, 1), *p = out;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (unreserved(c)) {
			*p++ = *s;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	return out;
}

char *
couch_url(const struct uri *uri)
{
	const char *scheme = uri->scheme == URI_COUCHS ? "https" : "http";
	bool v6 = strchr(uri->host, ':') != NULL;
	char *db = escape(uri->path), *url;

	xasprintf(&url, "%s://%s%s%s:%u/%s", scheme, v6 ? "[" : "", uri->host, v6 ? "]" : "",
	    (unsigned int)uri->port, db);
	free(db);
	return url;
}

char *
couch_url_doc(const char *base, const char *id)
{
	static const char *const kinds[] = {"_design/", "_local/"};
	const char *kind = "";
	char *name, *url;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(id, kinds[i], strlen(kinds[i])) == 0)
			kind = kinds[i];
	name = escape(id + strlen(kind));
	xasprintf(&url, "%s/%s%s", base, kind, name);
	free(name);
	return url;
}

/* Makes a parameter of a URL: a JSON string, escaped. */
static char *
escape_key(const char *key)
{
	json_t *value = json_string(key);
	char *text = json_dumps(value, JSON_ENCODE_ANY);
	char *escaped = escape(text != NULL ? text : "");

	free(text);
	json_decref(value);
	return escaped;
}

char *
couch_url_range(const char *base, const struct couch_range *range)
{
	char *start = range->start != NULL ? escape_key(range->start) : NULL;
	char *end = range->end != NULL ? escape_key(range->end) : NULL, *url;

	xasprintf(&url, "%s/%s?limit=%zu%s%s%s%s%s%s%s", base,
	    range->view != NULL ? range->view : "_all_docs", range->limit,
	    range->stale ? "&stale=ok" : "", range->docs ? "&include_docs=true" : "",
	    range->descending ? "&descending=true" : "", start != NULL ? "&startkey=" : "",
	    start != NULL ? start : "", end != NULL ? "&endkey=" : "", end != NULL ? end : "");
	free(start);
	free(end);
	return url;
}

bool
couch_keys_body(struct buf *out, const char *const *ids, size_t n)
{
	json_t *keys = json_array(), *body = json_pack("{s:o}", "keys", keys);
	bool ok = body != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = json_array_append_new(keys, json_string(ids[i])) == 0;
	ok = ok && jsonx_write(out, body);
	json_decref(body);
	return ok;
}

/* --- answers --- */

const char *
couch_answer_name(enum couch_answer a)
{
	switch (a) {
	case COUCH_DONE:
		return "DONE";
	case COUCH_MISSING:
		return "MISSING";
	case COUCH_NO_DB:
		return "NO_DB";
	case COUCH_CONFLICT:
		return "CONFLICT";
	case COUCH_EXISTS:
		return "EXISTS";
	case COUCH_DENIED:
		return "DENIED";
	case COUCH_BAD:
		return "BAD";
	case COUCH_UNKNOWN:
		return "UNKNOWN";
	}
	return "?";
}

/* {"error": ..., "reason": ...} as ": error, reason"; "" when the body says nothing. */
static void
read_reason(const struct http_response *r, char *out, size_t size, bool *document)
{
	json_t *body = json_loadb(r->body != NULL ? r->body : "", r->body_len, 0, NULL);
	const char *error = json_string_value(json_object_get(body, "error"));
	const char *reason = json_string_value(json_object_get(body, "reason"));

	out[0] = '\0';
	if (error != NULL)
		snprintf(out, size, ": %.60s%s%.160s", error, reason != NULL ? ", " : "",
		    reason != NULL ? reason : "");
	/* CouchDB says of a document "missing" or "deleted", of a database "Database does not
	 * exist." (pouchdb-server: "no_db_file"). A 404 that is not CouchDB's at all (a proxy's) is
	 * no word on the document either. */
	*document = error != NULL && reason != NULL && strcmp(error, "not_found") == 0 &&
		    (strcmp(reason, "missing") == 0 || strcmp(reason, "deleted") == 0);
	json_decref(body);
}

#define TIME_CURE "wait, it is asked again; if that lasts, see what else keeps it busy"

static enum couch_answer
no_answer(const struct http_response *r, const char *id, struct trouble *why)
{
	const char *error = r->error != NULL ? r->error : "no answer";
	const char *cure = r->cure;

	/* The cure is by where it happened, unless what happened has one. */
	if (cure == NULL)
		cure = r->never_sent
			   ? "is CouchDB running there?"
			   : "is that CouchDB's address and port, and does its log say why?";
	if (r->tls_failed)
		trouble_set(why, TROUBLE_OTHER, cure, "%s: %s", id, error);
	else
		trouble_set(why, TROUBLE_OTHER, cure, "%s %s: %s", id,
		    r->never_sent ? "cannot be reached" : "gave no whole answer", error);
	return COUCH_UNKNOWN;
}

/* id is a URI: what follows its host. */
static const char *
database_of(const char *id)
{
	const char *p = strstr(id, "://");

	p = p != NULL ? strchr(p + 3, '/') : NULL;
	return p != NULL ? p + 1 : id;
}

/* The user in it, as it is written there; "" when there is none. */
static void
user_of(const char *id, char *out, size_t size)
{
	const char *p = strstr(id, "://"), *host;
	size_t len;

	p = p != NULL ? p + 3 : id;
	len = strcspn(p, ":@/");
	host = strpbrk(p, "@/");
	if (host == NULL || *host != '@')
		len = 0;
	snprintf(out, size, "%.*s", (int)len, p);
}

static void
denied(const char *id, const struct http_response *r, const char *reason, struct trouble *why)
{
	long status = r->status;
	char user[128];

	user_of(id, user, sizeof(user));
	if (http_says_locked(r))
		trouble_set(why, TROUBLE_OTHER,
		    "it ends by itself, 5 minutes after the first of them (CouchDB's "
		    "[chttpd_auth_lockout]); see what else logs in from here with a wrong password: "
		    "another collector, a tool, a script",
		    "%s has locked user \"%s\" for this address after failed logins (%ld%s)", id,
		    user, status, reason);
	else if (user[0] != '\0' && status == 401) {
		trouble_set(why, TROUBLE_OTHER, NULL, "%s denies access to user \"%s\" (%ld%s)", id,
		    user, status, reason);
		trouble_set_cure(why,
		    "check user and password in its dsn; vogelerd asks again when it is reloaded, or "
		    "after %d s, since CouchDB locks a user after a few failures",
		    HTTP_LOGIN_WAIT_MS / 1000);
	} else if (user[0] != '\0')
		trouble_set(why, TROUBLE_OTHER,
		    "check user and password in its dsn, and the database's members",
		    "%s denies access to user \"%s\" (%ld%s)", id, user, status, reason);
	else
		trouble_set(why, TROUBLE_OTHER,
		    "put the user, a colon, the password and an @ before the host in its dsn",
		    "%s denies access without a user (%ld%s)", id, status, reason);
}

static enum couch_answer
client_error(const struct http_response *r, const char *id, struct trouble *why)
{
	char reason[256];
	bool document;

	read_reason(r, reason, sizeof(reason), &document);
	switch (r->status) {
	case 401:
	case 403:
		denied(id, r, reason, why);
		return COUCH_DENIED;
	case 404:
		if (document) {
			trouble_set(why, TROUBLE_OTHER, NULL, "%s has no such document", id);
			return COUCH_MISSING;
		}
		if (reason[0] == '\0')
			break; /* not CouchDB speaking */
		trouble_set(why, TROUBLE_OTHER, "run vogeler-admin setup",
		    "database %s does not exist at %s", database_of(id), id);
		return COUCH_NO_DB;
	case 400:
	case 413:
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "%s refuses it (%ld%s)", id, r->status, reason);
		return COUCH_BAD;
	case 409:
		trouble_set(why, TROUBLE_OTHER, NULL, "%s has another revision by now (409)", id);
		return COUCH_CONFLICT;
	case 412:
		trouble_set(why, TROUBLE_OTHER, NULL, "%s is there already (412)", id);
		return COUCH_EXISTS;
	case 408:
	case 429:
		if (r->retry_after_s > 0)
			trouble_set(why, TROUBLE_OTHER, TIME_CURE,
			    "%s asks for time (%ld%s), retry after %u s", id, r->status, reason,
			    (unsigned int)r->retry_after_s);
		else
			trouble_set(why, TROUBLE_OTHER, TIME_CURE, "%s asks for time (%ld%s)", id,
			    r->status, reason);
		return COUCH_UNKNOWN;
	default:
		break;
	}
	trouble_set(why, TROUBLE_OTHER, "is there a proxy in between?",
	    "%s answers %ld%s, which is not CouchDB's way", id, r->status, reason);
	return COUCH_UNKNOWN;
}

enum couch_answer
couch_answer_read(const struct http_response *r, long want, const char *id, struct trouble *why)
{
	char reason[256];
	bool document;

	if (r->status == 0 && r->refused != 0) {
		struct http_response then = {
		    .status = r->refused, .body = r->body, .body_len = r->body_len};

		return client_error(&then, id, why);
	}
	if (r->status == 0)
		return no_answer(r, id, why);
	if (r->status == want) {
		*why = (struct trouble){0};
		return COUCH_DONE;
	}
	if (r->status >= 400 && r->status < 500)
		return client_error(r, id, why);
	read_reason(r, reason, sizeof(reason), &document);
	if (r->status >= 500)
		trouble_set(why, TROUBLE_OTHER, "see its log, and whether its disk is full",
		    "%s is in trouble (%ld%s)", id, r->status, reason);
	else if (r->status == 202)
		trouble_set(why, TROUBLE_OTHER, "see which of them is away",
		    "%s took it without a quorum of its nodes (202): not safe yet", id);
	else
		trouble_set(why, TROUBLE_OTHER, "is there a proxy in between?",
		    "%s answers %ld, which is not CouchDB's way", id, r->status);
	return COUCH_UNKNOWN;
}

enum store_status
couch_answer_status(enum couch_answer a, size_t n)
{
	switch (a) {
	case COUCH_BAD:
		return n > 1 ? STORE_REJECT_BATCH : STORE_REFUSED;
	case COUCH_CONFLICT:
		return STORE_CONFLICT;
	case COUCH_DONE:
	case COUCH_MISSING:
	case COUCH_NO_DB:
	case COUCH_EXISTS:
	case COUCH_DENIED:
	case COUCH_UNKNOWN:
		break;
	}
	return STORE_RETRY;
}

void
couch_answer_garbled(const struct http_response *r, const char *id, struct trouble *why)
{
	trouble_set(why, TROUBLE_OTHER, "is there a proxy in between?",
	    "%s answers %ld with a body that is not CouchDB's (%.40s)", id, r->status,
	    r->content_type != NULL ? r->content_type : "no content type");
}

/* --- _bulk_docs --- */

static enum store_status
item_status(const char *error)
{
	static const char *const refusals[] = {"forbidden", "unauthorized", "too_large",
	    "document_too_large", "doc_validation", "bad_request", "illegal_docid"};

	if (strcmp(error, "conflict") == 0)
		return STORE_CONFLICT;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(error, refusals[i]) == 0)
			return STORE_REFUSED;
	return STORE_RETRY; /* an internal error of a shard, or one we do not know */
}

static void
read_item(const json_t *j, const char *id, struct couch_item *item)
{
	const char *error = json_string_value(json_object_get(j, "error"));
	const char *reason = json_string_value(json_object_get(j, "reason"));
	const char *rev = json_string_value(json_object_get(j, "rev"));

	*item = (struct couch_item){.id = xstrdup(id), .status = STORE_OK};
	if (error == NULL && json_is_true(json_object_get(j, "accepted"))) {
		item->accepted = true;
		item->status = STORE_RETRY;
		item->why = xcalloc(1, sizeof(*item->why));
		trouble_set(item->why, TROUBLE_OTHER, NULL,
		    "the store has it without a quorum of its nodes: not safe yet");
		return;
	}
	if (error == NULL && rev != NULL) { /* 2.x and later add "ok": true, 1.x did not */
		item->rev = xstrdup(rev);
		return;
	}
	if (error == NULL) {
		item->status = STORE_RETRY;
		item->why = xcalloc(1, sizeof(*item->why));
		trouble_set(item->why, TROUBLE_OTHER, NULL,
		    "the store's answer has neither a revision nor an error");
		return;
	}
	item->status = item_status(error);
	item->why = xcalloc(1, sizeof(*item->why));
	trouble_set(item->why, TROUBLE_OTHER, NULL, "the store refuses it: %.60s%s%.160s", error,
	    reason != NULL ? ", " : "", reason != NULL ? reason : "");
}

bool
couch_items_parse(const char *body, size_t len, struct couch_item **items, size_t *n)
{
	json_t *answer = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL), *j;
	size_t i;

	*items = NULL;
	*n = 0;
	if (!json_is_array(answer)) {
		json_decref(answer);
		return false;
	}
	*items = xcalloc(json_array_size(answer) + 1, sizeof(**items));
	json_array_foreach (answer, i, j) {
		const char *id = json_string_value(json_object_get(j, "id"));

		if (id != NULL)
			read_item(j, id, &(*items)[(*n)++]);
	}
	json_decref(answer);
	return true;
}

static bool
any_accepted(const struct couch_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].accepted)
			return true;
	return false;
}

void
couch_items_read(const struct http_response *r, const char *id, enum couch_answer *a,
    struct couch_item **items, size_t *n, struct trouble *why)
{
	bool parsed;

	*items = NULL;
	*n = 0;
	if (*a != COUCH_DONE && r->status != 202)
		return;
	parsed = couch_items_parse(r->body, r->body_len, items, n);
	if (*a == COUCH_DONE && !parsed) {
		couch_answer_garbled(r, id, why);
		*a = COUCH_UNKNOWN;
	} else if (r->status == 202 && any_accepted(*items, *n)) {
		*a = COUCH_DONE;
	} else if (r->status == 202) {
		couch_items_free(*items, *n);
		*items = NULL;
		*n = 0;
	}
}

void
couch_items_free(struct couch_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(items[i].id);
		free(items[i].rev);
		free(items[i].why);
	}
	free(items);
}

/* --- _all_docs --- */

/* Opens the list that is the member name of an object. */
static bool
open_list(struct jspan_iter *list, const char *body, size_t len, const char *name)
{
	struct jspan all, key, value, found = {0};
	struct jspan_iter it;

	if (!jspan_value(body, len, &all) || jspan_kind(all) != '{' || !jspan_open(&it, all))
		return false;
	while (jspan_next_member(&it, &key, &value))
		if (jspan_is(key, name))
			found = value;
	return !it.bad && jspan_kind(found) == '[' && jspan_open(list, found);
}

bool
couch_rows_open(struct couch_rows *rows, const char *body, size_t len)
{
	return open_list(&rows->it, body, len, "\"rows\"");
}

bool
couch_docs_open(struct jspan_iter *it, const char *body, size_t len)
{
	return open_list(it, body, len, "\"docs\"");
}

/* Reads {"rev": REV[, "deleted": true]}; NULL: there is none, or it is that of a deletion. */
static char *
live_rev(struct jspan value)
{
	struct jspan key, member, rev = {0};
	struct jspan_iter it;
	bool deleted = false;

	if (jspan_kind(value) != '{' || !jspan_open(&it, value))
		return NULL;
	while (jspan_next_member(&it, &key, &member)) {
		if (jspan_is(key, "\"rev\""))
			rev = member;
		else if (jspan_is(key, "\"deleted\""))
			deleted = jspan_is(member, "true");
	}
	return deleted || rev.text == NULL ? NULL : jspan_string(rev);
}

bool
couch_rows_next(struct couch_rows *rows, struct couch_row *row)
{
	struct jspan element, key, value, id = {0}, doc = {0}, error = {0}, meta = {0};
	struct jspan_iter it;

	*row = (struct couch_row){0};
	if (!jspan_next_element(&rows->it, &element))
		return false;
	rows->it.bad = jspan_kind(element) != '{' || !jspan_open(&it, element);
	if (rows->it.bad)
		return false;
	while (jspan_next_member(&it, &key, &value)) {
		if (jspan_is(key, "\"key\"")) /* "id" is missing when nothing was found */
			id = value;
		else if (jspan_is(key, "\"doc\"") && jspan_kind(value) == '{')
			doc = value;
		else if (jspan_is(key, "\"value\""))
			meta = value;
		else if (jspan_is(key, "\"error\""))
			error = value;
	}
	row->id = jspan_string(id);
	rows->it.bad = it.bad || row->id == NULL;
	if (rows->it.bad) {
		couch_row_finish(row);
		return false;
	}
	row->rev = live_rev(meta);
	row->doc = doc;
	row->value = meta;
	row->error = error.text != NULL && !jspan_is(error, "\"not_found\"");
	return true;
}

void
couch_row_finish(struct couch_row *row)
{
	free(row->id);
	free(row->rev);
	*row = (struct couch_row){0};
}

/* --- _bulk_get --- */

bool
couch_results_open(struct couch_results *r, const char *body, size_t len)
{
	*r = (struct couch_results){0};
	return open_list(&r->it, body, len, "\"results\"");
}

/* {"id": ID, "docs": [...]} */
static bool
open_result(struct couch_results *r, struct jspan result)
{
	struct jspan key, value, docs = {0};
	struct jspan_iter it;

	r->id = (struct jspan){0};
	if (jspan_kind(result) != '{' || !jspan_open(&it, result))
		return false;
	while (jspan_next_member(&it, &key, &value)) {
		if (jspan_is(key, "\"id\""))
			r->id = value;
		else if (jspan_is(key, "\"docs\""))
			docs = value;
	}
	return !it.bad && r->id.text != NULL && jspan_kind(docs) == '[' &&
	       jspan_open(&r->docs, docs);
}

/* {"ok": DOC}, or {"error": ...}. */
static bool
find_ok(struct jspan one, struct jspan *doc)
{
	struct jspan key, value;
	struct jspan_iter it;
	bool found = false;

	if (jspan_kind(one) != '{' || !jspan_open(&it, one))
		return false;
	while (jspan_next_member(&it, &key, &value)) {
		if (!jspan_is(key, "\"ok\""))
			continue;
		*doc = value;
		found = true;
	}
	return found && !it.bad;
}

bool
couch_results_next(struct couch_results *r, char **id, struct jspan *doc)
{
	struct jspan one, result;

	for (;;) {
		while (r->id.text != NULL && jspan_next_element(&r->docs, &one)) {
			if (!find_ok(one, doc))
				continue;
			*id = jspan_string(r->id);
			r->bad = *id == NULL;
			return !r->bad;
		}
		if (!jspan_next_element(&r->it, &result))
			break;
		if (!open_result(r, result)) {
			r->bad = true;
			return false;
		}
	}
	r->bad = r->it.bad;
	return false;
}

char *
couch_rev(const char *body, size_t len)
{
	struct jspan all, key, value;
	struct jspan_iter it;
	char *rev = NULL;

	if (!jspan_value(body, len, &all) || jspan_kind(all) != '{' || !jspan_open(&it, all))
		return NULL;
	while (jspan_next_member(&it, &key, &value)) {
		if (!jspan_is(key, "\"rev\"") && !jspan_is(key, "\"_rev\""))
			continue;
		free(rev);
		rev = jspan_string(value);
	}
	return rev;
}
