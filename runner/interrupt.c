/* SPDX-License-Identifier: Apache-2.0 */
/* See interrupt.h. */
#include "runner/interrupt.h"

#include "shared/event/loop.h"
#include <signal.h>
#include <stddef.h>

static void
interrupt_on_signal(int signo, void *arg)
{
	struct interrupt *i = arg;

	if (i->fn != NULL)
		i->fn(i->arg);
}

void
interrupt_init(struct interrupt *i, struct loop *loop)
{
	*i = (struct interrupt){0};
	loop_signal(loop, SIGINT, interrupt_on_signal, i);
	loop_signal(loop, SIGTERM, interrupt_on_signal, i);
}
