/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h. */
#include "shared/store/record.h"

#include "shared/base/buf.h"
#include "shared/base/units.h"
#include "shared/base/utf8.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long after a machine was last heard under the name of another one it is gone. */
#define OTHER_MACHINE_MS (7 * 24 * 3600 * INT64_C(1000))

const char *const fact_value_members[] = {"collected_at", "received_at", "changed_at", "job",
    "format", "exit_status", "duration_ms", "hash", "truncated", "notes", NULL};

void
result_init(struct result *r)
{
	*r = (struct result){.meta = {.duration_ms = -1, .exit_status = -1}};
}

static size_t
text_bytes(const char *text)
{
	return text == NULL ? 0 : strlen(text) + 1;
}

/* Counts without what is small in any result. */
size_t
result_bytes(const struct result *r)
{
	return sizeof(*r) + r->value_len + text_bytes(r->unparsed) + text_bytes(r->error) +
	       text_bytes(r->meta.stdout_tail) + text_bytes(r->meta.stderr_tail);
}

void
result_finish(struct result *r)
{
	free(r->plugin);
	free(r->value);
	free(r->unparsed);
	free(r->error);
	free(r->error_timestamp);
	free(r->older);
	json_decref(r->note);
	response_meta_finish(&r->meta);
	result_init(r);
}

void
fact_finish(struct fact *f)
{
	if (!f->borrows)
		free(f->value);
	json_decref(f->meta);
	*f = (struct fact){0};
}

bool
fact_write_meta(struct buf *out, const struct fact *f)
{
	if (!jsonx_write(out, f->meta))
		return false;
	if (f->unparsed == NULL)
		return true;
	buf_truncate(out, out->len - 1); /* meta is not empty: it says its state */
	return buf_append_str(out, ",\"unparsed\":") && jsonx_write_text(out, f->unparsed) &&
	       buf_append_char(out, '}');
}

void
record_head_finish(struct record_head *h)
{
	free(h->host);
	json_decref(h->last_error);
	*h = (struct record_head){0};
}

static json_t *
new_object(void)
{
	json_t *obj = json_object();

	if (obj == NULL)
		xalloc_fail(0);
	return obj;
}

static void
set(json_t *obj, const char *key, json_t *value)
{
	if (value != NULL && json_object_set(obj, key, value) != 0)
		xalloc_fail(0);
}

static void
set_time(json_t *obj, const char *key, int64_t wall)
{
	char text[WALLCLOCK_TEXT_SIZE];

	if (wall != 0)
		jsonx_set_str(obj, key, wallclock_format(wall, text));
}

static void
set_positive(json_t *obj, const char *key, int64_t value)
{
	if (value > 0)
		jsonx_set_int(obj, key, value);
}

static void
set_measured(json_t *obj, const char *key, int64_t value)
{
	if (value >= 0)
		jsonx_set_int(obj, key, value);
}

static void
keep(json_t *obj, const json_t *old, const char *key)
{
	set(obj, key, json_object_get(old, key));
}

static const char *
text_of(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

/* 0 = none: orders are positive. */
static int64_t
order_of(const json_t *obj)
{
	return json_integer_value(json_object_get(obj, "order"));
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Orders say something about each other only if one machine made both. */
static bool
orders_compare(const json_t *stored, const struct result *r)
{
	return r->meta.order > 0 && order_of(stored) > 0 &&
	       same_text(text_of(stored, "machine_id"), r->meta.machine_id);
}

static bool
is_good(const struct result *r)
{
	return r->meta.state == WIRE_OK && r->value != NULL;
}

/* Says whether it is about no run of a plugin of this host: a repeat that the agent answered for,
 * one that was cancelled, or a command that it did not take. */
static bool
is_no_run(const struct result *r)
{
	return wire_is_passed_over(r->meta.state) || r->meta.state == WIRE_REFUSED;
}

static const char *
state_text(const struct result *r)
{
	if (r->meta.state != WIRE_OK)
		return wire_state_name(r->meta.state);
	return r->unparsed != NULL ? "unparsed" : wire_state_name(WIRE_FAILED);
}

static void
set_message(json_t *obj, const struct result *r)
{
	char *text;

	if (r->error != NULL) {
		jsonx_set_str(obj, "message", r->error);
		return;
	}
	xasprintf(&text, "%s: %s", r->plugin == NULL ? "host" : r->plugin, state_text(r));
	jsonx_set_str(obj, "message", text);
	free(text);
}

static json_t *
failure_new(const json_t *earlier, const struct result *r)
{
	const struct response_meta *m = &r->meta;
	json_t *failure = new_object();
	json_int_t count = 1;

	if (earlier != NULL) {
		json_t *counted = json_object_get(earlier, "count");

		count = counted == NULL ? 2 : json_integer_value(counted) + 1;
		keep(failure, earlier, "since");
	} else {
		set_time(failure, "since", r->received_at);
	}
	set_time(failure, "at", r->received_at);
	jsonx_set_str(failure, "state", state_text(r));
	set_message(failure, r);
	set_measured(failure, "exit_status", m->exit_status);
	set_positive(failure, "signal", m->signal);
	jsonx_set_str(failure, "job", m->job);
	jsonx_set_str(failure, "stderr_tail", m->stderr_tail);
	jsonx_set_str(failure, "stdout_tail", m->stdout_tail);
	set(failure, "notes",
	    r->note); /* about the tails and about unparsed; meta's are the value's */
	if (count > 1)
		jsonx_set_int(failure, "count", count);
	return failure;
}

/* The last answer was another machine's. That is one that was set up anew, or was replaced; but
 * when the earlier one comes back with something new there are two. What the broker delivers again
 * has an order that was seen. */
static json_t *
other_machine(const json_t *old, const struct result *r)
{
	const json_t *before = json_object_get(old, "other_machine");
	json_t *other = new_object();

	jsonx_set_str(other, "machine_id", text_of(old, "machine_id"));
	set_positive(other, "order", order_of(old));
	set_time(other, "until", r->received_at);
	if (json_object_get(before, "two_since") != NULL)
		keep(other, before, "two_since");
	else if (same_text(text_of(before, "machine_id"), r->meta.machine_id) &&
		 r->meta.order > order_of(before))
		set_time(other, "two_since", r->received_at);
	return other;
}

static bool
is_long_ago(const json_t *other, int64_t now)
{
	int64_t until;
	const char *text = text_of(other, "until");

	return text == NULL || !wallclock_parse(text, &until) || now - until > OTHER_MACHINE_MS;
}

static void
set_other_machine(json_t *meta, const json_t *old, const struct result *r)
{
	const char *last = text_of(old, "machine_id"), *now = r->meta.machine_id;
	json_t *other;

	if (last != NULL && now != NULL && strcmp(last, now) != 0) {
		other = other_machine(old, r);
		set(meta, "other_machine", other);
		json_decref(other);
	} else if (!is_long_ago(json_object_get(old, "other_machine"), r->received_at)) {
		keep(meta, old, "other_machine");
	}
}

/* Sets what tells the next result whether it is older, or this one again, or another machine's. */
static void
set_marks(json_t *meta, const json_t *old, const struct result *r)
{
	set_other_machine(meta, old, r);
	set_positive(meta, "order", r->meta.order);
	jsonx_set_str(meta, "machine_id", r->meta.machine_id);
	jsonx_set_str(meta, "boot_id", r->meta.boot_id);
	jsonx_set_str(meta, "version", r->meta.version);
	jsonx_set_str(meta, "response_id", r->meta.response_id);
}

static json_t *
good_meta(const json_t *old, const struct result *r, bool same)
{
	const struct response_meta *m = &r->meta;
	json_t *meta = new_object();

	set_time(meta, "collected_at", m->collected_at);
	set_time(meta, "received_at", r->received_at);
	if (same)
		keep(meta, old, "changed_at");
	else
		set_time(meta, "changed_at", r->received_at);
	set_marks(meta, old, r);
	jsonx_set_str(meta, "job", m->job);
	jsonx_set_str(meta, "format", wire_format_name(r->format));
	set_measured(meta, "exit_status", m->exit_status);
	set_measured(meta, "duration_ms", m->duration_ms);
	jsonx_set_str(meta, "hash", r->hash);
	if (m->truncated)
		set(meta, "truncated", json_true());
	set(meta, "notes", r->note);
	keep(meta, old, "older");
	return meta;
}

/* Text that is no UTF-8 is mended in the tree. */
static void
set_unparsed(struct fact *f, json_t *meta, const struct result *r)
{
	f->unparsed = NULL;
	if (f->borrows && utf8_is_valid(r->unparsed, strlen(r->unparsed)))
		f->unparsed = r->unparsed;
	else
		jsonx_set_str(meta, "unparsed", r->unparsed);
}

static json_t *
failed_meta(struct fact *f, const struct result *r)
{
	const json_t *old = f->meta;
	json_t *meta = new_object(), *failure;
	size_t i;

	for (i = 0; fact_value_members[i] != NULL; i++)
		keep(meta, old, fact_value_members[i]);
	set_marks(meta, old, r);
	jsonx_set_str(meta, "state", state_text(r));
	if (r->unparsed != NULL) {
		jsonx_set_str(meta, "format", wire_format_name(r->format));
		set_unparsed(f, meta, r);
	} else {
		keep(meta, old, "unparsed");
	}
	failure = failure_new(json_object_get(old, "failure"), r);
	set(meta, "failure", failure);
	json_decref(failure);
	keep(meta, old, "older");
	return meta;
}

/* Counted only if it is above the highest one counted: so that giving the same results again, which
 * the broker does after a crash, changes nothing. */
static enum record_change
count_older(struct fact *f, const struct result *r)
{
	const json_t *older = json_object_get(f->meta, "older");
	json_int_t count = json_integer_value(json_object_get(older, "count"));
	json_t *next;

	if (r->meta.order <= json_integer_value(json_object_get(older, "last_order")))
		return RECORD_UNCHANGED;
	next = new_object();
	jsonx_set_int(next, "count", count + 1);
	jsonx_set_int(next, "last_order", r->meta.order);
	set(f->meta, "older", next);
	json_decref(next);
	return RECORD_META;
}

const json_t *
record_two_machines(const json_t *meta)
{
	const json_t *other = json_object_get(meta, "other_machine");

	return json_object_get(other, "two_since") != NULL ? other : NULL;
}

int64_t
record_order_ahead(const json_t *meta, int64_t now_ms)
{
	int64_t order = order_of(meta);

	return order > now_ms && order - now_ms >= RECORD_AHEAD_MIN_MS ? order - now_ms : 0;
}

/* Notes for the job that it answers that the host did what it was asked for, and the record does
 * not show it. */
static void
note_older(const struct fact *f, const char *host, struct result *r)
{
	int64_t ahead = record_order_ahead(f->meta, r->received_at);
	char span[UNITS_SPAN_SIZE];

	if (ahead == 0)
		r->older = xstrdup("not stored: the record has a newer answer");
	else
		xasprintf(&r->older,
		    "not stored: the newest order of this host is %s ahead of the clock; "
		    "\"vogeler-admin forget-order %s\" mends it",
		    units_span(ahead, span), host);
}

static enum record_change
forget_order(struct fact *f)
{
	if (order_of(f->meta) == 0 && json_object_get(f->meta, "older") == NULL)
		return RECORD_UNCHANGED;
	json_object_del(f->meta, "order");
	json_object_del(f->meta, "older");
	return RECORD_META;
}

static void
replace_meta(struct fact *f, json_t *meta)
{
	json_decref(f->meta);
	f->meta = meta;
}

static bool
is_repeat(const json_t *meta, const struct result *r)
{
	if (orders_compare(meta, r))
		return r->meta.order == order_of(meta);
	return r->meta.order <= 0 && r->meta.response_id != NULL &&
	       same_text(text_of(meta, "response_id"), r->meta.response_id);
}

enum record_change
fact_apply(struct fact *f, const char *host, struct result *r)
{
	bool same;

	free(r->older);
	r->older = NULL;
	if (r->forget_order)
		return forget_order(f);
	if (is_no_run(r) || is_repeat(f->meta, r))
		return RECORD_UNCHANGED;
	if (orders_compare(f->meta, r) && r->meta.order < order_of(f->meta)) {
		note_older(f, host, r);
		return count_older(f, r);
	}
	if (!is_good(r)) {
		replace_meta(f, failed_meta(f, r));
		return RECORD_META;
	}
	same = same_text(text_of(f->meta, "hash"), r->hash);
	replace_meta(f, good_meta(f->meta, r, same));
	f->unparsed = NULL;
	if (same)
		return RECORD_META;
	if (!f->borrows)
		free(f->value);
	f->value = f->borrows ? r->value : xstrndup(r->value, r->value_len);
	f->value_len = r->value_len;
	return RECORD_VALUE;
}

static json_t *
last_error_new(const struct result *r)
{
	json_t *error = new_object();

	if (r->error_timestamp != NULL) { /* of the host's clock, and in any form */
		jsonx_set_str(error, "timestamp", r->error_timestamp);
		set_time(error, "received_at", r->received_at);
	} else {
		set_time(error, "timestamp", r->received_at);
	}
	set_message(error, r);
	jsonx_set_str(error, "plugin", r->plugin != NULL ? r->plugin : r->meta.plugin);
	jsonx_set_str(error, "state", state_text(r));
	set_positive(error, "order", r->meta.order);
	jsonx_set_str(error, "machine_id", r->meta.machine_id);
	jsonx_set_str(error, "job", r->meta.job);
	return error;
}

/* Compares all but the time of receipt: what is delivered twice without an order is
 * received twice. */
static bool
is_same_error(const json_t *last_error, const json_t *error)
{
	json_t *before = json_copy((json_t *)last_error);
	bool same;

	set(before, "received_at", json_object_get(error, "received_at"));
	same = json_equal(before, error);
	json_decref(before);
	return same;
}

static bool
says_error(const struct result *r)
{
	if (r->forget_order || wire_is_passed_over(r->meta.state) || is_good(r))
		return false;
	return r->plugin != NULL || r->error != NULL;
}

bool
last_error_apply(json_t **last_error, const struct result *r)
{
	json_t *error;

	if (r->forget_order) {
		if (order_of(*last_error) == 0)
			return false;
		error = json_copy(*last_error);
		json_object_del(error, "order");
		json_decref(*last_error);
		*last_error = error;
		return true;
	}
	if (!says_error(r))
		return false;
	if (orders_compare(*last_error, r) && r->meta.order <= order_of(*last_error))
		return false;
	error = last_error_new(r);
	if (*last_error != NULL && is_same_error(*last_error, error)) {
		json_decref(error);
		return false;
	}
	json_decref(*last_error);
	*last_error = error;
	return true;
}

enum record_change
record_apply(struct record_head *head, struct fact *f, struct result *r, bool *head_changed)
{
	enum record_change change = RECORD_UNCHANGED;
	bool greeting = r->plugin == NULL && !says_error(r) && !r->forget_order;
	bool touched;

	if (r->plugin != NULL)
		change = fact_apply(f, head->host, r);
	touched = last_error_apply(&head->last_error, r);
	touched = touched || greeting || change != RECORD_UNCHANGED;
	if (head->created_at == 0) {
		head->created_at = r->received_at;
		*head_changed = true;
	}
	if (head->updated_at == 0 ||
	    (touched && !r->forget_order && r->received_at > head->updated_at)) {
		head->updated_at = r->received_at;
		*head_changed = true;
	}
	*head_changed = *head_changed || touched;
	return change;
}

/* ,"key": */
static bool
write_key(struct buf *out, const char *key)
{
	return buf_append_char(out, ',') && jsonx_write_text(out, key) && buf_append_char(out, ':');
}

static bool
write_time(struct buf *out, const char *key, int64_t wall)
{
	char text[WALLCLOCK_TEXT_SIZE];

	return write_key(out, key) && jsonx_write_text(out, wallclock_format(wall, text));
}

static bool
write_head(struct buf *out, const struct record_head *head, const char *rev)
{
	if (!buf_append_str(out, "{\"_id\":") || !jsonx_write_text(out, head->host))
		return false;
	if (rev != NULL && (!write_key(out, "_rev") || !jsonx_write_text(out, rev)))
		return false;
	if (!write_key(out, "system_name") || !jsonx_write_text(out, head->host) ||
	    !write_key(out, "doc_type") || !jsonx_write_text(out, "SystemRecord") ||
	    !write_time(out, "created_at", head->created_at) ||
	    !write_time(out, "updated_at", head->updated_at))
		return false;
	return head->last_error == NULL ||
	       (write_key(out, "last_error") && jsonx_write(out, head->last_error));
}

struct entry {
	const char *plugin;
	const struct fact *fact;
};

static int
entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->plugin, y->plugin);
}

static bool
write_values(struct buf *out, const struct entry *entries, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct fact *f = entries[i].fact;

		if (f->value != NULL && (!write_key(out, entries[i].plugin) ||
					    !buf_append(out, f->value, f->value_len)))
			return false;
	}
	return true;
}

static bool
write_metas(struct buf *out, const struct entry *entries, size_t n)
{
	bool first = true;
	size_t i;

	if (!buf_append_str(out, ",\"vogeler\":{"))
		return false;
	for (i = 0; i < n; i++) {
		if (entries[i].fact->meta == NULL)
			continue;
		if ((!first && !buf_append_char(out, ',')) ||
		    !jsonx_write_text(out, entries[i].plugin) || !buf_append_char(out, ':') ||
		    !fact_write_meta(out, entries[i].fact))
			return false;
		first = false;
	}
	return buf_append_str(out, "}}");
}

bool
record_write(struct buf *out, const struct record_head *head, const char *rev,
    const char *const *plugins, const struct fact *facts, size_t n)
{
	struct entry *entries = xcalloc(n + 1, sizeof(*entries));
	bool ok;
	size_t i;

	for (i = 0; i < n; i++)
		entries[i] = (struct entry){plugins[i], &facts[i]};
	qsort(entries, n, sizeof(*entries), entry_cmp);
	ok = write_head(out, head, rev) && write_values(out, entries, n) &&
	     write_metas(out, entries, n);
	free(entries);
	return ok;
}
