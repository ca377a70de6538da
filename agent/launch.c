/* See launch.h. */
#include "agent/launch.h"

#include "agent/limits.h"
#include "shared/log.h"
#include "shared/plugin.h"
#include "shared/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX 256

struct launch {
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

/* What the child was doing when it failed. */
enum step { STEP_SETUP, STEP_USER, STEP_READ, STEP_DIGEST, STEP_INTERPRETER, STEP_EXEC };

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
build_env(const struct plugin *p, const char *home)
{
	size_t n = count_strings(p->env);
	char **env = xcalloc(n + 4, sizeof(*env));

	for (size_t i = 0; i < n; i++)
		env[i] = xstrdup(p->env[i]);
	env_default(env, &n, "PATH", LAUNCH_PATH);
	env_default(env, &n, "LANG", "C.UTF-8");
	env_default(env, &n, "HOME", home);
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
set_unusable(struct launch *l, int error, const char *what, const char *name)
{
	l->unusable_error = error;
	xasprintf(&l->unusable, "%s \"%s\"", what, name);
}

/* Returns the home directory; malloced. */
static char *
resolve_user(struct launch *l, const char *user)
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

struct launch *
launch_create(const struct plugin *p, const struct limits *limits)
{
	struct launch *l = xcalloc(1, sizeof(*l));
	char *home = resolve_user(l, p->user);

	l->limits = *limits;
	if (limits->processes != RLIM_INFINITY && (l->switch_user ? l->uid : geteuid()) == 0)
		log_warn("launch",
		    "%s: root may have any number of processes, so its "
		    "max_processes does nothing; give it a user",
		    p->name);
	l->argv = copy_strings(p->argv);
	l->envp = build_env(p, home);
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
launch_destroy(struct launch *l)
{
	if (l == NULL)
		return;
	free_strings(l->argv);
	free_strings(l->envp);
	free_strings(l->candidates);
	free(l->unusable);
	free(l);
}

/* From here to exec_program: in the child, async-signal-safe calls only. */

static void __attribute__((noreturn)) child_fail(int status_fd, enum step step, int error)
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

	if (status != 3 && dup3(status, 3, O_CLOEXEC) < 0)
		child_fail(status, STEP_SETUP, errno);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		child_fail(3, STEP_SETUP, errno);
	if (close_range(4, ~0U, 0) != 0)
		child_fail(3, STEP_SETUP, errno);
	return 3;
}

static void
child_become_user(const struct launch *l, int status)
{
	if (!l->switch_user)
		return;
	if (setgroups((size_t)l->n_groups, l->groups) != 0 ||
	    setresgid(l->gid, l->gid, l->gid) != 0 || setresuid(l->uid, l->uid, l->uid) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		child_fail(status, STEP_USER, errno);
}

/* The digest is checked here and not in the agent, so that reading a large file holds up nobody. */
static void
child_check_digest(const struct launch *l, const char *file, int status)
{
	crypto_hash_sha256_state state;
	unsigned char digest[crypto_hash_sha256_BYTES];
	unsigned char block[16384];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		child_fail(status, STEP_READ, errno);
	crypto_hash_sha256_init(&state);
	for (n = read(fd, block, sizeof(block)); n > 0; n = read(fd, block, sizeof(block)))
		crypto_hash_sha256_update(&state, block, (unsigned long long)n);
	if (n < 0)
		child_fail(status, STEP_READ, errno);
	crypto_hash_sha256_final(&state, digest);
	if (memcmp(digest, l->digest, sizeof(digest)) != 0)
		child_fail(status, STEP_DIGEST, EPERM);
	close(fd);
}

/* Tries each candidate as execvp does, but never falls back to a shell for a file without an
 * interpreter line: that would run something other than what was declared. */
static void __attribute__((noreturn)) child_exec(const struct launch *l, int status)
{
	int error = ENOENT;

	for (size_t i = 0; l->candidates[i] != NULL; i++) {
		const char *file = l->candidates[i];
		bool there = access(file, F_OK) == 0;

		if (there && l->check_digest)
			child_check_digest(l, file, status);
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

static void __attribute__((noreturn))
child_main(const struct launch *l, pid_t parent, int out, int err, int status)
{
	child_reset_signals();
	if (setsid() < 0)
		child_fail(status, STEP_SETUP, errno);
	status = child_descriptors(out, err, status);
	(void)umask(022);
	if (chdir("/") != 0)
		child_fail(status, STEP_SETUP, errno);
	child_become_user(l, status);
	/* After the change of user, which clears it. The parent may be gone already. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		child_fail(status, STEP_SETUP, errno);
	if (getppid() != parent)
		_exit(126);
	/* Last: a user with more processes than he may have could not even exec. */
	if (!limits_apply(&l->limits))
		child_fail(status, STEP_SETUP, errno);
	child_exec(l, status);
}

/* In the parent again. */

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

/* With every signal blocked: one that came between fork and the reset would run our handler in the
 * child, which shares the loop's wake-up pipe with us. */
static pid_t
fork_child(const struct launch *l, int out, int err, int status)
{
	sigset_t all, before;
	pid_t parent = getpid(), pid;
	int error;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_main(l, parent, out, err, status);
	error = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

bool
launch_start(
    const struct launch *l, struct launched *child, int *error, char text[LAUNCH_ERROR_SIZE])
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, status[2] = {-1, -1};
	pid_t pid;
	int pidfd;

	if (l->unusable != NULL) {
		*error = l->unusable_error;
		snprintf(text, LAUNCH_ERROR_SIZE, "%s", l->unusable);
		return false;
	}
	if (!make_pipe(out) || !make_pipe(err) || !make_pipe(status))
		goto failed;
	pid = fork_child(l, out[1], err[1], status[1]);
	if (pid < 0)
		goto failed;
	pidfd = pidfd_open(pid, 0); /* close-on-exec by definition */
	if (pidfd < 0) {
		*error = errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		errno = *error;
		goto failed;
	}
	close(out[1]);
	close(err[1]);
	close(status[1]);
	*child = (struct launched){pid, pidfd, out[0], err[0], status[0]};
	return true;
failed:
	*error = errno;
	snprintf(text, LAUNCH_ERROR_SIZE, "cannot start a process: %s", strerror(*error));
	close_pair(out);
	close_pair(err);
	close_pair(status);
	return false;
}

bool
launch_failure(const struct launch *l, int status_fd, int *error, char text[LAUNCH_ERROR_SIZE])
{
	struct step_report r;
	const char *reason;

	if (read(status_fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		return false;
	*error = r.error;
	reason = strerror(r.error);
	switch ((enum step)r.step) {
	case STEP_SETUP:
		snprintf(text, LAUNCH_ERROR_SIZE, "cannot prepare to run \"%s\": %s", l->argv[0],
		    reason);
		break;
	case STEP_USER:
		snprintf(text, LAUNCH_ERROR_SIZE, "cannot become the user that \"%s\" runs as: %s",
		    l->argv[0], reason);
		break;
	case STEP_READ:
		snprintf(text, LAUNCH_ERROR_SIZE, "cannot read \"%s\" to check its sha256: %s",
		    l->argv[0], reason);
		break;
	case STEP_DIGEST:
		snprintf(text, LAUNCH_ERROR_SIZE,
		    "will not run \"%s\": the file's sha256 is not the declared one", l->argv[0]);
		break;
	case STEP_INTERPRETER:
		snprintf(text, LAUNCH_ERROR_SIZE,
		    "cannot run \"%s\": the interpreter that its first line names is missing",
		    l->argv[0]);
		break;
	case STEP_EXEC:
		snprintf(text, LAUNCH_ERROR_SIZE, "cannot run \"%s\": %s", l->argv[0], reason);
		break;
	}
	return true;
}
