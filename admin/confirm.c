/* SPDX-License-Identifier: Apache-2.0 */
/* See confirm.h. */
#include "admin/confirm.h"

#include "shared/base/ask.h"
#include "shared/config/complain.h"

#include <unistd.h>

bool
confirm(struct verb_context *v, const char *question)
{
	int signo = 0;

	if (v->yes)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		complain_line(
		    "vogeler-admin", "%s There is nobody to ask here: say --yes", question);
		return false;
	}
	switch (ask_yes_no(question, &signo)) {
	case ASK_YES:
		return true;
	case ASK_NO:
		complain_line("vogeler-admin", "nothing was changed");
		break;
	case ASK_INTERRUPTED:
		complain_line("vogeler-admin", "interrupted; nothing was changed");
		verb_interrupted(v, signo);
	}
	return false;
}
