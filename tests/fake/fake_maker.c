/* See fake_maker.h. */
#include "tests/fake/fake_maker.h"

bool
maker_takes(const struct maker *mk, size_t bytes)
{
	return mk->makes;
}

void
maker_make(struct maker *mk, uint64_t id, struct response *r, struct buf *out)
{
	mk->made = (struct made){.id = id, .bytes = out->len, .r = *r};
	*r = (struct response){0};
	mk->out = *out;
	buf_init(out, 0);
}
