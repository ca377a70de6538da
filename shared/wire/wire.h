/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and responses, to and from messages. Bodies are those of 2010; everything new
 * travels in properties and headers, so that a 2010 program on either side gets along. */
#ifndef VOGELER_WIRE_H
#define VOGELER_WIRE_H

#include "shared/amqp/message.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define WIRE_COMMAND_MAX (4 * 1024)       /* bytes of a command's body */
#define WIRE_CANCEL_BODY "vogeler.cancel" /* a plugin of that name cannot be called */
#define WIRE_JOB_MAX     255              /* bytes of a job's id, as of any message_id */

/* The values of result_format, README 2010 and its code. */
enum wire_format {
	WIRE_OUTPUT,
	WIRE_JSON,
	WIRE_YAML,
	WIRE_STRING,
	WIRE_RAW,
	WIRE_PYLIST,
	WIRE_PYDICT,
};
const char *wire_format_name(enum wire_format f);
bool wire_format_parse(const char *text, enum wire_format *f);

enum wire_state {
	WIRE_OK,
	WIRE_FAILED,
	WIRE_TIMEOUT,
	WIRE_REFUSED,
	WIRE_SUPERSEDED, /* not run: another command for the same plugin was */
	WIRE_CANCELLED,  /* not run, or ended, as a cancel said */
	WIRE_EXPIRED,    /* not run: its not_after had passed */
};
#define WIRE_N_STATES (WIRE_EXPIRED + 1)
const char *wire_state_name(enum wire_state s);
bool wire_state_parse(const char *text, enum wire_state *s);
/* SUPERSEDED, CANCELLED, EXPIRED: it did not run, or not to its end, and nothing is wrong with it.
 */
bool wire_is_passed_over(enum wire_state s);

struct command {      /* strings owned */
	char *plugin; /* name or alias: the body; WIRE_CANCEL_BODY of a cancel */
	char *job;    /* message_id; NULL from a 2010 runner */
	/* NULL: run that plugin. Else a cancel: the id of the job that is to be cancelled, from the
	 * header "job"; the message's own id is another. */
	char *cancels;
	char *reply_to;
	char *user_id;
	int64_t not_after; /* wall ms, 0 = never */
	int64_t sent_at;   /* wall ms, from timestamp; 0 = unknown */
};
void command_finish(struct command *c);
/* Initialises m. Of a cancel the plugin is not looked at. The broker is told to drop it a day after
 * not_after, counted from sent_at: only if both are known, and if RabbitMQ takes so long a time (49
 * days). */
void wire_command_encode(const struct command *c, struct message *m);
/* false: err says what is wrong with it (not a JSON string, empty, control characters, a not_after
 * that cannot be read, a cancel of no job); c is finished. */
bool wire_command_decode(const struct message *m, struct command *c, char *err, size_t err_size);

/* Headers say this about a response; of a 2010 response only received order counts and the rest is
 * absent. Strings owned; NULL, -1 or 0 = absent, as noted. */
struct response_meta {
	char *response_id; /* message_id */
	char *job;         /* correlation_id */
	char *reply_to;
	char *user_id; /* checked by the broker */
	char *plugin;  /* header */
	char *machine_id;
	char *boot_id;
	char *version;     /* of the agent */
	char *stderr_tail; /* of a failure */
	char *stdout_tail;
	enum wire_state state;
	int64_t order;        /* 0 = absent */
	int64_t collected_at; /* wall ms; 0 = absent */
	int64_t duration_ms;  /* -1 = absent */
	int exit_status;      /* -1 = absent */
	int signal;           /* 0 = none */
	bool truncated;
	int64_t replaced; /* bytes that were not UTF-8 and became U+FFFD */
};

#define WIRE_VALUES_MAX 1000 /* of a response that is decoded */

/* A member of the body, as it is there: a JSON text that was looked through, but not read. */
struct wire_value {
	char *key;
	const char *json; /* the message's */
	size_t len;
};

struct response {
	char *host; /* syskey */
	enum wire_format format;
	/* Every key of the body but syskey and format, in order: the results, and last_error. None
	 * is the greeting that an agent sends at start. To be sent they are a tree, owned; */
	json_t *results;
	/* decoded they stay where they are, as a tree of them may take a hundred times as much. */
	struct wire_value *values;
	size_t n_values;
	struct response_meta meta;
};
/* Frees its strings; everything is absent afterwards. */
void response_meta_finish(struct response_meta *meta);
void response_init(struct response *r); /* a greeting without a host; nothing measured */
void response_finish(struct response *r);
/* Initialises m. false: no host, a result named syskey or format, nested too deep, or over 128 MiB
 * (the broker's limit). */
bool wire_response_encode(const struct response *r, struct message *m)
    __attribute__((warn_unused_result));
/* Initialises meta. What the headers say alone, of a response whose body is not looked at. */
void wire_response_meta(const struct message *m, struct response_meta *meta);
/* Initialises r, whose values are good as long as m's body is. Checks what makes a response poison:
 * not a JSON object, no syskey, a bad host name, an unknown format, a reserved or impossible key or
 * plugin header (of a refused command any). false: err is the x-reason, and r is finished. Other
 * headers that are absent, no number where one is due, or out of range say nothing; without a
 * readable state a response that has only last_error is FAILED, any other OK. Text of headers may
 * be other than UTF-8. */
bool wire_response_decode(const struct message *m, struct response *r, char *err, size_t err_size);
/* The last_error of no plugin begins like this that an agent says of itself while another client
 * reads the queue of its name. */
#define WIRE_WAITING "another machine has this name"
/* {"timestamp": "2010-09-26 06:16:29.609000", "message": text}: Python's str(datetime.utcnow()), as
 * 2010 sent it. */
json_t *wire_last_error(int64_t wallclock_ms, const char *text);

#endif
