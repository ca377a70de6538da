/* SPDX-License-Identifier: Apache-2.0 */
/* A question before what cannot be undone. */
#ifndef VOGELER_CONFIRM_H
#define VOGELER_CONFIRM_H

#include "admin/verb.h"

/* Asks on the terminal; --yes answers for it. Without a terminal and without --yes nobody can be
 * asked: false, which is said with the way out. Ctrl-C and SIGTERM end the program. */
bool confirm(struct verb_context *v, const char *question);

#endif
