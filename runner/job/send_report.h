/* SPDX-License-Identifier: Apache-2.0 */
/* This is told of a job that was sent and is not waited for. */
#ifndef VOGELER_SEND_REPORT_H
#define VOGELER_SEND_REPORT_H

#include "runner/verb.h"

#include <jansson.h>

struct hosts;
struct job;

struct send_report { /* borrowed strings */
	const struct job *job;
	bool broadcast;
	size_t confirmed;
	const char **refused; /* hosts; none of a broadcast */
	size_t n_refused;
	const char *refused_why;   /* of the first */
	const char **unroutable;   /* hosts without a queue that takes it */
	size_t n_unroutable;       /* of a broadcast that no queue has taken: all there are, or 1 */
	const struct hosts *known; /* of the store; NULL = that was not asked for */
	const char *unsent;        /* why the rest was not sent, or not confirmed; NULL = it was */
	const char *untracked;     /* NULL = it is tracked */
};

#define SEND_REPORT_NO_QUEUE_AT_ALL "no queue at the broker takes its commands"
#define SEND_REPORT_NO_QUEUE        SEND_REPORT_NO_QUEUE_AT_ALL ", though it has a record"
#define SEND_REPORT_NO_QUEUE_CURE                                                                  \
	"start vogeler-agent there; \"vogeler-admin doctor\" on it tells what is missing"

/* "all", "web01", "12 hosts". Returns out. */
#define SEND_REPORT_WHOM_SIZE 300
const char *send_report_whom(
    const struct job *job, bool broadcast, size_t n, char out[SEND_REPORT_WHOM_SIZE]);
/* 0 all of it went out; 4 some host has no queue, or none; 1 the broker refused some. */
int send_report_status(const struct send_report *s);
/* Prints on stdout what was sent, on stderr what was not, and why nobody will know how it ended. */
void send_report_print(const struct send_report *s, const struct runner_arguments *a);
json_t *send_report_json(const struct send_report *s);

#endif
