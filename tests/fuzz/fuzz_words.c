/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a command line: words that are no longer than it, or a reason. */
#include "tests/fuzz/fuzz.h"

#include "shared/base/shellwords.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), err[128] = "";
	size_t n = 0, len = 0;
	char **words;

	if (text == NULL)
		return 0;
	words = shellwords_split(text, err, sizeof(err));
	if ((words == NULL) != (err[0] != '\0'))
		abort();
	for (; words != NULL && words[n] != NULL; n++)
		len += strlen(words[n]);
	if (len > strlen(text) || n > strlen(text))
		abort();
	shellwords_free(words);
	free(text);
	return 0;
}
