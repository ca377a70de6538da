/* SPDX-License-Identifier: Apache-2.0 */
/* A store that a test drives: implements store_ops, writes nothing, answers as it is told. Runs on
 * the fake loop or the real one. Owns none of what it is given. */
#ifndef VOGELER_FAKE_STORE_H
#define VOGELER_FAKE_STORE_H

#include "shared/store/store.h"

#define FAKE_STORE_LOG 4096 /* puts that are remembered */

struct fake_store;

/* What is to be answered for writes[i] of a put of n. */
typedef enum store_status fake_judge_fn(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg);

struct fake_store *fake_store_create(
    struct loop *loop, unsigned int batches_in_flight, unsigned int min_interval_ms);
void fake_store_destroy(struct fake_store *f); /* forgets what is in flight */
struct store *fake_store_base(struct fake_store *f);

/* NULL: everything is STORE_OK. */
void fake_store_judge(struct fake_store *f, fake_judge_fn *fn, void *arg);
/* Answers are held until fake_store_release(). */
void fake_store_hold(struct fake_store *f);
void fake_store_release(struct fake_store *f);
/* What store_probe() says, and store_jobs_prune(). */
void fake_store_probe_says(struct fake_store *f, bool ok);
/* No answer to probes while held. */
void fake_store_hold_probes(struct fake_store *f, bool hold);
#define FAKE_STORE_PRUNES 100                             /* that many one call removes */
void fake_store_to_prune(struct fake_store *f, size_t n); /* so many there are */
void fake_store_newest_job(struct fake_store *f, int64_t sent_at);
struct options_keep fake_store_keep(const struct fake_store *f); /* of the latest, of history */
size_t fake_store_prunes(const struct fake_store *f);            /* calls so far */
int64_t fake_store_pruned_before(const struct fake_store *f);    /* of the latest */

/* What store_list() says: names with blanks between them, at first none. NULL: that it failed, to
 * who waits. */
void fake_store_hosts(struct fake_store *f, const char *names);
void fake_store_hold_hosts(struct fake_store *f); /* no answer until the next fake_store_hosts() */
size_t fake_store_lists(const struct fake_store *f); /* calls so far */

/* Notes are kept. ok: whether they are; asked for while not, they cannot be read. */
void fake_store_notes_are(struct fake_store *f, bool ok);
const json_t *fake_store_notes(const struct fake_store *f); /* {ID: value} */
size_t fake_store_note_puts(const struct fake_store *f);    /* calls so far */

size_t fake_store_outcomes(const struct fake_store *f);  /* added beside those of puts */
size_t fake_store_puts(const struct fake_store *f);      /* so far */
size_t fake_store_probes(const struct fake_store *f);    /* so far */
size_t fake_store_in_flight(const struct fake_store *f); /* puts not answered */
size_t fake_store_max_in_flight(const struct fake_store *f);
/* "web01:2 db01:1", host and number of results, of put i. */
const char *fake_store_put_text(const struct fake_store *f, size_t i);
/* true when two writes of one host were in flight at once, at any time. */
bool fake_store_overlapped(const struct fake_store *f);

#endif
