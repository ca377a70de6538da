/* SPDX-License-Identifier: Apache-2.0 */
/* See output.h. */
#include "runner/print/output.h"

#include "runner/verb.h"
#include "shared/base/printable.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum output_color
output_color_parse(const char *text)
{
	if (strcmp(text, "always") == 0)
		return OUTPUT_COLOR_ALWAYS;
	return strcmp(text, "never") == 0 ? OUTPUT_COLOR_NEVER : OUTPUT_COLOR_AUTO;
}

bool
output_color_wanted(enum output_color color, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (color != OUTPUT_COLOR_AUTO)
		return color == OUTPUT_COLOR_ALWAYS;
	if (no_color != NULL && no_color[0] != '\0')
		return false;
	return isatty(fd) && term != NULL && strcmp(term, "dumb") != 0;
}

void
output_options_from(struct output_options *out, const struct runner_arguments *a)
{
	enum output_color color = output_color_parse(a->color);

	*out = (struct output_options){
	    .format = a->json    ? OUTPUT_JSON
		      : a->jsonl ? OUTPUT_JSONL
				 : OUTPUT_TEXT,
	    .color = output_color_wanted(color, STDOUT_FILENO),
	    .stderr_color = output_color_wanted(color, STDERR_FILENO),
	    .quiet = a->quiet,
	    .verbose = a->verbose,
	    .filter = (a->ok ? FILTER_OK : 0U) | (a->failed ? FILTER_FAILED : 0U) |
		      (a->missing ? FILTER_MISSING : 0U),
	    .show_path = a->show,
	};
}

void
output_clean(FILE *out, const char *text)
{
	printable_put(out, text, PRINTABLE_BLANK);
}

void
output_event(FILE *out, json_t *event)
{
	json_dumpf(event, out, JSON_COMPACT);
	fputc('\n', out);
	fflush(out);
	json_decref(event);
}
