/* SPDX-License-Identifier: Apache-2.0 */
/* See events.h. */
#include "runner/print/events.h"

#include "shared/base/xalloc.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>

/* Members of more go behind those of json, in their order. */
static void
add_all(json_t *json, json_t *more)
{
	if (json_object_update(json, more) != 0)
		xalloc_fail(0);
	json_decref(more);
}

json_t *
event_job(const struct job *job)
{
	json_t *event = json_object(), *members = job_to_json(job);

	jsonx_set_str(event, "kind", "job");
	jsonx_set_str(event, "job", job->id);
	json_object_del(members, "doc_type");
	json_object_del(members, "id");
	json_object_del(members, "hosts");
	json_object_del(members, "confirms");
	add_all(event, members);
	jsonx_set_int(event, "targets", (json_int_t)job->n_hosts);
	return event;
}

json_t *
event_outcome(const struct job *job, const struct outcome *o, bool target)
{
	json_t *event = json_object();

	jsonx_set_str(event, "kind", "outcome");
	jsonx_set_str(event, "job", job->id);
	add_all(event, outcome_to_json(o));
	json_object_set_new(event, "target", json_boolean(target));
	return event;
}

json_t *
event_answer(const struct job *job, json_t *answer)
{
	json_t *event = json_object();

	jsonx_set_str(event, "kind", "answer");
	jsonx_set_str(event, "job", job->id);
	add_all(event, answer);
	return event;
}
