/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of a folder, once: what libFuzzer does with -runs=0, for
 * compilers that have none. Fails when there is not one. */
#include "tests/fuzz/fuzz.h"

#include "shared/base/buf.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX_BYTES (16 * 1024 * 1024)

static bool
run_file(const char *path)
{
	struct buf b;
	int err;
	bool ok;

	buf_init(&b, INPUT_MAX_BYTES);
	ok = buf_read_file(&b, path, &err);
	if (ok)
		LLVMFuzzerTestOneInput((const uint8_t *)b.data, b.len);
	else
		fprintf(stderr, "%s: %s\n", path, strerror(err));
	buf_finish(&b);
	return ok;
}

int
main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	const struct dirent *entry;
	unsigned int files = 0;

	if (dir == NULL) {
		fprintf(stderr, "usage: fuzz_NAME FOLDER\n");
		return 2;
	}
	for (entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (!run_file(path))
			return 1;
		files++;
	}
	closedir(dir);
	printf("%u inputs\n", files);
	return files > 0 ? 0 : 1;
}
