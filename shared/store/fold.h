/* SPDX-License-Identifier: Apache-2.0 */
/* The fold: how a job stands, of its outcomes. What comes out depends neither on their order nor on
 * repetition, and every target is in exactly one state, so the states add up to the targets. Pure:
 * no I/O, no clock.
 *
 * Of several outcomes of one host counts, in this turn: an answer before anything else,
 * and of answers the one with the higher order; then the host's own word (it has a response_id)
 * that it was CANCELLED, or EXPIRED; then what the runner knows: UNROUTABLE, CANCELLED, QUEUED,
 * UNSENT; then the higher order; then the earlier one. Where there is none, it is UNSENT, or QUEUED
 * if the job's runner writes no notes; and what is QUEUED is EXPIRED after not_after. EXPIRED is
 * not taken from the runner; nor is anything but a host's own word of one that is no target. */
#ifndef VOGELER_FOLD_H
#define VOGELER_FOLD_H

#include "shared/store/outcome.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct fold;
struct fold *fold_create(const struct job *j); /* copies */
void fold_destroy(struct fold *f);             /* NULL is fine */
/* Copies o, why as it is kept. true: it changed how the host stands. */
bool fold_add(struct fold *f, const struct outcome *o);

struct fold_counts {
	size_t targets; /* == the sum of by[] */
	size_t by[OUTCOME_N_STATES];
	size_t open;   /* of the targets: it is not known yet how these end */
	size_t others; /* hosts that answered and were not targets */
};
void fold_count(const struct fold *f, int64_t now_ms, struct fold_counts *out);
/* Each target in order of name, then each other host in order of name; o is borrowed during the
 * call. */
typedef void fold_fn(const struct outcome *o, bool target, void *arg);
void fold_each(const struct fold *f, int64_t now_ms, fold_fn *fn, void *arg);

#endif
