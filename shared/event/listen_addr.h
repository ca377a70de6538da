/* SPDX-License-Identifier: Apache-2.0 */
/* An address to listen on, as the configuration writes it: "127.0.0.1:22010" or "[::1]:22010". No
 * names: what a name resolves to may change, and may not be this machine. */
#ifndef VOGELER_LISTEN_ADDR_H
#define VOGELER_LISTEN_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct listen_addr {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* Tells whether only this machine can reach it. */
bool listen_addr_is_loopback(const struct listen_addr *a);
/* false: err says what would be right. */
bool listen_addr_parse(const char *text, struct listen_addr *out, char *err, size_t err_size);

#endif
