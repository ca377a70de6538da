/* SPDX-License-Identifier: Apache-2.0 */
/* See packed.h. */
#include "daemon/packed.h"

#include "shared/amqp/broker.h"
#include "shared/store/couch/pack.h"

#include <stdlib.h>

void
packed_close(struct pack *p, struct delivery *d)
{
	struct message *m = &d->message;
	size_t len = m->body_len, packed_len;
	void *packed;

	if (d->packed_from != 0 || m->body == NULL)
		return;
	packed = pack_text(p, m->body, len, &packed_len);
	if (packed == NULL)
		return;
	message_set_body(m, packed, packed_len);
	d->packed_from = len;
}

bool
packed_open(struct pack *p, const struct delivery *d, struct message *m)
{
	*m = d->message;
	if (d->packed_from == 0)
		return true;
	m->body = pack_open(p, d->message.body, d->message.body_len, d->packed_from);
	m->body_len = d->packed_from;
	return m->body != NULL;
}

void
packed_done(const struct delivery *d, struct message *m)
{
	if (d->packed_from != 0)
		free(m->body);
	m->body = NULL;
}

bool
packed_cut(struct pack *p, struct delivery *d, size_t len)
{
	struct message whole;

	if (d->packed_from != 0) {
		if (!packed_open(p, d, &whole))
			return false;
		message_set_body(&d->message, whole.body, whole.body_len);
		d->packed_from = 0;
	}
	if (d->message.body_len > len) {
		d->message.body_len = len;
		d->message.body[len] = '\0';
	}
	return true;
}
