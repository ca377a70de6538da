/* See confirm.h. */
#include "admin/confirm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
confirm(const struct verb_context *v, const char *question)
{
	char answer[16] = "";

	if (v->yes)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		cli_complain(
		    "vogeler-admin", "%s There is nobody to ask here: say --yes", question);
		return false;
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) != NULL &&
	    (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
		return true;
	cli_complain("vogeler-admin", "nothing was changed");
	return false;
}
