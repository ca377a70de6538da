/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in contact (shared/store/contacts.h), for the verbs that show it. */
#ifndef VOGELER_CONTACT_H
#define VOGELER_CONTACT_H

#include "shared/base/units.h"
#include "shared/store/contacts.h"
#include <jansson.h>
#include <stdint.h>

struct store;
struct trouble;

/* contacts: the callee's; empty when the store did not give them, and then why. */
typedef void contact_read_fn(struct contacts *contacts, const struct trouble *why, void *arg);
struct contact_reading {
	contact_read_fn *fn;
	void *arg;
};
/* r: to live until fn is called, or the store closed. */
void contact_read(struct contact_reading *r, struct store *store, contact_read_fn *fn, void *arg);

/* rec: the record of the host, or its head. An answer after the latest look is contact, too. */
struct contact contact_now(const struct contacts *c, const json_t *rec, int64_t now_ms);
/* Says it in a table: "online", "offline 3 h", "never", "unknown". */
#define CONTACT_TEXT_SIZE (UNITS_SPAN_SIZE + 16)
const char *contact_text(
    const struct contacts *c, const json_t *rec, int64_t now_ms, char out[CONTACT_TEXT_SIZE]);
/* Says it in a line of its own: "offline since 2026-11-30T18:47:06Z (3 h ago)". The caller frees
 * it. */
char *contact_sentence(const struct contacts *c, const json_t *rec, int64_t now_ms);
/* {"state": ..., "since": ... or null, "looked_at": ... or null}; the caller's. */
json_t *contact_json(const struct contacts *c, const json_t *rec, int64_t now_ms);
/* Says why nothing is known of any host now, malloced; NULL: it is known. why: as it was read. */
struct trouble *contact_lack(const struct contacts *c, const struct trouble *why, int64_t now_ms);

#endif
