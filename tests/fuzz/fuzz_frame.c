/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a hostile peer into the codec: never past the input, never stuck, and what it decodes
 * can be copied. The first byte says in what pieces the rest arrives. */
#include "tests/fuzz/fuzz.h"

#include "shared/amqp/frame.h"
#include "shared/amqp/message.h"

#include <stdlib.h>

static void
use(struct frame_codec *c, const struct frame *f)
{
	struct message m;

	if (f->kind == FRAME_METHOD && f->method == AMQP_CONNECTION_TUNE_METHOD) {
		const amqp_connection_tune_t *tune = f->decoded;

		if (!frame_tune(c, tune->frame_max))
			return;
	}
	if (f->kind == FRAME_HEADER) {
		message_init(&m);
		frame_to_message(f->props, &m);
		message_finish(&m);
	}
	if (f->kind == FRAME_BODY)
		free(frame_strdup(f->body));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_codec *c = frame_codec_create();
	size_t piece = size > 0 && data[0] > 0 ? data[0] : SIZE_MAX;
	enum frame_result res = FRAME_MORE;

	for (size_t at = 1; at < size && res != FRAME_BAD;) {
		size_t n = size - at < piece ? size - at : piece, used;
		struct frame f;

		res = frame_decode(c, data + at, n, &used, &f);
		if (used > n || (res == FRAME_MORE && used != n))
			abort();
		at += used;
		if (res == FRAME_GOT) {
			use(c, &f);
			frame_release(c);
		}
	}
	frame_codec_destroy(c);
	return 0;
}
