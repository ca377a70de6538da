/* An address to listen on, as the configuration writes it: "127.0.0.1:22010" or "[::1]:22010". No
 * names: what a name resolves to may change, and may not be this machine. */
#ifndef VOGELER_LISTEN_H
#define VOGELER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct listen_address {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* Whether only this machine can reach it. */
bool listen_is_loopback(const struct listen_address *a);
/* false: err says what would be right. */
bool listen_parse(const char *text, struct listen_address *out, char *err, size_t err_size);

#endif
