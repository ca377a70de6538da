/* How large requests to write should be: 256 KiB, 512 KiB or 1 MiB of records. Which of them is
 * best depends on the server and on the records (docs/bench.md), so it is found out while there is
 * enough to write: the size in use is held for some windows, then a neighbour gets one window, and
 * stays if more was written in it. After a try in vain the next one waits twice as long. Pure
 * arithmetic. */
#ifndef VOGELER_COUCH_TUNE_H
#define VOGELER_COUCH_TUNE_H

#include "shared/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUCH_TUNE_MIN       ((size_t)256 * 1024)
#define COUCH_TUNE_LEVELS    3 /* each twice the one before */
#define COUCH_TUNE_WINDOW_MS 1500
/* After a change: requests of the old size are still under way. */
#define COUCH_TUNE_SETTLE_MS 500
/* Windows between two tries. */
#define COUCH_TUNE_HOLD_MIN 2
#define COUCH_TUNE_HOLD_MAX 64
/* What a try must gain, in percent. */
#define COUCH_TUNE_GAIN 4

struct couch_tune {
	size_t fixed; /* as configured; 0: found out */
	unsigned int level;
	int trying;     /* -1, 0 or 1: that neighbour of level is in use */
	int next;       /* -1 or 1: which neighbour to try */
	uint32_t hold;  /* windows until a try, */
	uint32_t held;  /* and that many of them are over */
	double rate;    /* of level: bytes a ms, in the windows it was held */
	bool measuring; /* since `began`, if that is not yet to come */
	struct mono began;
	uint64_t bytes; /* in this window */
};

void couch_tune_init(struct couch_tune *t, size_t fixed);
/* Bytes of records that a request has written, while the store had enough to do. */
void couch_tune_wrote(struct couch_tune *t, size_t bytes, struct mono now);
/* It has not: how much is written says nothing about the size. */
void couch_tune_idle(struct couch_tune *t);
/* For a request that is to be made now. idle: the store could do more at the same time, so that
 * small ones are better than few. */
size_t couch_tune_bytes(const struct couch_tune *t, bool idle);

#endif
