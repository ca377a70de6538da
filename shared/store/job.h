/* SPDX-License-Identifier: Apache-2.0 */
/* A job: who was asked, and for what. It is written once, before its command is published, and
 * never changed. Pure: no I/O, no clock. */
#ifndef VOGELER_JOB_H
#define VOGELER_JOB_H

#include "shared/base/trouble.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_ID_MAX 63 /* bytes of an id */

struct job {          /* strings owned, NULL = absent */
	char *id;     /* UUIDv7; job_id_ok */
	char *plugin; /* name or alias, as it was asked for */
	char *user;   /* who asked: the login at the broker, or the one on the runner's machine */
	char *login; /* who sat there, by their own word: the login name, of who called sudo if that
			was root */
	char *login_host;  /* the name of the machine it was sent from */
	char *target;      /* what was asked for, for people: "all", "web*", "--where .facter…" */
	char *rerun_of;    /* the job whose hosts these are some of */
	int64_t sent_at;   /* wall ms */
	int64_t not_after; /* wall ms; 0 = never expires */
	bool confirms; /* its runner notes QUEUED; of one that does not (0.1.0) all counts as noted
			*/
	char **hosts;  /* sorted by name, each once */
	size_t n_hosts;
};
/* 1 to 63 letters, digits and hyphens. It is a part of documents' ids, and comes from messages. */
bool job_id_ok(const char *id);
void job_init(struct job *j);
/* "ann@admin01", or the half that is known; malloced, NULL = neither is (of jobs before 0.1.1). */
char *job_sender(const struct job *j);
void job_finish(struct job *j);
json_t *job_to_json(const struct job *j); /* without _id */
/* Initialises j; its hosts are sorted, each once, whatever order json has them in. Members that it
 * does not know are passed over. false: err says what is wrong with it, and j is finished. */
bool job_from_json(const json_t *json, struct job *j, char *err, size_t err_size);

/* These follow why a job that was asked for cannot be read, and say the way out. */
#define JOB_UNREADABLE " (it was edited by hand, or is damaged)"
#define JOB_CURE       "correct it in the store; \"vogeler-runner jobs\" lists the others"

#endif
