/* SPDX-License-Identifier: Apache-2.0 */
/* This says how jobs are printed: the options that all verbs share, and colours. */
#ifndef VOGELER_OUTPUT_H
#define VOGELER_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct runner_arguments;

enum output_format {
	OUTPUT_TEXT,
	OUTPUT_JSON,  /* one object at the end */
	OUTPUT_JSONL, /* one object an event (events.h), the last of kind "summary" */
};

enum output_color { OUTPUT_COLOR_AUTO, OUTPUT_COLOR_ALWAYS, OUTPUT_COLOR_NEVER };
/* "auto", "always", "never"; AUTO for anything else. */
enum output_color output_color_parse(const char *text);
/* AUTO: on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is "dumb". */
bool output_color_wanted(enum output_color color, int fd);

enum summary_filter { /* which hosts are listed; FILTER_NONE: as -v says */
	FILTER_NONE = 0,
	FILTER_OK = 1,      /* ok */
	FILTER_FAILED = 2,  /* failed, timeout, refused */
	FILTER_MISSING = 4, /* all others: superseded, unroutable, cancelled, expired, queued */
};

struct output_options { /* of the command line, the same for all verbs that show a job */
	enum output_format format;
	bool color; /* of stdout */
	bool stderr_color;
	bool quiet;   /* -q: the last line only */
	bool verbose; /* -v: ok hosts are listed too */
	/* FILTER_ bits: hosts of these states alone, each on a line, all of them. */
	unsigned int filter;
	const char
	    *show_path; /* --show: which part of the answers; "" = all, NULL = they are not */
};
/* a has been checked. Whether stdout has colours is found out here. */
void output_options_from(struct output_options *out, const struct runner_arguments *a);

/* printable_put() of a text of one line: a host writes to no terminal. */
void output_clean(FILE *out, const char *text);
/* Compact, in a line of its own, and flushed: whoever reads events reads them as they come. */
void output_event(FILE *out, json_t *event); /* takes ownership */

#endif
