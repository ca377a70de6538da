/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of dispatch (see dispatch.h): dispatch.c has the states, over dispatch_hosts.c,
 * which has what the runner learns of hosts, and how that is written down and told. For these
 * alone. */
#ifndef VOGELER_DISPATCH_INTERNAL_H
#define VOGELER_DISPATCH_INTERNAL_H

#include "runner/job/dispatch.h"
#include "runner/job/job_follow.h"
#include "runner/job/publisher.h"
#include "shared/base/mono.h"
#include "shared/store/outcome.h"
#include "shared/target/target.h"

struct loop_timer;
struct outcome_writer;
struct presence;

enum dispatch_state {
	DISPATCH_PREPARING,  /* connects, and listens for notices */
	DISPATCH_RECORDING,  /* the job is on its way to the ledger */
	DISPATCH_PUBLISHING, /* the broker has not answered for all that was given to it */
	DISPATCH_SURVEYING,  /* it has; which hosts have no queue is not known yet */
	DISPATCH_WAITING,    /* --wait: for the hosts, and the next wave */
	DISPATCH_LEAVING,    /* for the ledger to have what became of it */
	DISPATCH_OVERDUE,    /* the same, and it was told */
	DISPATCH_DONE,
};

/* The job in the ledger. */
enum dispatch_record {
	RECORD_NONE, /* not begun: there is no job yet */
	RECORD_UNTRACKED,
	RECORD_UNDER_WAY,
	RECORD_STORED,
	RECORD_FAILED,
};

/* A list of the store's hosts tells what to say of those without a queue. */
enum dispatch_list {
	LIST_NEVER,
	LIST_ASKED,
	LIST_THERE,
	LIST_FAILED,
};

struct dispatch {
	struct dispatch_request req;
	struct loop *loop;
	const struct runner_arguments *arg;
	const struct job *job;
	const char *untracked;
	char *trouble; /* what untracked is, if it was found out here */
	struct output_options output;
	struct publisher *send;
	struct job_follow *follow; /* NULL without --wait */
	struct outcome_writer *books;
	struct loop_timer *deadline; /* of --wait=DURATION */
	struct loop_timer *wave;     /* looks whether the wave has answered */
	struct loop_timer *leave;    /* ends the wait for the ledger */
	struct loop_timer *note;     /* writes which are confirmed */
	enum dispatch_state state;
	enum dispatch_record record;
	const char *said;       /* of the event under way: why */
	int follow_status;      /* of the event under way */
	unsigned int n_awaited; /* PREPARING: the publisher, the follower */
	size_t unsent;          /* when it was interrupted */
	size_t n_unsent;        /* given up without the broker's confirm */
	char *books_why;  /* what the store said last, when it did not take it; NULL = nothing */
	size_t given;     /* hosts[0..given), of which */
	size_t wave_from; /* hosts[wave_from..given) are the last wave, */
	struct mono wave_since; /* which the broker had by then */
	/* A broadcast that the broker refused is sent again by name: each host has an answer of its
	 * own then. The item of hosts[i] is first_item + i. */
	bool by_name;
	size_t first_item;
	bool *noted; /* of each host: that it is confirmed is in the books */
	size_t n_noted;
	size_t confirmed, refused, n_unroutable;
	/* A broadcast is confirmed once any host has it, so who has no queue is looked up; NULL =
	 * it is not, or that is over. */
	struct presence *presence;
	bool *absent; /* hosts[i] has none */
	bool *booked; /* that hosts[i] is unroutable */
	enum dispatch_list list;
	struct hosts known;
	bool told;        /* with --wait: that it was sent */
	bool printed;     /* on stdout: how it went */
	char *unsent_why; /* no more is published, or waited for: why; NULL = it is */
	char *refused_why;
	int status;
};

void dispatch_book_unroutable(struct dispatch *s);
/* Writes down who is confirmed and was not written down yet. */
void dispatch_note_confirmed(struct dispatch *s);
/* Takes the broker's answer for an item. */
void dispatch_take_answer(
    struct dispatch *s, size_t item, enum publisher_state state, const char *why);
void dispatch_take_absent(struct dispatch *s, size_t host);
/* Publishes no more: what was not is cancelled, and what the broker has not answered for is unsent.
 * Returns how many were cancelled. */
size_t dispatch_give_up(struct dispatch *s, const char *why);
/* Prints how it went; returns the exit status. */
int dispatch_report(struct dispatch *s);
/* Whoever reads JSON gets an object, however it ended. */
void dispatch_report_end(struct dispatch *s);

#endif
