/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-bench: what its verbs share. */
#ifndef VOGELER_BENCH_BENCH_H
#define VOGELER_BENCH_BENCH_H

#include "bench/fleet.h"
#include "bench/plan.h"
#include "shared/base/uri.h"
#include "shared/config/cli.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct broker_handlers;
struct broker_options;
struct http;
struct loop;
struct loop_timer;
struct store;
struct hosts_sim;
struct topology;

enum bench_status {
	BENCH_OK = 0,
	BENCH_TROUBLE = 1, /* usage, or broker or store out of reach */
	BENCH_BOOKS = 2,   /* they do not close */
};

struct bench {
	const struct cli *cli;
	struct loop *loop;
	struct uri *brokers; /* of verbs that use them */
	size_t n_brokers;
	struct uri store_uri;
	struct store *store; /* NULL: none was named, and the verb can do without */
	struct plan plan;
	struct fleet fleet;   /* hosts */
	uint32_t interval_ms; /* hosts: of what they collect by themselves; 0: nothing */
	uint32_t connections; /* 0: as the verb has it */
	double rate;          /* jobs per second */
	uint32_t duration_ms; /* write --sweep: of each setting, at least */
	uint32_t slow_ms;
	uint32_t patience_ms;
	uint32_t extra;       /* books: expect so many jobs more than there are */
	uint64_t batch_bytes; /* 0: as the store likes it */
	uint32_t requests;    /* the same */
	uint32_t commit;      /* answers of a batch at most; 0: the same */
	bool unasked;         /* write: of no job */
	bool sweep;
	bool resume; /* write, look: the records are there */
	bool one_by_one;
	uint64_t done, total; /* for whoever waits at a terminal; total 0: nothing to count yet */
	json_t *report;       /* an object: what is printed at the end */
	struct loop_timer *progress; /* NULL: nobody looks */
	int status;
	bool over; /* bench_done() has been called */
};

struct bench_verb {
	bool uses_broker;
	bool needs_store;
	void (*run)(struct bench *b); /* starts it; bench_done() ends it */
};

void verb_baseline(struct bench *b);
void verb_books(struct bench *b);
void verb_consume(struct bench *b);
void verb_fill(struct bench *b);
void verb_hosts(struct bench *b);
void verb_load(struct bench *b);
void verb_look(struct bench *b);
void verb_write(struct bench *b);

/* Ends the loop. The first call counts. */
void bench_done(struct bench *b, int status);
/* "vogeler-bench: text" on stderr, then bench_done(BENCH_TROUBLE). Nothing once it is over. */
void bench_fail(struct bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A connection as the other programs make theirs; what it is made with. */
void bench_broker_options(
    struct bench *b, const char *role, const struct topology *topology, struct broker_options *out);
struct broker *bench_broker(struct bench *b, const char *role, const struct topology *topology,
    const struct broker_handlers *handlers, void *arg);

/* Returns a client of the store of --dbhost. */
struct http *bench_http(struct bench *b, uint32_t max_connections);
/* Under "hosts", what became of them. */
void report_swarm(struct bench *b, struct hosts_sim *s);

#endif
