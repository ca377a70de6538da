/* SPDX-License-Identifier: Apache-2.0 */
/* See job.h. */
#include "shared/store/job.h"

#include "shared/base/name.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
job_id_ok(const char *id)
{
	size_t i;

	for (i = 0; id[i] != '\0'; i++) {
		unsigned char c = (unsigned char)id[i];

		if (i >= JOB_ID_MAX || c >= 0x80 || (!isalnum(c) && c != '-'))
			return false;
	}
	return i > 0;
}

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
	jsonx_set_time(json, "sent_at", j->sent_at);
	jsonx_set_time(json, "not_after", j->not_after);
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
	j->id = xstrdup_null(jsonx_get_str(json, "id"));
	j->plugin = xstrdup_null(jsonx_get_str(json, "plugin"));
	j->user = xstrdup_null(jsonx_get_str(json, "user"));
	j->login = xstrdup_null(jsonx_get_str(json, "login"));
	j->login_host = xstrdup_null(jsonx_get_str(json, "login_host"));
	j->target = xstrdup_null(jsonx_get_str(json, "target"));
	j->rerun_of = xstrdup_null(jsonx_get_str(json, "rerun_of"));
	j->confirms = json_is_true(json_object_get(json, "confirms"));
	if (j->id == NULL || !job_id_ok(j->id))
		snprintf(err, err_size, "it has no id that can be a job's");
	else if (j->plugin == NULL)
		snprintf(err, err_size, "it has no plugin");
	else if (!jsonx_get_time(json, "sent_at", &j->sent_at))
		snprintf(err, err_size, "sent_at is not a time");
	else if (!jsonx_get_time(json, "not_after", &j->not_after))
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
