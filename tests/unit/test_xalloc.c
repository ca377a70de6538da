/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is out: the program goes on, says so, or ends with a word; never by a signal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/wire/jsonx.h"
#include "tests/unit/address_space.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum {
	WENT_WELL = 0,
	ENDED = 1, /* by xalloc_fail() */
	SAID_SO = 3,
	MEMBERS = 10000,
	MOST = 12 << 20, /* that any of this takes */
};

static char *text; /* of an object with so many members, as CouchDB's records are */
static char *rows; /* of an array */
static json_t *tree;

/* What became of op with so much left, in a process of its own. */
static int
with_memory(size_t left, int (*op)(void))
{
	int status, ends[2];
	char said[4096];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit limit = {
		    .rlim_cur = address_space() + left, .rlim_max = RLIM_INFINITY};

		dup2(ends[1], STDERR_FILENO);
		if (setrlimit(RLIMIT_AS, &limit) != 0)
			_exit(99);
		_exit(op());
	}
	close(ends[1]);
	n = read(ends[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == ENDED)
		assert_non_null(strstr(said, "(memory) - there is none left"));
	return WEXITSTATUS(status);
}

/* At any size that the rest may have; without: what op does where it is too little. */
static void
assert_without(int (*op)(void), int without)
{
	unsigned int well = 0, not_well = 0;

	if (SANITIZED)
		skip(); /* the sanitizer takes the address space itself */
	for (size_t left = 0; left < MOST; left += MOST / 16) {
		int status = with_memory(left, op);

		assert_true(status == WENT_WELL || status == without);
		well += status == WENT_WELL;
		not_well += status == without;
	}
	assert_true(well > 0);
	assert_true(not_well > 0);
}

static int
read_with_jansson(void)
{
	json_t *value = json_loadb(text, strlen(text), 0, NULL);

	return json_object_size(value) == MEMBERS + 1 ? WENT_WELL : SAID_SO;
}

static int
read_stored(void)
{
	char err[128];
	json_t *value = jsonx_parse_stored(text, strlen(text), err, sizeof(err));

	return json_object_size(value) == MEMBERS + 1 ? WENT_WELL : SAID_SO;
}

static int
read_outside(void)
{
	struct jsonx_note note;
	char err[128];

	if (jsonx_parse(text, strlen(text), &note, err, sizeof(err)) != NULL)
		return WENT_WELL;
	return note.refusal == JSONX_MEMORY ? SAID_SO : 98;
}

static int
write_with_jansson(void)
{
	char *out = json_dumps(tree, JSON_COMPACT);

	return out != NULL && strlen(out) > MEMBERS ? WENT_WELL : SAID_SO;
}

static int
make_a_tree(void)
{
	json_t *list = json_array(), *object = json_object();
	char key[16];

	for (int i = 0; i < MEMBERS; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		json_array_append_new(list, json_string(key));
		json_object_set_new(object, key, json_pack("{s:i}", "n", i));
	}
	return json_array_size(list) == MEMBERS && json_object_size(object) == MEMBERS ? WENT_WELL
										       : SAID_SO;
}

struct entry {
	UT_hash_handle hh;
	int n;
};

static int
fill_a_table(void)
{
	struct entry *by_number = NULL, *e;

	for (int i = 0; i < MEMBERS; i++) {
		e = xcalloc(1, sizeof(*e));
		e->n = i;
		HASH_ADD_INT(by_number, n, e);
	}
	return HASH_COUNT(by_number) == MEMBERS ? WENT_WELL : SAID_SO;
}

static int
read_answers_of_couchdb(void)
{
	struct couch_item *items;
	size_t n;

	return couch_items_parse(rows, strlen(rows), &items, &n) && n == MEMBERS ? WENT_WELL
										 : SAID_SO;
}

static int
read_a_record_of_couchdb(void)
{
	struct jspan doc = {.text = text, .len = strlen(text)};
	struct trouble why;

	return couch_doc_parse("web01", doc, &why) != NULL ? WENT_WELL : SAID_SO;
}

#define WITHOUT(op, what)                                                                          \
	static void test_##op(void **state)                                                        \
	{                                                                                          \
		assert_without(op, what);                                                          \
	}
WITHOUT(read_with_jansson, ENDED)
WITHOUT(read_stored, ENDED)
WITHOUT(read_outside, SAID_SO)
WITHOUT(write_with_jansson, ENDED)
WITHOUT(make_a_tree, ENDED)
WITHOUT(fill_a_table, ENDED)
WITHOUT(read_answers_of_couchdb, ENDED)
WITHOUT(read_a_record_of_couchdb, ENDED)

static int
begin(void **state)
{
	char *p, *q;

	log_init("test_xalloc");
	jsonx_init();
	text = xcalloc(MEMBERS, 40);
	rows = xcalloc(MEMBERS, 60);
	p = text + sprintf(text, "{\"_rev\":\"1-a\"");
	q = rows + sprintf(rows, "[");
	for (int i = 0; i < MEMBERS; i++) {
		p += sprintf(p, ",\"k%d\":\"\\u00e4%d\"", i, i);
		q += sprintf(
		    q, "%s{\"id\":\"k%d\",\"ok\":true,\"rev\":\"1-a\"}", i > 0 ? "," : "", i);
	}
	strcpy(p, "}");
	strcpy(q, "]");
	tree = json_loadb(text, strlen(text), 0, NULL);
	return tree == NULL ? -1 : 0;
}

static int
end(void **state)
{
	json_decref(tree);
	free(text);
	free(rows);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_with_jansson),
	    cmocka_unit_test(test_read_stored),
	    cmocka_unit_test(test_read_outside),
	    cmocka_unit_test(test_write_with_jansson),
	    cmocka_unit_test(test_make_a_tree),
	    cmocka_unit_test(test_fill_a_table),
	    cmocka_unit_test(test_read_answers_of_couchdb),
	    cmocka_unit_test(test_read_a_record_of_couchdb),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
