/* SPDX-License-Identifier: Apache-2.0 */
/* In place of agent/encode_worker.c: takes everything when it is to, and keeps it until the test
 * hands it over. */
#ifndef VOGELER_FAKE_ENCODE_WORKER_H
#define VOGELER_FAKE_ENCODE_WORKER_H

#include "agent/encode_worker.h"

struct encode_worker {
	bool makes;
	struct made made;
	struct buf out;
};

#endif
