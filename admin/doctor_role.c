/* SPDX-License-Identifier: Apache-2.0 */
/* This finds out for whom doctor looks, and with which URIs: a service has its own from systemd,
 * which are those of nobody else, so that with an operator's it would be found to lack rights that
 * it has. */
#include "admin/doctor.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/config/cli.h"
#include "shared/config/options_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* systemd.exec(5), LoadCredential=; the names below are those in the units. */
#define CREDENTIALS "/etc/credstore/"
/* Below are the users of services, such as vogelerd's (login.defs(5), SYS_UID_MAX). */
#define FIRST_UID_OF_PEOPLE 1000

#define AS_GIVEN "whoever is on this machine"

typedef bool set_fn(struct options *, const char *, const char *, struct trouble *);

static const struct credential {
	enum doctor_role role;
	const char *path;
	set_fn *set;
} credentials[] = {
    {DOCTOR_COLLECTOR, CREDENTIALS "vogelerd.qhost", options_set_qhost},
    {DOCTOR_COLLECTOR, CREDENTIALS "vogelerd.dbhost", options_set_dbhost},
    {DOCTOR_AGENT, CREDENTIALS "vogeler-agent.qhost", options_set_qhost},
};
#define N_CREDENTIALS (sizeof(credentials) / sizeof(credentials[0]))

static const char *const names[] = {
    [DOCTOR_HERE] = AS_GIVEN,
    [DOCTOR_AGENT] = "agent",
    [DOCTOR_COLLECTOR] = "collector",
    [DOCTOR_OPERATOR] = "operator",
    [DOCTOR_READER] = "reader",
};

static bool
is_from_file(const char *value, const char *source)
{
	return value == NULL || strcmp(source, OPTIONS_FILE_SOURCE) == 0;
}

/* Says whether the URI is of the configuration file, or of the file that it names. */
static bool
is_broker_from_file(const struct options *o)
{
	return is_from_file(o->qhost, o->qhost_source) ||
	       (o->qhost_file != NULL && strcmp(o->qhost_source, o->qhost_file) == 0);
}

/* Whoever runs this has said which broker or store is meant. */
static bool
is_given(const struct doctor *d)
{
	const char *path = d->v->cli->config_path;

	if (!is_broker_from_file(d->options) ||
	    !is_from_file(d->options->dbhost, d->options->dbhost_source))
		return true;
	return d->options->qhost != NULL && path != NULL && strcmp(path, CLI_DEFAULT_CONFIG) != 0;
}

/* Finds the first of that role, or NULL: none is there, or none that this user could read. */
static const struct credential *
first_credential(enum doctor_role role)
{
	for (size_t i = 0; i < N_CREDENTIALS; i++) {
		if (credentials[i].role == role && geteuid() == 0 &&
		    access(credentials[i].path, F_OK) == 0)
			return &credentials[i];
	}
	return NULL;
}

/* A service runs as root or as a user of services, or, as an agent may, as the owner of its folder.
 */
static bool
is_person(const struct doctor *d)
{
	struct stat st;

	return geteuid() >= FIRST_UID_OF_PEOPLE &&
	       !(stat(d->options->state_dir, &st) == 0 && st.st_uid == geteuid());
}

/* Whom nothing gives a broker; a file of it that is missing was meant to. */
static bool
is_reader(const struct doctor *d)
{
	const struct options *o = d->options;
	bool closed =
	    o->qhost_file != NULL && euidaccess(o->qhost_file, R_OK) != 0 && errno == EACCES;

	return is_person(d) && o->qhost == NULL && o->dbhost != NULL &&
	       (o->qhost_file == NULL || closed);
}

static void
add_role(struct doctor *d, enum doctor_role role)
{
	d->roles[d->n_roles++] = role;
}

void
doctor_choose_roles(struct doctor *d)
{
	const char *as = d->v->as;

	d->given = is_given(d);
	for (int i = DOCTOR_AGENT; as != NULL && i <= DOCTOR_READER; i++) {
		if (strcmp(as, names[i]) == 0)
			add_role(d, (enum doctor_role)i);
	}
	if (as != NULL && d->n_roles == 0)
		cli_usage_error(
		    d->v->cli, "--as %s: there are agent, collector, operator and reader", as);
	if (as == NULL && !d->given) {
		if (first_credential(DOCTOR_COLLECTOR) != NULL)
			add_role(d, DOCTOR_COLLECTOR);
		if (first_credential(DOCTOR_AGENT) != NULL)
			add_role(d, DOCTOR_AGENT);
		if (d->n_roles == 0 && is_person(d) && d->options->qhost != NULL)
			add_role(d, DOCTOR_OPERATOR);
	}
	if (as == NULL && d->n_roles == 0 && is_reader(d))
		add_role(d, DOCTOR_READER);
	if (d->n_roles == 0)
		add_role(d, DOCTOR_HERE);
}

static void
say_role(struct doctor *d)
{
	const struct credential *c = d->given ? NULL : first_credential(d->role);
	const char *name = names[d->role];

	if (d->v->as != NULL)
		doctor_say(d, "role", CHECK_OK, NULL, "%s: --as%s%s", name,
		    c == NULL ? "" : ", with ", c == NULL ? "" : c->path);
	else if (c != NULL)
		doctor_say(d, "role", CHECK_OK, NULL, "%s: %s is there%s", name, c->path,
		    d->n_roles == 1 ? ""
		    : d->at == 0    ? "; then agent, whose credential is there, too"
				    : ", too");
	else if (d->role == DOCTOR_OPERATOR)
		doctor_say(d, "role", CHECK_OK, NULL,
		    "%s: %s names a broker, and this user runs no service", name,
		    d->v->cli->config_path);
	else if (d->role == DOCTOR_READER)
		doctor_say(d, "role", CHECK_OK, NULL,
		    "%s: a store is named, and no broker that this user may use; for a service "
		    "with credentials in " CREDENTIALS ", run this as root",
		    name);
	else
		doctor_say(d, "role", CHECK_OK, NULL, "%s: %s", name,
		    d->given ? "it was said which broker or store"
			     : "no credential of a service can be read in " CREDENTIALS);
}

/* false: it is told what is wrong. */
static bool
take(struct doctor *d, const struct credential *c)
{
	struct trouble why;
	int err = 0;
	char *uri = cli_read_credential(c->path, &err);
	bool ok;

	trouble_set(&why, TROUBLE_OTHER, NULL, "no URI in its first line");
	ok = uri != NULL && c->set(&d->v->cli->options, uri, c->path, &why);
	if (uri != NULL)
		explicit_bzero(uri, strlen(uri));
	free(uri);
	if (!ok && err != ENOENT)
		doctor_say(d, "role", CHECK_FAIL,
		    "write the URI into it, as one line, for root alone", "%s: %s: %s",
		    names[d->role], c->path, err != 0 ? errtext_errno(err) : why.what);
	return ok || err == ENOENT;
}

void
doctor_take_role(struct doctor *d)
{
	bool well = true;

	d->role = d->roles[d->at];
	for (size_t i = 0; !d->given && geteuid() == 0 && i < N_CREDENTIALS; i++) {
		if (credentials[i].role == d->role)
			well = take(d, &credentials[i]) && well;
	}
	d->role_unusable = !well;
	if (well)
		say_role(d);
}
