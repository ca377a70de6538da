/* SPDX-License-Identifier: Apache-2.0 */
/* Putting two accounts of a record together. See record.h. */
#include "shared/store/record.h"

#include "shared/base/wallclock.h"

#include <stdlib.h>
#include <string.h>

static int64_t
time_of(const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));
	int64_t ms = 0;

	return text != NULL && wallclock_parse(text, &ms) ? ms : 0;
}

/* When the plugin was heard last, good or not. */
static int64_t
heard_at(const json_t *meta)
{
	int64_t value = time_of(meta, "received_at");
	int64_t failure = time_of(json_object_get(meta, "failure"), "at");

	return failure > value ? failure : value;
}

/* -1, 0, 1, if one machine made both orders; else *ok is false. */
static int
compare_orders(const json_t *a, const json_t *b, bool *ok)
{
	int64_t x = json_integer_value(json_object_get(a, "order"));
	int64_t y = json_integer_value(json_object_get(b, "order"));
	const json_t *machine = json_object_get(a, "machine_id");
	const json_t *other = json_object_get(b, "machine_id");

	*ok = x > 0 && y > 0 &&
	      (machine == NULL || other == NULL ? machine == other : json_equal(machine, other));
	return (x > y) - (x < y);
}

static bool
is_newer(const json_t *a, const json_t *b)
{
	bool by_order;
	int cmp = compare_orders(a, b, &by_order);

	return by_order ? cmp > 0 : heard_at(a) > heard_at(b);
}

static void
exchange(struct fact *f, struct fact *other)
{
	struct fact was = *f;

	*f = *other;
	*other = was;
}

static void
exchange_values(struct fact *f, struct fact *other)
{
	struct fact was = *f;

	f->value = other->value;
	f->value_len = other->value_len;
	other->value = was.value;
	other->value_len = was.value_len;
}

static void
take_member(json_t *to, const json_t *from, const char *key)
{
	json_t *member = json_object_get(from, key);

	if (member != NULL)
		json_object_set(to, key, member);
	else
		json_object_del(to, key);
}

/* f's latest result failed, and other has a value that is newer than f's. */
static void
take_value(struct fact *f, struct fact *other)
{
	json_t *meta = json_copy(f->meta);

	for (size_t i = 0; fact_value_members[i] != NULL; i++)
		take_member(meta, other->meta, fact_value_members[i]);
	json_decref(f->meta);
	f->meta = meta;
	exchange_values(f, other);
}

static bool
has_failed(const struct fact *f)
{
	return json_object_get(f->meta, "failure") != NULL;
}

static bool
has_newer_value(const struct fact *a, const struct fact *b)
{
	return json_object_get(a->meta, "hash") != NULL &&
	       time_of(a->meta, "received_at") > time_of(b->meta, "received_at");
}

/* Keeps what is there where the other was put there by somebody else and has no metadata. */
bool
fact_merge(struct fact *f, struct fact *other)
{
	if (other->meta == NULL && (f->meta != NULL || f->value != NULL || other->value == NULL))
		return false;
	if (f->meta == NULL) {
		exchange(f, other);
		return true;
	}
	if (is_newer(other->meta, f->meta)) {
		exchange(f, other);
		if (has_failed(f) && has_newer_value(other, f))
			take_value(f, other);
		return true;
	}
	if (!is_newer(f->meta, other->meta) || !has_failed(f) || !has_newer_value(other, f))
		return false;
	take_value(f, other);
	return true;
}

bool
last_error_merge(json_t **last_error, json_t *other)
{
	bool by_order, newer;
	int cmp = compare_orders(other, *last_error, &by_order);

	if (!json_is_object(other))
		return false;
	newer =
	    by_order ? cmp > 0 : time_of(other, "timestamp") > time_of(*last_error, "timestamp");
	if (*last_error != NULL && !newer)
		return false;
	json_incref(other);
	json_decref(*last_error);
	*last_error = other;
	return true;
}
