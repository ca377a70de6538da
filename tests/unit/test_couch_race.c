/* SPDX-License-Identifier: Apache-2.0 */
/* Several collectors on one CouchDB that takes its time: every interleaving that chance finds, of
 * the same host's results in any order, twice, after lost answers and after crashes.
 *
 * CouchDB is a fake: http.h is implemented here over documents in memory. A request goes through in
 * steps, a document each, and its answer is delivered later, or never. What must hold at every
 * moment is that the value in the store is that of the order in the store, and that no order is
 * below one that was acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/http.h"
#include "shared/store/store_backend.h"
#include "shared/wire/jsonx.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COLLECTORS = 3,
	ORDERS = 12, /* of a round */
	ROUNDS = 400,
	REQUESTS_MAX = 512, /* of a round, those of the dead included */
	LARGE = 10000,
};

/* --- CouchDB --- */

static json_t *docs; /* by id, with their _rev */

struct http {
	int unused;
};

struct request {
	struct http *http;
	http_fn *fn; /* NULL: nobody waits for the answer any more */
	void *arg;
	bool write;
	unsigned int slow; /* moves only once in so many times that it could */
	json_t *work;      /* keys or documents, one a step */
	size_t next;
	json_t *answer; /* rows or items */
};
static struct request requests[REQUESTS_MAX];
static size_t n_requests;

static unsigned int
chance(unsigned int n)
{
	return (unsigned int)rand() % n;
}

struct http *
http_create(struct loop *l, const struct http_options *o)
{
	return xcalloc(1, sizeof(struct http));
}

/* The answers go nowhere; what was sent arrives all the same. */
void
http_destroy(struct http *h)
{
	for (size_t i = 0; i < n_requests; i++)
		if (requests[i].http == h)
			requests[i].fn = NULL;
	free(h);
}

void
http_set_login(struct http *h, const char *user, const char *password)
{
}

static json_t *
shuffled(const json_t *list)
{
	json_t *out = json_array(), *j;
	size_t i;

	json_array_foreach (list, i, j)
		json_array_insert(out, chance((unsigned int)i + 1), j);
	return out;
}

void
http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg)
{
	json_t *json = json_loadb(body, body_len, 0, NULL);
	bool write = strstr(url, "_bulk_docs") != NULL;

	assert_non_null(json);
	assert_true(n_requests < REQUESTS_MAX);
	requests[n_requests++] = (struct request){h, fn, arg, write, chance(4) == 0 ? 30 : 1,
	    shuffled(json_object_get(json, write ? "docs" : "keys")), 0, json_array()};
	json_decref(json);
	free(body);
}

static const char *
text_of(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

static int tags[ROUNDS * ORDERS + 1]; /* of the order's value */
static int order, acknowledged;
static size_t n_confirmed; /* marks that were seen */

/* What a reader sees: the order, 0 if there is none. */
static int
look(void)
{
	struct couch_mark mark = {0};
	json_t *rec = json_deep_copy(json_object_get(docs, "a"));
	json_t *of_mark = json_object_get(docs, COUCH_MARKS_START "a");
	char *text = of_mark != NULL ? json_dumps(of_mark, 0) : NULL;
	struct jspan doc;
	int seen = 0, tag;

	if (rec == NULL)
		return 0;
	if (text != NULL) {
		assert_true(jspan_value(text, strlen(text), &doc));
		assert_true(couch_mark_parse(doc, &mark));
		n_confirmed += !mark.sealed;
	}
	couch_doc_show(rec, &mark);
	seen = (int)json_integer_value(
	    json_object_get(json_object_get(json_object_get(rec, "vogeler"), "p"), "order"));
	tag = (int)json_integer_value(json_array_get(json_object_get(rec, "p"), 0));
	if (tag != tags[seen])
		fail_msg("order %d has the value %d, not its own %d", seen, tag, tags[seen]);
	couch_mark_finish(&mark);
	json_decref(rec);
	free(text);
	return seen;
}

static void
check(void)
{
	int seen = look();

	if (seen < acknowledged)
		fail_msg("order %d is in the store, %d was acknowledged", seen, acknowledged);
}

static json_t *
write_one(json_t *doc)
{
	const char *id = text_of(doc, "_id"), *rev = text_of(doc, "_rev");
	const char *there = text_of(json_object_get(docs, id), "_rev");
	char next[32];

	if ((rev == NULL) != (there == NULL) || (rev != NULL && strcmp(rev, there) != 0))
		return json_pack("{s:s,s:s,s:s}", "id", id, "error", "conflict", "reason", "x");
	snprintf(next, sizeof(next), "%d-x", there != NULL ? atoi(there) + 1 : 1);
	json_object_set_new(doc, "_rev", json_string(next));
	json_object_set(docs, id, doc);
	check();
	return json_pack("{s:s,s:s}", "id", id, "rev", next);
}

static json_t *
read_one(const char *id)
{
	json_t *doc = json_object_get(docs, id);

	if (doc == NULL)
		return json_pack("{s:s,s:s}", "key", id, "error", "not_found");
	return json_pack("{s:s,s:{s:s},s:o}", "key", id, "value", "rev", text_of(doc, "_rev"),
	    "doc", json_deep_copy(doc));
}

static bool
has_arrived(const struct request *q)
{
	return q->next == json_array_size(q->work);
}

static void
step(struct request *q)
{
	json_t *one = json_array_get(q->work, q->next++);

	json_array_append_new(
	    q->answer, q->write ? write_one(one) : read_one(json_string_value(one)));
}

static void
forget_request(size_t i)
{
	json_decref(requests[i].work);
	json_decref(requests[i].answer);
	requests[i] = requests[--n_requests];
}

/* lost: before or after it has had its effect, or while it has some. */
static void
deliver(size_t i, bool lost)
{
	struct request q = requests[i];
	struct http_response r = {.content_type = "application/json", .body = ""};
	json_t *rows = json_pack("{s:O}", "rows", q.answer);
	char *body = json_dumps(q.write ? q.answer : rows, JSON_COMPACT);

	json_decref(rows);
	if (lost) {
		r.error = "connection broken";
		requests[i].fn = NULL; /* and goes its way */
	} else {
		r.status = q.write ? 201 : 200;
		r.body = body;
		r.body_len = strlen(body);
		forget_request(i);
	}
	q.fn(&r, q.arg);
	free(body);
}

/* --- collectors --- */

static struct loop *loop;
static struct collector {
	struct store *store;
	struct result *result; /* in hand; NULL: none */
	struct store_write w;
} collectors[COLLECTORS];

/* What waits in the broker, in any order. */
static struct result *waiting[2 * ORDERS + COLLECTORS];
static size_t n_waiting;

static struct store *
open_one(void)
{
	struct trouble why;
	struct uri uri;
	struct options opt = {.record_max_bytes = 1000000,
	    .batch_max_bytes = 256 * 1024,
	    .couch_requests = 2,
	    .couch_cache_bytes = 1000000,
	    .couch_timeout_ms = 30000};
	struct store *s;

	assert_true(uri_parse("couch://h/db", &uri, &why));
	s = store_couch_ops.open(loop, &uri, &opt, STORE_MAKE, &why);
	uri_finish(&uri);
	assert_non_null(s);
	return s;
}

static struct result *
result_new(int its_order)
{
	static char text[LARGE];
	struct result *r = xcalloc(1, sizeof(*r));
	int len = snprintf(text, sizeof(text), "[%d,\"", tags[its_order]);

	memset(text + len, 'x', sizeof(text) - (size_t)len - 3);
	memcpy(text + sizeof(text) - 3, "\"]", 3);
	result_init(r);
	r->format = WIRE_JSON;
	r->received_at = 1285481789609 + its_order;
	r->plugin = xstrdup("p");
	r->value = xstrdup(text);
	r->value_len = strlen(text);
	ident_hash(r->hash, text, r->value_len);
	r->meta.order = its_order;
	r->meta.machine_id = xstrdup("m1");
	return r;
}

static void
result_free(struct result *r)
{
	result_finish(r);
	free(r);
}

static void
on_written(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct collector *c = arg;

	if (status == STORE_OK && (int)c->result->meta.order > acknowledged)
		acknowledged = (int)c->result->meta.order;
	check();
	if (status == STORE_OK)
		result_free(c->result);
	else
		waiting[n_waiting++] = c->result;
	if (status != STORE_OK && status != STORE_CONFLICT && status != STORE_RETRY)
		fail_msg("%s: %s", store_status_name(status), why->what);
	c->result = NULL;
}

static void
take_one(struct collector *c)
{
	size_t i = chance((unsigned int)n_waiting);
	struct store_write *w = &c->w;

	c->result = waiting[i];
	waiting[i] = waiting[--n_waiting];
	*w = (struct store_write){
	    .host = "a", .results = &c->result, .n = 1, .bytes = c->result->value_len};
	store_put(c->store, &w, 1, on_written, c);
}

static void
crash(struct collector *c)
{
	store_close(c->store);
	if (c->result != NULL)
		waiting[n_waiting++] = c->result;
	c->result = NULL;
	c->store = open_one();
}

static bool
is_idle(void)
{
	for (size_t i = 0; i < COLLECTORS; i++)
		if (collectors[i].result != NULL)
			return false;
	return n_waiting == 0;
}

static void
something_happens(void)
{
	struct collector *c = &collectors[chance(COLLECTORS)];
	size_t i;

	if (chance(300) == 0)
		crash(c);
	if (c->result == NULL && n_waiting > 0 && chance(3) == 0)
		take_one(c);
	fake_advance(loop, 0);
	if (n_requests == 0)
		return;
	i = chance((unsigned int)n_requests);
	if (chance(requests[i].slow) != 0)
		return;
	if (requests[i].fn != NULL && chance(60) == 0)
		deliver(i, true);
	else if (!has_arrived(&requests[i]))
		step(&requests[i]);
	else if (requests[i].fn != NULL)
		deliver(i, false);
	else
		forget_request(i);
}

/* --- the test --- */

/* One value in three differs from what most have: so most results only confirm. */
static void
no_interleaving_loses_anything(void **state)
{
	docs = json_object();
	loop = loop_create();
	srand(1);
	for (size_t i = 0; i < COLLECTORS; i++)
		collectors[i].store = open_one();
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < ORDERS; i++) {
			tags[++order] = chance(3) == 0;
			waiting[n_waiting++] = result_new(order);
			if (chance(4) == 0) /* delivered again, whatever became of it */
				waiting[n_waiting++] = result_new(order);
		}
		while (!is_idle())
			something_happens();
		assert_int_equal(look(), order);
	}
	assert_true(n_confirmed > 1000); /* or it has tried nothing */
	for (size_t i = 0; i < COLLECTORS; i++)
		store_close(collectors[i].store);
	while (n_requests > 0)
		forget_request(0);
	loop_destroy(loop);
	json_decref(docs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_interleaving_loses_anything),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
