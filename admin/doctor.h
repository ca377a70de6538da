/* SPDX-License-Identifier: Apache-2.0 */
/* The files of "vogeler-admin doctor" share this: each has a subject, a chain of links that are
 * checked in turn. Behind a link that failed the rest of the chain is told as skipped. */
#ifndef VOGELER_DOCTOR_H
#define VOGELER_DOCTOR_H

#include "admin/contact.h"
#include "admin/verb.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_look;
struct loop_timer;
struct store;

enum check_status { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_SKIP };
const char *check_status_name(enum check_status status); /* "ok", "warn", "FAIL", "skip" */

/* A role is for whom it looks: each needs other rights, and none is told to get those of
 * another. */
enum doctor_role {
	DOCTOR_HERE, /* whoever is on this machine, as far as can be told */
	DOCTOR_AGENT,
	DOCTOR_COLLECTOR,
	DOCTOR_OPERATOR, /* sends commands, and reads the store */
	DOCTOR_READER,   /* reads the store, and no more */
};

#define DOCTOR_ROLES_MAX 2 /* collector and agent may be on one machine */

/* A host of the store, and when it was heard, or last seen to read its queue. */
struct doctor_host {
	char *name;
	int64_t at_ms; /* wall */
	enum contact_state state;
};
#define DOCTOR_RECENT 32

struct doctor {
	struct verb_context *v;
	const struct options *options;
	json_t *list; /* of --json */
	size_t next;  /* chain */
	bool failed;
	bool given;                               /* it was said which broker or store is meant */
	enum doctor_role roles[DOCTOR_ROLES_MAX]; /* whom it looks for, one after the other */
	size_t n_roles, at;                       /* and which of them it is at */
	enum doctor_role role;                    /* that one */
	bool role_unusable;                       /* its credential is of no use, which was told */
	bool agent;     /* one has run on this machine; known from doctor_local() on */
	bool collector; /* or somebody else at the centre: a store is named, or there is no agent */
	struct doctor_host recent[DOCTOR_RECENT]; /* those of the latest contact, by it */
	size_t n_recent;
	struct loop_timer *end;
	struct loop_timer *patience;
};

/* One line about a check. cure: NULL = none. */
void doctor_say(struct doctor *d, const char *check, enum check_status status, const char *cure,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* This says what went wrong elsewhere. */
void doctor_say_trouble(
    struct doctor *d, const char *check, enum check_status status, const struct trouble *t);
/* Says of the store's clock, as an answer of it was read, whether it agrees with ours; off is ours
 * less the store's, in milliseconds. */
void doctor_say_clock(struct doctor *d, const char *check, int64_t off);
/* Every check of the NULL-terminated list is skipped, for want of that. */
void doctor_skip(struct doctor *d, const char *const *checks, const char *why);
/* Whom it looks for: by --as, or by what is on this machine. */
void doctor_choose_roles(struct doctor *d);
/* Begins with roles[at]: tells which it is and why, and takes the URIs that its service has. */
void doctor_take_role(struct doctor *d);
/* The chain is over. */
void doctor_next(struct doctor *d);
/* All is over. */
void doctor_end(struct doctor *d);

/* The chains: each ends by doctor_next(). */
void doctor_local(struct doctor *d);
void doctor_broker(struct doctor *d);
void doctor_store(struct doctor *d); /* recent[] is known then, if hosts are */
void doctor_commands(struct doctor *d);

/* "WHAT dns" and "WHAT tcp", told; then fn. ok: something listens there. */
typedef void reach_fn(bool ok, void *arg);
void reach_start(
    struct doctor *d, const char *what, const char *host, uint16_t port, reach_fn *fn, void *arg);

/* Checks whether the user of uri may read these queues, DOCTOR_READ_MAX at most; then calls fn.
 * Nothing is taken out of them. Borrows uri and the names until then. */
#define DOCTOR_READ_MAX 3
typedef void doctor_read_fn(void *arg);
void doctor_read(struct doctor *d, const struct uri *uri, const char *const *queues, size_t n,
    doctor_read_fn *fn, void *arg);

/* This checks the PostgreSQL server that uri names. ok: it has let us in; else the rest of the
 * chain of the store is told as skipped. Copies uri. */
typedef void doctor_pg_fn(bool ok, void *arg);
void doctor_pg(struct doctor *d, const struct uri *uri, doctor_pg_fn *fn, void *arg);

/* This checks whether somebody looks which hosts are in contact. The first four are the caller's to
 * set; zeroed, it may be finished. */
struct doctor_contact {
	struct doctor *d;
	struct store *store;
	void (*fn)(void *arg);
	void *arg;
	struct contact_reading reading;
	struct contacts *contacts;
	struct trouble *lack; /* why nothing is known of any host now; NULL = it is */
	size_t hosts[CONTACT_N_STATES];
};
void doctor_contact_read(struct doctor_contact *c); /* then fn; to live until then */
void doctor_contact_count(struct doctor_contact *c, const json_t *rec);
void doctor_contact_say(struct doctor_contact *c, bool all); /* all: hosts were counted */
void doctor_contact_finish(struct doctor_contact *c);

/* This checks whether the store has orders that are ahead of the clock, and then calls fn. Answers
 * of the store may come after it: to live until that is closed. The first five are the caller's to
 * set. */
struct doctor_orders {
	struct doctor *d;
	struct store *store;
	struct doctor_contact *contact; /* it has read; the hosts are counted for it, and told */
	void (*fn)(void *arg);
	void *arg;
	struct loop_timer *timer;
	size_t n, n_ahead; /* hosts that were looked at, and of these */
	int64_t ahead_ms;  /* the most, */
	char *worst;       /* of that one, */
	bool worst_drops;  /* whose answers were dropped */
	int64_t dropped;   /* answers, of all that are ahead */
	bool over;
};
void doctor_orders(struct doctor_orders *o);

/* This checks whether a collector has refused answers as forged, and then calls fn. To live until
 * then. */
struct doctor_forged {
	struct doctor *d;
	struct store *store;
	void (*fn)(void *arg);
	void *arg;
};
void doctor_forged(struct doctor_forged *c);

/* Matched by what hosts bind for "all"; no runner sends with it. */
#define DOCTOR_ALL_KEY "broadcasts.doctor"
/* A message for hosts that are off goes by itself after this time. */
#define DOCTOR_ALL_EXPIRES_MS "1000"
/* A broadcast reaches all hosts: where their queues are limited it could push a command out. */
bool doctor_may_send_to_all(const struct doctor *d);

/* This checks whether messages arrive, and then calls fn. Borrows what it points at until then. */
struct doctor_arrival {
	const struct uri *uri;
	const struct broker_look *master, *fresh; /* NULL: it is not there */
	const char *host;              /* whose queue is there; NULL = none is looked at */
	const struct broker_look *own; /* that queue */
	bool may_send;                 /* to the exchange of answers */
	bool sends;                    /* commands */
};
/* message_max: bytes of a message that the broker takes, as an agent was told; 0 = not known. */
typedef void doctor_arrival_fn(uint64_t message_max, void *arg);
void doctor_arrival(
    struct doctor *d, const struct doctor_arrival *what, doctor_arrival_fn *fn, void *arg);

/* Says how large a message may be at a broker of that release; learned: or as an agent knows; 0 =
 * none does. */
void doctor_message_size(struct doctor *d, unsigned int release, uint64_t learned);
/* A word where much waits in that queue of answers. */
void doctor_backlog(struct doctor *d, const char *queue, const struct broker_look *look);

#endif
