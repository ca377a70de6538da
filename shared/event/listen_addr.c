/* SPDX-License-Identifier: Apache-2.0 */
/* See listen_addr.h. */
#include "shared/event/listen_addr.h"

#include "shared/base/units.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535

static void
set_ip4(struct listen_addr *out, const struct in_addr *ip, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *ip};

	memcpy(&out->addr, &sin, sizeof(sin));
	out->len = sizeof(sin);
}

static void
set_ip6(struct listen_addr *out, const struct in6_addr *ip, uint16_t port)
{
	struct sockaddr_in6 sin6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};

	memcpy(&out->addr, &sin6, sizeof(sin6));
	out->len = sizeof(sin6);
}

bool
listen_addr_is_loopback(const struct listen_addr *a)
{
	struct sockaddr_in sin;
	struct sockaddr_in6 sin6;

	if (a->addr.ss_family == AF_INET) {
		memcpy(&sin, &a->addr, sizeof(sin));
		return ntohl(sin.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	memcpy(&sin6, &a->addr, sizeof(sin6));
	if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr))
		return sin6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&sin6.sin6_addr);
}

bool
listen_addr_parse(const char *text, struct listen_addr *out, char *err, size_t err_size)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - text);
	char host[INET6_ADDRSTRLEN];
	struct in6_addr ip6;
	struct in_addr ip4;
	uint64_t port;

	memset(out, 0, sizeof(*out));
	if (len > 0 && len < sizeof(host) && units_parse_count(colon + 1, PORT_MAX, &port) &&
	    port > 0) {
		memcpy(host, text, len);
		host[len] = '\0';
		if (inet_pton(AF_INET, host, &ip4) == 1)
			set_ip4(out, &ip4, (uint16_t)port);
		else if (host[0] == '[' && host[len - 1] == ']') {
			host[len - 1] = '\0';
			if (inet_pton(AF_INET6, host + 1, &ip6) == 1)
				set_ip6(out, &ip6, (uint16_t)port);
		}
	}
	if (out->len != 0)
		return true;
	snprintf(err, err_size,
	    "'%s' should be an address and a port, like 127.0.0.1:22010 or [::1]:22010, or auto, or none",
	    text);
	return false;
}
