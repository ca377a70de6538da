/* SPDX-License-Identifier: Apache-2.0 */
/* See options_broker.h. */
#include "shared/config/options_broker.h"

#include "shared/config/options.h"

void
options_broker(const struct options *o, const char *program, const char *role,
    const struct uri *uris, size_t n_uris, struct broker_options *out)
{
	broker_options_default(out);
	out->program = program;
	out->role = role;
	out->uris = uris;
	out->n_uris = n_uris;
	out->tls = &o->amqp_tls;
	out->connect_timeout_ms = o->connect_timeout_ms;
}
