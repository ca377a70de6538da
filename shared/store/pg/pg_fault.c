/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_fault.h. PostgreSQL's Appendix A has the codes. */
#include "shared/store/pg/pg_fault.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <bsd/string.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	const char *state; /* a code, or the class that it begins with */
	enum pg_fault fault;
	const char *cure; /* NULL = its words say it */
};

/* The first that fits counts. */
static const struct rule rules[] = {
    {"25006", PG_FAULT_LEAVE,
	"it is a replica: name all servers in the URI (pg://user@db1,db2/database), so that the one "
	"that takes writes is found"},
    {"25P02", PG_FAULT_RETRY, NULL},
    {"26000", PG_FAULT_LEAVE,
	"is a pooler in between? PgBouncer below 1.21 must pool sessions (pool_mode = session)"},
    {"42P05", PG_FAULT_LEAVE,
	"is a pooler in between? PgBouncer below 1.21 must pool sessions (pool_mode = session)"},
    {"0A000", PG_FAULT_LEAVE, NULL}, /* "cached plan must not change result type" */
    {"22", PG_FAULT_REJECT, NULL},
    {"23", PG_FAULT_REJECT, NULL},
    {"54", PG_FAULT_REJECT, NULL},
    {"28P01", PG_FAULT_DENIED,
	"correct the password: in the URI, or better in the file that PGPASSFILE names"},
    {"28", PG_FAULT_DENIED,
	"let this user in by pg_hba.conf on the server; over its socket the login is the name of the "
	"system's user (peer)"},
    {"42501", PG_FAULT_DENIED,
	"run \"vogeler-admin setup\" as the owner of the database, which gives this user its rights"},
    {"3D000", PG_FAULT_MISSING,
	"create the database (createdb), or correct its name in the URI; then run \"vogeler-admin "
	"setup\""},
    {"3F000", PG_FAULT_MISSING, "run \"vogeler-admin setup\""},
    {"42P01", PG_FAULT_MISSING, "run \"vogeler-admin setup\""},
    {"42703", PG_FAULT_MISSING, "run \"vogeler-admin setup\""},
    {"42883", PG_FAULT_MISSING, "run \"vogeler-admin setup\""},
    {"53100", PG_FAULT_RETRY, "make room on the disk of the PostgreSQL server"},
    {"53300", PG_FAULT_RETRY,
	"raise max_connections of the PostgreSQL server, or end what holds its connections"},
    {"57014", PG_FAULT_RETRY,
	"look what holds it up: SELECT pid, state, query FROM pg_stat_activity"},
    {"57P", PG_FAULT_RETRY, "it is tried again by itself; the log of PostgreSQL says why"},
    {"55P03", PG_FAULT_RETRY,
	"look what holds the lock: SELECT pid, state, query FROM pg_stat_activity"},
    {"XX001", PG_FAULT_RETRY, "its files are damaged: see the PostgreSQL server's log"},
    {"XX002", PG_FAULT_RETRY, "an index of it is damaged: REINDEX DATABASE"},
};

static const struct rule *
rule_of(const char *state)
{
	if (state == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strncmp(state, rules[i].state, strlen(rules[i].state)) == 0)
			return &rules[i];
	return NULL;
}

const char *
pg_fault_name(enum pg_fault f)
{
	switch (f) {
	case PG_FAULT_NONE:
		return "NONE";
	case PG_FAULT_RETRY:
		return "RETRY";
	case PG_FAULT_LEAVE:
		return "LEAVE";
	case PG_FAULT_REJECT:
		return "REJECT";
	case PG_FAULT_MISSING:
		return "MISSING";
	case PG_FAULT_DENIED:
		return "DENIED";
	}
	return "?";
}

enum pg_fault
pg_fault_of(const char *state)
{
	const struct rule *rule = rule_of(state);

	return rule == NULL ? PG_FAULT_RETRY : rule->fault;
}

static void
refuse(struct pg_refusal *r, const char *where, const char *state, const char *said)
{
	const struct rule *rule = rule_of(state);

	strlcpy(r->state, state, sizeof(r->state));
	r->fault = pg_fault_of(state);
	trouble_set(&r->trouble, TROUBLE_OTHER, rule == NULL ? NULL : rule->cure,
	    "%s: PostgreSQL says: %s (SQLSTATE %s)", where, said, state);
}

/* Not the detail, which may have the whole row in it. */
void
pg_refusal_of_result(struct pg_refusal *r, const char *where, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (state == NULL) { /* libpq's own: the connection */
		pg_refusal_of_message(r, where, PG_PHASE_USE, PQresultErrorMessage(res));
		return;
	}
	refuse(r, where, state, primary == NULL ? "?" : primary);
}

/* Finds the code in "FATAL:  28P01: password authentication failed ...", whose first word is in the
 * server's language. *said: what follows it. */
static bool
state_in(const char *message, char state[PG_STATE_SIZE], const char **said)
{
	for (const char *p = message; (p = strstr(p, ":  ")) != NULL; p++) {
		const char *code = p + 3;

		if (strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == 5 && code[5] == ':') {
			strlcpy(state, code, PG_STATE_SIZE);
			*said = code + 6 + strspn(code + 6, " ");
			return true;
		}
	}
	return false;
}

/* One line, without where the server's code has it from, and without what we say ourselves. */
static char *
first_line(const char *text)
{
	return xstrndup(text, strcspn(text, "\n"));
}

static const char *
without_prefix(const char *message)
{
	const char *failed = strstr(message, " failed: ");

	return strncmp(message, "connection to server ", 21) == 0 && failed != NULL
		   ? failed + strlen(" failed: ")
		   : message;
}

static const struct {
	enum pg_fault fault;
	const char *doing; /* where its words may leave that open */
	const char *cure;
} phases[] = {
    [PG_PHASE_CONNECT] = {PG_FAULT_RETRY, "connecting",
	"start PostgreSQL there, or correct host and port of the URI"},
    [PG_PHASE_TLS] = {PG_FAULT_DENIED, "agreeing on TLS",
	"sslrootcert=FILE of the URI names the CA that has signed the server's certificate, which "
	"must be for the host in the URI; sslmode=disable does without TLS"},
    [PG_PHASE_LOGIN] = {PG_FAULT_RETRY, "logging in",
	"is this PostgreSQL's port? See the log of the server"},
    [PG_PHASE_PASSWORD] = {PG_FAULT_DENIED, NULL,
	"write the password into the file that PGPASSFILE names (host:port:database:user:password), "
	"which nobody else may read"},
    [PG_PHASE_USE] = {PG_FAULT_RETRY, NULL, "is PostgreSQL still running there? Its log says why"},
};

const char *
pg_phase_text(enum pg_phase phase)
{
	return phases[phase].doing == NULL ? "" : phases[phase].doing;
}

void
pg_refusal_of_message(
    struct pg_refusal *r, const char *where, enum pg_phase phase, const char *message)
{
	const char *doing = phases[phase].doing, *said;
	char state[PG_STATE_SIZE], *line;

	if (state_in(message, state, &said)) {
		line = first_line(said);
		refuse(r, where, state, line);
	} else {
		/* libpq's own word for that is "fe_sendauth: no password supplied". */
		line = phase == PG_PHASE_PASSWORD
			   ? xstrdup("it wants a password, and there is none for it")
			   : first_line(without_prefix(message));
		line[0] = (char)tolower((unsigned char)line[0]);
		r->fault = phases[phase].fault;
		r->state[0] = '\0';
		trouble_set(&r->trouble, TROUBLE_OTHER, phases[phase].cure, "%s: %s%s%s", where,
		    line[0] == '\0' ? "the connection ended" : line, doing == NULL ? "" : " while ",
		    doing == NULL ? "" : doing);
	}
	free(line);
}
