/* SPDX-License-Identifier: Apache-2.0 */
/* See outcome.h. */
#include "shared/store/outcome.h"

#include "shared/store/job.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"

#include <limits.h>
#include <string.h>

const char *
outcome_state_name(enum outcome_state s)
{
	switch (s) {
	case OUTCOME_OK:
		return "ok";
	case OUTCOME_FAILED:
		return "failed";
	case OUTCOME_TIMEOUT:
		return "timeout";
	case OUTCOME_REFUSED:
		return "refused";
	case OUTCOME_SUPERSEDED:
		return "superseded";
	case OUTCOME_UNROUTABLE:
		return "unroutable";
	case OUTCOME_CANCELLED:
		return "cancelled";
	case OUTCOME_EXPIRED:
		return "expired";
	case OUTCOME_QUEUED:
		return "queued";
	case OUTCOME_UNSENT:
		return "unsent";
	}
	return "?";
}

bool
outcome_state_parse(const char *text, enum outcome_state *s)
{
	int i;

	for (i = 0; i < OUTCOME_N_STATES; i++) {
		if (strcmp(text, outcome_state_name((enum outcome_state)i)) == 0) {
			*s = (enum outcome_state)i;
			return true;
		}
	}
	return false;
}

bool
outcome_is_answer(enum outcome_state s)
{
	return s <= OUTCOME_SUPERSEDED;
}

/* Returns where the text may be cut at most: not within a character. */
static size_t
cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

const char *
outcome_why(const char *why, char out[OUTCOME_WHY_SIZE])
{
	size_t len, i;

	if (why == NULL)
		return NULL;
	len = cut(why, OUTCOME_WHY_MAX);
	while (len > 0 && (unsigned char)why[len - 1] <= ' ')
		len--;
	for (i = 0; i < len; i++)
		out[i] = (unsigned char)why[i] < ' ' ? ' ' : why[i];
	out[len] = '\0';
	return out;
}

void
outcome_init(struct outcome *o)
{
	*o = (struct outcome){.state = OUTCOME_QUEUED, .duration_ms = -1, .exit_status = -1};
}

/* Nobody wrote an UNSENT without a time: it follows from silence, and its runner may yet note the
 * confirm. */
bool
outcome_is_open(const struct outcome *o)
{
	return o->state == OUTCOME_QUEUED || (o->state == OUTCOME_UNSENT && o->at == 0);
}

static enum outcome_state
state_of_result(const struct result *r)
{
	switch (r->meta.state) {
	case WIRE_OK:
		break;
	case WIRE_FAILED:
		return OUTCOME_FAILED;
	case WIRE_TIMEOUT:
		return OUTCOME_TIMEOUT;
	case WIRE_REFUSED:
		return OUTCOME_REFUSED;
	case WIRE_SUPERSEDED:
		return OUTCOME_SUPERSEDED;
	case WIRE_CANCELLED:
		return OUTCOME_CANCELLED;
	case WIRE_EXPIRED:
		return OUTCOME_EXPIRED;
	}
	/* A plugin that ran, and said what is of no use, has failed. */
	if (r->error != NULL || (r->plugin != NULL && r->value == NULL))
		return OUTCOME_FAILED;
	return OUTCOME_OK;
}

bool
outcome_of_result(const char *host, const struct result *r, struct outcome *o)
{
	outcome_init(o);
	if (r->meta.job == NULL || !job_id_ok(r->meta.job))
		return false;
	o->host = host;
	o->state = state_of_result(r);
	o->response_id = r->meta.response_id;
	o->why = o->state == OUTCOME_OK ? r->older : r->error;
	o->order = r->meta.order;
	o->at = r->received_at;
	o->duration_ms = r->meta.duration_ms;
	o->exit_status = r->meta.exit_status;
	return true;
}

json_t *
outcome_to_json(const struct outcome *o)
{
	json_t *json = json_object();
	char why[OUTCOME_WHY_SIZE];

	jsonx_set_str(json, "host", o->host);
	jsonx_set_str(json, "state", outcome_state_name(o->state));
	jsonx_set_str(json, "response_id", o->response_id);
	jsonx_set_str(json, "why", outcome_why(o->why, why));
	jsonx_set_time(json, "at", o->at);
	if (o->order > 0)
		jsonx_set_int(json, "order", o->order);
	if (o->duration_ms >= 0)
		jsonx_set_int(json, "duration_ms", o->duration_ms);
	if (o->exit_status >= 0)
		jsonx_set_int(json, "exit_status", o->exit_status);
	return json;
}

/* Absent, or of another kind, leaves what is there. */
static void
get_int(const json_t *json, const char *key, int64_t max, int64_t *value)
{
	const json_t *i = json_object_get(json, key);

	if (json_is_integer(i) && json_integer_value(i) >= 0 && json_integer_value(i) <= max)
		*value = json_integer_value(i);
}

bool
outcome_from_json(const json_t *json, struct outcome *o)
{
	const char *state = jsonx_get_str(json, "state");
	int64_t exit_status = -1;

	outcome_init(o);
	o->host = jsonx_get_str(json, "host");
	if (o->host == NULL || state == NULL || !outcome_state_parse(state, &o->state))
		return false;
	o->response_id = jsonx_get_str(json, "response_id");
	o->why = jsonx_get_str(json, "why");
	get_int(json, "order", INT64_MAX, &o->order);
	get_int(json, "duration_ms", INT64_MAX, &o->duration_ms);
	get_int(json, "exit_status", INT_MAX, &exit_status);
	o->exit_status = (int)exit_status;
	return jsonx_get_time(json, "at", &o->at);
}
