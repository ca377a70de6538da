/* SPDX-License-Identifier: Apache-2.0 */
/* See jq_filter.h.
 *
 * A child is given a part of the file at a time, and answers record by record.
 *
 *            spawned            compiled             part           last answer
 *   ABSENT ----------> STARTING ----------> IDLE ----------> BUSY ----------------> IDLE
 *     ^                    |                                  |
 *     +---- it ended ------+----------------------------------+ (then another has the rest) */
#include "shared/query/jq_filter.h"

#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/query/jq_words.h"
#include "shared/target/target.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUBSYSTEM    "jq"
#define SELF         "/proc/self/exe"
#define CHILDREN_MAX 4
#define PART_BYTES   (256 * 1024)
#define PART_RECORDS 64
#define PATIENCE_MS  500 /* with one record, at least; else a tenth of all that there is */
#define DEATHS_MAX   20  /* one after the other, and no answer: then it is the program */
#define EXACT_MAX    INT64_C(9007199254740992) /* 2^53 */

enum child_state { CHILD_ABSENT, CHILD_STARTING, CHILD_IDLE, CHILD_BUSY };
static const char *const child_states[] = {
    [CHILD_ABSENT] = "ABSENT",
    [CHILD_STARTING] = "STARTING",
    [CHILD_IDLE] = "IDLE",
    [CHILD_BUSY] = "BUSY",
};

enum listening { /* what the next byte is */
	LISTEN_WORD,
	LISTEN_LENGTH,
	LISTEN_TEXT,
};

struct child {
	struct jq_filter *f;
	enum child_state state;
	pid_t pid;
	int to, from; /* pipes; -1 = none */
	struct loop_watch *watch;
	struct loop_timer *patience; /* with one record */
	size_t at, end;              /* records that it has: [at, end) are not answered */
	enum listening listening;
	enum jq_word word;
	struct buf heard; /* of the length, of the text */
	uint32_t length;
	bool stuck; /* killed: out of patience */
};

struct record {
	char *host; /* until it was told */
	uint64_t offset;
	uint32_t bytes;
	enum jq_word word; /* 0: no answer yet */
	char *text;
	uint32_t length;
};

enum filter_state { FILTER_COMPILING, FILTER_ANSWERING, FILTER_ENDED };

struct jq_filter {
	struct loop *loop;
	const struct jq_filter_handlers *handlers;
	void *arg;
	enum filter_state state;
	char *program;
	const char *mode, *option;
	FILE *file; /* the program, then a record a line */
	uint64_t size;
	struct record *records;
	size_t n, room;
	size_t given, told; /* to children; to on_answer */
	size_t answered;    /* by jq itself */
	size_t deaths;      /* since the last answer of jq */
	bool closed;
	struct child children[CHILDREN_MAX];
	size_t n_children; /* at most */
	int64_t timeout_ms, patience_ms;
	struct loop_timer *deadline; /* armed while a child has something to do */
	int64_t left_ms;
	struct mono busy_since;
	struct loop_timer *soon; /* for what is not told from inside a call */
	char *failed;            /* what it tells; NULL = that all is answered */
	char *rounded;
};

static void give_parts(struct jq_filter *f);
static void child_on_answers(int fd, unsigned int events, void *arg);

/* --- time --- */

static bool
is_busy(const struct jq_filter *f)
{
	for (size_t i = 0; i < f->n_children; i++) {
		if (f->children[i].state == CHILD_STARTING || f->children[i].state == CHILD_BUSY)
			return true;
	}
	return false;
}

/* A child has become busy, or idle. */
static void
mind_deadline(struct jq_filter *f)
{
	bool busy = is_busy(f), counted = loop_timer_armed(f->deadline);

	if (busy && !counted) {
		f->busy_since = mono_now();
		loop_timer_arm(f->deadline, f->left_ms);
	} else if (!busy && counted) {
		f->left_ms -= mono_diff(mono_now(), f->busy_since);
		f->left_ms = f->left_ms > 0 ? f->left_ms : 0;
		loop_timer_disarm(f->deadline);
	}
}

static void
describe_endless(const struct jq_filter *f, int64_t ms, char *text, size_t size)
{
	char shown[UNITS_TEXT_SIZE];

	snprintf(text, size, "no end after %s: does it loop for ever?%s%s%s",
	    units_format_ms((uint64_t)ms, shown), f->option != NULL ? " " : "",
	    f->option != NULL ? f->option : "", f->option != NULL ? " gives it more" : "");
}

static void
child_on_patience(void *arg)
{
	struct child *c = arg;

	c->stuck = true;
	kill(c->pid, SIGKILL); /* its end of the pipe closes */
}

/* The one writer of a child's state. */
static void
child_enter(struct child *c, enum child_state next)
{
	log_trace(SUBSYSTEM, "child %d: %s -> %s", (int)c->pid, child_states[c->state],
	    child_states[next]);
	c->state = next;
	if (next == CHILD_BUSY)
		loop_timer_arm(c->patience, c->f->patience_ms);
	else
		loop_timer_disarm(c->patience);
	mind_deadline(c->f);
}

/* --- the end --- */

static void
drop_child(struct child *c)
{
	loop_watch_destroy(c->watch);
	c->watch = NULL;
	if (c->to >= 0)
		close(c->to);
	if (c->from >= 0)
		close(c->from);
	c->to = c->from = -1;
}

static int
reap(struct child *c)
{
	int status = -1;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	child_enter(c, CHILD_ABSENT);
	c->pid = 0;
	return status;
}

static void
end_children(struct jq_filter *f)
{
	for (size_t i = 0; i < f->n_children; i++) {
		struct child *c = &f->children[i];

		drop_child(c);
		if (c->state == CHILD_ABSENT)
			continue;
		kill(c->pid, SIGKILL);
		reap(c);
	}
}

/* Ends it; nothing of f is touched after it. */
static void
end(struct jq_filter *f, const char *why)
{
	f->state = FILTER_ENDED;
	loop_timer_disarm(f->deadline);
	end_children(f);
	f->handlers->on_end(why, f->arg);
}

static void
fail_soon(struct jq_filter *f, const char *what, int err)
{
	if (f->failed == NULL)
		xasprintf(&f->failed, "%s: %s", what, errtext_errno(err));
	loop_timer_arm(f->soon, 0);
}

static void
filter_on_soon(void *arg)
{
	struct jq_filter *f = arg;

	if (f->state == FILTER_ENDED)
		return;
	if (f->failed != NULL)
		end(f, f->failed);
	else if (f->closed && f->told == f->n && f->state == FILTER_ANSWERING)
		end(f, NULL);
}

static void
filter_on_deadline(void *arg)
{
	struct jq_filter *f = arg;
	char text[256];

	describe_endless(f, f->timeout_ms, text, sizeof(text));
	end(f, text);
}

/* --- giving --- */

static bool
ask(struct child *c, const struct jq_request *r)
{
	ssize_t n;

	do
		n = write(c->to, r, sizeof(*r)); /* at most PIPE_BUF: all or nothing */
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*r);
}

/* Its records, which are in the file. A child that is gone is noticed by the end of its answers. */
static void
give_records(struct child *c)
{
	const struct record *first = &c->f->records[c->at], *last = &c->f->records[c->end - 1];
	const struct jq_request r = {
	    .offset = first->offset,
	    .bytes = (uint32_t)(last->offset + last->bytes - first->offset),
	    .records = (uint32_t)(c->end - c->at),
	};

	if (!ask(c, &r))
		log_debug(SUBSYSTEM, "child %d: %s", (int)c->pid, errtext_errno(errno));
	child_enter(c, CHILD_BUSY);
}

static bool
add_actions(posix_spawn_file_actions_t *a, int requests, int answers, int records)
{
	return posix_spawn_file_actions_adddup2(a, requests, STDIN_FILENO) == 0 &&
	       posix_spawn_file_actions_adddup2(a, answers, STDOUT_FILENO) == 0 &&
	       posix_spawn_file_actions_addopen(a, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
	       posix_spawn_file_actions_adddup2(a, records, JQ_CHILD_RECORDS) == 0;
}

/* Starts it with the signals as a new program expects them; a terminal's Ctrl-C is for us alone,
 * who end it. 0, or an errno. */
static int
spawn(struct child *c, int requests, int answers)
{
	struct jq_filter *f = c->f;
	char seconds[24], name[] = JQ_CHILD_NAME, mode[16];
	char *argv[] = {name, mode, seconds, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int err;

	snprintf(mode, sizeof(mode), "%s", f->mode);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)f->timeout_ms / 1000 + 1);
	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	err = add_actions(&actions, requests, answers, fileno(f->file)) ? 0 : ENOMEM;
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	if (err == 0)
		err = posix_spawn(&c->pid, SELF, &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static void
start_child(struct child *c)
{
	const struct jq_request program = {.bytes = (uint32_t)strlen(c->f->program)};
	int to[2], from[2], err;

	if (pipe2(to, O_CLOEXEC) != 0) {
		fail_soon(c->f, "jq cannot be run", errno);
		return;
	}
	if (pipe2(from, O_CLOEXEC) != 0) {
		fail_soon(c->f, "jq cannot be run", errno);
		close(to[0]);
		close(to[1]);
		return;
	}
	err = spawn(c, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	c->to = to[1];
	c->from = from[0];
	if (err != 0) {
		drop_child(c);
		fail_soon(c->f, "jq cannot be run (" SELF ")", err);
		return;
	}
	fcntl(c->from, F_SETFL, O_NONBLOCK);
	child_enter(c, CHILD_STARTING);
	c->listening = LISTEN_WORD;
	c->stuck = false;
	c->watch = loop_watch_create(c->f->loop, c->from, LOOP_READ, child_on_answers, c);
	if (!ask(c, &program))
		log_debug(SUBSYSTEM, "child %d: %s", (int)c->pid, errtext_errno(errno));
}

/* Takes records for c, as many as one part has. */
static void
take_part(struct jq_filter *f, struct child *c)
{
	uint64_t bytes = 0;

	c->at = f->given;
	while (f->given < f->n && f->given - c->at < PART_RECORDS && bytes < PART_BYTES)
		bytes += f->records[f->given++].bytes;
	c->end = f->given;
}

static bool
is_part_due(const struct jq_filter *f)
{
	return f->given < f->n && (f->closed || f->n - f->given >= PART_RECORDS ||
				      f->size - f->records[f->given].offset >= PART_BYTES);
}

/* Another child is worth its start when there is a whole part for it. */
static void
give_parts(struct jq_filter *f)
{
	bool due = is_part_due(f);

	if (f->state != FILTER_ANSWERING || f->failed != NULL)
		return;
	if (due && fflush(f->file) != 0) {
		fail_soon(f, "cannot put the records aside", errno);
		return;
	}
	for (size_t i = 0; i < f->n_children && is_part_due(f); i++) {
		struct child *c = &f->children[i];

		if (c->state == CHILD_IDLE) {
			take_part(f, c);
			give_records(c);
		} else if (c->state == CHILD_ABSENT &&
			   (i == 0 || f->n - f->given >= PART_RECORDS ||
			       f->size - f->records[f->given].offset >= PART_BYTES)) {
			take_part(f, c);
			start_child(c);
		}
	}
}

/* --- answers --- */

/* Tells those at the front that are there. false: f has ended, and may be gone. */
static bool
tell(struct jq_filter *f)
{
	while (f->told < f->n && f->records[f->told].word != 0) {
		struct record *r = &f->records[f->told++];

		f->handlers->on_answer(r->host, r->word, r->text, r->length, f->arg);
		free(r->host);
		free(r->text);
		r->host = r->text = NULL;
	}
	if (!f->closed || f->told < f->n)
		return true;
	end(f, NULL);
	return false;
}

static void
set_answer(struct jq_filter *f, size_t i, enum jq_word word, char *text, size_t length)
{
	f->records[i].word = word;
	f->records[i].text = text;
	f->records[i].length = (uint32_t)length;
}

static void
end_uncompiled(struct jq_filter *f, const struct buf *heard)
{
	char *why = heard->len > 0 ? jq_words_uncompiled(f->program, heard->data)
				   : xstrdup("jq cannot compile it");

	end(f, why);
	free(why);
}

/* false: f has ended. */
static bool
take_compiled(struct child *c)
{
	struct jq_filter *f = c->f;

	if (c->word != JQ_WORD_COMPILED) {
		end_uncompiled(f, &c->heard);
		return false;
	}
	if (c->at < c->end)
		give_records(c);
	else
		child_enter(c, CHILD_IDLE);
	if (f->state == FILTER_COMPILING) {
		f->state = FILTER_ANSWERING;
		f->handlers->on_compiled(f->arg);
		if (f->closed && f->n == 0)
			loop_timer_arm(f->soon, 0);
	}
	give_parts(f);
	return true;
}

static bool
take_word(struct child *c)
{
	struct jq_filter *f = c->f;
	bool has_text = jq_word_has_text(c->word);
	size_t length = c->heard.len;

	if (c->state == CHILD_STARTING)
		return take_compiled(c);
	if (c->at == c->end)
		return true; /* nobody asked */
	f->answered++;
	f->deaths = 0;
	set_answer(f, c->at++, c->word, has_text ? buf_take(&c->heard, NULL) : NULL,
	    has_text ? length : 0);
	if (c->at < c->end) {
		loop_timer_arm(c->patience, f->patience_ms);
	} else {
		child_enter(c, CHILD_IDLE);
		give_parts(f);
	}
	return tell(f);
}

static bool
take_byte(struct child *c, char byte)
{
	switch (c->listening) {
	case LISTEN_WORD:
		buf_reset(&c->heard);
		c->word = (enum jq_word)byte;
		if (!jq_word_has_text(c->word))
			return take_word(c);
		c->listening = LISTEN_LENGTH;
		return true;
	case LISTEN_LENGTH:
		if (!buf_append_char(&c->heard, byte))
			abort(); /* four bytes */
		if (c->heard.len < sizeof(c->length))
			return true;
		memcpy(&c->length, c->heard.data, sizeof(c->length));
		buf_reset(&c->heard);
		c->listening = c->length > 0 ? LISTEN_TEXT : LISTEN_WORD;
		return c->length > 0 || take_word(c);
	case LISTEN_TEXT:
		abort(); /* in one piece */
	}
	return true;
}

/* Takes as much of the text as there is. */
static bool
take_text(struct child *c, const char *bytes, size_t n, size_t *taken)
{
	size_t missing = c->length - c->heard.len;

	*taken = n < missing ? n : missing;
	if (!buf_append(&c->heard, bytes, *taken)) {
		end(c->f, "there is no memory for what comes out");
		return false;
	}
	if (*taken < missing)
		return true;
	c->listening = LISTEN_WORD;
	return take_word(c);
}

/* --- deaths --- */

static void
describe_death(const struct child *c, int status, char *text, size_t size)
{
	if (c->stuck ||
	    (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)))
		describe_endless(c->f, c->f->patience_ms, text, size);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == JQ_EXIT_NO_MEMORY)
		snprintf(text, size, "it needs more than 1 GiB of memory");
	else if (WIFSIGNALED(status))
		snprintf(text, size, "jq itself died of it (signal %d)", WTERMSIG(status));
	else
		snprintf(text, size, "jq ended early");
}

/* The record that was the end of a child fails; what is behind it another one answers, unless no
 * record gets an answer. */
static void
child_ended(struct child *c)
{
	struct jq_filter *f = c->f;
	bool at_record = c->state == CHILD_BUSY;
	char death[256];

	drop_child(c);
	describe_death(c, reap(c), death, sizeof(death));
	if (!at_record) {
		end(f, death);
		return;
	}
	set_answer(f, c->at++, JQ_WORD_ERROR, xstrdup(death), strlen(death));
	f->deaths++;
	if (f->answered == 0 && (f->deaths == DEATHS_MAX || (f->closed && f->deaths == f->n))) {
		end(f, death);
		return;
	}
	if (c->at < c->end)
		start_child(c);
	else
		give_parts(f);
	tell(f);
}

static void
child_on_answers(int fd, unsigned int events, void *arg)
{
	struct child *c = arg;
	char chunk[65536];
	ssize_t n = read(fd, chunk, sizeof(chunk));
	size_t taken;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		child_ended(c);
		return;
	}
	for (size_t i = 0; i < (size_t)n; i += taken) {
		bool goes_on;

		taken = 1;
		if (c->listening == LISTEN_TEXT)
			goes_on = take_text(c, chunk + i, (size_t)n - i, &taken);
		else
			goes_on = take_byte(c, chunk[i]);
		if (!goes_on)
			return;
	}
}

/* --- what is rounded --- */

/* The path of an integer within value that a double cannot hold; malloced, NULL = none. */
static char *
find_rounded(const json_t *value)
{
	const char *key;
	char *below, *path;
	json_t *each;
	size_t i;

	if (json_is_integer(value) &&
	    (json_integer_value(value) > EXACT_MAX || json_integer_value(value) < -EXACT_MAX))
		return xstrdup("");
	json_object_foreach ((json_t *)value, key, each) {
		below = find_rounded(each);
		if (below != NULL) {
			xasprintf(&path, ".%s%s", key, below);
			free(below);
			return path;
		}
	}
	json_array_foreach (value, i, each) {
		below = find_rounded(each);
		if (below != NULL) {
			xasprintf(&path, "[%zu]%s", i, below);
			free(below);
			return path;
		}
	}
	return NULL;
}

/* A literal of the program may be rounded, too. */
static bool
has_rounded_literal(const char *program)
{
	const char *p = program;

	while ((p = strpbrk(p, "0123456789")) != NULL) {
		size_t len = strspn(p, "0123456789");
		bool is_number = p == program ||
				 (!isalnum((unsigned char)p[-1]) && p[-1] != '_' && p[-1] != '.');

		if (is_number && p[len] != '.' && !isalpha((unsigned char)p[len]) &&
		    (len > 16 || (len == 16 && strncmp(p, "9007199254740992", 16) > 0)))
			return true;
		p += len;
	}
	return false;
}

const char *
jq_filter_rounded(struct jq_filter *f)
{
	if (f->rounded == NULL && f->n > 0 && has_rounded_literal(f->program))
		f->rounded = xstrdup("jq rounds integers above 2^53, also that of the expression");
	return f->rounded;
}

/* --- what jq_filter.h offers --- */

/* jq has these at the start of a program only. Modules are files of this machine: no part of a
 * question that is the same wherever it is asked. */
static const char *
find_directive(const char *program)
{
	static const char *const directives[] = {"import", "include", "module"};

	for (;;) {
		program += strspn(program, " \t\n\r");
		if (*program != '#')
			break;
		program += strcspn(program, "\n");
	}
	for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
		size_t len = strlen(directives[i]);

		if (strncmp(program, directives[i], len) == 0 &&
		    !isalnum((unsigned char)program[len]) && program[len] != '_' &&
		    program[len] != ':')
			return directives[i];
	}
	return NULL;
}

static FILE *
open_file(const char *program, char **why)
{
	FILE *file = tmpfile();

	if (file != NULL && fputs(program, file) >= 0 && fflush(file) == 0)
		return file;
	xasprintf(why, "no temporary file in %s: %s", P_tmpdir, errtext_errno(errno));
	if (file != NULL)
		fclose(file);
	return NULL;
}

static size_t
processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > CHILDREN_MAX ? CHILDREN_MAX : (size_t)n;
}

static void
init_child(struct jq_filter *f, struct child *c)
{
	c->f = f;
	c->to = c->from = -1;
	c->patience = loop_timer_create(f->loop, "jq patience", child_on_patience, c);
	buf_init(&c->heard, JQ_RESULT_MAX);
}

struct jq_filter *
jq_filter_create(struct loop *loop, const char *program, enum jq_mode mode, int64_t timeout_ms,
    const char *option, const struct jq_filter_handlers *handlers, void *arg, char **why)
{
	const char *directive = find_directive(program);
	struct jq_filter *f;
	FILE *file;

	/* To jq it is ".", which would be true of every host: a shell's variable is not set. */
	if (program[strspn(program, " \t\r\n")] == '\0') {
		*why = xstrdup("it is empty");
		return NULL;
	}
	if (strlen(program) > JQ_PROGRAM_MAX) {
		*why = xstrdup("longer than 64 KiB");
		return NULL;
	}
	if (directive != NULL) {
		xasprintf(why, "\"%s\" is not possible here: no modules of jq are used", directive);
		return NULL;
	}
	file = open_file(program, why);
	if (file == NULL)
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->loop = loop;
	f->handlers = handlers;
	f->arg = arg;
	f->program = xstrdup(program);
	f->mode = mode == JQ_TRUTH ? "truth" : "values";
	f->option = option;
	f->file = file;
	f->size = strlen(program);
	f->timeout_ms = f->left_ms = timeout_ms;
	f->patience_ms = timeout_ms / 10 > PATIENCE_MS ? timeout_ms / 10 : PATIENCE_MS;
	f->deadline = loop_timer_create(loop, "jq", filter_on_deadline, f);
	f->soon = loop_timer_create(loop, "jq soon", filter_on_soon, f);
	f->n_children = processors();
	for (size_t i = 0; i < f->n_children; i++)
		init_child(f, &f->children[i]);
	start_child(&f->children[0]);
	return f;
}

void
jq_filter_destroy(struct jq_filter *f)
{
	if (f == NULL)
		return;
	end_children(f);
	for (size_t i = 0; i < f->n_children; i++) {
		loop_timer_destroy(f->children[i].patience);
		buf_finish(&f->children[i].heard);
	}
	loop_timer_destroy(f->deadline);
	loop_timer_destroy(f->soon);
	for (size_t i = f->told; i < f->n; i++) {
		free(f->records[i].host);
		free(f->records[i].text);
	}
	free(f->records);
	fclose(f->file);
	free(f->program);
	free(f->failed);
	free(f->rounded);
	free(f);
}

bool
jq_filter_add(struct jq_filter *f, const char *host, const json_t *rec)
{
	char *path = f->rounded == NULL ? find_rounded(rec) : NULL;
	struct record *r;
	long behind;

	if (path != NULL) {
		xasprintf(
		    &f->rounded, "jq rounds integers above 2^53: %s has one at %s", host, path);
		free(path);
	}
	if (json_dumpf(rec, f->file, JSON_COMPACT | JSON_ENCODE_ANY) != 0 ||
	    putc('\n', f->file) == EOF)
		return false;
	behind = ftell(f->file);
	if (behind < 0)
		return false;
	if (f->n == f->room) {
		f->room = f->room == 0 ? PART_RECORDS : f->room * 2;
		f->records = xreallocarray(f->records, f->room, sizeof(*f->records));
	}
	r = &f->records[f->n++];
	*r = (struct record){.host = xstrdup(host), .offset = f->size};
	r->bytes = (uint32_t)((uint64_t)behind - f->size);
	f->size = (uint64_t)behind;
	give_parts(f);
	return true;
}

void
jq_filter_close(struct jq_filter *f)
{
	if (f->closed || f->state == FILTER_ENDED)
		return;
	f->closed = true;
	give_parts(f);
	if (f->told == f->n)
		loop_timer_arm(f->soon, 0);
}

size_t
jq_filter_answered(const struct jq_filter *f)
{
	return f->told;
}
