/* See ledger.h. Jobs and outcomes as values, and as JSON; the fold is in ledger_fold.c. */
#include "shared/store/ledger.h"

#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/ledger_why.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 63

/* ---- names ---- */

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

bool
ledger_id_ok(const char *id)
{
	size_t i;

	for (i = 0; id[i] != '\0'; i++) {
		unsigned char c = (unsigned char)id[i];

		if (i >= ID_MAX || c >= 0x80 || (!isalnum(c) && c != '-'))
			return false;
	}
	return i > 0;
}

/* ---- members ---- */

static const char *
get_str(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

/* A time in a record is text, and so it is here. */
static void
set_time(json_t *json, const char *key, int64_t ms)
{
	char text[WALLCLOCK_TEXT_SIZE];

	if (ms > 0)
		jsonx_set_str(json, key, wallclock_format(ms, text));
}

/* Absent is 0. */
static bool
get_time(const json_t *json, const char *key, int64_t *ms)
{
	const json_t *value = json_object_get(json, key);

	*ms = 0;
	return value == NULL ||
	       (json_is_string(value) && wallclock_parse(json_string_value(value), ms));
}

/* ---- jobs ---- */

void
job_init(struct job *j)
{
	*j = (struct job){0};
}

void
job_finish(struct job *j)
{
	size_t i;

	for (i = 0; i < j->n_hosts; i++)
		free(j->hosts[i]);
	free(j->hosts);
	free(j->id);
	free(j->plugin);
	free(j->user);
	free(j->login);
	free(j->login_host);
	free(j->target);
	free(j->rerun_of);
	job_init(j);
}

char *
job_sender(const struct job *j)
{
	char *text;

	if (j->login == NULL || j->login_host == NULL)
		return xstrdup_null(j->login != NULL ? j->login : j->login_host);
	xasprintf(&text, "%s@%s", j->login, j->login_host);
	return text;
}

json_t *
job_to_json(const struct job *j)
{
	json_t *json = json_object(), *hosts = json_array();
	size_t i;

	jsonx_set_str(json, "doc_type", "Job");
	jsonx_set_str(json, "id", j->id);
	jsonx_set_str(json, "plugin", j->plugin);
	jsonx_set_str(json, "user", j->user);
	jsonx_set_str(json, "login", j->login);
	jsonx_set_str(json, "login_host", j->login_host);
	jsonx_set_str(json, "target", j->target);
	jsonx_set_str(json, "rerun_of", j->rerun_of);
	set_time(json, "sent_at", j->sent_at);
	set_time(json, "not_after", j->not_after);
	if (j->confirms)
		json_object_set_new(json, "confirms", json_true());
	for (i = 0; i < j->n_hosts; i++)
		json_array_append_new(hosts, json_string(j->hosts[i]));
	json_object_set_new(json, "hosts", hosts);
	return json;
}

static int
compare_hosts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
sort_hosts(struct job *j)
{
	size_t i, n = 0;

	if (j->n_hosts == 0)
		return;
	qsort(j->hosts, j->n_hosts, sizeof(char *), compare_hosts);
	for (i = 1; i < j->n_hosts; i++) {
		if (strcmp(j->hosts[n], j->hosts[i]) == 0)
			free(j->hosts[i]);
		else
			j->hosts[++n] = j->hosts[i];
	}
	j->n_hosts = n + 1;
}

static bool
read_hosts(const json_t *list, struct job *j, char *err, size_t err_size)
{
	const json_t *host;
	size_t i;

	if (!json_is_array(list)) {
		snprintf(err, err_size, "hosts is not a list");
		return false;
	}
	j->hosts = xcalloc(json_array_size(list) + 1, sizeof(char *));
	json_array_foreach (list, i, host) {
		if (!json_is_string(host) || name_host_error(json_string_value(host)) != NULL) {
			snprintf(err, err_size, "hosts has something that is no host's name");
			return false;
		}
		j->hosts[j->n_hosts++] = xstrdup(json_string_value(host));
	}
	sort_hosts(j);
	return true;
}

static bool
read_job(const json_t *json, struct job *j, char *err, size_t err_size)
{
	j->id = xstrdup_null(get_str(json, "id"));
	j->plugin = xstrdup_null(get_str(json, "plugin"));
	j->user = xstrdup_null(get_str(json, "user"));
	j->login = xstrdup_null(get_str(json, "login"));
	j->login_host = xstrdup_null(get_str(json, "login_host"));
	j->target = xstrdup_null(get_str(json, "target"));
	j->rerun_of = xstrdup_null(get_str(json, "rerun_of"));
	j->confirms = json_is_true(json_object_get(json, "confirms"));
	if (j->id == NULL || !ledger_id_ok(j->id))
		snprintf(err, err_size, "it has no id that can be a job's");
	else if (j->plugin == NULL)
		snprintf(err, err_size, "it has no plugin");
	else if (!get_time(json, "sent_at", &j->sent_at))
		snprintf(err, err_size, "sent_at is not a time");
	else if (!get_time(json, "not_after", &j->not_after))
		snprintf(err, err_size, "not_after is not a time");
	else
		return read_hosts(json_object_get(json, "hosts"), j, err, err_size);
	return false;
}

bool
job_from_json(const json_t *json, struct job *j, char *err, size_t err_size)
{
	job_init(j);
	if (read_job(json, j, err, err_size))
		return true;
	job_finish(j);
	return false;
}

/* ---- outcomes ---- */

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
	/* It ran, and what it said was of no use. */
	if (r->error != NULL || (r->plugin != NULL && r->value == NULL))
		return OUTCOME_FAILED;
	return OUTCOME_OK;
}

bool
outcome_of_result(const char *host, const struct result *r, struct outcome *o)
{
	outcome_init(o);
	if (r->meta.job == NULL || !ledger_id_ok(r->meta.job))
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
	char why[LEDGER_WHY_SIZE];

	jsonx_set_str(json, "host", o->host);
	jsonx_set_str(json, "state", outcome_state_name(o->state));
	jsonx_set_str(json, "response_id", o->response_id);
	jsonx_set_str(json, "why", ledger_why(o->why, why));
	set_time(json, "at", o->at);
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
	const char *state = get_str(json, "state");
	int64_t exit_status = -1;

	outcome_init(o);
	o->host = get_str(json, "host");
	if (o->host == NULL || state == NULL || !outcome_state_parse(state, &o->state))
		return false;
	o->response_id = get_str(json, "response_id");
	o->why = get_str(json, "why");
	get_int(json, "order", INT64_MAX, &o->order);
	get_int(json, "duration_ms", INT64_MAX, &o->duration_ms);
	get_int(json, "exit_status", INT_MAX, &exit_status);
	o->exit_status = (int)exit_status;
	return get_time(json, "at", &o->at);
}
