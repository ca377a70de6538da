/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a host and the one rule by which a result changes it. Pure: no I/O, no
 * clock; every backend calls the same functions, so a record is the same whichever store it is in.
 */
#ifndef VOGELER_RECORD_H
#define VOGELER_RECORD_H

#include "shared/base/ident.h"
#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* A result is what one response says about one plugin of one host, or about the host itself.
 * Strings owned, NULL = absent. */
struct result {
	char *plugin; /* NULL: about the host as a whole (greeting, 2010 last_error, a refused
			 command); then meta.plugin may still say what was asked for */
	char *value; /* canonical JSON text (jsonx_write); NULL unless state is WIRE_OK and it could
			be parsed */
	size_t value_len;
	char hash[IDENT_HASH_SIZE]; /* of value; "" if none */
	char *unparsed;             /* the raw text of a value that its format refused, */
	enum jsonx_refusal refusal; /* and by what; JSONX_READ also when it was not tried */
	char *error;                /* last_error's message; NULL = none */
	char *error_timestamp;      /* as the host sent it; NULL: use received_at */
	json_t *note;               /* array of texts about the conversion, or NULL */
	enum wire_format format;
	struct response_meta meta; /* user_id, reply_to are not used here */
	int64_t received_at;       /* wall ms */
	/* With this it is no result: the order of what is known of the plugin is forgotten, so that
	 * the next result counts whatever its order is. */
	bool forget_order;
	/* Set by fact_apply: why its value is not in the record, as that has a newer one. */
	char *older;
};
void result_init(struct result *r);
void result_finish(struct result *r);
size_t result_bytes(const struct result *r); /* that it holds in memory, about */

/* The state of one plugin in a record. */
struct fact {
	char *value; /* canonical JSON text; NULL: never had a good value */
	size_t value_len;
	json_t *meta; /* the object under vogeler.<plugin>; NULL: not there */
	/* A value that is applied, or what could not be read, stays the result's: set by a backend
	 * that keeps it no longer than the result, and frees the value before. Both may be
	 * megabytes. */
	bool borrows;
	const char *unparsed; /* if it borrows: the member of meta that is not in it, or NULL */
};
void fact_finish(struct fact *f);
/* Appends meta, which is there, as text, whole. */
bool fact_write_meta(struct buf *out, const struct fact *f) __attribute__((warn_unused_result));

enum record_change {
	RECORD_UNCHANGED, /* a duplicate: nothing is to be written */
	RECORD_META,      /* meta only: a failure, an older result counted, the same value again */
	RECORD_VALUE,     /* value and meta */
};

/* Applies r, which is about a plugin of host, to f in place.
 *
 * Which result counts: by order under one machine_id (an older one only adds to meta.older {count,
 * last_order}, each order above last_order once); the same order again is a duplicate. Without an
 * order, or from another machine, arrival counts, and only the same response_id is a duplicate. A
 * refused or superseded command was no run and leaves the fact alone. So giving results again, as
 * the broker does after a crash, changes no value, time or failure; at most one that was overtaken
 * since is counted as older.
 *
 * What meta says: of the value in hand: collected_at, received_at, changed_at (received_at of the
 * result that brought another hash), job, format, exit_status, duration_ms, hash, truncated (only
 * if true), notes. Of the latest result, good or not: order, machine_id, boot_id, version (the
 * agent's), response_id, and other_machine if another one answered within a week.
 * While the latest one is not good: state ("failed", "timeout", or "unparsed" for a value that its
 * format refused) and failure {since, at, state, message, exit_status, signal, job, stderr_tail,
 * stdout_tail, notes, count (of failures in a row, if more than one)}; unparsed, the raw text,
 * until the next good one. The value itself stays through failures. Absent is what nobody said.
 *
 * Whether there is a value, and which, is judged by meta.hash alone: a backend may leave f->value
 * NULL to spare reading it; after RECORD_VALUE it is the new one. */
enum record_change fact_apply(struct fact *f, const char *host, struct result *r);
/* Members of meta that are of the value in hand; behind the last one NULL. */
extern const char *const fact_value_members[];

/* Merges two accounts of one plugin that were written apart from each other, as of a record that
 * was written in two databases: makes f what it would be if all results had come to one. Which is
 * the newer is judged as above, by order under one machine_id, else by when it was received; of a
 * failure and a value the newest of each counts. What it takes over is exchanged with other. true:
 * f has changed. */
bool fact_merge(struct fact *f, struct fact *other);
bool last_error_merge(json_t **last_error, json_t *other);

/* Returns how far the newest order that meta has of a plugin is ahead of the clock, in ms; 0: it is
 * not, or by less than what clocks differ by. As long as that lasts a host whose clock is right is
 * not heard: it has lost the state folder of a time when its clock was wrong, or somebody forged
 * one.
 */
#define RECORD_AHEAD_MIN_MS (5 * INT64_C(60) * 1000)
int64_t record_order_ahead(const json_t *meta, int64_t now_ms);
/* other_machine {machine_id, order, until, two_since} of a plugin's meta, when two machines answer
 * under one name: one's results came after the other's and before them. NULL: they do not. It is
 * borrowed, and goes a week after one of them was heard last. */
const json_t *record_two_machines(const json_t *meta);
/* last_error {timestamp, message, plugin, state, order, machine_id, job}: set by each failure,
 * never replaced by one that is not newer (order under one machine_id). true if changed. A good
 * result leaves it, as in 2010: it is the last error, not the present state. */
bool last_error_apply(json_t **last_error, const struct result *r);

/* The host-level part. */
struct record_head {
	char *host;
	int64_t created_at; /* wall ms */
	int64_t updated_at;
	json_t *last_error; /* NULL if none */
};
void record_head_finish(struct record_head *h);

/* A backend does this with each result of a write, in their order: fact_apply on f (the fact of
 * r->plugin; not used, may be NULL, when r->plugin is NULL), last_error_apply, and the times of
 * head: created_at once, updated_at with whatever changed or greeted, both from received_at, never
 * from a clock. head starts with its host and zeros when there is no record yet. *head_changed is
 * set to true if head is to be written, else left. */
enum record_change record_apply(
    struct record_head *head, struct fact *f, struct result *r, bool *head_changed);

/* Puts a record together, in a fixed key order: _id, [_rev,] system_name,
 * doc_type, created_at, updated_at, last_error, plugins by name, vogeler (always there). Values are
 * not parsed again. plugins may come in any order. Appends JSON text; false when over out's cap. */
bool record_write(struct buf *out, const struct record_head *head, const char *rev,
    const char *const *plugins, const struct fact *facts, size_t n);

#endif
