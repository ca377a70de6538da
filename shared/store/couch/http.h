/* SPDX-License-Identifier: Apache-2.0 */
/* curl's multi interface on the loop (its socket API): many requests at once on kept-alive
 * connections.
 *
 * A server that counts failed logins (CouchDB from 3.4 on: 5 within 300 s lock the user for the
 * address they come from) must not be asked again and again with a login that it has refused. After
 * a 401, or after its word that the user is locked, nothing is sent until http_set_login(), or for
 * HTTP_LOGIN_WAIT_MS: whatever is asked meanwhile is answered here, as refused. And until a login
 * is known to be good one request at a time goes out with it. */
#ifndef VOGELER_HTTP_H
#define VOGELER_HTTP_H

#include "shared/store/couch/http_message.h"
#include <stddef.h>

struct http;
struct loop;

typedef void http_fn(const struct http_response *r, void *arg);

struct http *http_create(struct loop *loop, const struct http_options *opt);
void http_destroy(struct http *h); /* no callback for what is in flight */
/* Sets the login of requests that begin from now on, which are sent. Copied; NULL = none. */
void http_set_login(struct http *h, const char *user, const char *password);
/* method "GET", "PUT", ...; url borrowed; takes ownership of the malloced body (NULL = none, sent
 * as application/json). */
void http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg);
size_t http_in_flight(const struct http *h); /* for tests */

#endif
