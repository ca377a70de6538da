/* The argument half of cli.c: popt's table, help, version. For cli.c alone. */
#ifndef VOGELER_CLI_PARSE_H
#define VOGELER_CLI_PARSE_H

#include "shared/config/cli.h"

/* Copies argv, scrubs the original, fills cli from the options; exits for --help, --version and
 * mistakes. */
void cli_parse(struct cli *cli, const struct cli_spec *spec, int argc, char **argv);
/* Frees what cli_parse made. */
void cli_parse_finish(struct cli *cli);

#endif
