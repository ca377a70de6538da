/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a plugin's output as the collector will, for `exec`. The readers, with libyaml, are in a
 * program of their own beside this one, vogeler-convert: the agent that runs for years on every
 * host is not to carry what only a person who writes a plugin needs. */
#ifndef VOGELER_READER_H
#define VOGELER_READER_H

#include "shared/wire/wire.h"
#include <jansson.h>

#define READER_PROGRAM "vogeler-convert"

struct cli;

enum reader_outcome {
	READER_OK,
	READER_REFUSED, /* the format does not take it */
	READER_FAILED,  /* it could not be asked */
};

struct reading {
	enum reader_outcome outcome;
	json_t *value; /* NULL unless READER_OK */
	char *said; /* lines for stderr: what was changed, or what is wrong and where; NULL: none */
};

/* text: what was sent for the plugin; one that is no string is the value already. Blocks.
 * reading_finish() it in any case. */
void reader_read(struct reading *reading, const struct cli *cli, const char *plugin,
    enum wire_format format, json_t *text);
void reading_finish(struct reading *reading);

#endif
