/* SPDX-License-Identifier: Apache-2.0 */
/* This says which node requests go to, and with which login: http.c keeps it beside its requests.
 * No I/O; the caller says what the time is.
 *
 * Nodes: the first is the URLs' own, the others are asked in turn, each as soon as one cannot be
 * reached or breaks off. A login is untried until a server has answered to it, and one request at a
 * time goes out; refused it is kept back for wait_ms, or until another is set (http.h says why). */
#ifndef VOGELER_HTTP_ACCESS_H
#define VOGELER_HTTP_ACCESS_H

#include "shared/base/mono.h"
#include "shared/store/couch/http_message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct curl_slist;

struct http_place {
	char *host;
	struct curl_slist *connect_to; /* for CURLOPT_CONNECT_TO; NULL of the first */
};

enum http_login {
	HTTP_LOGIN_UNTRIED,
	HTTP_LOGIN_GOOD,
	HTTP_LOGIN_REFUSED,
};

struct http_access { /* all owned; only http_access.c writes it */
	struct http_place *places;
	size_t n_places, place; /* where requests go at present */

	char *user, *password; /* NULL = none */
	unsigned int login;    /* counts up with each that is set */
	enum http_login state;
	struct mono until; /* REFUSED: nothing is sent before */
	long status;       /* of the refusal */
	char said[1024];   /* what the answer said, as far as it goes */
	uint32_t wait_ms;
};

void http_access_init(struct http_access *a, const struct http_options *opt); /* copies */
void http_access_finish(struct http_access *a);
void http_access_set_login(struct http_access *a, const char *user, const char *password);

/* Is everything to be answered with http_access_refusal()? */
bool http_access_is_held_back(const struct http_access *a, struct mono now);
/* Borrows a. */
struct http_response http_access_refusal(const struct http_access *a);
/* Returns how many requests may be out when it is not held back; what was held back is untried
 * again. */
uint32_t http_access_at_once(struct http_access *a, uint32_t max);
/* Notes an answer to a request that was sent with the login of that number. */
void http_access_note(
    struct http_access *a, unsigned int login, const struct http_response *resp, struct mono now);

/* A request to that place has failed. The others of a crowd that fails together find it moved on
 * already. */
void http_access_move_on(struct http_access *a, size_t place, const char *why);

#endif
