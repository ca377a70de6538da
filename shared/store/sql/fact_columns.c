/* SPDX-License-Identifier: Apache-2.0 */
/* See fact_columns.h. */
#include "shared/store/sql/fact_columns.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"

#include <stdlib.h>
#include <string.h>

/* Takes a member whose text is exactly what is made of the number again. */
static int64_t
take_time(json_t *rest, const char *key)
{
	const char *text = jsonx_get_str(rest, key);
	char again[WALLCLOCK_TEXT_SIZE];
	int64_t ms = 0;

	if (text == NULL || !wallclock_parse(text, &ms) || ms <= 0 ||
	    strcmp(wallclock_format(ms, again), text) != 0)
		return 0;
	json_object_del(rest, key);
	return ms;
}

static int64_t
take_int(json_t *rest, const char *key, int64_t least, int64_t absent)
{
	const json_t *value = json_object_get(rest, key);
	int64_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < least)
		return absent;
	json_object_del(rest, key);
	return number;
}

/* The text is meta's, which outlives rest. */
static const char *
take_str(json_t *rest, const json_t *meta, const char *key)
{
	const json_t *value = json_object_get(meta, key);
	const char *text = json_string_value(value);

	if (text == NULL || text[0] == '\0' || strlen(text) != json_string_length(value))
		return NULL;
	json_object_del(rest, key);
	return text;
}

static int
take_format(json_t *rest)
{
	const char *text = jsonx_get_str(rest, "format");
	enum wire_format format;

	if (text == NULL || !wire_format_parse(text, &format) ||
	    strcmp(wire_format_name(format), text) != 0)
		return -1;
	json_object_del(rest, "format");
	return (int)format;
}

/* The column is never empty, so the rest says it where the value was received at another time than
 * the latest answer, or there is no value: null. */
static void
take_received_at(struct fact_columns *c, int64_t heard_at)
{
	const char *text = jsonx_get_str(c->rest, "received_at");
	char heard[WALLCLOCK_TEXT_SIZE];

	c->received_at = heard_at;
	if (text != NULL && heard_at > 0 && strcmp(text, wallclock_format(heard_at, heard)) == 0)
		json_object_del(c->rest, "received_at");
	else if (json_object_get(c->rest, "received_at") == NULL &&
		 json_object_set_new(c->rest, "received_at", json_null()) != 0)
		xalloc_fail(0);
}

void
fact_columns_take(struct fact_columns *c, const json_t *meta, int64_t heard_at)
{
	*c = (struct fact_columns){.rest = json_copy((json_t *)meta)};
	if (c->rest == NULL)
		xalloc_fail(0);
	take_received_at(c, heard_at);
	c->collected_at = take_time(c->rest, "collected_at");
	c->changed_at = take_time(c->rest, "changed_at");
	c->order = take_int(c->rest, "order", 1, 0);
	c->duration_ms = take_int(c->rest, "duration_ms", 0, -1);
	c->exit_status = take_int(c->rest, "exit_status", 0, -1);
	c->format = take_format(c->rest);
	c->has_hash = ident_hash_to_bytes(jsonx_get_str(meta, "hash"), c->hash);
	if (c->has_hash)
		json_object_del(c->rest, "hash");
	c->machine_id = take_str(c->rest, meta, "machine_id");
	c->boot_id = take_str(c->rest, meta, "boot_id");
	c->version = take_str(c->rest, meta, "version");
	c->job = take_str(c->rest, meta, "job");
	c->response_id = take_str(c->rest, meta, "response_id");
	if (json_object_size(c->rest) == 0) {
		json_decref(c->rest);
		c->rest = NULL;
	}
}

static void
set_received_at(const struct fact_columns *c, json_t *meta)
{
	const json_t *odd = json_object_get(meta, "received_at");

	if (odd == NULL)
		jsonx_set_time(meta, "received_at", c->received_at);
	else if (json_is_null(odd))
		json_object_del(meta, "received_at");
}

json_t *
fact_columns_meta(const struct fact_columns *c)
{
	json_t *meta = c->rest == NULL ? json_object() : json_copy(c->rest);
	char hash[IDENT_HASH_SIZE];

	if (meta == NULL)
		xalloc_fail(0);
	set_received_at(c, meta);
	jsonx_set_time(meta, "collected_at", c->collected_at);
	jsonx_set_time(meta, "changed_at", c->changed_at);
	if (c->order > 0)
		jsonx_set_int(meta, "order", c->order);
	if (c->duration_ms >= 0)
		jsonx_set_int(meta, "duration_ms", c->duration_ms);
	if (c->exit_status >= 0)
		jsonx_set_int(meta, "exit_status", c->exit_status);
	if (c->format >= 0)
		jsonx_set_str(meta, "format", wire_format_name((enum wire_format)c->format));
	if (c->has_hash) {
		ident_hash_from_bytes(hash, c->hash);
		jsonx_set_str(meta, "hash", hash);
	}
	jsonx_set_str(meta, "machine_id", c->machine_id);
	jsonx_set_str(meta, "boot_id", c->boot_id);
	jsonx_set_str(meta, "version", c->version);
	jsonx_set_str(meta, "job", c->job);
	jsonx_set_str(meta, "response_id", c->response_id);
	return meta;
}

void
fact_columns_finish(struct fact_columns *c)
{
	json_decref(c->rest);
	*c = (struct fact_columns){0};
}

static int64_t
time_of(const json_t *obj, const char *key)
{
	const char *text = jsonx_get_str(obj, key);
	int64_t ms = 0;

	return text != NULL && wallclock_parse(text, &ms) ? ms : 0;
}

int64_t
fact_columns_heard_at(const json_t *meta)
{
	int64_t value = time_of(meta, "received_at");
	int64_t failure = time_of(json_object_get(meta, "failure"), "at");

	return failure > value ? failure : value;
}
