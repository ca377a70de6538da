/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/store/couch/design.h"

#include <bsd/string.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
set_up(void **state)
{
	(void)state;
	strlcpy(dir, "/tmp/vogeler-design.XXXXXX", sizeof(dir));
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below dir, making its folders. */
static void
put_bytes(const char *name, const void *bytes, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static json_t *
read_below(const char *name)
{
	char path[256], err[512] = "";
	json_t *docs, *broken = json_array();

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	docs = design_read(path, broken, err, sizeof(err));
	if (docs == NULL || json_array_size(broken) > 0)
		fail_msg("%s", err);
	json_decref(broken);
	return docs;
}

static void
assert_refused(const char *name, const char *file, const char *part)
{
	char path[256], err[512] = "";
	json_t *broken = json_array();
	const char *said;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_null(design_read(path, broken, err, sizeof(err)));
	said = json_array_size(broken) > 0 ? json_string_value(json_array_get(broken, 0)) : err;
	if (strstr(said, file) == NULL || strstr(said, part) == NULL)
		fail_msg("\"%s\" and \"%s\" are not in \"%s\"", file, part, said);
	json_decref(broken);
}

static void
assert_json(json_t *got, const char *want)
{
	json_t *j = json_loads(want, JSON_DECODE_ANY, NULL);
	char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS);

	assert_non_null(j);
	if (!json_equal(j, got))
		fail_msg("%s\nis not\n%s", text, want);
	free(text);
	json_decref(j);
}

static void
reads_the_folders_of_2010(void **state)
{
	static const char want[] =
	    "[{\"_id\":\"_design/a\",\"language\":\"javascript\",\"views\":"
	    "{\"v\":{\"map\":\" function () {}\\r\\n\\n\",\"reduce\":\"_count\"}}},"
	    "{\"_id\":\"_design/b\",\"language\":\"erlang\",\"views\":{\"w\":{\"map\":\"fun\"},"
	    "\"lib\":{\"x\":\"y\"}},\"validate_doc_update\":\"function\",\"options\":"
	    "{\"local_seq\":true},\"filters\":{\"f\":\"\"}}]";
	json_t *docs;

	(void)state;
	put("x/_design/b/views/w/map.erl", "fun");
	put("x/_design/b/views/lib/x.js", "y");
	put("x/_design/b/language", "erlang\n");
	put("x/_design/b/validate_doc_update.js", "function");
	put("x/_design/b/options.json", "{\"local_seq\": true}\n");
	put("x/_design/b/filters/f.js", "");
	put("x/_design/a/views/v/map.js", " function () {}\r\n\n");
	put("x/_design/a/views/v/reduce.js", "_count");
	put("x/_design/a/views/v/.map.js.swp", "\x80");
	put("x/_design/a/views/v/map.js~", "older");
	docs = read_below("x");
	assert_json(docs, want);
	json_decref(docs);
	docs = read_below("x/_design");
	assert_json(docs, want);
	json_decref(docs);
	docs = read_below("x/_design/");
	assert_json(docs, want);
	json_decref(docs);
}

static void
names_what_is_wrong(void **state)
{
	(void)state;
	assert_refused("none", "/none", "No such file");
	put("empty/_design/.keep", "");
	assert_refused("empty", "empty/_design", "no design document");
	put("plain/file", "");
	assert_refused("plain", "/plain", "no _design folder");
	put("fixture/_design/views/all/map.js", "f");
	assert_refused("fixture", "_design/views", "_design/NAME/views/VIEW/map.js");
	put("stray/_design/map.js", "f");
	assert_refused("stray", "_design/map.js", "no folder");
	put_bytes("latin1/_design/d/views/v/map.js", "caf\xe9", 4);
	assert_refused("latin1", "latin1/_design/d/views/v/map.js", "not UTF-8");
	put("json/_design/d/rewrites.json", "[1,");
	assert_refused("json", "json/_design/d/rewrites.json", "");
	put("again/_design/d/rewrites.json", "{\"a\": 1,\n\"a\": 2}");
	assert_refused("again", "again/_design/d/rewrites.json",
	    "line 2, column 1: key \"a\" is in an object twice");
	put("twice/_design/d/views/v/map.js", "f");
	put("twice/_design/d/views/v/map.coffee", "f");
	assert_refused("twice", "twice/_design/d/views/v/map.js", "another file");
	put("nomap/_design/d/views/v/reduce.js", "f");
	assert_refused("nomap", "nomap/_design/d/views/v", "map.js");
	put("flat/_design/d/views/v.js", "f");
	assert_refused("flat", "flat/_design/d/views/v", "map.js");
}

static void
ends_in_a_loop_of_links(void **state)
{
	char path[128];

	(void)state;
	put("loop/_design/d/views/v/map.js", "f");
	snprintf(path, sizeof(path), "%s/loop/_design/d/self", dir);
	assert_int_equal(symlink(".", path), 0);
	assert_refused("loop", "self/self", "nested too deep");
}

static void
refuses_a_huge_file(void **state)
{
	size_t len = 1024 * 1024 + 1;
	char *big = calloc(1, len);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', len);
	put_bytes("big/_design/d/views/v/map.js", big, len);
	free(big);
	assert_refused("big", "big/_design/d/views/v/map.js", "1 MiB");
}

static void
reads_our_own(void **state)
{
	static const char *const views[] = {"all", "by_name", "last_seen", "packages_by_host"};
	char path[512], err[512] = "";
	const char *source = getenv("VOGELER_SOURCE_DIR");
	json_t *docs, *doc, *broken = json_array();

	(void)state;
	assert_non_null(source);
	snprintf(path, sizeof(path), "%s/conf", source);
	docs = design_read(path, broken, err, sizeof(err));
	if (docs == NULL || json_array_size(broken) > 0)
		fail_msg("%s", err);
	json_decref(broken);
	assert_int_equal(json_array_size(docs), 1);
	doc = json_array_get(docs, 0);
	assert_string_equal(
	    json_string_value(json_object_get(doc, "_id")), "_design/system_records");
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		json_t *view = json_object_get(json_object_get(doc, "views"), views[i]);
		const char *map = json_string_value(json_object_get(view, "map"));

		assert_non_null(map);
		assert_non_null(strstr(map, "'SystemRecord'"));
	}
	assert_int_equal(json_object_size(json_object_get(doc, "views")), 4);
	json_decref(docs);
}

static void
a_broken_document_keeps_no_other_out(void **state)
{
	char path[256], err[512] = "";
	json_t *docs, *broken = json_array();

	(void)state;
	put("_design/a/views/v/map.js", "x");
	put("_design/b/views/v/reduce.js", "x");
	put_bytes("_design/c/views/v/map.js", "\xff", 1);
	put("_design/d/views/v/map.js", "y");
	snprintf(path, sizeof(path), "%s", dir);
	docs = design_read(path, broken, err, sizeof(err));
	assert_int_equal(json_array_size(docs), 2);
	assert_int_equal(json_array_size(broken), 2);
	assert_non_null(strstr(json_string_value(json_array_get(broken, 0)), "b/views/v"));
	assert_non_null(strstr(json_string_value(json_array_get(broken, 1)), "is not UTF-8"));
	json_decref(docs);
	json_decref(broken);
}

/* As couchapp lays them out; of any bytes. */
static void
attachments_are_files(void **state)
{
	static const char want[] =
	    "[{\"_id\":\"_design/a\",\"language\":\"javascript\",\"_attachments\":{"
	    "\"index.html\":{\"content_type\":\"text/html\",\"data\":\"PGI+\"},"
	    "\"img/a.png\":{\"content_type\":\"image/png\",\"data\":\"iVAA/w==\"},"
	    "\"empty\":{\"content_type\":\"application/octet-stream\",\"data\":\"\"}}}]";
	json_t *docs;

	(void)state;
	put("_design/a/_attachments/index.html", "<b>");
	put_bytes("_design/a/_attachments/img/a.png", "\x89P\0\xff", 4);
	put("_design/a/_attachments/empty", "");
	docs = read_below("");
	assert_json(docs, want);
	json_decref(docs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(reads_the_folders_of_2010, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(names_what_is_wrong, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(ends_in_a_loop_of_links, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(refuses_a_huge_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		a_broken_document_keeps_no_other_out, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(attachments_are_files, set_up, tear_down),
	    cmocka_unit_test(reads_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
