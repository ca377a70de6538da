/* See output.h. */
#include "runner/output.h"

#include "runner/verb.h"
#include "shared/log.h"

#include <inttypes.h>
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
	};
}

/* Of the lead byte c, how many bytes the character has; 0: it is none. */
static size_t
length_of(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Bytes of the character at p that may be printed; 0: what is there may not. */
static size_t
printable(const unsigned char *p)
{
	size_t n = length_of(*p), i;

	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if (*p < ' ' || *p == 0x7f)
		return 0;
	if (*p == 0xc2 && p[1] < 0xa0) /* C1: terminals take 0x9b for an escape sequence */
		return 0;
	return n;
}

void
output_clean(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		size_t n = printable(p);

		if (n > 0)
			fwrite(p, 1, n, out);
		else
			fputc(*p == '\n' || *p == '\t' || *p == '\r' ? ' ' : '?', out);
		p += n > 0 ? n : 1;
	}
}

void
output_event(FILE *out, json_t *event)
{
	json_dumpf(event, out, JSON_COMPACT);
	fputc('\n', out);
	fflush(out);
	json_decref(event);
}

FILE *
output_memory(char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);

	if (out == NULL)
		fatal("output", "no memory");
	return out;
}

const char *
output_span(int64_t ms, char out[OUTPUT_SPAN_SIZE])
{
	static const struct {
		const char *name;
		int64_t s;
	} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	int64_t s = ms > 0 ? ms / 1000 : 0;
	size_t i = 0;

	while (i < 3 && s < units[i].s)
		i++;
	if (i < 3 && s % units[i].s >= units[i + 1].s)
		snprintf(out, OUTPUT_SPAN_SIZE, "%" PRId64 " %s %" PRId64 " %s", s / units[i].s,
		    units[i].name, s % units[i].s / units[i + 1].s, units[i + 1].name);
	else
		snprintf(out, OUTPUT_SPAN_SIZE, "%" PRId64 " %s", s / units[i].s, units[i].name);
	return out;
}
