/* SPDX-License-Identifier: Apache-2.0 */
/* This checks what is on this machine: the configuration file, the clock, the machine's id, and
 * where an agent keeps its things. */
#include "admin/doctor.h"

#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/config/ini_file.h"
#include "shared/config/options_load.h"
#include "shared/config/plugin.h"
#include "shared/config/plugin_trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMANDS_MAX 10 /* plugins that are named */

#define MACHINE_ID_FILE "/etc/machine-id"
#define MACHINE_ID_LEN  32
#define EARLIEST_MS     (INT64_C(1767225600) * 1000) /* 2026-01-01: this is younger */

/* The first of several complaints, and how many there are. */
struct complaints {
	struct trouble first;
	size_t n;
};

static void
complain(struct complaints *c, const char *file, unsigned int line, const struct trouble *what)
{
	if (c->n++ > 0)
		return;
	c->first = *what;
	complain_place(&c->first, file, line);
}

/* --- the configuration file --- */

static bool
has_password(const struct ini_file *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const char *value = c->entries[i].value;
		char *masked = uri_mask(value);
		bool secret = strcmp(value, masked) != 0;

		free(masked);
		if (secret)
			return true;
	}
	return false;
}

static void
on_note(enum log_level level, const char *file, unsigned int line, const struct trouble *what,
    void *arg)
{
	if (level >= LOG_LEVEL_WARN)
		complain(arg, file, line, what);
}

static void
on_conf_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	complain(arg, file, line, what);
}

static void
say_config_modes(struct doctor *d, const char *path, bool secret)
{
	struct stat st;

	if (stat(path, &st) != 0)
		doctor_say(d, "config modes", CHECK_FAIL, NULL, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode)) /* /dev/null, which everyone has to be able to write */
		doctor_say(d, "config modes", CHECK_OK, NULL, "no file: nothing is in it");
	else if ((st.st_mode & S_IWOTH) != 0)
		doctor_say(d, "config modes", CHECK_FAIL, "chmod o-w the file",
		    "%s: everyone may write it (mode %04o)", path,
		    (unsigned int)st.st_mode & 07777);
	else if (secret && (st.st_mode & S_IROTH) != 0)
		doctor_say(d, "config modes", CHECK_FAIL,
		    "chmod o-r the file, and give its group to those who need the password; of a "
		    "file that all have to read it goes to one of its own ([amqp] dsn_file)",
		    "%s: holds a password that everyone may read (mode %04o)", path,
		    (unsigned int)st.st_mode & 07777);
	else
		doctor_say(d, "config modes", CHECK_OK, NULL, "mode %04o%s",
		    (unsigned int)st.st_mode & 07777, secret ? ", holds a password" : "");
}

static void
say_unusable(struct doctor *d, const struct trouble *first, size_t n)
{
	if (n > 1) /* of the others it may be another one */
		doctor_say(d, "config", CHECK_FAIL,
		    "correct it; vogeler-admin --check-config names them all",
		    "%zu wrong: " TROUBLE_FMT, n, TROUBLE_ARGS(first));
	else if (first->cure[0] == '\0')
		doctor_say(d, "config", CHECK_FAIL, "correct it", "%s", first->what);
	else
		doctor_say_trouble(d, "config", CHECK_FAIL, first);
}

/* false: it cannot be used, and nothing that it decides can be looked at. */
static bool
check_config(struct doctor *d)
{
	const char *path = d->v->cli->config_path;
	struct complaints c = {0};
	struct options scratch;
	struct stat st;
	struct ini_file conf = {0};
	bool secret;

	if (d->v->cli->complaint.kind != TROUBLE_NONE) {
		say_unusable(d, &d->v->cli->complaint, d->v->cli->n_complaints);
		return false;
	}
	if (path == NULL) {
		doctor_say(d, "config", CHECK_OK, NULL,
		    "no configuration file: command line, environment and defaults hold");
		return true;
	}
	options_init(&scratch);
	if (ini_file_read(&conf, path, false, on_conf_error, &c))
		options_load(&scratch, &conf, on_note, &c);
	secret = has_password(&conf);
	ini_file_finish(&conf);
	options_finish(&scratch);
	if (c.n == 0)
		doctor_say(d, "config", CHECK_OK, NULL, "%s: every key and value is known", path);
	else
		doctor_say(d, "config", CHECK_WARN,
		    "correct it; vogeler-admin --check-config names them all",
		    "%zu odd: " TROUBLE_FMT, c.n, TROUBLE_ARGS(&c.first));
	say_config_modes(d, path, secret);
	if (d->options->qhost_file != NULL && stat(d->options->qhost_file, &st) == 0 &&
	    (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		say_config_modes(d, d->options->qhost_file, true);
	return true;
}

/* --- the machine --- */

static void
check_clock(struct doctor *d)
{
	int64_t now = wallclock_ms();
	char text[WALLCLOCK_TEXT_SIZE];

	if (now < EARLIEST_MS)
		doctor_say(d, "clock", CHECK_FAIL, "set it: timedatectl set-ntp true",
		    "it says %s, which is long past", wallclock_format_s(now, text));
	else
		doctor_say(d, "clock", CHECK_OK, NULL, "%s", wallclock_format_s(now, text));
}

static void
check_machine_id(struct doctor *d)
{
	struct buf b;
	size_t len;
	int err = 0;

	buf_init(&b, 256);
	if (!buf_read_file(&b, MACHINE_ID_FILE, &err) || b.len == 0)
		len = 0;
	else
		len = strspn(b.data, "0123456789abcdef");
	if (len == MACHINE_ID_LEN)
		doctor_say(d, "machine id", CHECK_OK, NULL, "%s", MACHINE_ID_FILE);
	else
		doctor_say(d, "machine id", CHECK_WARN, "systemd-machine-id-setup",
		    "%s %s: results of this host are ordered by arrival alone", MACHINE_ID_FILE,
		    err != 0 ? errtext_errno(err) : "holds no id");
	buf_finish(&b);
}

/* --- the agent's folders --- */

/* The agent takes a folder of root's or of its own. It may run as somebody else than this program:
 * then the lock that it made there is its own as well. */
static bool
is_owned_by_the_agent(const char *dir, const struct stat *st)
{
	struct stat lock;
	bool made_by_owner;
	char *path;

	if (st->st_uid == 0 || st->st_uid == geteuid())
		return true;
	xasprintf(&path, "%s/lock", dir);
	made_by_owner = lstat(path, &lock) == 0 && lock.st_uid == st->st_uid;
	free(path);
	return made_by_owner;
}

/* false: it is not there, so no agent has run here. */
static bool
check_state_dir(struct doctor *d)
{
	const char *dir = d->options->state_dir;
	struct stat st;

	if (stat(dir, &st) != 0 && errno == ENOENT) {
		doctor_say(d, "state folder", CHECK_SKIP, NULL,
		    "%s is not there: no agent has run on this machine", dir);
		return false;
	}
	if (stat(dir, &st) != 0)
		doctor_say(d, "state folder", CHECK_FAIL, "run this as root, or as the agent does",
		    "%s: %s", dir, errtext_errno(errno));
	else if (!S_ISDIR(st.st_mode))
		doctor_say(d, "state folder", CHECK_FAIL, "move it away, or set [client] state_dir",
		    "%s is not a folder", dir);
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		doctor_say(d, "state folder", CHECK_FAIL, "chmod go-w the folder",
		    "%s: others may write to it (mode %04o), so the agent will not use it", dir,
		    (unsigned int)st.st_mode & 07777);
	else if (!is_owned_by_the_agent(dir, &st))
		doctor_say(d, "state folder", CHECK_WARN, "chown it to the user the agent runs as",
		    "%s: owned by neither root nor the user this runs as (owner %u): an agent that "
		    "runs as another user will not use it",
		    dir, (unsigned int)st.st_uid);
	else
		doctor_say(d, "state folder", CHECK_OK, NULL, "%s, mode %04o, owner %u", dir,
		    (unsigned int)st.st_mode & 07777, (unsigned int)st.st_uid);
	return true;
}

static void
say_bad_plugins(struct doctor *d, int bad, size_t good, const struct trouble *first)
{
	char *text;

	xasprintf(&text, "%s; \"vogeler-agent list\" names them all",
	    first->cure[0] == '\0' ? "correct it" : first->cure);
	doctor_say(
	    d, "plugins", CHECK_FAIL, text, "%d refused, %zu good: %s", bad, good, first->what);
	free(text);
}

/* Whom agents run as here: whose the state folder is. */
static uid_t
agent_user(const struct doctor *d)
{
	struct stat st;

	return stat(d->options->state_dir, &st) == 0 ? st.st_uid : geteuid();
}

/* A group may be meant to, so what anybody else may write is told first. */
static void
say_open_commands(struct doctor *d, const struct plugin_set *set, const char *const *wrong,
    const bool *by_group, size_t n)
{
	size_t told = 0, size;
	bool group = true;
	char *text;
	FILE *f = xmemstream(&text, &size);

	for (size_t i = 0; i < set->n; i++)
		group = group && (wrong[i] == NULL || by_group[i]);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < set->n; i++) {
			if (wrong[i] == NULL || by_group[i] != (pass == 1) ||
			    told++ >= COMMANDS_MAX)
				continue;
			fprintf(f, "%s%s runs %s", told > 1 ? "; " : "", set->plugins[i].name,
			    wrong[i]);
		}
	}
	if (told > COMMANDS_MAX)
		fprintf(f, "; and %zu more", told - COMMANDS_MAX);
	fclose(f);
	doctor_say(d, "plugin commands", group ? CHECK_WARN : CHECK_FAIL,
	    "chown root and chmod go-w it, or give the plugin a user, or a sha256",
	    "%zu of %zu could be exchanged by others, who would run as %s: %s", n, set->n,
	    agent_user(d) == 0 ? "root" : "the agent", text);
	free(text);
}

static void
check_commands(struct doctor *d, const struct plugin_set *set)
{
	char **wrong = xcalloc(set->n, sizeof(*wrong));
	bool *by_group = xcalloc(set->n, sizeof(*by_group));
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		wrong[i] = plugin_trust_error(&set->plugins[i], agent_user(d), &by_group[i]);
		n += wrong[i] != NULL;
	}
	if (n == 0)
		doctor_say(d, "plugin commands", CHECK_OK, NULL,
		    "only root and the agent's user may write the files that they name");
	else
		say_open_commands(d, set, (const char *const *)wrong, by_group, n);
	for (size_t i = 0; i < set->n; i++)
		free(wrong[i]);
	free(wrong);
	free(by_group);
}

static void
check_plugins(struct doctor *d, bool has_agent)
{
	const char *dir = d->options->plugin_path;
	struct plugin_set set = {0};
	struct complaints c = {0};
	int bad;

	if (access(dir, F_OK) != 0 && errno == ENOENT) {
		/* This machine may have had an agent, and have none any more. */
		doctor_say(d, "plugins", has_agent ? CHECK_WARN : CHECK_SKIP,
		    has_agent ? "for an agent, make the folder or name another with [global] "
				"plugin_path"
			      : NULL,
		    "%s: %s", dir, errtext_errno(ENOENT));
		return;
	}
	bad = plugin_read_dir(&set, dir, on_conf_error, &c);
	if (bad < 0)
		doctor_say_trouble(d, "plugins", CHECK_FAIL, &c.first);
	else if (bad > 0)
		say_bad_plugins(d, bad, set.n, &c.first);
	else
		doctor_say(d, "plugins", CHECK_OK, NULL, "%s: %zu declared", dir, set.n);
	if (bad >= 0 && set.n > 0)
		check_commands(d, &set);
	plugin_set_finish(&set);
}

/* Checks [server] attest of the collector's configuration, which may be this one. */
static void
check_attest(struct doctor *d)
{
	switch (d->options->attest) {
	case OPTIONS_ATTEST_NO:
		doctor_say(d, "attest", CHECK_WARN,
		    "give each host a user of its own and set [server] attest = yes, or leave it at "
		    "auto",
		    "[server] attest = no: any host can write the record of any other");
		return;
	case OPTIONS_ATTEST_AUTO:
		doctor_say(d, "attest", CHECK_OK, NULL,
		    "auto: an answer that names its user, as today's agents do, is taken for the "
		    "known host of that name only; one that names no user, or a user that hosts "
		    "share, for any: set [server] attest = yes where each host has its own");
		return;
	case OPTIONS_ATTEST_YES:
		doctor_say(
		    d, "attest", CHECK_OK, NULL, "yes: a host can write its own record only");
		return;
	}
}

static void
look_who_is_here(struct doctor *d)
{
	switch (d->role) {
	case DOCTOR_HERE:
		d->agent = check_state_dir(d);
		d->collector = d->options->dbhost != NULL || !d->agent;
		return;
	case DOCTOR_AGENT:
		d->agent = true;
		(void)check_state_dir(d);
		return;
	case DOCTOR_COLLECTOR:
		d->collector = true;
		return;
	case DOCTOR_OPERATOR:
	case DOCTOR_READER:
		return;
	}
}

static const char *const others[] = {"agent", "broker", "store", NULL};

/* Checks what does not depend on the role. false: told that nothing else can be looked at. */
static bool
check_machine(struct doctor *d)
{
	bool usable = check_config(d);

	check_clock(d);
	check_machine_id(d);
	if (!usable)
		doctor_skip(d, others, "the configuration cannot be used");
	return usable;
}

void
doctor_local(struct doctor *d)
{
	if (d->at == 0 && !check_machine(d)) {
		doctor_end(d);
		return;
	}
	d->agent = d->collector = false;
	look_who_is_here(d);
	if (d->role == DOCTOR_HERE || d->role == DOCTOR_AGENT)
		check_plugins(d, d->agent);
	if (d->collector)
		check_attest(d);
	if (d->role_unusable)
		doctor_skip(d, others, "its credential cannot be used");
	doctor_next(d);
}
