/* SPDX-License-Identifier: Apache-2.0 */
/* Names that were typed, and no host has: which one may have been meant? */
#ifndef VOGELER_NEAR_NAMES_H
#define VOGELER_NEAR_NAMES_H

#include "runner/verb.h"
#include "shared/target/target.h"

struct interrupt;

#define NEAR_NAMES_MAX 8 /* of more nothing is asked */

/* Runs the loop until the store has said which of names have no record, and tells of each the host
 * that it is near to (near.h). RUNNER_OK, also when the store has no
 * answer: a host may have a queue and no record. */
int near_names_tell(
    struct runner_context *c, struct interrupt *interrupt, const struct hosts *names);

#endif
