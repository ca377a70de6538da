/* SPDX-License-Identifier: Apache-2.0 */
/* http_access: which node, and whether with this login. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/uri.h"
#include "shared/store/couch/http_access.h"

#include <cmocka.h>
#include <string.h>

static const struct mono now = {5};

static void
answered(struct http_access *a, unsigned int login, long status, const char *body)
{
	struct http_response r = {.status = status, .body = body, .body_len = strlen(body)};

	http_access_note(a, login, &r, now);
}

static void
a_login_is_tried_by_one_request(void **state)
{
	struct http_options opt = {.user = "ann", .password = "x"}, nobody = {0};
	struct http_access a;

	http_access_init(&a, &opt);
	assert_int_equal(http_access_at_once(&a, 8), 1);
	answered(&a, a.login, 0, ""); /* no answer is no verdict */
	assert_int_equal(http_access_at_once(&a, 8), 1);
	answered(&a, a.login, 500, "");
	assert_int_equal(http_access_at_once(&a, 8), 8);
	http_access_set_login(&a, "bob", "y");
	answered(&a, a.login - 1, 200, ""); /* of the earlier one */
	assert_int_equal(http_access_at_once(&a, 8), 1);
	http_access_finish(&a);
	http_access_init(&a, &nobody);
	assert_int_equal(http_access_at_once(&a, 8), 8);
	http_access_finish(&a);
}

static void
a_refused_login_is_kept_back(void **state)
{
	struct http_options opt = {.user = "ann", .password = "x", .login_wait_ms = 100};
	struct http_access a;

	http_access_init(&a, &opt);
	for (int i = 0; i < 2; i++) {
		assert_false(http_access_is_held_back(&a, now));
		answered(&a, a.login, i == 0 ? 401 : 403, "Account is temporarily locked, no");
		assert_true(http_access_is_held_back(&a, mono_add(now, 99)));
		assert_int_equal(http_access_refusal(&a).refused, i == 0 ? 401 : 403);
		assert_non_null(strstr(http_access_refusal(&a).body, "temporarily locked"));
		assert_false(http_access_is_held_back(&a, mono_add(now, 100)));
		if (i == 0)
			http_access_set_login(&a, "ann", "y");
	}
	assert_int_equal(http_access_at_once(&a, 8), 1);
	answered(&a, a.login, 403, "you are no member"); /* which is no word on the login */
	assert_int_equal(http_access_at_once(&a, 8), 8);
	http_access_finish(&a);
}

static void
a_crowd_moves_on_once(void **state)
{
	char b[] = "b", v6[] = "::1";
	struct uri_place others[] = {{.host = b, .port = 1}, {.host = v6, .port = 2}};
	struct http_options opt = {.others = others, .n_others = 2};
	struct http_access a;

	http_access_init(&a, &opt);
	assert_int_equal(a.place, 0);
	for (int i = 0; i < 3; i++)
		http_access_move_on(&a, 0, "no route");
	assert_int_equal(a.place, 1);
	http_access_move_on(&a, 1, "no route");
	http_access_move_on(&a, 2, "no route");
	assert_int_equal(a.place, 0);
	http_access_finish(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_login_is_tried_by_one_request),
	    cmocka_unit_test(a_refused_login_is_kept_back),
	    cmocka_unit_test(a_crowd_moves_on_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
