/* What is told of a job that was sent and is not waited for. */
#ifndef VOGELER_SENT_H
#define VOGELER_SENT_H

#include "runner/verb.h"

#include <jansson.h>

struct job;

struct sent { /* borrowed strings */
	const struct job *job;
	bool broadcast;
	size_t confirmed, refused;
	const char *refused_why; /* of the first */
	const char **unroutable; /* hosts; none of a broadcast */
	size_t n_unroutable;     /* of a broadcast: 1 when there is no queue at all */
	const char *untracked;   /* NULL = it is tracked */
};

/* "all", "web01", "12 hosts". Returns out. */
#define SENT_WHOM_SIZE 300
const char *sent_whom(const struct job *job, bool broadcast, size_t n, char out[SENT_WHOM_SIZE]);
/* 0 all of it went out; 4 some host has no queue, or none; 2 the broker refused some; 1 or all. */
int sent_status(const struct sent *s);
/* On stdout what was sent, on stderr what was not, and why nobody will know how it ended. */
void sent_print(const struct sent *s, const struct runner_arguments *a);
json_t *sent_json(const struct sent *s);

#endif
