/* SPDX-License-Identifier: Apache-2.0 */
/* This rule says how --batch goes on, purely from how the hosts of a job stand. A wave is over when
 * each of its hosts has an answer, or its time has passed; then the next one goes, or none any
 * more. A host counts as failed when it is neither ok nor superseded, and so does one that has no
 * answer when the time of its wave is over. */
#ifndef VOGELER_WAVES_H
#define VOGELER_WAVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct waves_rule {       /* of the command line */
	uint32_t size;    /* --batch; 0 = all at once */
	int64_t time_ms;  /* --batch-timeout; 0 = as long as it takes */
	bool has_max;     /* false: as long as one host of each wave is well */
	bool max_percent; /* max is a share of the targets */
	uint32_t max;     /* --max-failures: so many may fail */
};

struct waves_count {
	size_t targets;      /* of the job */
	size_t sent;         /* to so many of these, of which */
	size_t open, failed; /* open ones are not failed */
	size_t wave;         /* hosts of the last wave, of which */
	size_t wave_open, wave_failed;
	int64_t age_ms; /* of the last wave */
};

enum waves_step {
	WAVES_WAIT,  /* for hosts of this wave */
	WAVES_NEXT,  /* send to more */
	WAVES_STOP,  /* send to no more: too many failed */
	WAVES_ENDED, /* all were sent to, and the time of the last wave is over */
};

enum waves_step waves_step(const struct waves_rule *r, const struct waves_count *n);
/* Why WAVES_STOP, in words. Returns out. */
#define WAVES_WHY_SIZE 160
const char *waves_why(
    const struct waves_rule *r, const struct waves_count *n, char out[WAVES_WHY_SIZE]);

#endif
