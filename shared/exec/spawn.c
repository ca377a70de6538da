/* SPDX-License-Identifier: Apache-2.0 */
/* See spawn.h. */
#include "shared/exec/spawn.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/config/plugin.h"
#include "shared/exec/limits.h"
#include "shared/exec/subreaper.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX    256
#define CHILD_COPY_FD 4 /* of a script that was checked */

struct spawn {
	char **argv;
	char **envp;
	char **candidates; /* the files to try, in order; NULL-terminated */
	bool switch_user;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	int n_groups;
	char *unusable; /* why it can never be started; NULL if it can */
	int unusable_error;
	bool check_digest;
	unsigned char digest[crypto_hash_sha256_BYTES];
	struct limits limits;
};

/* A step is what the child was doing when it failed. */
enum step { STEP_SETUP, STEP_USER, STEP_READ, STEP_COPY, STEP_DIGEST, STEP_INTERPRETER, STEP_EXEC };

struct step_report {
	int step;
	int error;
};

static size_t
count_strings(char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

static void
free_strings(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

static char **
copy_strings(char *const *list)
{
	size_t n = count_strings(list);
	char **copy = xcalloc(n + 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

/* The value of NAME in a NAME=value list; NULL if absent. */
static const char *
env_find(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return env[i] + len + 1;
	}
	return NULL;
}

static void
env_default(char **env, size_t *n, const char *name, const char *value)
{
	if (env_find(env, name) == NULL)
		xasprintf(&env[(*n)++], "%s=%s", name, value);
}

static char **
build_env(const struct plugin *p, const char *home, const char *mark)
{
	size_t n = count_strings(p->env);
	char **env = xcalloc(n + 5, sizeof(*env));

	for (size_t i = 0; i < n; i++)
		env[i] = xstrdup(p->env[i]);
	env_default(env, &n, "PATH", SPAWN_PATH);
	env_default(env, &n, "LANG", "C.UTF-8");
	env_default(env, &n, "HOME", home);
	if (mark != NULL)
		env[n] = xstrdup(mark);
	return env;
}

/* The files that a shell would try: the name itself when it has a slash, else it in each directory
 * of PATH. Which one there is, is seen at each start. */
static char **
build_candidates(const char *program, const char *path)
{
	size_t n = 1, i = 0;
	char **list;

	if (strchr(program, '/') != NULL) {
		list = xcalloc(2, sizeof(*list));
		list[0] = xstrdup(program);
		return list;
	}
	for (const char *c = path; *c != '\0'; c++)
		n += *c == ':';
	list = xcalloc(n + 1, sizeof(*list));
	while (*path != '\0') {
		int len = (int)strcspn(path, ":");

		/* An empty or relative entry would mean the current directory: never ours. */
		if (*path == '/')
			xasprintf(&list[i++], "%.*s/%s", len, path, program);
		path += len;
		path += *path == ':';
	}
	return list;
}

static void
set_unusable(struct spawn *l, int error, const char *what, const char *name)
{
	l->unusable_error = error;
	xasprintf(&l->unusable, "%s \"%s\"", what, name);
}

/* Returns the home directory; malloced. */
static char *
resolve_user(struct spawn *l, const char *user)
{
	struct passwd *pw = NULL;

	if (user == NULL) {
		pw = getpwuid(geteuid());
		return xstrdup(pw != NULL ? pw->pw_dir : "/");
	}
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL) {
		set_unusable(l, errno != 0 ? errno : ENOENT, "there is no user", user);
		return xstrdup("/");
	}
	l->uid = pw->pw_uid;
	l->gid = pw->pw_gid;
	l->switch_user = pw->pw_uid != geteuid();
	l->n_groups = GROUPS_MAX;
	if (l->switch_user && geteuid() != 0)
		set_unusable(l, EPERM, "only root can run a plugin as another user, here", user);
	else if (getgrouplist(user, pw->pw_gid, l->groups, &l->n_groups) < 0)
		set_unusable(l, E2BIG, "too many groups for user", user);
	return xstrdup(pw->pw_dir);
}

struct spawn *
spawn_create(const struct plugin *p, const struct limits *limits, const char *mark)
{
	struct spawn *l = xcalloc(1, sizeof(*l));
	char *home = resolve_user(l, p->user);

	l->limits = *limits;
	if (limits->processes != RLIM_INFINITY && (l->switch_user ? l->uid : geteuid()) == 0)
		log_warn("launch",
		    "%s: root may have any number of processes, so its "
		    "max_processes does nothing; give it a user",
		    p->name);
	l->argv = copy_strings(p->argv);
	l->envp = build_env(p, home, mark);
	l->candidates = build_candidates(l->argv[0], env_find(l->envp, "PATH"));
	free(home);
	if (p->sha256 != NULL) {
		size_t len = 0;

		l->check_digest = true;
		if (sodium_hex2bin(l->digest, sizeof(l->digest), p->sha256, strlen(p->sha256), NULL,
			&len, NULL) != 0 ||
		    len != sizeof(l->digest))
			set_unusable(l, EINVAL, "sha256 is not 64 hex digits:", p->sha256);
	}
	return l;
}

void
spawn_destroy(struct spawn *l)
{
	if (l == NULL)
		return;
	free_strings(l->argv);
	free_strings(l->envp);
	free_strings(l->candidates);
	free(l->unusable);
	free(l);
}

/* What follows, to exec_program, runs in the child: it makes async-signal-safe calls only. */

static void child_fail(int status_fd, enum step step, int error) __attribute__((noreturn));
static void child_exec(const struct spawn *l, int copy, int status) __attribute__((noreturn));
static void child_exec_copy(const struct spawn *l, int copy, int status) __attribute__((noreturn));
static void child_main(void *arg) __attribute__((noreturn));

static void
child_fail(int status_fd, enum step step, int error)
{
	struct step_report r = {step, error};
	ssize_t n = write(status_fd, &r, sizeof(r)); /* below PIPE_BUF: whole or not at all */

	_exit(n == (ssize_t)sizeof(r) ? 127 : 126);
}

static void
child_reset_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* exec resets handlers but keeps what is ignored, and we ignore SIGPIPE. */
	for (int signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &sa, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 to 2, and the status pipe at 3 until exec; nothing else is left open. Returns the status pipe.
 */
static int
child_descriptors(int out, int err, int status)
{
	int null;

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		child_fail(status, STEP_SETUP, errno);
	if (status != 3 && dup3(status, 3, O_CLOEXEC) < 0)
		child_fail(status, STEP_SETUP, errno);
	if (close_range(4, ~0U, 0) != 0)
		child_fail(3, STEP_SETUP, errno);
	return 3;
}

static void
child_become_user(const struct spawn *l, int status)
{
	if (!l->switch_user)
		return;
	if (setgroups((size_t)l->n_groups, l->groups) != 0 ||
	    setresgid(l->gid, l->gid, l->gid) != 0 || setresuid(l->uid, l->uid, l->uid) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		child_fail(status, STEP_USER, errno);
}

/* A copy of the file that nobody can change any more, and whose digest is the declared one: what
 * was checked is what is executed, whatever becomes of the file or its name meanwhile. It is made
 * here and not in the agent, so that reading a large file holds up nobody, and before the limits of
 * the plugin hold. Returns its descriptor. */
static int
child_sealed_copy(const struct spawn *l, int file, int status)
{
	crypto_hash_sha256_state state;
	unsigned char digest[crypto_hash_sha256_BYTES];
	unsigned char block[16384];
	int copy = memfd_create("plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (copy < 0)
		child_fail(status, STEP_COPY, errno);
	crypto_hash_sha256_init(&state);
	for (n = read(file, block, sizeof(block)); n > 0; n = read(file, block, sizeof(block))) {
		if (write(copy, block, (size_t)n) != n)
			child_fail(status, STEP_COPY, errno != 0 ? errno : ENOMEM);
		crypto_hash_sha256_update(&state, block, (unsigned long long)n);
	}
	if (n < 0)
		child_fail(status, STEP_READ, errno);
	if (fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
		child_fail(status, STEP_COPY, errno);
	crypto_hash_sha256_final(&state, digest);
	if (memcmp(digest, l->digest, sizeof(digest)) != 0)
		child_fail(status, STEP_DIGEST, EPERM);
	close(file);
	return copy;
}

/* -1: this one is not it, errno says why; as execve(2) would see it. */
static int
child_open(const char *file, int status)
{
	struct stat st;
	int fd;

	if (access(file, X_OK) != 0)
		return -1;
	/* A pipe must not hold us up. */
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		child_fail(status, STEP_READ, errno);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

/* The candidate to be executed, checked: -1 if it is not to be checked. */
static int
child_check(const struct spawn *l, int status)
{
	int error = ENOENT;

	if (!l->check_digest)
		return -1;
	for (size_t i = 0; l->candidates[i] != NULL; i++) {
		int fd = child_open(l->candidates[i], status);

		if (fd >= 0)
			return child_sealed_copy(l, fd, status);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			child_fail(status, STEP_EXEC, errno);
		if (errno == EACCES)
			error = EACCES;
	}
	child_fail(status, STEP_EXEC, error);
}

/* The interpreter of a script opens it by its name, /proc/self/fd/N, so that descriptor stays open
 * for it. It does for nothing else. */
static void
child_exec_copy(const struct spawn *l, int copy, int status)
{
	char name[] = "/proc/self/fd/?", head[2] = "";

	if (copy != CHILD_COPY_FD)
		copy = dup3(copy, CHILD_COPY_FD, O_CLOEXEC);
	if (copy < 0)
		child_fail(status, STEP_COPY, errno);
	name[sizeof(name) - 2] = '0' + CHILD_COPY_FD;
	if (pread(copy, head, sizeof(head), 0) == (ssize_t)sizeof(head) && head[0] == '#' &&
	    head[1] == '!')
		(void)fcntl(copy, F_SETFD, 0);
	execve(name, l->argv, l->envp);
	if (errno == ENOENT && access(name, F_OK) != 0) /* no /proc: enough for a program */
		syscall(SYS_execveat, copy, "", l->argv, l->envp, AT_EMPTY_PATH);
	child_fail(status, errno == ENOENT ? STEP_INTERPRETER : STEP_EXEC, errno);
}

/* Tries each candidate as execvp does, but never falls back to a shell for a file without an
 * interpreter line: that would run something other than what was declared. */
static void
child_exec(const struct spawn *l, int copy, int status)
{
	int error = ENOENT;

	if (copy >= 0)
		child_exec_copy(l, copy, status);
	for (size_t i = 0; l->candidates[i] != NULL; i++) {
		const char *file = l->candidates[i];
		bool there = access(file, F_OK) == 0;

		execve(file, l->argv, l->envp);
		if (errno == ENOENT && there)
			child_fail(status, STEP_INTERPRETER, errno);
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			child_fail(status, STEP_EXEC, errno);
		if (errno == EACCES)
			error = EACCES;
	}
	child_fail(status, STEP_EXEC, error);
}

struct start {
	const struct spawn *l;
	pid_t keeper;
	int out, err, status;
};

static void
child_none(int error, void *arg)
{
	const struct start *s = arg;
	struct step_report r = {STEP_SETUP, error};

	if (write(s->status, &r, sizeof(r)) < 0)
		return; /* then it is told that it was ended */
}

static void
child_main(void *arg)
{
	const struct start *s = arg;
	const struct spawn *l = s->l;
	int status = s->status, copy;

	child_reset_signals();
	if (setsid() < 0)
		child_fail(status, STEP_SETUP, errno);
	status = child_descriptors(s->out, s->err, status);
	(void)umask(022);
	if (chdir("/") != 0)
		child_fail(status, STEP_SETUP, errno);
	child_become_user(l, status);
	/* The change of user clears this, so it comes after it. The parent may be gone already. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		child_fail(status, STEP_SETUP, errno);
	if (getppid() != s->keeper)
		_exit(126);
	copy = child_check(l, status);
	/* Last: a user with more processes than he may have could not even exec. */
	if (!limits_apply(&l->limits))
		child_fail(status, STEP_SETUP, errno);
	child_exec(l, copy, status);
}

/* What follows runs in the parent again. */

static bool
make_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) != 0) {
		fds[0] = fds[1] = -1;
		return false;
	}
	/* Only our end: a plugin does not expect EAGAIN. */
	return fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0;
}

static void
close_pair(const int fds[2])
{
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
}

/* Blocks every signal first: one that came between fork and the reset would run our handler in the
 * child, which shares the loop's wake-up pipe with us. */
static pid_t
fork_keeper(struct start *start, int control)
{
	const struct subreaper k = {
	    .control = control,
	    .kept = {start->out, start->err, start->status},
	    .start = child_main,
	    .failed = child_none,
	    .arg = start,
	};
	sigset_t all, before;
	pid_t pid;
	int error;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		start->keeper = getpid();
		subreaper_run(&k);
	}
	error = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

bool
spawn_start(const struct spawn *l, struct spawned *child, int *error, char text[SPAWN_ERROR_SIZE])
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, status[2] = {-1, -1}, control[2] = {-1, -1};
	struct start start = {.l = l};
	pid_t pid;
	int pidfd;

	if (l->unusable != NULL) {
		*error = l->unusable_error;
		snprintf(text, SPAWN_ERROR_SIZE, "%s", l->unusable);
		return false;
	}
	if (!make_pipe(out) || !make_pipe(err) || !make_pipe(status) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0)
		goto failed;
	start.out = out[1];
	start.err = err[1];
	start.status = status[1];
	pid = fork_keeper(&start, control[1]);
	if (pid < 0)
		goto failed;
	pidfd = pidfd_open(pid, 0); /* close-on-exec by definition */
	if (pidfd < 0) {
		*error = errno;
		close(control[0]); /* it ends then */
		control[0] = -1;
		waitpid(pid, NULL, 0);
		errno = *error;
		goto failed;
	}
	close(out[1]);
	close(err[1]);
	close(status[1]);
	close(control[1]);
	*child = (struct spawned){pid, pidfd, control[0], out[0], err[0], status[0]};
	return true;
failed:
	*error = errno;
	snprintf(text, SPAWN_ERROR_SIZE, "cannot start a process: %s", strerror(*error));
	close_pair(out);
	close_pair(err);
	close_pair(status);
	close_pair(control);
	return false;
}

bool
spawn_failure(const struct spawn *l, int status_fd, int *error, char text[SPAWN_ERROR_SIZE])
{
	struct step_report r;
	const char *reason;

	if (read(status_fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		return false;
	*error = r.error;
	reason = strerror(r.error);
	switch ((enum step)r.step) {
	case STEP_SETUP:
		snprintf(
		    text, SPAWN_ERROR_SIZE, "cannot prepare to run \"%s\": %s", l->argv[0], reason);
		break;
	case STEP_USER:
		snprintf(text, SPAWN_ERROR_SIZE, "cannot become the user that \"%s\" runs as: %s",
		    l->argv[0], reason);
		break;
	case STEP_READ:
		snprintf(text, SPAWN_ERROR_SIZE, "cannot read \"%s\" to check its sha256: %s",
		    l->argv[0], reason);
		break;
	case STEP_COPY:
		snprintf(text, SPAWN_ERROR_SIZE,
		    "cannot make the copy of \"%s\" that is checked by its sha256 and executed: %s",
		    l->argv[0], reason);
		break;
	case STEP_DIGEST:
		snprintf(text, SPAWN_ERROR_SIZE,
		    "will not run \"%s\": the file's sha256 is not the declared one", l->argv[0]);
		break;
	case STEP_INTERPRETER:
		snprintf(text, SPAWN_ERROR_SIZE,
		    "cannot run \"%s\": the interpreter that its first line names is missing",
		    l->argv[0]);
		break;
	case STEP_EXEC:
		snprintf(text, SPAWN_ERROR_SIZE, "cannot run \"%s\": %s", l->argv[0], reason);
		break;
	}
	return true;
}
