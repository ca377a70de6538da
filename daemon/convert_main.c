/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-convert: reads a text as the collector reads the output of a plugin, with the very same
 * readers, and shows the value. A program of its own, so that the agent, which asks it for `exec`,
 * does not carry libyaml and the readers for the rest of its life. */
#include "daemon/read/convert.h"
#include "shared/base/log.h"
#include "shared/base/printable.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/config/options.h"
#include "shared/wire/jsonx.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM       "vogeler-convert"
#define INPUT_MAX     CONVERT_TEXT_MAX
#define OUTPUT_MAX    (8 * (size_t)CONVERT_TEXT_MAX) /* indented */
#define SENT_MAX      (6 * (size_t)INPUT_MAX + 2)    /* each byte as \\u0000 */
#define CHUNK         65536
#define EXIT_UNPARSED 2

static char *plugin;
static struct poptOption option_table[] = {
    {"plugin", 'p', POPT_ARG_STRING, &plugin, 0, "Whose output it is, for what is told of it",
	"NAME"},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = PROGRAM,
    .usage = "[OPTION...] FORMAT",
    .examples = "  facter -y | vogeler-convert yaml\n"
		"  ip -json address show | vogeler-convert json\n"
		"\n"
		"FORMAT is output, json, yaml, string or raw, as a plugin's result_format.\n",
    .table = option_table,
};

static bool
read_all(struct buf *text)
{
	char chunk[CHUNK];
	ssize_t n;

	do {
		n = read(STDIN_FILENO, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain_line(PROGRAM, "cannot read standard input: %s", strerror(errno));
			return false;
		}
		if (n > 0 && !buf_append(text, chunk, (size_t)n)) {
			complain_line(PROGRAM, "standard input is over %d bytes", (int)INPUT_MAX);
			return false;
		}
	} while (n != 0);
	return true;
}

/* Tells what was changed in reading. */
static void
tell_notes(const struct result *r, size_t replaced)
{
	const json_t *note;
	size_t i;

	if (replaced > 0)
		complain_line(
		    PROGRAM, "note: %zu bytes that are not UTF-8 are shown as U+FFFD", replaced);
	json_array_foreach (r->note, i, note)
		complain_line(PROGRAM, "note: %s", json_string_value(note));
}

static bool
print_value(const struct result *r)
{
	struct buf text;
	char err[256];
	json_t *value = jsonx_parse(r->value, r->value_len, NULL, err, sizeof(err));
	bool ok;

	buf_init(&text, OUTPUT_MAX);
	ok = value != NULL && jsonx_write_pretty(&text, value) && buf_append(&text, "\n", 1);
	if (ok)
		printable_put(stdout, text.data, PRINTABLE_KEEP_BREAKS);
	else
		complain_line(PROGRAM, "the value is too large to be shown");
	buf_finish(&text);
	json_decref(value);
	return ok;
}

/* Writes it as it stands in a response: a JSON string. */
static bool
write_as_sent(struct buf *json, const struct buf *text, size_t *replaced)
{
	json_t *string = jsonx_string_lossy(text->len > 0 ? text->data : "", text->len, replaced);
	bool ok = string != NULL && jsonx_write(json, string);

	json_decref(string);
	return ok;
}

static int
convert(const struct buf *text, enum wire_format format, const struct options *o)
{
	struct convert_limits limits;
	struct result r;
	struct buf json;
	size_t replaced = 0;
	int status = EXIT_UNPARSED;

	result_init(&r);
	r.plugin = plugin;
	r.format = format;
	convert_limits_of(&limits, o);
	buf_init(&json, SENT_MAX);
	if (!write_as_sent(&json, text, &replaced) ||
	    !convert_value(&r, json.data, json.len, &limits))
		fatal("main", "out of memory");
	tell_notes(&r, replaced);
	if (r.value == NULL)
		complain_line(PROGRAM, "%s", r.error);
	else if (print_value(&r))
		status = 0;
	buf_finish(&json);
	r.plugin = NULL; /* popt's */
	result_finish(&r);
	return status;
}

int
main(int argc, char **argv)
{
	enum wire_format format;
	struct buf text;
	struct cli cli;
	int status = 1;

	cli_init(&cli, &spec, argc, argv);
	if (cli.args[0] == NULL)
		cli_usage_error(&cli, "which FORMAT? One of output, json, yaml, string, raw");
	if (cli.args[1] != NULL)
		cli_usage_error(&cli, "'%s' is one argument too many", cli.args[1]);
	if (!wire_format_parse(cli.args[0], &format))
		cli_usage_error(&cli,
		    "there is no format '%s'; there are output, json, yaml, string and raw",
		    cli.args[0]);
	buf_init(&text, INPUT_MAX);
	if (read_all(&text))
		status = convert(&text, format, &cli.options);
	buf_finish(&text);
	cli_finish(&cli);
	free(plugin);
	return status;
}
