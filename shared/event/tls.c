/* SPDX-License-Identifier: Apache-2.0 */
/* See tls.h. */
#include "shared/event/tls.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_MAX = 4 }; /* of a certificate, in a text */

void
tls_options_copy(struct tls_options *dst, const struct tls_options *src)
{
	static const struct tls_options none = {0};

	if (src == NULL)
		src = &none;
	dst->ca_file = xstrdup_null(src->ca_file);
	dst->cert_file = xstrdup_null(src->cert_file);
	dst->key_file = xstrdup_null(src->key_file);
}

void
tls_options_finish(struct tls_options *opt)
{
	free(opt->ca_file);
	free(opt->cert_file);
	free(opt->key_file);
	*opt = (struct tls_options){0};
}

/* --- what a certificate says --- */

/* Its bytes are a stranger's: what is not plain ASCII becomes '?'. */
static void
append_plain(char *out, size_t size, const unsigned char *text, int len)
{
	size_t at = strlen(out);

	for (int i = 0; i < len && at + 1 < size; i++)
		out[at++] = text[i] > ' ' && text[i] < 127 && text[i] != '"' ? (char)text[i]
			    : text[i] == ' '                                 ? ' '
									     : '?';
	out[at] = '\0';
}

static void
append_text(char *out, size_t size, const char *text)
{
	size_t at = strlen(out);

	snprintf(out + at, size - at, "%s", text);
}

static void
append_quoted(char *out, size_t size, const unsigned char *text, int len)
{
	append_text(out, size, "\"");
	append_plain(out, size, text, len);
	append_text(out, size, "\"");
}

/* The common name, or the last part of the name when there is none. */
static void
append_name(char *out, size_t size, const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	int last = X509_NAME_entry_count(name) - 1;
	const ASN1_STRING *s;

	if (at < 0 && last < 0) {
		append_text(out, size, "nobody");
		return;
	}
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at >= 0 ? at : last));
	append_quoted(out, size, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
}

static void
append_alt_name(char *out, size_t size, const GENERAL_NAME *name)
{
	char address[INET6_ADDRSTRLEN];
	const ASN1_STRING *ip;

	if (name->type == GEN_DNS) {
		append_quoted(out, size, ASN1_STRING_get0_data(name->d.dNSName),
		    ASN1_STRING_length(name->d.dNSName));
		return;
	}
	ip = name->d.iPAddress;
	if (inet_ntop(ASN1_STRING_length(ip) == 16 ? AF_INET6 : AF_INET, ASN1_STRING_get0_data(ip),
		address, sizeof(address)) != NULL)
		append_text(out, size, address);
}

static bool
is_host_name(const GENERAL_NAME *name)
{
	return name->type == GEN_DNS ||
	       (name->type == GEN_IPADD && (ASN1_STRING_length(name->d.iPAddress) == 4 ||
					       ASN1_STRING_length(name->d.iPAddress) == 16));
}

/* The hosts that it is for: its alternative names, else its common name (RFC 6125). */
static void
append_hosts(char *out, size_t size, const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int shown = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (!is_host_name(name))
			continue;
		if (shown == NAMES_MAX) {
			append_text(out, size, " and others");
			break;
		}
		append_text(out, size, shown > 0 ? ", " : "");
		append_alt_name(out, size, name);
		shown++;
	}
	GENERAL_NAMES_free(names);
	if (shown == 0)
		append_name(out, size, X509_get_subject_name(cert));
}

static void
append_time(char *out, size_t size, const ASN1_TIME *when)
{
	struct tm tm;
	size_t at = strlen(out);

	if (ASN1_TIME_to_tm(when, &tm) == 1)
		snprintf(out + at, size - at, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min);
}

/* --- the verdict --- */

/* Says where in a context the verdict is found. */
static int
verdict_index(void)
{
	static int index = -1; /* set once, by the one thread that does TLS */

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

/* "its certificate", or the CA's above it, by name. */
static void
append_whose(char *out, size_t size, const X509 *cert, int depth)
{
	if (depth == 0) {
		append_text(out, size, "its certificate");
		return;
	}
	append_text(out, size, "the certificate of its CA ");
	append_name(out, size, X509_get_subject_name(cert));
}

static const char *
say_unknown_ca(char *out, size_t size, const X509 *cert)
{
	append_text(out, size, "its certificate is signed by an unknown CA, ");
	append_name(out, size, X509_get_issuer_name(cert));
	return "put that CA's certificate into ca_file";
}

static const char *
say_wrong_name(char *out, size_t size, const X509 *cert, X509_VERIFY_PARAM *param)
{
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	char *ip = host == NULL ? X509_VERIFY_PARAM_get1_ip_asc(param) : NULL;

	append_text(out, size, "its certificate is for ");
	append_hosts(out, size, cert);
	append_text(out, size, " and not for ");
	append_text(out, size, host != NULL ? host : ip != NULL ? ip : "this host");
	OPENSSL_free(ip);
	return "use a name that it has in the URI";
}

/* Into out; returns the cure, NULL if there is none. */
static const char *
judge(char *out, size_t size, X509_STORE_CTX *store, const X509 *cert)
{
	int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		append_whose(out, size, cert, depth);
		append_text(out, size, " expired on ");
		append_time(out, size, X509_get0_notAfter(cert));
		return "renew it, or set the clock of this machine";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		append_whose(out, size, cert, depth);
		append_text(out, size, " is valid only from ");
		append_time(out, size, X509_get0_notBefore(cert));
		return "is the clock of this machine right?";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		append_text(out, size, "its certificate is self-signed and not trusted here");
		return "put it into ca_file if it is the right one";
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return say_unknown_ca(out, size, cert);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return say_wrong_name(out, size, cert, X509_STORE_CTX_get0_param(store));
	}
	append_whose(out, size, cert, depth);
	append_text(out, size, " was refused: ");
	append_text(out, size, X509_verify_cert_error_string(error));
	return NULL;
}

/* Keeps the first fault: OpenSSL ends the handshake there. */
static int
tls_on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_verdict *v = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), verdict_index());
	const X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (ok != 1 && cert != NULL) {
		char what[TLS_TEXT_MAX] = "";
		const char *cure = judge(what, sizeof(what), store, cert);

		trouble_set(&v->trouble, TROUBLE_OTHER, cure, "%s", what);
	}
	return ok;
}

static bool
is_address(const char *host)
{
	unsigned char address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

bool
tls_guard(SSL_CTX *ctx, const char *host, struct tls_verdict *v)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, tls_on_verify);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_ex_data(ctx, verdict_index(), v) == 1 &&
	       (is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
				 : X509_VERIFY_PARAM_set1_host(param, host, 0)) == 1;
}

/* --- the files --- */

/* OpenSSL's last word, and the queue emptied. */
static const char *
last_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return text != NULL ? text : "unknown error";
}

/* Asks the system about it, before OpenSSL reads it and says less. */
static bool
readable(const char *option, const char *path, bool *is_folder, char *err, size_t err_size)
{
	struct stat st;

	if (access(path, R_OK) != 0 || stat(path, &st) != 0) {
		snprintf(err, err_size, "%s: cannot read %s: %s", option, path, strerror(errno));
		return false;
	}
	*is_folder = S_ISDIR(st.st_mode);
	return true;
}

static bool
load_ca(SSL_CTX *ctx, const struct tls_options *opt, char *err, size_t err_size)
{
	bool is_folder;

	if (opt->ca_file == NULL)
		return SSL_CTX_set_default_verify_paths(ctx) == 1;
	if (!readable("ca_file", opt->ca_file, &is_folder, err, err_size))
		return false;
	if ((is_folder ? SSL_CTX_load_verify_dir(ctx, opt->ca_file)
		       : SSL_CTX_load_verify_file(ctx, opt->ca_file)) == 1)
		return true;
	snprintf(err, err_size, "ca_file: %s is no file of certificates in PEM: %s", opt->ca_file,
	    last_reason());
	return false;
}

/* Nobody is there to type a passphrase. */
static int
on_passphrase(char *out, int size, int writing, void *arg)
{
	return -1;
}

static bool
load_identity(SSL_CTX *ctx, const struct tls_options *opt, char *err, size_t err_size)
{
	const char *key = opt->key_file != NULL ? opt->key_file : opt->cert_file;
	const char *option = opt->key_file != NULL ? "key_file" : "cert_file";
	bool is_folder;

	if (opt->cert_file == NULL && opt->key_file == NULL)
		return true;
	if (opt->cert_file == NULL) {
		snprintf(err, err_size, "key_file without cert_file: which certificate is it for?");
		return false;
	}
	if (!readable("cert_file", opt->cert_file, &is_folder, err, err_size) ||
	    !readable(option, key, &is_folder, err, err_size))
		return false;
	SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, opt->cert_file) != 1) {
		snprintf(err, err_size, "cert_file: %s holds no certificate in PEM: %s",
		    opt->cert_file, last_reason());
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1)
		return true;
	snprintf(err, err_size,
	    "%s: %s holds no key in PEM (without passphrase) that belongs to the certificate in "
	    "%s: %s",
	    option, key, opt->cert_file, last_reason());
	return false;
}

static SSL_CTX *
context_create(const struct tls_options *opt, char *err, size_t err_size)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	snprintf(err, err_size, "TLS cannot be set up"); /* unless there is more to say */
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		return NULL;
	/* libevent's buffer may move what it is about to write. Never
	 * SSL_MODE_ENABLE_PARTIAL_WRITE: libevent 2.1 takes a partial write of one piece for the
	 * whole and goes on with the next. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (load_ca(ctx, opt, err, err_size) && load_identity(ctx, opt, err, err_size))
		return ctx;
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

bool
tls_check(const struct tls_options *opt, char *err, size_t err_size)
{
	SSL_CTX *ctx = context_create(opt, err, err_size);

	SSL_CTX_free(ctx);
	return ctx != NULL;
}

SSL *
tls_client_create(const struct tls_options *opt, const char *host, struct tls_verdict *v, char *err,
    size_t err_size)
{
	SSL_CTX *ctx = context_create(opt, err, err_size);
	SSL *ssl = NULL;

	v->trouble = (struct trouble){0};
	if (ctx == NULL)
		return NULL;
	if (tls_guard(ctx, host, v))
		ssl = SSL_new(ctx); /* which keeps ctx */
	SSL_CTX_free(ctx);
	/* RFC 6066 3: SNI is for names. */
	if (ssl != NULL && !is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1) {
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl == NULL)
		snprintf(err, err_size, "TLS cannot be set up: %s", last_reason());
	return ssl;
}

/* --- how a handshake ended --- */

/* NULL: no more is known of it than OpenSSL says. */
static const char *
reason_phrase(int reason, const char **cure)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_WRONG_SSL_VERSION:
		*cure = "let it offer TLS 1.2 or 1.3";
		return "its TLS is too old";
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_UNKNOWN_PROTOCOL:
		*cure = "is this the plain port?";
		return "it answered, but not in TLS";
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		*cure = "set cert_file and key_file";
		return "it wants a certificate of ours";
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		*cure = "does it want a certificate of ours (cert_file, key_file)?";
		return "it refused the handshake";
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return "it does not know the CA of our certificate (cert_file)";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "it says that our certificate (cert_file) has expired";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
		return "it says that our certificate (cert_file) was revoked";
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return "it refused our certificate (cert_file)";
	}
	return NULL;
}

/* What OpenSSL says of its own state or of the connection under it says nothing about the peer. A
 * peer that refuses us after TLS 1.3's handshake resets the connection; what is written on it again
 * is then called "bad write retry", or "protocol is shutdown". */
static bool
is_silent_on_peer(unsigned long code)
{
	/* libevent puts SSL_get_error()'s number among the codes; it is of no library. */
	if (ERR_SYSTEM_ERROR(code) || ERR_GET_LIB(code) == 0)
		return true;
	if ((ERR_GET_RFLAGS(code) & ERR_RFLAG_COMMON) != 0) /* "internal error", "SSL lib" */
		return ERR_GET_REASON(code) != ERR_R_MALLOC_FAILURE;
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return false;
	switch (ERR_GET_REASON(code)) {
	case SSL_R_BAD_LENGTH:
	case SSL_R_BAD_WRITE_RETRY:
	case SSL_R_BIO_NOT_SET:
	case SSL_R_CONNECTION_TYPE_NOT_SET:
	case SSL_R_LIBRARY_BUG:
	case SSL_R_PROTOCOL_IS_SHUTDOWN:
	case SSL_R_READ_BIO_NOT_SET:
	case SSL_R_SHUTDOWN_WHILE_IN_INIT:
	case SSL_R_SSL_HANDSHAKE_FAILURE:
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
	case SSL_R_UNINITIALIZED:
		return true;
	}
	return false;
}

bool
tls_explain(unsigned long code, const struct tls_verdict *v, struct trouble *t)
{
	const char *text = NULL, *cure = NULL;

	if (v->trouble.kind != TROUBLE_NONE) {
		*t = v->trouble;
		trouble_prefix(t, "TLS failed: ");
		return true;
	}
	if (is_silent_on_peer(code))
		return false;
	if (ERR_GET_LIB(code) == ERR_LIB_SSL)
		text = reason_phrase(ERR_GET_REASON(code), &cure);
	if (text == NULL)
		text = ERR_reason_error_string(code);
	trouble_set(
	    t, TROUBLE_OTHER, cure, "TLS failed: %s", text != NULL ? text : "unknown error");
	return true;
}

unsigned long
tls_code_in(const char *text)
{
	static const char mark[] = "error:";
	enum { DIGITS = 8 };

	for (const char *at = strstr(text, mark); at != NULL; at = strstr(at, mark)) {
		at += strlen(mark);
		if (strspn(at, "0123456789ABCDEFabcdef") == DIGITS && at[DIGITS] == ':')
			return strtoul(at, NULL, 16);
	}
	return 0;
}

/* INT64_MAX when there is none, or its time cannot be read. */
static int64_t
end_of(const X509 *certificate)
{
	struct tm tm;

	if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
		return INT64_MAX;
	return (int64_t)timegm(&tm) * 1000;
}

int64_t
tls_certificate_end(const struct ssl_st *ssl)
{
	int64_t theirs = end_of(SSL_get0_peer_certificate(ssl));
	int64_t ours = end_of(SSL_get_certificate(ssl));

	if (theirs == INT64_MAX)
		return 0;
	return ours < theirs ? ours : theirs;
}
