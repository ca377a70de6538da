/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and SIGTERM, for whichever part of a verb is at work. */
#ifndef VOGELER_INTERRUPT_H
#define VOGELER_INTERRUPT_H

struct loop;

struct interrupt {
	void (*fn)(void *arg); /* on the loop; may be changed at any time; NULL = none */
	void *arg;
};
/* Borrows i as long as the loop runs. */
void interrupt_init(struct interrupt *i, struct loop *loop);

#endif
