/* How what is said of jobs is printed: the options that all verbs share, colours, and the one place
 * where text from elsewhere becomes harmless on a terminal. */
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
};
/* a has been checked. Whether stdout has colours is found out here. */
void output_options_from(struct output_options *out, const struct runner_arguments *a);

/* Control characters and bytes that are not UTF-8 become "?", a line's end a blank: a host writes
 * to no terminal. */
void output_clean(FILE *out, const char *text);
/* Compact, in a line of its own, and flushed: whoever reads events reads them as they come. */
void output_event(FILE *out, json_t *event); /* takes ownership */

/* A stream into memory: after fclose() *text is malloced, of *size bytes. */
FILE *output_memory(char **text, size_t *size);
/* "6 d 23 h", "4 min 5 s", "0 s": the two largest units. Returns out. */
#define OUTPUT_SPAN_SIZE 48
const char *output_span(int64_t ms, char out[OUTPUT_SPAN_SIZE]);

#endif
