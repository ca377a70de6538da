/* SPDX-License-Identifier: Apache-2.0 */
/* "query EXPR [HOSTS]": what jq makes of each record, as a table, CSV or JSON. */
#include "admin/meant.h"
#include "admin/result_rows.h"
#include "admin/verb.h"

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/print/answers.h"
#include "shared/query/record_query.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 30000

struct query {
	struct verb_context *v;
	struct meant meant;
	struct record_query *records;
	struct result_rows *rows; /* not of --json */
	struct answers *failures;
	size_t asked, failed, printed;
	size_t nulls; /* of the values that came out */
};

static void
query_finish(void *arg)
{
	struct query *q = arg;

	record_query_destroy(q->records);
	result_rows_destroy(q->rows);
	answers_destroy(q->failures);
	meant_finish(&q->meant);
	free(q);
}

/* --- answers --- */

static void
print_object(struct query *q, const char *host, const json_t *value, const char *why)
{
	json_t *o = answers_object(host, value, why);

	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
	if (value != NULL)
		q->printed++;
}

static void
take_failure(struct query *q, const char *host, const char *why)
{
	q->failed++;
	if (q->v->json)
		print_object(q, host, NULL, why);
	else
		answers_lack(q->failures, host, why);
}

/* One of those that came out of a record. */
static void
take_value(struct query *q, const char *host, const char *text, size_t len)
{
	char err[256];
	json_t *value = jsonx_parse(text, len, NULL, err, sizeof(err));

	q->nulls += json_is_null(value);
	if (value == NULL)
		take_failure(q, host, err);
	else if (q->v->json)
		print_object(q, host, value, NULL);
	else if (!result_rows_add(q->rows, host, value))
		take_failure(q, host,
		    "left out, 256 MiB came out before it" TROUBLE_CURE
		    "--json prints it as it comes, and without an end");
	json_decref(value);
}

static void
query_on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct query *q = arg;
	const char *behind;

	if (word == JQ_WORD_ERROR)
		take_failure(q, host, text);
	while (word == JQ_WORD_VALUES && len > 0) {
		behind = memchr(text, '\n', len);
		if (behind == NULL)
			behind = text + len;
		take_value(q, host, text, (size_t)(behind - text));
		len -= (size_t)(behind - text);
		text = behind;
		if (len > 0) { /* the line's end */
			len--;
			text++;
		}
	}
	if (ferror(stdout)) /* nobody reads it any more */
		verb_done(q->v, VERB_TROUBLE);
}

static bool
query_wants(const char *host, void *arg)
{
	struct query *q = arg;

	hosts_add(&q->meant.known, host);
	q->asked += targets_include(&q->meant.targets, host);
	return targets_include(&q->meant.targets, host);
}

/* --- the end --- */

static void
query_on_line(const char *line, void *arg)
{
	complain_line("vogeler-admin", "%s", line);
}

static bool
print_rows(struct query *q)
{
	if (q->v->json)
		return true;
	if (!q->v->csv) {
		result_rows_print(stdout, q->rows);
		return true;
	}
	if (result_rows_print_csv(stdout, q->rows))
		return true;
	complain_line("vogeler-admin",
	    "more than %d columns" TROUBLE_CURE "name those that you want: {os: .facter.os}",
	    RESULT_ROWS_COLUMNS);
	return false;
}

static void
tell_all(struct query *q)
{
	size_t count = q->printed + (q->rows == NULL ? 0 : result_rows_count(q->rows));
	int status = VERB_OK;
	bool none;

	if (!print_rows(q))
		status = VERB_TROUBLE;
	fflush(stdout);
	answers_tell_lack(q->failures, query_on_line, NULL);
	record_query_notes(q->records, query_on_line, NULL);
	if (count == 0 && q->failed == 0 && q->asked > 0)
		complain_line("vogeler-admin", "nothing comes out for any of %zu host%s", q->asked,
		    q->asked == 1 ? "" : "s");
	else if (q->asked == 0 && q->meant.targets.all)
		complain_line("vogeler-admin", "no hosts yet: start vogeler-agent on one");
	if (status == VERB_OK && q->failed > 0)
		status = VERB_SOME_FAILED;
	none = count == 0 || (count == q->nulls && record_query_is_mistyped(q->records));
	if ((meant_tell_missing(&q->meant) > 0 || none) && status == VERB_OK)
		status = VERB_NO_SUCH_HOST;
	verb_done(q->v, status);
}

static void
query_on_end(enum record_query_end how, const char *why, void *arg)
{
	struct query *q = arg;

	switch (how) {
	case RECORD_QUERY_DONE:
		tell_all(q);
		return;
	case RECORD_QUERY_BAD:
		answers_tell_lack(q->failures, query_on_line, NULL);
		verb_fail(q->v, "query: %s", why);
		return;
	case RECORD_QUERY_NO_STORE:
		verb_fail(q->v, "cannot read from %s: %s", store_id(q->v->store), why);
		return;
	}
}

static void
query_on_meant(void *arg)
{
	struct query *q = arg;
	const struct verb_context *v = q->v;
	const struct record_query_request req = {
	    .loop = v->loop,
	    .store = v->store,
	    .program = v->args[0],
	    .mode = JQ_VALUES,
	    .timeout_ms = v->timeout_given ? (int64_t)v->timeout_ms : TIMEOUT_MS,
	    .option = "--timeout",
	    .quiet = v->json && isatty(STDOUT_FILENO), /* its lines say how far it is */
	    .wants = query_wants,
	    .on_answer = query_on_answer,
	    .on_end = query_on_end,
	    .arg = q,
	};
	char *why;

	q->records = record_query_create(&req, &why);
	if (q->records != NULL)
		return;
	verb_fail(q->v, "query: %s", why);
	free(why);
}

void
verb_query(struct verb_context *v)
{
	const char *const words[] = {v->args[1] == NULL ? "all" : v->args[1], NULL};
	struct query *q;

	if (v->json && v->csv)
		cli_usage_error(v->cli, "--json or --csv, not both");
	q = xcalloc(1, sizeof(*q));
	q->v = v;
	meant_init(&q->meant, v, "query", words);
	q->failures = answers_create();
	q->rows = v->json ? NULL : result_rows_create();
	v->finish = query_finish;
	v->finish_arg = q;
	meant_ask(&q->meant, query_on_meant, q);
}
