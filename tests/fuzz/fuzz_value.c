/* SPDX-License-Identifier: Apache-2.0 */
/* What a row of a value may hold when its disk is damaged: it is decoded to as many bytes as were
 * promised, or refused; and whatever is encoded comes back. */
#include "tests/fuzz/fuzz.h"

#include "shared/store/sql/value_codec.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_MAX 65536

static struct value_coder *coder;

static void
check_back(const char *text, size_t len, const char *key, size_t key_len)
{
	struct value_coded coded;
	char *back;

	if (!value_encode(coder, text, len, key, key_len, &coded))
		abort();
	if (value_decode(coder, coded.codec, coded.data, coded.len, len,
		coded.codec == VALUE_CODEC_DELTA ? key : NULL, key_len, &back) != VALUE_DECODED ||
	    memcmp(back, text, len) != 0)
		abort();
	free(back);
}

/* The first bytes say codec, size, and how many of the rest are the key value's. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data + 4;
	size_t key_len;
	char *text;

	if (size < 4)
		return 0;
	if (coder == NULL)
		coder = value_coder_create();
	size -= 4;
	key_len = data[3] * size / 256;
	if (value_decode(coder, data[0] % 4, rest + key_len, size - key_len,
		(data[1] << 8 | data[2]) % BYTES_MAX,
		data[0] % 4 == VALUE_CODEC_DELTA ? rest : NULL, key_len, &text) == VALUE_DECODED)
		free(text);
	else if (text != NULL)
		abort();
	check_back(rest + key_len, size - key_len, NULL, 0);
	check_back(rest + key_len, size - key_len, rest, key_len);
	return 0;
}
