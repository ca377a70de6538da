/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as YAML: a value within the limits, or a reason. What comes out can be written. */
#include "tests/fuzz/fuzz.h"

#include "daemon/read/yamlx.h"
#include "shared/base/buf.h"

#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jsonx_note note = {0};
	char err[128] = "";
	struct buf text;
	json_t *value = yamlx_parse((const char *)data, size, NULL, &note, err, sizeof(err));

	if (value == NULL) {
		if (err[0] == '\0')
			abort();
		return 0;
	}
	buf_init(&text, 32 * yamlx_limits_default.bytes);
	if (!jsonx_write(&text, value))
		abort();
	buf_finish(&text);
	json_decref(value);
	return 0;
}
