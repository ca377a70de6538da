/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes on their way into the ledger's database: gathered into pages, one a job, and written by
 * _bulk_docs. A page is a document of its own, out/JOB/WRITER/N, that is written once and never
 * changed, so that no two writers ever conflict. Those of jobs that are not there go another way
 * (couch_strays.h): whoever invents jobs must not fill the disk.
 *
 * One request is under way at a time, since each costs CouchDB as much as one with records, however
 * little it brings. The next has what came meanwhile: the busier it is, the larger the pages. */
#ifndef VOGELER_COUCH_LEDGER_H
#define VOGELER_COUCH_LEDGER_H

#include "shared/store/couch/couch.h"
#include <stdbool.h>
#include <stddef.h>

/* Puts whose records are stored, and that wait for their outcomes alone: with the request under
 * way, or for the next. They take the place of none with records to be written. */
#define COUCH_LEDGER_PUTS 2

struct couch_ledger;

struct couch_ledger *couch_ledger_create(struct couch *c);
void couch_ledger_destroy(struct couch_ledger *l); /* answers nothing; http is gone by now */
/* The record of w is stored. true: w brings outcomes, and fn is called for it when they are stored
 * too, or with STORE_RETRY. false: there is nothing to be written. */
bool couch_ledger_take(
    struct couch_ledger *l, struct store_write *w, store_written_fn *fn, void *arg);
/* Copies o. What does not belong to a write. fn is called once. */
void couch_ledger_add(struct couch_ledger *l, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg);

#endif
