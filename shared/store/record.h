/* The record of a host (DESIGN 4) and the one rule by which a result changes it. Pure: no I/O, no
 * clock; every backend calls the same functions, so a record is the same whichever store it is in.
 */
#ifndef VOGELER_RECORD_H
#define VOGELER_RECORD_H

#include "shared/ident.h"
#include "shared/wire.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one response says about one plugin of one host, or about the host itself. Strings owned,
 * NULL = absent. */
struct result {
	char *plugin; /* NULL: about the host as a whole (greeting, 2010 last_error) */
	char *value; /* canonical JSON text (jsonx_write); NULL unless state is WIRE_OK and it could
			be parsed */
	size_t value_len;
	char hash[IDENT_HASH_SIZE]; /* of value; "" if none */
	char *unparsed;             /* the raw text of a value that its format refused */
	char *error;                /* last_error's message; NULL = none */
	char *error_timestamp;      /* as the host sent it; NULL: use received_at */
	json_t *note;               /* array of texts about the conversion, or NULL */
	enum wire_format format;
	struct response_meta meta; /* plugin, user_id, reply_to are not used here */
	int64_t received_at;       /* wall ms */
};
void result_init(struct result *r);
void result_finish(struct result *r);

/* The state of one plugin in a record. */
struct fact {
	char *value; /* canonical JSON text; NULL: never had a good value */
	size_t value_len;
	json_t *meta; /* the object under vogeler.<plugin>; NULL: not there */
};
void fact_finish(struct fact *f);

enum record_change {
	RECORD_UNCHANGED, /* a duplicate: nothing is to be written */
	RECORD_META,      /* meta only: a failure, an older result counted, the same value again */
	RECORD_VALUE,     /* value and meta */
};

/* Applies r to f in place. An older result (order lower, same machine_id) never overwrites a newer
 * one: it is counted in meta.older {count,last_order}; the same order again is a duplicate; without
 * order arrival counts. A failure leaves the value. */
enum record_change fact_apply(struct fact *f, const struct result *r);
/* last_error {timestamp, message, plugin, state, order...}: replaces *last_error unless it is
 * older. true if changed. */
bool last_error_apply(json_t **last_error, const struct result *r);

/* The host-level part. */
struct record_head {
	char *host;
	int64_t created_at; /* wall ms */
	int64_t updated_at;
	json_t *last_error; /* NULL if none */
};
void record_head_finish(struct record_head *h);

/* Puts a record together as DESIGN 4 describes it, in a fixed key order: _id, [_rev,] system_name,
 * doc_type, created_at, updated_at, last_error, plugins by name, vogeler. Appends JSON text; false
 * when over out's cap. */
struct buf;
bool record_write(struct buf *out, const struct record_head *head, const char *rev,
    const char *const *plugins, const struct fact *facts, size_t n);

#endif
