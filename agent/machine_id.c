/* SPDX-License-Identifier: Apache-2.0 */
/* See machine_id.h. */
#include "agent/machine_id.h"

#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_SIZE 33 /* 32 hexadecimal digits, as systemd makes them */

static char *
read_known(const char *path)
{
	char *id = sequence_read_id(path);

	if (id == NULL || strcmp(id, "uninitialized") != 0)
		return id;
	free(id);
	return NULL;
}

/* false: errno. */
static bool
write_id(const char *path, const char *id)
{
	char *temporary = NULL, line[ID_SIZE + 1];
	int fd, error, len = snprintf(line, sizeof(line), "%s\n", id);
	bool ok;

	xasprintf(&temporary, "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0 && write(fd, line, (size_t)len) == len && fsync(fd) == 0;
	error = errno;
	if (fd >= 0 && close(fd) != 0 && ok) {
		ok = false;
		error = errno;
	}
	if (ok && rename(temporary, path) != 0) {
		ok = false;
		error = errno;
	}
	free(temporary);
	errno = error;
	return ok;
}

static char *
make(const char *path)
{
	char id[ID_SIZE];

	snprintf(id, sizeof(id), "%08x%08x%08x%08x", ident_random32(), ident_random32(),
	    ident_random32(), ident_random32());
	if (!write_id(path, id)) {
		log_warn("agent", "no machine id: cannot write %s: %s", path, strerror(errno));
		return NULL;
	}
	log_info("agent", "this system has no machine id; made one, %s", path);
	return xstrdup(id);
}

char *
machine_id(const char *system_path, const char *state_dir)
{
	char *path = NULL, *id = read_known(system_path);

	if (id != NULL)
		return id;
	xasprintf(&path, "%s/%s", state_dir, MACHINE_ID_FILE);
	id = read_known(path);
	if (id == NULL)
		id = make(path);
	free(path);
	return id;
}
