/* SPDX-License-Identifier: Apache-2.0 */
/* A few pages over HTTP, for a person or a scraper on the same machine: evhttp with everything
 * bounded. GET only; a page is made anew for each request; one request a connection.
 *
 * Limits: 8 KiB of request line and headers, 1 KiB of body (which nobody reads), 16 connections (a
 * further one ends the oldest), and 10 s for each from its arrival to its end. It has no timer
 * while nobody is connected. While a connection cannot be accepted, as when descriptors are short,
 * it waits for a second, tries again, and says so once a minute. */
#ifndef VOGELER_HTTPD_H
#define VOGELER_HTTPD_H

#include "shared/base/buf.h"
#include <stddef.h>

struct httpd;
struct listen_addr;
struct loop;

#define HTTPD_HEADERS_MAX     8192
#define HTTPD_BODY_MAX        1024
#define HTTPD_PAGE_MAX        (256 * 1024)
#define HTTPD_CONNECTIONS_MAX 16
#define HTTPD_LIFE_MS         10000

struct httpd_page {
	const char *path; /* "/metrics" */
	const char *content_type;
	/* Writes the page and returns its status: 200, 503. out has HTTPD_PAGE_MAX bytes; what does
	 * not fit is a status 500. */
	int (*make)(struct buf *out, void *arg);
};

/* Borrows pages and arg until httpd_stop. NULL: errno says why it cannot listen there. */
struct httpd *httpd_start(struct loop *loop, const struct listen_addr *address,
    const struct httpd_page *pages, size_t n_pages, void *arg);
void httpd_stop(struct httpd *h); /* NULL is fine; not from inside a page */

#endif
