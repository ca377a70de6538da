/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/design.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LAYOUT "the layout is _design/NAME/views/VIEW/map.js"

enum {
	FILE_MAX_BYTES = 1024 * 1024,
	DEPTH_MAX = 16, /* and the end of a loop of symbolic links */
};

struct reader {
	char *err;
	size_t err_size;
};

static json_t *read_attachments(struct reader *r, const char *path);
static json_t *read_directory(struct reader *r, const char *path, unsigned int depth);

static json_t *
fail(struct reader *r, const char *path, const char *why)
{
	snprintf(r->err, r->err_size, "%s: %s", path, why);
	return NULL;
}

static char *
join(const char *dir, const char *name)
{
	size_t len = strlen(dir);
	char *path;

	xasprintf(&path, "%s%s%s", dir, len > 0 && dir[len - 1] == '/' ? "" : "/", name);
	return path;
}

static bool
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* --- files --- */

static json_t *
parse_json(struct reader *r, const char *path, const struct buf *text)
{
	struct jsonx_note note;
	char err[160];
	json_t *j = jsonx_parse(text->data, text->len, &note, err, sizeof(err));

	if (j != NULL && note.odd[JSONX_KEY_TWICE].count > 0) {
		snprintf(err, sizeof(err), "line %zu, column %zu: key \"%s\" is in an object twice",
		    note.odd[JSONX_KEY_TWICE].first.line, note.odd[JSONX_KEY_TWICE].first.column,
		    note.twice);
		json_decref(j);
		j = NULL;
	}
	return j != NULL ? j : fail(r, path, err);
}

static json_t *
parse_text(struct reader *r, const char *path, const struct buf *text)
{
	json_t *j = json_stringn(text->len > 0 ? text->data : "", text->len);

	return j != NULL ? j : fail(r, path, "is not UTF-8");
}

static bool
is_json(const char *path)
{
	size_t len = strlen(path);

	return len >= 5 && strcmp(path + len - 5, ".json") == 0;
}

static json_t *
read_file(struct reader *r, const char *path)
{
	struct buf text;
	json_t *j;
	int why;

	buf_init(&text, FILE_MAX_BYTES);
	if (!buf_read_file(&text, path, &why))
		j = fail(r, path, why == EFBIG ? "is larger than 1 MiB" : strerror(why));
	else if (is_json(path))
		j = parse_json(r, path, &text);
	else
		j = parse_text(r, path, &text);
	buf_finish(&text);
	return j;
}

/* --- directories --- */

static int
wanted(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && e->d_name[len - 1] != '~';
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
free_entries(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
}

/* The key of an entry: a file's name loses its ending. */
static char *
key_of(const char *name, bool directory)
{
	const char *ending = strrchr(name, '.');

	return directory || ending == NULL ? xstrdup(name)
					   : xstrndup(name, (size_t)(ending - name));
}

static bool
read_entry(struct reader *r, json_t *into, const char *dir, const char *name, unsigned int depth)
{
	char *path = join(dir, name);
	bool directory = is_directory(path), ok = false;
	char *key = key_of(name, directory);
	json_t *value;

	if (json_object_get(into, key) != NULL)
		value = fail(r, path, "there is another file for the same key");
	else if (depth == 0 && directory && strcmp(name, "_attachments") == 0)
		value = read_attachments(r, path);
	else
		value = directory ? read_directory(r, path, depth + 1) : read_file(r, path);
	if (value != NULL && json_object_set_new(into, key, value) == 0)
		ok = true;
	else if (value != NULL)
		fail(r, path, "the name is not UTF-8");
	free(key);
	free(path);
	return ok;
}

static json_t *
read_directory(struct reader *r, const char *path, unsigned int depth)
{
	struct dirent **entries;
	json_t *object;
	bool ok = true;
	int n;

	if (depth > DEPTH_MAX)
		return fail(r, path, "is nested too deep");
	n = scandir(path, &entries, wanted, by_bytes);
	if (n < 0)
		return fail(r, path, strerror(errno));
	object = json_object();
	for (int i = 0; ok && i < n; i++)
		ok = read_entry(r, object, path, entries[i]->d_name, depth);
	free_entries(entries, n);
	if (!ok) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* --- attachments --- */

static const char *
content_type(const char *name)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
	    {".css", "text/css"},
	    {".gif", "image/gif"},
	    {".html", "text/html"},
	    {".ico", "image/x-icon"},
	    {".jpg", "image/jpeg"},
	    {".js", "application/javascript"},
	    {".json", "application/json"},
	    {".png", "image/png"},
	    {".svg", "image/svg+xml"},
	    {".txt", "text/plain"},
	    {".xml", "application/xml"},
	};
	const char *ending = strrchr(name, '.');

	for (size_t i = 0; ending != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(ending, types[i].ending) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* RFC 4648 4; malloced. */
static char *
base64(const unsigned char *bytes, size_t len)
{
	char *text = xcalloc(len / 3 * 4 + 5, 1);

	EVP_EncodeBlock((unsigned char *)text, bytes, (int)len); /* FILE_MAX_BYTES at most */
	return text;
}

static bool
add_attachment(struct reader *r, json_t *into, const char *path, const char *name)
{
	struct buf bytes;
	char *text;
	int why;
	bool ok;

	buf_init(&bytes, FILE_MAX_BYTES);
	if (!buf_read_file(&bytes, path, &why)) {
		fail(r, path, why == EFBIG ? "is larger than 1 MiB" : strerror(why));
		buf_finish(&bytes);
		return false;
	}
	text = base64((const unsigned char *)(bytes.len > 0 ? bytes.data : ""), bytes.len);
	ok = json_object_set_new(into, name,
		 json_pack("{s:s,s:s}", "content_type", content_type(name), "data", text)) == 0;
	if (!ok)
		fail(r, path, "the name is not UTF-8");
	free(text);
	buf_finish(&bytes);
	return ok;
}

static bool
add_attachments(
    struct reader *r, json_t *into, const char *path, const char *prefix, unsigned int depth)
{
	struct dirent **entries;
	bool ok = true;
	int n = depth > DEPTH_MAX ? -1 : scandir(path, &entries, wanted, by_bytes);

	if (n < 0) {
		fail(r, path, depth > DEPTH_MAX ? "is nested too deep" : strerror(errno));
		return false;
	}
	for (int i = 0; ok && i < n; i++) {
		char *below = join(path, entries[i]->d_name), *name;

		xasprintf(
		    &name, "%s%s%s", prefix, prefix[0] != '\0' ? "/" : "", entries[i]->d_name);
		ok = is_directory(below) ? add_attachments(r, into, below, name, depth + 1)
					 : add_attachment(r, into, below, name);
		free(below);
		free(name);
	}
	free_entries(entries, n);
	return ok;
}

static json_t *
read_attachments(struct reader *r, const char *path)
{
	json_t *list = json_object();

	if (add_attachments(r, list, path, "", 0))
		return list;
	json_decref(list);
	return NULL;
}

/* --- documents --- */

/* CouchDB refuses a view without a map; say so before it does, and name the folder. */
static bool
check_views(struct reader *r, const char *path, const json_t *doc)
{
	json_t *views = json_object_get(doc, "views"), *view;
	const char *name;

	if (views == NULL)
		return true;
	json_object_foreach (views, name, view) {
		char where[PATH_MAX];

		if (strcmp(name, "lib") == 0) /* modules for require(), no view */
			continue;
		if (json_is_string(json_object_get(view, "map")))
			continue;
		snprintf(where, sizeof(where), "%s/views/%s", path, name);
		fail(r, where, "a view needs a map.js; " LAYOUT);
		return false;
	}
	return true;
}

static void
set_language(json_t *doc)
{
	const char *given = json_string_value(json_object_get(doc, "language"));
	size_t len = given != NULL ? strcspn(given, "\r\n") : 0; /* a file ends with a newline */

	if (len > 0)
		json_object_set_new(doc, "language", json_stringn(given, len));
	else
		json_object_set_new(doc, "language", json_string("javascript"));
}

static json_t *
read_document(struct reader *r, const char *root, const char *name)
{
	char *path = join(root, name), *id;
	json_t *doc = NULL;

	if (strcmp(name, "views") == 0)
		fail(r, path, "is not below the name of a design document; " LAYOUT);
	else if (!is_directory(path))
		fail(r, path, "is no folder; " LAYOUT);
	else
		doc = read_directory(r, path, 0);
	if (doc != NULL && !check_views(r, path, doc)) {
		json_decref(doc);
		doc = NULL;
	}
	if (doc != NULL) {
		xasprintf(&id, "_design/%s", name);
		json_object_set_new(doc, "_id", json_string(id));
		free(id);
		set_language(doc);
	}
	free(path);
	return doc;
}

/* dir/_design, or dir if that is _design, by whatever path it was named; malloced. */
static char *
find_root(struct reader *r, const char *dir)
{
	char *root = join(dir, "_design"), *real;
	const char *base;
	bool itself;

	if (is_directory(root))
		return root;
	free(root);
	real = realpath(dir, NULL);
	if (real == NULL) {
		fail(r, dir, strerror(errno));
		return NULL;
	}
	base = strrchr(real, '/');
	itself = base != NULL && strcmp(base, "/_design") == 0 && is_directory(real);
	free(real);
	if (itself)
		return xstrdup(dir);
	fail(r, dir, "there is no _design folder in it; " LAYOUT);
	return NULL;
}

static json_t *
read_root(struct reader *r, const char *root, json_t *broken)
{
	struct dirent **entries;
	json_t *docs;
	int n = scandir(root, &entries, wanted, by_bytes);

	if (n < 0)
		return fail(r, root, strerror(errno));
	docs = json_array();
	for (int i = 0; i < n; i++) {
		json_t *doc = read_document(r, root, entries[i]->d_name);

		if (doc == NULL)
			json_array_append_new(broken, json_string(r->err));
		else
			json_array_append_new(docs, doc);
	}
	free_entries(entries, n);
	if (json_array_size(docs) > 0)
		return docs;
	json_decref(docs);
	if (json_array_size(broken) > 0)
		return fail(r, root, "none of its design documents can be read");
	return fail(r, root, "there is no design document in it; " LAYOUT);
}

json_t *
design_read(const char *dir, json_t *broken, char *err, size_t err_size)
{
	struct reader r = {.err = err, .err_size = err_size};
	char *root = find_root(&r, dir);
	json_t *docs;

	if (root == NULL)
		return NULL;
	docs = read_root(&r, root, broken);
	free(root);
	return docs;
}
