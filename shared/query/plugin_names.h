/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the plugins that the records of a store have, be it with a value or a failure: to
 * tell who mistyped one. */
#ifndef VOGELER_PLUGIN_NAMES_H
#define VOGELER_PLUGIN_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define PLUGIN_NAMES_HINT_SIZE 512

struct store;
struct trouble;
struct plugin_names;

/* names: what plugin_names_ask() returned; NULL = the store cannot be read, why says it. */
typedef void plugin_names_fn(
    const struct plugin_names *names, const struct trouble *why, void *arg);

/* Reads the heads of all records. It may be destroyed when fn was called, from within, too. */
struct plugin_names *plugin_names_ask(struct store *store, plugin_names_fn *fn, void *arg);
void plugin_names_destroy(struct plugin_names *names); /* NULL is fine */

/* Returns how many plugins there are. */
size_t plugin_names_count(const struct plugin_names *names);
bool plugin_names_has(const struct plugin_names *names, const char *name);
/* "; did you mean packages? There are df, packages"; returns out. */
const char *plugin_names_hint(
    const struct plugin_names *names, const char *typed, char out[PLUGIN_NAMES_HINT_SIZE]);

#endif
