/* SPDX-License-Identifier: Apache-2.0 */
/* Every connection to a broker takes this from the configuration. */
#ifndef VOGELER_OPTIONS_BROKER_H
#define VOGELER_OPTIONS_BROKER_H

#include "shared/amqp/broker.h"
#include <stddef.h>

struct options;
struct uri;

/* The defaults, but for who connects, to where, by which TLS, and for how long it is tried. Borrows
 * all until broker_create(). */
void options_broker(const struct options *o, const char *program, const char *role,
    const struct uri *uris, size_t n_uris, struct broker_options *out);

#endif
