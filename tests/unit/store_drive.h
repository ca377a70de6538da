/* SPDX-License-Identifier: Apache-2.0 */
/* Driving a store from a test: each function calls the store and runs a real loop until the answer
 * is there. All of them fail the running test when something goes wrong, when an answer comes from
 * inside the call or twice, or when none comes for 60 s. */
#ifndef VOGELER_STORE_DRIVE_H
#define VOGELER_STORE_DRIVE_H

#include "shared/event/loop.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fixture {
	struct loop *loop;
	struct store *store;
};
void drive_open(struct fixture *s, const char *uri, uint64_t record_max_bytes);
/* part: of store_open's words. */
void drive_open_fails(const char *uri, const char *part);
void drive_close(struct fixture *s);
void drive_setup(struct fixture *s, const char *what); /* what: expected; NULL = any */

#define DRIVE_T0         INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */
#define DRIVE_RECORD_MAX (7 * 1024 * 1024)

#define DRIVE_MACHINE "0123456789abcdef0123456789abcdef"

/* An empty result (a greeting, if plugin is NULL), from DRIVE_MACHINE if it has an order. */
struct result *drive_result(const char *plugin, int64_t order, int64_t at);
/* A good result; value is JSON text, order 0 = from 2010. received_at is DRIVE_T0 + at. */
struct result *drive_good(const char *plugin, const char *value, int64_t order, int64_t at);
struct result *drive_failed(const char *plugin, const char *error, int64_t order, int64_t at);
/* Puts results (up to a NULL) of one host, frees them, and returns the answer. */
enum store_status drive_put(struct fixture *s, const char *host, struct result *first, ...)
    __attribute__((sentinel));
/* Several writes at once, as they are; statuses as they were answered. why (of n texts, may be
 * NULL) is cut to DRIVE_WHY_SIZE bytes. */
#define DRIVE_WHY_SIZE 512
void drive_put_batch(struct fixture *s, struct store_write *writes, size_t n,
    enum store_status *statuses, char (*why)[DRIVE_WHY_SIZE]);
void drive_write_init(struct store_write *w, const char *host, struct result **results, size_t n);
void drive_results_free(struct result **results, size_t n);

/* Caller decrefs; NULL if there is none. */
json_t *drive_get(struct fixture *s, const char *host);
/* The record is what the JSON text says, key by key, _rev apart; a "hash": "@" in it stands for the
 * hash of that plugin's value. NULL = there is no record. */
void drive_expect(struct fixture *s, const char *host, const char *want);
bool drive_probe(struct fixture *s, char *what, size_t size);             /* what may be NULL */
void drive_forget(struct fixture *s, const char *host, const char *what); /* what: expected */
void drive_notes_put(struct fixture *s, const json_t *notes);
json_t *drive_notes(struct fixture *s, const char *prefix); /* caller decrefs */
void drive_load_design(struct fixture *s, json_t *doc, const char *what);
json_t *drive_list_filtered(struct fixture *s, const struct store_filter *filter);
json_t *drive_list(struct fixture *s); /* array of records; caller decrefs */
json_t *drive_heads(struct fixture *s);
/* Runs the loop until *done. */
void drive_wait(struct fixture *s, const bool *done);

#endif
