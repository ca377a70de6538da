/* SPDX-License-Identifier: Apache-2.0 */
/* These are what requests are sent with, and what an answer is: values, without any I/O. */
#ifndef VOGELER_HTTP_MESSAGE_H
#define VOGELER_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A login is tried four times at most in those 300 s. */
#define HTTP_LOGIN_WAIT_MS 75000

struct tls_options;
struct uri_place;

struct http_options {
	const char *user, *password; /* copied; NULL = none */
	/* These are for https://; both copied. The one host that all URLs are of; NULL = no
	 * https. */
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
	const char *cure;  /* what to do about it; NULL: it says no more than that */
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

/* Is it CouchDB's word that the user is locked after failed logins? A 403 that passes. */
static inline bool
http_says_locked(const struct http_response *r)
{
	return r->status == 403 && strstr(r->body, "temporarily locked") != NULL;
}

#endif
