/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/job/clocks.h"

#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"

#include <stdio.h>

/* Other outcomes are of a runner's clock. */
static bool
is_of_collector(const struct outcome *o)
{
	return o->at > 0 && (o->response_id != NULL || outcome_is_answer(o->state));
}

bool
clocks_differ(
    const struct job *job, const struct outcome *o, int64_t now_ms, char text[CLOCKS_TEXT_SIZE])
{
	char span[UNITS_SPAN_SIZE];

	if (!is_of_collector(o))
		return false;
	/* An answer is stored neither after now nor before the job was sent. */
	if (o->at - now_ms > CLOCKS_MAX_MS) {
		snprintf(text, CLOCKS_TEXT_SIZE,
		    "the clock here is %s behind the collector's, at least" TROUBLE_CURE
		    "correct the one that is wrong: commands expire by it",
		    units_span(o->at - now_ms, span));
		return true;
	}
	if (job->sent_at > 0 && job->sent_at - o->at > CLOCKS_MAX_MS) {
		snprintf(text, CLOCKS_TEXT_SIZE,
		    "the clock by which this job was sent is %s ahead of the collector's, at least" TROUBLE_CURE
		    "correct the one that is wrong: commands expire by it",
		    units_span(job->sent_at - o->at, span));
		return true;
	}
	return false;
}
