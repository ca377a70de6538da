/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a client, on OpenSSL: who is trusted, who we are, and why it failed in words that say what
 * to do. TLS 1.2 at least, the peer's certificate and name are always checked; there is no option
 * to do without. Nothing is set up before a connection asks for it. */
#ifndef VOGELER_TLS_H
#define VOGELER_TLS_H

#include "shared/base/trouble.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st; /* SSL_CTX */
struct ssl_st;     /* SSL */

struct tls_options {     /* paths; owned by the holder; NULL = not set */
	char *ca_file;   /* PEM file or hashed folder of the CAs trusted; NULL = the system's */
	char *cert_file; /* our certificate and its chain, PEM */
	char *key_file;  /* its key, PEM, without passphrase; NULL = it is in cert_file */
};
void tls_options_copy(struct tls_options *dst, const struct tls_options *src); /* NULL = none set */
void tls_options_finish(struct tls_options *opt);

/* Can these files be used? false: err names the option and the file and says what is wrong. */
bool tls_check(const struct tls_options *opt, char *err, size_t err_size)
    __attribute__((warn_unused_result));

#define TLS_TEXT_MAX 512

/* Why a certificate was refused; of kind NONE while none was. */
struct tls_verdict {
	struct trouble trouble;
};

/* A session with host (a name or an address) for one connection; the files are read anew, so that a
 * renewed certificate counts from the next connection on. v is borrowed until SSL_free(). NULL: err
 * as tls_check(). */
struct ssl_st *tls_client_create(const struct tls_options *opt, const char *host,
    struct tls_verdict *v, char *err, size_t err_size);
/* The checks of tls_client_create() put on a context that somebody else (curl) has made and given
 * its files. v is borrowed while ctx or a session of it is in use. */
bool tls_guard(struct ssl_ctx_st *ctx, const char *host, struct tls_verdict *v)
    __attribute__((warn_unused_result));

/* Explains an error code of OpenSSL's: "TLS failed: its certificate expired on ..."; takes from v
 * what it knows. false: code says nothing about the peer, which merely closed the connection, or
 * code is 0: t is as it was then. */
bool tls_explain(unsigned long code, const struct tls_verdict *v, struct trouble *t);

/* The code that a line of OpenSSL's in text tells of, "error:0A00010B:SSL routines:...". What is
 * around it is the caller's, and may have an "error:" of its own, as curl's has since 8.10
 * ("TLS connect error: error:0A000126:..."). 0: text has none. */
unsigned long tls_code_in(const char *text);

/* Wall ms at which the first of the two certificates of a connection ends, the peer's and ours; 0
 * before the peer has shown its own. */
int64_t tls_certificate_end(const struct ssl_st *ssl);

#endif
