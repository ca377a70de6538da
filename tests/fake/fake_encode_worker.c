/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_encode_worker.h. */
#include "tests/fake/fake_encode_worker.h"

bool
encode_worker_takes(const struct encode_worker *mk, size_t bytes)
{
	return mk->makes;
}

void
encode_worker_make(struct encode_worker *mk, uint64_t id, struct response *r, struct buf *out)
{
	mk->made = (struct made){.id = id, .bytes = out->len, .r = *r};
	*r = (struct response){0};
	mk->out = *out;
	buf_init(out, 0);
}
