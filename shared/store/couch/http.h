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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* At most four tries in those 300 s. */
#define HTTP_LOGIN_WAIT_MS 75000

struct http;
struct loop;
struct tls_options;
struct uri_place;

struct http_options {
	const char *user, *password; /* copied; NULL = none */
	/* For https:// ; both copied. The one host that all URLs are of; NULL = no https. */
	const char *tls_host;
	const struct tls_options *tls;
	/* More nodes of the cluster that the host of all URLs is of; copied. A request that cannot
	 * have reached one goes to the next, and so do all after it. */
	const struct uri_place *others;
	size_t n_others;
	uint32_t max_connections;
	uint32_t timeout_ms;       /* for a whole request */
	uint32_t login_wait_ms;    /* 0 = HTTP_LOGIN_WAIT_MS */
	size_t max_response_bytes; /* an answer over it fails */
};

struct http_response {
	long status;       /* 0: no answer; error says why */
	const char *error; /* one phrase, "connection refused"; NULL when status is set */
	bool never_sent;   /* status 0 and the request cannot have reached the server (refused, not
			      resolved) */
	bool too_large;    /* status 0: it was more than max_response_bytes */
	bool tls_failed;   /* status 0 because TLS could not be agreed on */
	long refused;      /* status 0: not sent, see above; the status of the refusal, and body is
			      what that said */
	const char *body;  /* borrowed during the call, NUL-terminated */
	size_t body_len;
	const char *content_type; /* or NULL */
	uint32_t retry_after_s;   /* 0 = not given */
};
typedef void http_fn(const struct http_response *r, void *arg);

struct http *http_create(struct loop *loop, const struct http_options *opt);
void http_destroy(struct http *h); /* no callback for what is in flight */
/* For the requests that begin from now on, and they are sent. Copied; NULL = none. */
void http_set_login(struct http *h, const char *user, const char *password);
/* method "GET", "PUT", ...; url borrowed; takes ownership of the malloced body (NULL = none, sent
 * as application/json). */
void http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg);
/* Is it CouchDB's word that the user is locked after failed logins? A 403 that passes. */
static inline bool
http_says_locked(const struct http_response *r)
{
	return r->status == 403 && strstr(r->body, "temporarily locked") != NULL;
}
size_t http_in_flight(const struct http *h);

#endif
