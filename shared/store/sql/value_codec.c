/* SPDX-License-Identifier: Apache-2.0 */
/* See value_codec.h. The frames of zstd have neither the size of the text nor a checksum: both are
 * in the row beside them, the hash being that of the text. */
#include "shared/store/sql/value_codec.h"

#include "shared/base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LEVEL          3
#define COMPRESS_ABOVE 96 /* bytes: below, a frame is hardly shorter than the text */
#define LONG_PREFIX    ((size_t)256 * 1024)
#define ROOM_KEPT      ((size_t)1024 * 1024)
#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 27 /* what a decoder takes unless it is told otherwise */

struct value_coder {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	char *out; /* of the latest value_encode() */
	size_t room;
};

struct value_coder *
value_coder_create(void)
{
	struct value_coder *c = xcalloc(1, sizeof(*c));

	c->compress = ZSTD_createCCtx();
	c->decompress = ZSTD_createDCtx();
	if (c->compress == NULL || c->decompress == NULL)
		xalloc_fail(0);
	ZSTD_CCtx_setParameter(c->compress, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(c->compress, ZSTD_c_contentSizeFlag, 0);
	ZSTD_DCtx_setParameter(c->decompress, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return c;
}

void
value_coder_destroy(struct value_coder *c)
{
	if (c == NULL)
		return;
	ZSTD_freeCCtx(c->compress);
	ZSTD_freeDCtx(c->decompress);
	free(c->out);
	free(c);
}

static bool
make_room(struct value_coder *c, size_t room)
{
	char *out;

	if (room <= c->room)
		return true;
	out = realloc(c->out, room);
	if (out == NULL)
		return false;
	c->out = out;
	c->room = room;
	return true;
}

/* The window has to reach back over the whole prefix. */
static int
window_log(size_t bytes)
{
	int log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && ((size_t)1 << log) < bytes)
		log++;
	return log;
}

bool
value_encode(struct value_coder *c, const char *text, size_t len, const char *key, size_t key_len,
    struct value_coded *out)
{
	size_t n;

	*out = (struct value_coded){VALUE_CODEC_TEXT, text, len};
	if (len <= COMPRESS_ABOVE)
		return true;
	if (!make_room(c, ZSTD_compressBound(len)))
		return false;
	ZSTD_CCtx_setParameter(
	    c->compress, ZSTD_c_windowLog, window_log(len + (key != NULL ? key_len : 0)));
	/* From 1.5.6 on, zstd loads only the end of a longer prefix into the tables of its level.
	 */
	ZSTD_CCtx_setParameter(
	    c->compress, ZSTD_c_enableLongDistanceMatching, key_len > LONG_PREFIX);
	if (key != NULL) /* holds for one frame */
		ZSTD_CCtx_refPrefix(c->compress, key, key_len);
	n = ZSTD_compress2(c->compress, c->out, c->room, text, len);
	if (ZSTD_isError(n)) {
		ZSTD_CCtx_reset(c->compress, ZSTD_reset_session_only);
		return false;
	}
	if (n < len)
		*out = (struct value_coded){
		    key != NULL ? VALUE_CODEC_DELTA : VALUE_CODEC_ZSTD, c->out, n};
	return true;
}

void
value_coder_trim(struct value_coder *c)
{
	if (c->room <= ROOM_KEPT)
		return;
	free(c->out);
	c->out = NULL;
	c->room = 0;
}

enum value_decoded
value_decode(struct value_coder *c, int64_t codec, const char *data, size_t len, uint64_t bytes,
    const char *key, size_t key_len, char **text)
{
	size_t n;

	*text = NULL;
	if (bytes > VALUE_CODEC_MAX || (codec == VALUE_CODEC_DELTA) != (key != NULL) ||
	    (codec == VALUE_CODEC_TEXT && len != bytes) || codec < VALUE_CODEC_TEXT ||
	    codec > VALUE_CODEC_DELTA)
		return VALUE_DAMAGED;
	*text = malloc((size_t)bytes + 1);
	if (*text == NULL)
		return VALUE_NO_MEMORY;
	(*text)[bytes] = '\0';
	if (codec == VALUE_CODEC_TEXT) {
		memcpy(*text, data, len);
		return VALUE_DECODED;
	}
	if (key != NULL)
		ZSTD_DCtx_refPrefix(c->decompress, key, key_len);
	n = ZSTD_decompressDCtx(c->decompress, *text, (size_t)bytes, data, len);
	if (n == bytes)
		return VALUE_DECODED;
	ZSTD_DCtx_reset(c->decompress, ZSTD_reset_session_only);
	free(*text);
	*text = NULL;
	return VALUE_DAMAGED;
}

bool
value_wants_key(uint64_t since_key, uint64_t delta, uint64_t key_stored)
{
	return since_key + delta >= key_stored;
}
