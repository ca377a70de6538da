/* SPDX-License-Identifier: Apache-2.0 */
/* See ask.h. */
#include "shared/base/ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

static enum ask_answer
read_answer(void)
{
	char line[64];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0) { /* Ctrl-D leaves the cursor behind the question */
		fputc('\n', stderr);
		return ASK_NO;
	}
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0 ? ASK_YES : ASK_NO;
}

/* A signal comes first: who has typed "y" and then Ctrl-C has changed his mind. */
static enum ask_answer
wait_for_answer(int signals, int *signo)
{
	struct pollfd fds[] = {
	    {.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo info;

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return ASK_NO;
	}
	if (fds[1].revents == 0)
		return read_answer();
	if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return ASK_NO;
	*signo = (int)info.ssi_signo;
	fputc('\n', stderr);
	return ASK_INTERRUPTED;
}

enum ask_answer
ask_yes_no(const char *question, int *signo)
{
	enum ask_answer answer = ASK_NO;
	sigset_t ends, before;
	int signals;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &before);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	fprintf(stderr, "%s [y/N] ", question);
	if (signals >= 0) {
		answer = wait_for_answer(signals, signo);
		close(signals);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return answer;
}
