/* SPDX-License-Identifier: Apache-2.0 */
/* Plugin definitions: INI sections as in the README of 2010, one a plugin.
 *
 *   [facter]
 *   name = facter
 *   description = Uses facter to return facts
 *   command = facter -y
 *   result_format = yaml
 *   command_alias = get_facts
 *
 * New keys: timeout, max_output, max_cpu, max_memory, max_processes, max_file, env (NAME=value
 * words), user, sha256 of the program file, success_exit_status (besides 0, as in
 * systemd.service(5)), interval and splay (the agent collects by itself: agent/schedule.h). */
#ifndef VOGELER_PLUGIN_H
#define VOGELER_PLUGIN_H

#include "shared/config/ini_file.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_UNLIMITED UINT64_MAX /* a limit that says "none" */

struct plugin {
	char *name;
	char *alias; /* NULL if none */
	char *description;
	char *command;      /* as written */
	char **argv;        /* split by shlex's rules (shellwords.h), no shell; NULL-terminated */
	char **env;         /* extra NAME=value, NULL-terminated; NULL if none */
	char *env_text;     /* env as written; NULL if none */
	char *user;         /* NULL = as the agent */
	char *sha256;       /* hex; NULL = not checked */
	char *success_text; /* success_exit_status as written; NULL if none */
	bool success[256];  /* by exit status; success[0] is always true */
	enum wire_format format;
	uint32_t timeout_ms; /* 0 = the agent's default */
	uint64_t max_output; /* 0 = the agent's default */
	/* 0 = not given (shared/exec/limits.h has the defaults), or PLUGIN_UNLIMITED. */
	uint64_t max_cpu_ms; /* whole seconds */
	uint64_t max_memory; /* bytes */
	uint64_t max_processes;
	uint64_t max_file;    /* bytes */
	uint64_t interval_ms; /* 0 = only when asked */
	uint64_t splay_ms;    /* of an interval; at most as long */
	bool has_splay;       /* false = the agent chooses */
	char *file;           /* where it was defined */
	unsigned int line;
	unsigned int command_line, user_line; /* 0 = not given */
};

struct buf;

/* A definition that was refused since its name or alias is another's: that of a plugin of the set.
 */
struct plugin_rival {
	char *file, *name; /* name: of the one that has it */
	unsigned int line;
};

struct plugin_set {
	struct plugin *plugins; /* sorted by name */
	size_t n;
	struct plugin_rival *rivals;
	size_t n_rivals;
};

/* Reads one file, adding its good plugins to the set; each bad one is told to on_error with file
 * and line and does not take the others down. Returns the number of bad ones. */
size_t plugin_read_file(
    struct plugin_set *set, const char *path, ini_file_error_fn *on_error, void *arg);
/* Reads a file whose text is here; the text is used up. */
size_t plugin_read_text(struct plugin_set *set, const char *path, struct buf *text,
    ini_file_error_fn *on_error, void *arg);
/* Every *.cfg of a directory, shorter names first; returns the number of bad ones, files counting
 * as one. -1: the directory cannot be used (errno; told to on_error too). A name or alias that is
 * taken already is an error of the later one, so that no copy takes the place of its original.
 * Refuses files that others may write, not regular, with several links, or owned by anyone but root
 * or us; the directory likewise. */
int plugin_read_dir(
    struct plugin_set *set, const char *dir, ini_file_error_fn *on_error, void *arg);
/* Finds by name or alias; NULL if none. */
const struct plugin *plugin_find(const struct plugin_set *set, const char *name_or_alias);
/* Writes the set as one file that plugin_read_file reads back the same; whole or not at all
 * (rename). text is initialised here, and takes what was written; caller finishes. */
bool plugin_write_compiled(
    const struct plugin_set *set, const char *path, struct buf *text, char *err, size_t err_size);
void plugin_set_finish(struct plugin_set *set);

#endif
