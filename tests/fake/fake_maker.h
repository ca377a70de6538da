/* In place of agent/maker.c: takes everything when it is to, and keeps it until the test hands it
 * over. */
#ifndef VOGELER_FAKE_MAKER_H
#define VOGELER_FAKE_MAKER_H

#include "agent/maker.h"

struct maker {
	bool makes;
	struct made made;
	struct buf out;
};

#endif
