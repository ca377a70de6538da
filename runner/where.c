/* See where.h. The child alone has to do with jq, which some programs make loop or die while they
 * are compiled. It answers with one byte a record, then the first error's text; or with jq's words
 * on what does not compile. */
#include "runner/where.h"

#include "shared/buf.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/phrase.h"
#include "shared/units.h"
#include "shared/xalloc.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX  512
#define TROUBLE_MAX  (64 * 1024)
#define ANSWER_IN    'y'
#define ANSWER_OUT   'n'
#define ANSWER_ERROR 'e'
#define EXIT_MEMORY  3
#define EXIT_COMPILE 4

struct where {
	struct loop *loop;
	char *program;
	FILE *file;         /* a record a line */
	struct hosts hosts; /* of the lines, in their order */
	struct loop_watch *watch;
	struct loop_timer *timer;
	struct buf answers;
	pid_t child; /* 0 = none */
	int fd;      /* its answers; -1 = none */
	int64_t timeout_ms;
	bool late;
	char cannot[128]; /* why there is no child */
	where_fn *fn;
	void *arg;
};

/* --- compiling --- */

static void
on_no_memory(void *arg)
{
	_exit(EXIT_MEMORY);
}

static void
on_jq_error(void *arg, jv msg)
{
	struct buf *text = arg;
	jv formatted = jq_format_error(msg);

	if (jv_get_kind(formatted) == JV_KIND_STRING &&
	    !buf_printf(text, "%s%s", text->len > 0 ? "\n" : "", jv_string_value(formatted)))
		log_debug("where", "more errors than are kept");
	jv_free(formatted);
}

/* Its library is nowhere, and it has no input but the record. Without these jq aborts on "import",
 * and on functions that ask where the input is from. */
static void
cut_off(jq_state *jq)
{
	jq_util_input_state *none = jq_util_input_init(NULL, NULL);

	jq_util_input_set_parser(none, jv_parser_new(0), 0);
	jq_set_input_cb(jq, jq_util_input_next_input_cb, none);
	jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
	jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string("/nonexistent"));
	jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string("/nonexistent"));
}

/* In the child, which does not free it. NULL: text says why. */
static jq_state *
compile(const char *program, struct buf *text)
{
	jq_state *jq = jq_init();

	if (jq == NULL)
		_exit(EXIT_MEMORY);
	jq_set_nomem_handler(jq, on_no_memory, NULL);
	cut_off(jq);
	jq_set_error_cb(jq, on_jq_error, text);
	if (jq_compile(jq, program) == 0)
		return NULL;
	jq_set_error_cb(jq, NULL, NULL);
	return jq;
}

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

static void where_on_deadline(void *arg);

struct where *
where_create(struct loop *loop, const char *program, char **why)
{
	const char *directive = find_directive(program);
	struct where *w;
	FILE *file;

	if (strlen(program) > WHERE_PROGRAM_MAX) {
		*why = xstrdup("longer than 64 KiB");
		return NULL;
	}
	if (directive != NULL) {
		xasprintf(why, "\"%s\" is not possible here: no modules of jq are used", directive);
		return NULL;
	}
	file = tmpfile();
	if (file == NULL) {
		xasprintf(why, "no temporary file in %s: %s", P_tmpdir, phrase_errno(errno));
		return NULL;
	}
	w = xcalloc(1, sizeof(*w));
	w->loop = loop;
	w->program = xstrdup(program);
	w->file = file;
	w->fd = -1;
	w->timer = loop_timer_create(loop, "where", where_on_deadline, w);
	return w;
}

bool
where_add(struct where *w, const char *host, const json_t *rec)
{
	hosts_add(&w->hosts, host);
	return json_dumpf(rec, w->file, JSON_COMPACT | JSON_ENCODE_ANY) == 0 &&
	       putc('\n', w->file) != EOF;
}

/* --- the child --- */

static bool
truthy(jv v)
{
	jv_kind kind = jv_get_kind(v);

	return kind != JV_KIND_NULL && kind != JV_KIND_FALSE;
}

/* Consumes error, the end of jq_next()'s results. What a host sent may be in its text. */
static void
keep_message(jv error, char message[MESSAGE_MAX])
{
	jv msg = jv_invalid_get_msg(error);

	if (jv_get_kind(msg) != JV_KIND_STRING)
		msg = jv_dump_string(msg, 0);
	if (message[0] == '\0')
		snprintf(message, MESSAGE_MAX, "%s", jv_string_value(msg));
	jv_free(msg);
	for (char *p = message; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
}

static char
judge(jq_state *jq, const char *line, size_t len, char message[MESSAGE_MAX])
{
	jv value = jv_parse_sized(line, (int)len);

	if (jv_is_valid(value)) {
		jq_start(jq, value, 0);
		for (value = jq_next(jq); jv_is_valid(value); value = jq_next(jq)) {
			bool in = truthy(value);

			jv_free(value);
			if (in)
				return ANSWER_IN;
		}
	}
	if (jv_invalid_has_msg(jv_copy(value))) {
		keep_message(value, message);
		return ANSWER_ERROR;
	}
	jv_free(value);
	return ANSWER_OUT;
}

static bool
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static void
limit(int what, rlim_t value)
{
	const struct rlimit l = {.rlim_cur = value, .rlim_max = value};

	setrlimit(what, &l); /* what cannot be lowered is lower already */
}

/* Signals come from fork() blocked: one must not reach the handlers that are the parent's. */
static void
settle_child(int64_t timeout_ms)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, (rlim_t)(timeout_ms / 1000 + 1));
#ifndef __SANITIZE_ADDRESS__ /* whose own memory is beyond any limit */
	limit(RLIMIT_AS, WHERE_MEMORY_MAX);
#endif
	if (null >= 0)
		dup2(null, STDERR_FILENO);
}

static void
child_main(struct where *w, int fd)
{
	char message[MESSAGE_MAX] = "", *line = NULL;
	struct buf trouble;
	size_t room = 0;
	ssize_t len;
	bool ok = true;
	jq_state *jq;

	settle_child(w->timeout_ms);
	buf_init(&trouble, TROUBLE_MAX);
	jq = compile(w->program, &trouble);
	if (jq == NULL)
		_exit(write_all(fd, trouble.data, trouble.len) ? EXIT_COMPILE : 1);
	while (ok) {
		char answer;

		len = getline(&line, &room, w->file);
		if (len <= 0)
			break;
		answer = judge(jq, line, (size_t)len, message);
		ok = write_all(fd, &answer, 1);
	}
	ok = ok && !ferror(w->file) && write_all(fd, message, strlen(message));
	_exit(ok ? 0 : 1);
}

/* --- the parent --- */

static void
drop_child(struct where *w)
{
	loop_timer_disarm(w->timer);
	loop_watch_destroy(w->watch);
	w->watch = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

static int
reap(struct where *w)
{
	int status = -1;

	while (waitpid(w->child, &status, 0) < 0 && errno == EINTR)
		continue;
	w->child = 0;
	return status;
}

static void
fail(struct where *w, const char *text)
{
	w->fn(NULL, text, w->arg);
}

static void
report_death(struct where *w, int status)
{
	char text[256], shown[UNITS_TEXT_SIZE];

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_COMPILE) {
		fail(w, w->answers.len > 0 ? w->answers.data : "jq cannot compile it");
		return;
	}
	if (w->late ||
	    (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)))
		snprintf(text, sizeof(text),
		    "no end after %s: does it loop for ever? --where-timeout gives it more",
		    units_format_ms((uint64_t)w->timeout_ms, shown));
	else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_MEMORY)
		snprintf(text, sizeof(text), "it needs more than 1 GiB of memory");
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "jq itself died of it (signal %d)", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "jq ended early");
	fail(w, text);
}

/* The answers are whole: one for each record. */
static void
report(struct where *w)
{
	struct hosts in = {0};
	size_t errors = 0, first = 0;
	char text[MESSAGE_MAX + 512];

	for (size_t i = 0; i < w->hosts.n; i++) {
		if (w->answers.data[i] == ANSWER_IN)
			hosts_add(&in, w->hosts.names[i]);
		if (w->answers.data[i] == ANSWER_ERROR && errors++ == 0)
			first = i;
	}
	hosts_sort(&in);
	if (errors > 0)
		snprintf(text, sizeof(text), "%zu of %zu hosts left out, it failed on them: %s: %s",
		    errors, w->hosts.n, w->hosts.names[first], w->answers.data + w->hosts.n);
	w->fn(&in, errors > 0 ? text : NULL, w->arg);
	hosts_finish(&in);
}

static void
child_ended(struct where *w)
{
	int status;

	drop_child(w);
	status = reap(w);
	if (fseek(w->file, 0, SEEK_END) != 0) /* the child has moved it */
		log_debug("where", "seek: %s", phrase_errno(errno));
	if (w->late || !WIFEXITED(status) || WEXITSTATUS(status) != 0 ||
	    w->answers.len < w->hosts.n)
		report_death(w, status);
	else
		report(w);
}

static void
where_on_answers(int fd, unsigned int events, void *arg)
{
	struct where *w = arg;
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !buf_append(&w->answers, chunk, (size_t)n))
		child_ended(w);
}

static void
where_on_deadline(void *arg)
{
	struct where *w = arg;

	if (w->child == 0) {
		fail(w, w->cannot);
		return;
	}
	w->late = true;
	kill(w->child, SIGKILL); /* its end of the pipe closes */
}

static bool
start_child(struct where *w)
{
	sigset_t all, before;
	int fds[2];

	if (fflush(w->file) != 0 || fseek(w->file, 0, SEEK_SET) != 0 || pipe2(fds, O_CLOEXEC) != 0)
		return false;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	w->child = fork();
	if (w->child == 0)
		child_main(w, fds[1]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	w->fd = fds[0];
	if (w->child < 0) {
		w->child = 0;
		return false;
	}
	fcntl(w->fd, F_SETFL, O_NONBLOCK);
	return true;
}

void
where_run(struct where *w, int64_t timeout_ms, where_fn *fn, void *arg)
{
	w->timeout_ms = timeout_ms;
	w->fn = fn;
	w->arg = arg;
	buf_finish(&w->answers);
	buf_init(&w->answers, w->hosts.n + TROUBLE_MAX);
	w->late = false;
	if (!start_child(w)) {
		snprintf(w->cannot, sizeof(w->cannot), "cannot be run: %s", phrase_errno(errno));
		loop_timer_arm(w->timer, 0);
		return;
	}
	loop_timer_arm(w->timer, timeout_ms);
	w->watch = loop_watch_create(w->loop, w->fd, LOOP_READ, where_on_answers, w);
}

void
where_destroy(struct where *w)
{
	if (w == NULL)
		return;
	drop_child(w);
	if (w->child > 0) {
		kill(w->child, SIGKILL);
		reap(w);
	}
	loop_timer_destroy(w->timer);
	free(w->program);
	fclose(w->file);
	hosts_finish(&w->hosts);
	buf_finish(&w->answers);
	free(w);
}
