/* SPDX-License-Identifier: Apache-2.0 */
/* These messages go to whatever runs plugins, and come back from it: fixed-size messages without
 * pointers, so that the children can move into a process of their own behind a SOCK_SEQPACKET
 * socketpair (one message a packet) without a rewrite. Today children_request() is a direct call.
 *
 * One run is: RUN -> STARTED -> OUTPUT* -> DONE, or RUN -> DONE when it could not be started. DONE
 * comes exactly once for every RUN that was accepted, and is the last event of its id. */
#ifndef VOGELER_CHILDMSG_H
#define VOGELER_CHILDMSG_H

#include <stdint.h>

#define CHILDMSG_PLUGIN 64 /* NAME_PLUGIN_MAX and NUL */
#define CHILDMSG_DATA   8192

enum child_op {
	CHILD_OP_RUN,  /* run plugin under this id, which the sender has not in use */
	CHILD_OP_KILL, /* end that run: TERM, then KILL; an id that is over already is no error */
};

struct child_request {
	uint32_t op; /* enum child_op */
	uint32_t reserved;
	uint64_t id;
	char plugin[CHILDMSG_PLUGIN]; /* name, not alias; NUL-terminated */
};

enum child_event_kind { CHILD_STARTED, CHILD_OUTPUT, CHILD_DONE };

/* An outcome says how a run ended. The first of these that is true counts: a plugin that was told
 * to stop at its deadline is TIMEOUT whatever its status was then. */
enum child_outcome {
	CHILD_NOT_STARTED, /* `error` is the errno, data a sentence that says what was tried */
	CHILD_STOPPED,     /* by CHILD_OP_KILL */
	CHILD_TIMEOUT,     /* by its deadline */
	CHILD_OVERFLOW,    /* more output, on either stream, than its cap */
	CHILD_SIGNALED,
	CHILD_EXITED,
};
#define CHILD_N_OUTCOMES (CHILD_EXITED + 1)

struct child_event {
	uint32_t kind;   /* enum child_event_kind */
	uint32_t length; /* bytes of data in use: of stdout for OUTPUT, the tail of stderr for DONE,
			    behind a line of ours if a limit ended it */
	uint64_t id;
	/* The rest is for DONE alone. */
	uint32_t outcome;      /* enum child_outcome */
	int32_t exit_status;   /* -1 when it did not exit by itself */
	int32_t signal;        /* 0 when it was not killed by one */
	int32_t error;         /* errno of NOT_STARTED */
	int64_t duration_ms;   /* monotonic, from start to DONE */
	uint64_t stdout_bytes; /* read in all; the sum of the OUTPUT lengths */
	uint64_t stderr_bytes; /* read in all; only the tail is kept */
	uint64_t output_max;   /* the cap that held, for the text of OVERFLOW */
	uint32_t timeout_ms;   /* the deadline that held, for the text of TIMEOUT */
	uint32_t success;      /* EXITED with 0, or as the plugin's success_exit_status says */
	char data[CHILDMSG_DATA];
};

#endif
