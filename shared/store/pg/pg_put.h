/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with one host of a put, in three parts:
 *
 *   pg_put_read.c   what is stored of it, and of the plugins that its write is about
 *   pg_put_apply.c  the rule of record.h over its results: what is to be written. Pure.
 *   pg_put_send.c   the statements for that
 *
 * pg_put.c has these done for all hosts of a put, and answers. Each row that is written over has a
 * guard, its xmin as it was read: if somebody else has written it meanwhile the statement changes
 * nothing, and the host is read again. Whatever was written of it by then stays, for doing the same
 * results again changes nothing. */
#ifndef VOGELER_PG_PUT_H
#define VOGELER_PG_PUT_H

#include "shared/base/buf.h"
#include "shared/store/pg/pg.h"
#include "shared/store/record.h"
#include "shared/store/sql/fact_columns.h"
#include "shared/store/sql/value_codec.h"

#define PG_GUARD_SIZE 12 /* of an xid, as text */

/* What a value may be a difference from: the whole one that the last one was a difference from. */
struct pg_base {
	int64_t seq; /* 0: there is none */
	int codec;
	size_t bytes;
	char *v;
	size_t v_len;
	int64_t since; /* bytes of differences from it, so far */
	char *text;    /* v, decoded when it is needed */
};

/* A plugin that a write is about. */
struct pg_touched {
	const char *plugin;          /* the result's */
	const struct result *newest; /* of those with a value */
	char guard[PG_GUARD_SIZE];   /* "": there is no row */
	struct fact fact;            /* its value is there only if it is new */
	int64_t received_at;         /* of its latest answer */
	int64_t at;                  /* of its latest version, if that was read */
	int64_t value_bytes, meta_bytes, unparsed_bytes, grown;
	struct pg_base base;
	bool has_step;              /* the next one follows it */
	enum record_change pending; /* by the results since that */
};

/* One statement over a row of vogeler.fresh. */
struct pg_step {
	const struct pg_touched *t;
	bool is_first; /* of this row; the others follow one of ours */
	struct fact_columns columns;
	json_t *meta; /* has the strings of columns */
	char *rest;
	const char *unparsed;  /* NULL: none */
	json_t *unparsed_json; /* has it, or NULL */
	bool keeps_unparsed;
	int64_t value_bytes, meta_bytes;
	/* Of a new value; v NULL: there is none. */
	const char *v;
	char *v_own;
	size_t v_len;
	int codec;
	int64_t at, base, since_base;
};

enum pg_host_state {
	PG_HOST_READ,     /* to be read */
	PG_HOST_APPLIED,  /* to be written */
	PG_HOST_WRITTEN,  /* all guards held */
	PG_HOST_ANSWERED, /* not to be written: status */
};

struct pg_host {
	struct store_write *w;
	enum pg_host_state state;
	enum store_status status;
	struct trouble *why; /* of PG_HOST_ANSWERED; NULL: none */
	char guard[PG_GUARD_SIZE];
	struct record_head head;
	bool head_changed;
	bool is_asked; /* in the order of what came back */
	int64_t stored_bytes, error_bytes;
	struct pg_touched *touched;
	size_t n_touched;
	struct pg_step *steps;
	size_t n_steps;
};
/* Plugins of the write, each once, nothing read yet. */
void pg_host_init(struct pg_host *h, struct store_write *w);
/* As it was initialised. */
void pg_host_reset(struct pg_host *h);
void pg_host_finish(struct pg_host *h);

/* pg_put_read.c: of those in PG_HOST_READ; the first statement's results, and the second's. */
void pg_put_send_reads(struct pg_session *c, struct pg_host *hosts, size_t n);
void pg_put_take_heads(struct pg_host *hosts, size_t n, const PGresult *res);
void pg_put_take_facts(struct pg_host *hosts, size_t n, const PGresult *res);

/* pg_put_apply.c: READ to APPLIED or ANSWERED. */
void pg_put_apply(struct pg_host *h, struct value_coder *coder, uint64_t record_max_bytes);

enum pg_sent_kind {
	PG_SENT_PLAIN,
	PG_SENT_GUARDED, /* if it has not changed a row, its host is to be read again */
	PG_SENT_TRIM,    /* its rows are outcomes that went for newer ones */
};
struct pg_sent {
	struct pg_host *host;
	enum pg_sent_kind kind;
};
/* pg_put_send.c: of those in PG_HOST_APPLIED. Returns how many statements; *sent has each of them,
 * in their order; caller frees. */
size_t pg_put_send_writes(const struct pg_store *s, struct pg_session *c, struct pg_host *hosts,
    size_t n, struct pg_sent **sent);

#endif
