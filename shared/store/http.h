/* curl's multi interface on the loop (its socket API): many requests at once on kept-alive
 * connections. */
#ifndef VOGELER_HTTP_H
#define VOGELER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct loop;
struct tls_options;

struct http_options {
	const char *user, *password; /* copied; NULL = none */
	/* For https:// ; both copied. The one host that all URLs are of; NULL = no https. */
	const char *tls_host;
	const struct tls_options *tls;
	uint32_t max_connections;
	uint32_t timeout_ms;       /* for a whole request */
	size_t max_response_bytes; /* an answer over it fails */
};

struct http_response {
	long status;       /* 0: no answer; error says why */
	const char *error; /* one phrase, "connection refused"; NULL when status is set */
	bool never_sent;   /* status 0 and the request cannot have reached the server (refused, not
			      resolved) */
	bool too_large;    /* status 0: it was more than max_response_bytes */
	bool tls_failed;   /* status 0 because TLS could not be agreed on */
	const char *body;  /* borrowed during the call, NUL-terminated */
	size_t body_len;
	const char *content_type; /* or NULL */
	uint32_t retry_after_s;   /* 0 = not given */
};
typedef void http_fn(const struct http_response *r, void *arg);

struct http *http_create(struct loop *loop, const struct http_options *opt);
void http_destroy(struct http *h); /* no callback for what is in flight */
/* For the requests that begin from now on. Copied; NULL = none. */
void http_set_login(struct http *h, const char *user, const char *password);
/* method "GET", "PUT", ...; url borrowed; takes ownership of the malloced body (NULL = none, sent
 * as application/json). */
void http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg);
size_t http_in_flight(const struct http *h);

#endif
