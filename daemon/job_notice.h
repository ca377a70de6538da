/* SPDX-License-Identifier: Apache-2.0 */
/* Tells who watches a job what the ledger has of it: after the commit, never before, and only as a
 * hint, for the watcher reads the ledger too. So a notice is neither persistent nor mandatory, is
 * never sent twice, and is dropped when the publisher cannot take it at once.
 *
 * The responder copied reply_to from the command and may be hostile: a notice goes to the queue
 * "vogeler.reply.<its job>" and to no other. What is told in one pass of the loop about one job
 * goes in one message: {"kind": "outcomes", "job": ID, "outcomes": [outcome_to_json(), ...]}. */
#ifndef VOGELER_JOB_NOTICE_H
#define VOGELER_JOB_NOTICE_H

#include <stddef.h>
#include <stdint.h>

#define JOB_NOTICE_OUTCOMES_MAX    500 /* in one message */
#define JOB_NOTICE_UNCONFIRMED_MAX 200 /* above, the publisher has enough to do */

struct broker;
struct loop;
struct job_notice;
struct job_notice_slip; /* what is to be told of one response once it is stored */
struct result;

/* Borrows publisher until job_notice_destroy. */
struct job_notice *job_notice_create(struct loop *loop, struct broker *publisher);
void job_notice_destroy(struct job_notice *n); /* NULL is fine */

/* NULL: nobody is to be told, as of most responses. Caller posts it or frees it. */
struct job_notice_slip *job_notice_slip(
    const char *reply_to, const char *host, struct result *const *results, size_t n);
void job_notice_slip_free(struct job_notice_slip *s); /* NULL is fine */

/* Posts what is stored. Takes ownership of s; NULL is fine. */
void job_notice_post(struct job_notice *n, struct job_notice_slip *s);

struct job_notice_stats {
	uint64_t sent, dropped; /* messages */
};
const struct job_notice_stats *job_notice_stats(const struct job_notice *n);

#endif
