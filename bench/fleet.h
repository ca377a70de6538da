/* SPDX-License-Identifier: Apache-2.0 */
/* This makes a fleet to try an inventory on: hosts with the names, facts, packages and troubles
 * that a fleet has. What a host prints follows from the seed, the host and the time alone, so that
 * it changes as a fleet does: packages are updated, host by host, and figures move. Pure. */
#ifndef VOGELER_BENCH_FLEET_H
#define VOGELER_BENCH_FLEET_H

#include "shared/exec/childmsg.h"
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct plugin_set;

#define FLEET_NAME_SIZE  64
#define FLEET_TIMEOUT_MS 20000 /* of a plugin that hangs */

struct fleet {
	uint64_t seed;
	int64_t began; /* wall ms: where the changes are counted from */
	uint32_t hosts;
	unsigned int failing, hanging, silent; /* percent of hosts */
};

/* A host may be in trouble in one of these ways: one plugin of it fails, one never ends, or it
 * stops answering FLEET_SILENT_MS after the start. */
enum fleet_trouble { FLEET_WELL, FLEET_FAILING, FLEET_HANGING, FLEET_SILENT };
#define FLEET_SILENT_MS (3 * 60 * 1000)
enum fleet_trouble fleet_trouble(const struct fleet *f, uint32_t host);

/* "web01", "db03", ...: numbered within a role. */
void fleet_host(const struct fleet *f, uint32_t host, char out[FLEET_NAME_SIZE]);

/* The plugins that each host has, those of conf/plugins that need no package of their own. */
#define FLEET_PLUGINS 8
const char *fleet_plugin(unsigned int i);

/* Appends what the plugin prints; outside fleet.c for tests. false: memory is out. */
bool fleet_print(const struct fleet *f, uint32_t host, const char *plugin, int64_t wallclock_ms,
    struct buf *out) __attribute__((warn_unused_result));
/* Returns how long the plugin runs there. */
uint32_t fleet_delay_ms(const struct fleet *f, uint32_t host, const char *plugin);
/* Says what a run of it comes to: *done is a CHILD_DONE without an id, out takes what it printed.
 */
void fleet_run(const struct fleet *f, uint32_t host, const char *plugin, int64_t wallclock_ms,
    struct child_event *done, struct buf *out);
/* Adds the definitions of the plugins, as of conf/plugins. */
void fleet_define(struct plugin_set *set);

#endif
