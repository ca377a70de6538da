/* SPDX-License-Identifier: Apache-2.0 */
/* A report is what a run comes to, as the response that is sent. The key is always the plugin's
 * name, also when it was called by its alias. A failure is the body of 2010 (last_error, format
 * pydict); what it printed goes along in headers, cut to REPORT_TAIL_MAX bytes. */
#ifndef VOGELER_REPORT_H
#define VOGELER_REPORT_H

#include "shared/base/buf.h"
#include "shared/exec/childmsg.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stdint.h>

#define REPORT_TAIL_MAX    2048
#define REPORT_MESSAGE_MAX (15U * 512 * 1024) /* the collector's message_max_bytes is 8 MiB */

/* This is the same for every response of this life of the agent. Borrowed strings; all but host may
 * be NULL. */
struct report_origin {
	const char *host;
	const char *machine_id;
	const char *boot_id;
};

struct sequence;

/* This was asked; or not asked, without a job. Borrowed strings; job and reply_to may be NULL. */
struct report_request {
	const char *plugin;
	const char *job;
	const char *reply_to;
	enum wire_format format;
};

/* r is initialised here; the caller response_finish()es it. out: what came on stdout. order 0: none
 * (exec). */
void report_run(struct response *r, const struct report_origin *origin,
    const struct report_request *req, const struct child_event *done, const struct buf *out,
    int64_t order, int64_t wallclock_ms);
/* The two halves of it: everything but the value, and the value, which is due when r's state is
 * WIRE_OK. The second may be called on another thread, as report_try_encode(). */
void report_begin(struct response *r, const struct report_origin *origin,
    const struct report_request *req, const struct child_event *done, const struct buf *out,
    int64_t order, int64_t wallclock_ms);
void report_value(struct response *r, const struct buf *out);
/* The plugin was not run, or not to its end: the command is refused, superseded or cancelled. */
void report_without_result(struct response *r, const struct report_origin *origin,
    const struct report_request *req, enum wire_state state, const char *why, int64_t order,
    int64_t wallclock_ms);
/* Makes one in place of a response of that state that cannot be sent. */
void report_unsendable(struct response *r, const struct report_origin *origin,
    const struct report_request *req, int64_t order, int64_t wallclock_ms);
/* Makes a message of what one of the first two made; initialises m. When it cannot be sent, being
 * too large or too deep, a failure that says so takes its place, in r as well, with a mark of its
 * own.
 */
void report_encode(struct response *r, const struct report_origin *origin,
    const struct report_request *req, struct sequence *order, struct message *m);
/* The two halves of it. false: it cannot be sent; m is empty then. */
bool report_try_encode(const struct response *r, struct message *m)
    __attribute__((warn_unused_result));
void report_replace(struct response *r, const struct report_origin *origin,
    const struct report_request *req, struct sequence *order, struct message *m);
/* Makes of an answer that was encoded a failure: its output is larger than the broker takes. */
void report_too_large_for_broker(struct message *m, const char *host, int64_t wallclock_ms);
/* The sentence in an answer that is a failure; borrowed. */
const char *report_failure_text(const struct response *r);
/* {"syskey": HOST, "format": "pydict"}: so that the collector knows this host. */
void report_greeting(struct response *r, const struct report_origin *origin, int64_t wallclock_ms);
/* An agent's word about itself, of no plugin and no job: it waits for the queue of its name, which
 * another client reads. */
void report_waiting(struct response *r, const struct report_origin *origin, int64_t wallclock_ms);

#endif
