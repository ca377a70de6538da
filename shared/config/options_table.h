/* SPDX-License-Identifier: Apache-2.0 */
/* Each option has a row here, which says what its type means. */
#ifndef VOGELER_OPTIONS_TABLE_H
#define VOGELER_OPTIONS_TABLE_H

#include "shared/config/options.h"
#include <stddef.h>

enum option_type {
	OPTION_STR,
	OPTION_LISTEN,  /* an address that listen_addr_parse() lets pass, "auto" or "none" */
	OPTION_HOST,    /* a name that name_host_error() lets pass */
	OPTION_LEVEL,   /* enum log_level */
	OPTION_BOOL,    /* bool */
	OPTION_ATTEST,  /* enum options_attest */
	OPTION_COUNT,   /* uint32_t */
	OPTION_MS,      /* uint32_t, written as a duration */
	OPTION_SECONDS, /* uint32_t, written as a duration of whole seconds */
	OPTION_BYTES,   /* uint64_t */
	OPTION_KEEP,    /* struct options_keep, written as "400d, 1000" */
	OPTION_BROKERS, /* qhost: broker URIs */
	OPTION_STORE,   /* dbhost: a store URI; couch.dsn, sqlite.dsn and persistence.dsn meet there
			 */
	OPTION_QUEUE_TYPE,     /* enum queue_type, without "auto" */
	OPTION_ANY_QUEUE_TYPE, /* enum queue_type */
	OPTION_OVERFLOW,       /* enum queue_overflow */
	OPTION_SYNC,           /* bool: normal, not full */
	OPTION_BACKEND,        /* which of the three; not a field, options_load() decides with it */
	OPTION_AMQP,           /* [messaging] backend: must be amqp; not a field */
	OPTION_IGNORED,        /* of 2010, never implemented; key "*" = any key of the section */
};
const char *option_type_name(enum option_type type);

/* A program does this when the option has another value after a reload. 0 is none of them. */
enum option_change {
	OPTION_UNUSED = 1, /* nothing: it is of other programs */
	OPTION_RELOAD,     /* takes it */
	OPTION_RESTART,    /* goes on with the old one, and says so */
	OPTION_LOGIN,      /* of URIs: takes user and password, but no other place */
};

struct option_row {
	const char *section;
	const char *key;
	enum option_type type;
	size_t offset;        /* in struct options; of types that have a field */
	const char *fallback; /* the default as text; NULL = not set */
	uint64_t min, max;    /* of numbers; milliseconds, seconds, bytes, pieces */
	const char *zero;     /* a word that is a value too, kept as 0: "none", "auto"; or NULL */
	enum option_change changes[OPTION_PROGRAMS]; /* by enum options_program */
};

extern const struct option_row option_rows[];
extern const size_t option_n_rows;

/* NULL if unknown. */
const struct option_row *option_find(const char *section, const char *key);
/* Is the field a char *? */
bool option_has_string(const struct option_row *row);
/* Checks text and puts it into o. false: err says what would be right; o is unchanged. Of BACKEND,
 * AMQP and IGNORED only the check. */
bool option_parse(
    const struct option_row *row, struct options *o, const char *text, struct trouble *why);
/* The value as option_parse reads it, without password; malloced, caller frees. NULL if not set or
 * not a field. */
char *option_print(const struct option_row *row, const struct options *o);
/* Compares; types without a field are always equal. */
bool option_equal(const struct option_row *row, const struct options *a, const struct options *b);
void option_swap(const struct option_row *row, struct options *a, struct options *b);
/* "; did you mean 'x'?" for what is not known, or "". */
void option_suggest(const char *section, const char *key, char *out, size_t size);

#endif
