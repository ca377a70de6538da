/* SPDX-License-Identifier: Apache-2.0 */
/* A stream with TLS against a peer in a thread that does OpenSSL's blocking server side, with
 * certificates made here: what is accepted, and in which words the rest is refused. */
#include "shared/base/trouble.h"
#include "shared/event/tls.h"

#include "shared/event/loop.h"
#include "shared/event/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY = 24 * 3600, BULK = 5 * 1000 * 1000 };

static char dir[] = "/tmp/vogeler-tls-XXXXXX";

/* --- certificates --- */

struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

static struct identity ca, other_ca, good, client;

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(ext);
	assert_int_equal(1, X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
}

/* issuer NULL: self-signed. names: of subjectAltName, NULL = none. */
static struct identity
make(const struct identity *issuer, const char *cn, const char *names, long from, long to)
{
	static long serial = 1;
	struct identity id = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *name = X509_get_subject_name(id.cert);

	X509_set_version(id.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(id.cert, issuer == NULL ? name : X509_get_subject_name(issuer->cert));
	X509_gmtime_adj(X509_getm_notBefore(id.cert), from);
	X509_gmtime_adj(X509_getm_notAfter(id.cert), to);
	X509_set_pubkey(id.cert, id.key);
	if (names != NULL)
		add_extension(id.cert, NID_subject_alt_name, names);
	else if (issuer == NULL)
		add_extension(id.cert, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(id.cert, issuer == NULL ? id.key : issuer->key, EVP_sha256()) > 0);
	return id;
}

static void
identity_free(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
}

/* Static: used before the next two calls. */
static char *
in_dir(const char *name)
{
	static char paths[4][128];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", dir, name);
	return paths[turn];
}

static void
save(const char *name, const X509 *cert, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	if (cert != NULL)
		assert_int_equal(1, PEM_write_X509(f, cert));
	if (key != NULL)
		assert_int_equal(
		    1, PEM_write_PrivateKey(f, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL,
			   (const unsigned char *)passphrase,
			   passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL));
	fclose(f);
}

/* --- the peer --- */

enum peer_kind { PEER_TLS, PEER_PLAIN, PEER_HTTP, PEER_SILENT, PEER_CLOSES };

struct peer {
	enum peer_kind kind;
	struct identity id;
	int max_version;
	bool wants_certificate;
	int listener;
	uint16_t port;
	pthread_t thread;
	char sni[64];
	char subject[64]; /* of the client's certificate */
};

static void
echo(SSL *ssl)
{
	char buffer[16384];
	int n = SSL_read(ssl, buffer, sizeof(buffer));

	while (n > 0 && SSL_write(ssl, buffer, n) == n)
		n = SSL_read(ssl, buffer, sizeof(buffer));
}

static void
serve_tls(struct peer *p, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;
	X509 *cert;

	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0"); /* else there is no TLS 1.1 at all */
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, p->max_version);
	SSL_CTX_use_certificate(ctx, p->id.cert);
	SSL_CTX_use_PrivateKey(ctx, p->id.key);
	if (p->wants_certificate) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.cert);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		if (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL)
			snprintf(p->sni, sizeof(p->sni), "%s",
			    SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
		cert = SSL_get0_peer_certificate(ssl);
		if (cert != NULL)
			X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
			    p->subject, sizeof(p->subject));
		echo(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void
wait_for_end(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
}

static void *
peer_run(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->listener, NULL, NULL);

	if (fd < 0)
		return NULL;
	switch (p->kind) {
	case PEER_TLS:
		serve_tls(p, fd);
		break;
	case PEER_PLAIN:
		(void)!write(fd, "AMQP\0\0\011\001", 8);
		break;
	case PEER_HTTP:
		(void)!write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		break;
	case PEER_SILENT:
		wait_for_end(fd);
		break;
	case PEER_CLOSES:
		break;
	}
	if (p->kind == PEER_PLAIN || p->kind == PEER_HTTP) {
		shutdown(fd, SHUT_WR);
		wait_for_end(fd);
	}
	close(fd);
	return NULL;
}

static void
peer_start(struct peer *p, int family)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *sa =
	    family == AF_INET6 ? (struct sockaddr *)&sin6 : (struct sockaddr *)&sin;
	socklen_t len = family == AF_INET6 ? sizeof(sin6) : sizeof(sin);

	if (p->max_version == 0)
		p->max_version = TLS1_3_VERSION;
	p->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(0, bind(p->listener, sa, len));
	assert_int_equal(0, listen(p->listener, 4));
	assert_int_equal(0, getsockname(p->listener, sa, &len));
	p->port = ntohs(family == AF_INET6 ? sin6.sin6_port : sin.sin_port);
	assert_int_equal(0, pthread_create(&p->thread, NULL, peer_run, p));
}

static void
peer_join(struct peer *p)
{
	shutdown(p->listener, SHUT_RDWR); /* should nobody have come */
	pthread_join(p->thread, NULL);
	close(p->listener);
}

/* --- the client --- */

struct client {
	struct loop *loop;
	struct stream *stream;
	bool up, down, tls_failed;
	char error[TLS_TEXT_MAX + 100];
	char address[80];
	size_t want, sent, received; /* bytes of the pattern */
	bool hold;                   /* stay up */
};

static unsigned char
pattern(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static void
send_more(struct client *c)
{
	unsigned char block[50000];

	while (c->sent < c->want && !stream_congested(c->stream)) {
		size_t n = c->want - c->sent < sizeof(block) ? c->want - c->sent : sizeof(block);

		for (size_t i = 0; i < n; i++)
			block[i] = pattern(c->sent + i);
		assert_true(stream_write(c->stream, block, n));
		c->sent += n;
	}
}

static void
receive(struct client *c)
{
	size_t len;
	const unsigned char *p = stream_peek(c->stream, &len);

	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern(c->received + i))
			fail_msg("byte %zu is wrong", c->received + i);
	stream_drain(c->stream, len);
	c->received += len;
	if (c->received == c->want)
		loop_stop(c->loop);
}

static void
on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct client *c = arg;

	char *text;

	switch (sev) {
	case STREAM_UP:
		c->up = true;
		send_more(c);
		if (c->want == 0 && !c->hold)
			loop_stop(c->loop);
		return;
	case STREAM_LOW:
		send_more(c);
		return;
	case STREAM_DATA:
		receive(c);
		return;
	case STREAM_DOWN:
		c->down = true;
		c->tls_failed = stream_tls_failed(s);
		text = trouble_text(stream_error(s));
		snprintf(c->error, sizeof(c->error), "%s", text);
		free(text);
		loop_stop(c->loop);
		return;
	}
}

static void
talk(struct client *c, struct peer *p, const char *host, const struct tls_options *tls)
{
	struct stream_options opt = {
	    .host = host,
	    .port = p->port,
	    .output_max = 1000000,
	    .output_high = 100000,
	    .connect_timeout_ms = p->kind == PEER_SILENT ? 50 : 20000,
	    .tls = tls,
	};

	c->loop = loop_create();
	c->stream = stream_open(c->loop, &opt, on_stream, c);
	loop_run(c->loop);
	snprintf(c->address, sizeof(c->address), "%s", stream_peer(c->stream));
	stream_close(c->stream);
	loop_destroy(c->loop);
}

/* Trusts ca. */
static struct client
meet(struct peer *p, const char *host)
{
	struct tls_options tls = {.ca_file = in_dir("ca.pem")};
	struct client c = {0};

	peer_start(p, AF_INET);
	talk(&c, p, host, &tls);
	peer_join(p);
	return c;
}

static void
assert_refused(const struct client *c, const char *words)
{
	assert_true(c->down);
	assert_false(c->up);
	assert_true(c->tls_failed);
	if (strncmp(c->error, "TLS failed: ", 12) != 0 || strstr(c->error, words) == NULL)
		fail_msg("'%s' does not say '%s'", c->error, words);
}

static void
assert_up(const struct client *c)
{
	if (!c->up || c->down)
		fail_msg("%s", c->error);
}

/* --- accepted --- */

static void
a_good_certificate_is_accepted_by_name(void **state)
{
	struct peer p = {.id = good};
	struct client c = meet(&p, "localhost");

	assert_up(&c);
	assert_string_equal("localhost", p.sni);
}

static void
a_good_certificate_is_accepted_by_address(void **state)
{
	struct peer p = {.id = good};
	struct client c = meet(&p, "127.0.0.1");

	assert_up(&c);
	assert_string_equal("", p.sni); /* not for addresses */
}

static void
tls_1_2_is_enough(void **state)
{
	struct peer p = {.id = good, .max_version = TLS1_2_VERSION};
	struct client c = meet(&p, "localhost");

	assert_up(&c);
}

static void
ipv6_is_spoken(void **state)
{
	struct tls_options tls = {.ca_file = in_dir("ca.pem")};
	struct peer p = {.id = good};
	struct client c = {0};

	peer_start(&p, AF_INET6);
	talk(&c, &p, "::1", &tls);
	peer_join(&p);
	assert_up(&c);
	assert_int_equal(0, strncmp(c.address, "[::1]:", 6));
}

static void
a_folder_of_cas_will_do(void **state)
{
	struct tls_options tls = {.ca_file = in_dir("cas")};
	struct peer p = {.id = good};
	struct client c = {0};
	char name[64];

	mkdir(in_dir("cas"), 0700);
	snprintf(name, sizeof(name), "cas/%08lx.0",
	    X509_NAME_hash_ex(X509_get_subject_name(ca.cert), NULL, NULL, NULL));
	save(name, ca.cert, NULL, NULL);
	peer_start(&p, AF_INET);
	talk(&c, &p, "localhost", &tls);
	peer_join(&p);
	assert_up(&c);
}

static void
bytes_arrive_whole_both_ways(void **state)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tls_options tls = {.ca_file = in_dir("ca.pem")};
		struct peer p = {.id = good, .max_version = version};
		struct client c = {.want = BULK};

		peer_start(&p, AF_INET);
		talk(&c, &p, "127.0.0.1", &tls);
		peer_join(&p);
		assert_up(&c);
		assert_int_equal(BULK, c.received);
	}
}

static void
our_certificate_is_shown(void **state)
{
	struct tls_options tls = {.ca_file = in_dir("ca.pem"),
	    .cert_file = in_dir("client.pem"),
	    .key_file = in_dir("client.key")};
	struct peer p = {.id = good, .wants_certificate = true};
	struct client c = {.want = 1000};

	peer_start(&p, AF_INET);
	talk(&c, &p, "localhost", &tls);
	peer_join(&p);
	assert_up(&c);
	assert_string_equal("web01", p.subject);
}

/* --- refused, and why --- */

static void
expired_is_said_with_its_date(void **state)
{
	struct peer p = {.id = make(&ca, "h", "DNS:localhost", -9 * DAY, -DAY)};
	struct client c = meet(&p, "localhost");
	char date[40];
	struct tm tm;

	ASN1_TIME_to_tm(X509_get0_notAfter(p.id.cert), &tm);
	strftime(date, sizeof(date), "expired on %Y-%m-%d %H:%M UTC", &tm);
	assert_refused(&c, date);
	identity_free(&p.id);
}

static void
not_yet_valid_points_to_the_clock(void **state)
{
	struct peer p = {.id = make(&ca, "h", "DNS:localhost", DAY, 9 * DAY)};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "is valid only from 2");
	assert_refused(&c, "clock");
	identity_free(&p.id);
}

static void
self_signed_is_said(void **state)
{
	struct peer p = {.id = make(NULL, "localhost", "DNS:localhost", -DAY, DAY)};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "its certificate is self-signed");
	identity_free(&p.id);
}

static void
an_unknown_ca_is_named(void **state)
{
	struct peer p = {.id = make(&other_ca, "localhost", "DNS:localhost", -DAY, DAY)};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "signed by an unknown CA, \"Other CA\"");
	identity_free(&p.id);
}

static void
the_system_does_not_trust_our_ca(void **state)
{
	struct tls_options tls = {0};
	struct peer p = {.id = good};
	struct client c = {0};

	peer_start(&p, AF_INET);
	talk(&c, &p, "localhost", &tls);
	peer_join(&p);
	assert_refused(&c, "unknown CA, \"Test CA\"");
}

static void
a_wrong_name_is_told_with_the_right_ones(void **state)
{
	struct peer p = {
	    .id = make(&ca, "h", "DNS:a.example,DNS:*.b.example,IP:10.0.0.1", -DAY, DAY)};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "is for \"a.example\", \"*.b.example\", 10.0.0.1 and not for localhost");
	identity_free(&p.id);
}

static void
a_wrong_address_is_told_too(void **state)
{
	struct peer p = {.id = make(&ca, "evil\n\"name", "DNS:a.example", -DAY, DAY)};
	struct client c = meet(&p, "127.0.0.1");

	assert_refused(&c, "is for \"a.example\" and not for 127.0.0.1");
	identity_free(&p.id);
	p = (struct peer){.id = make(&ca, "evil\n\"name", NULL, -DAY, DAY)};
	c = meet(&p, "127.0.0.1");
	assert_refused(&c, "is for \"evil??name\" and not");
	identity_free(&p.id);
}

static void
tls_1_1_is_too_old(void **state)
{
	struct peer p = {.id = good, .max_version = TLS1_1_VERSION};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "too old");
	assert_refused(&c, "TLS 1.2");
}

static void
a_plain_peer_is_known(void **state)
{
	struct peer p = {.kind = PEER_PLAIN};
	struct client c = meet(&p, "localhost");

	assert_refused(&c, "not in TLS");
	p = (struct peer){.kind = PEER_HTTP};
	c = meet(&p, "localhost");
	assert_refused(&c, "plain port?");
}

static void
a_certificate_of_ours_that_is_missing_is_said(void **state)
{
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct tls_options tls = {.ca_file = in_dir("ca.pem")};
		struct peer p = {.id = good, .max_version = version, .wants_certificate = true};
		struct client c = {.hold = true};

		peer_start(&p, AF_INET);
		talk(&c, &p, "localhost", &tls);
		peer_join(&p);
		assert_true(c.down && c.tls_failed); /* with TLS 1.3 it was up for a moment */
		assert_non_null(strstr(c.error, "cert_file"));
	}
}

static void
files_that_are_gone_are_said(void **state)
{
	struct tls_options tls = {.ca_file = in_dir("no-such.pem")};
	struct peer p = {.id = good};
	struct client c = {0};

	peer_start(&p, AF_INET);
	talk(&c, &p, "localhost", &tls);
	peer_join(&p);
	assert_refused(&c, "ca_file: cannot read");
}

/* --- a connection that breaks is no refusal --- */

static void
a_silent_peer_times_out(void **state)
{
	struct peer p = {.kind = PEER_SILENT};
	struct client c = meet(&p, "127.0.0.1");

	assert_true(c.down && !c.up && !c.tls_failed);
	assert_string_equal("no answer in time during the TLS handshake", c.error);
}

static void
a_peer_that_closes_is_no_refusal(void **state)
{
	struct peer p = {.kind = PEER_CLOSES};
	struct client c = meet(&p, "127.0.0.1");

	if (!c.down || c.up || c.tls_failed || strstr(c.error, "during the TLS") == NULL)
		fail_msg("%s", c.error);
}

/* --- the files, at start --- */

static void
assert_unusable(const struct tls_options *tls, const char *words)
{
	char err[TLS_TEXT_MAX] = "";

	assert_false(tls_check(tls, err, sizeof(err)));
	if (strstr(err, words) == NULL)
		fail_msg("'%s' does not say '%s'", err, words);
	assert_int_equal(0, ERR_peek_error());
}

static void
files_are_checked(void **state)
{
	struct tls_options none = {0},
			   all = {in_dir("ca.pem"), in_dir("client.pem"), in_dir("client.key")};
	struct tls_options together = {.cert_file = in_dir("both.pem")};
	char err[TLS_TEXT_MAX];

	assert_true(tls_check(&none, err, sizeof(err)));
	assert_true(tls_check(&all, err, sizeof(err)));
	assert_true(tls_check(&together, err, sizeof(err)));
	assert_unusable(
	    &(struct tls_options){.ca_file = in_dir("nope")}, "nope: No such file or directory");
	assert_unusable(&(struct tls_options){.ca_file = in_dir("rubbish")}, "ca_file: ");
	assert_unusable(&(struct tls_options){.cert_file = in_dir("rubbish")}, "cert_file: ");
	assert_unusable(&(struct tls_options){.cert_file = in_dir("client.pem")}, "no key");
	assert_unusable(
	    &(struct tls_options){.key_file = in_dir("client.key")}, "without cert_file");
	assert_unusable(&(struct tls_options){.cert_file = in_dir("client.pem"),
			    .key_file = in_dir("other.key")},
	    "key_file: ");
	assert_unusable(&(struct tls_options){.cert_file = in_dir("client.pem"),
			    .key_file = in_dir("locked.key")},
	    "without passphrase");
}

static int
prepare(void **state)
{
	FILE *f;

	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(dir));
	ca = make(NULL, "Test CA", NULL, -DAY, DAY);
	other_ca = make(NULL, "Other CA", NULL, -DAY, DAY);
	good = make(&ca, "h", "DNS:localhost,IP:127.0.0.1,IP:::1", -DAY, DAY);
	client = make(&ca, "web01", NULL, -DAY, DAY);
	save("ca.pem", ca.cert, NULL, NULL);
	save("client.pem", client.cert, NULL, NULL);
	save("client.key", NULL, client.key, NULL);
	save("both.pem", client.cert, client.key, NULL);
	save("locked.key", NULL, client.key, "secret");
	save("other.key", NULL, ca.key, NULL);
	f = fopen(in_dir("rubbish"), "w");
	fputs("rubbish\n", f);
	fclose(f);
	return 0;
}

static int
clean_up(void **state)
{
	char command[200];

	identity_free(&ca);
	identity_free(&other_ca);
	identity_free(&good);
	identity_free(&client);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void
the_code_is_found_in_what_curl_says(void **state)
{
	(void)state;
	assert_int_equal(
	    0x0A00010B, tls_code_in("error:0A00010B:SSL routines::wrong version number"));
	assert_int_equal(0x0A000126, tls_code_in("TLS connect error: error:0A000126:SSL routines::"
						 "unexpected eof while reading"));
	assert_int_equal(0x0A000412,
	    tls_code_in(
		"OpenSSL SSL_read: OpenSSL/3.5.1: error:0A000412:SSL routines::x, errno 0"));
	assert_int_equal(0x80000002, tls_code_in("error: -1: error:bad:: error:80000002:"));
}

static void
no_code_is_made_up(void **state)
{
	static const char *const texts[] = {"", "error:", "error:bad:", "error: 12:", "error:-1:",
	    "TLS connect error: ", "error:0A00010B", "error: error: error:", "an error:none:"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(0, tls_code_in(texts[i]));
}

/* Else "bad write retry" would be the last word on a peer that wants a certificate. */
static void
what_openssl_says_of_itself_is_no_word_on_the_peer(void **state)
{
	static const int own[] = {SSL_R_BAD_WRITE_RETRY, SSL_R_BAD_LENGTH, SSL_R_BIO_NOT_SET,
	    SSL_R_PROTOCOL_IS_SHUTDOWN, SSL_R_SHUTDOWN_WHILE_IN_INIT, SSL_R_SSL_HANDSHAKE_FAILURE,
	    SSL_R_UNEXPECTED_EOF_WHILE_READING, SSL_R_UNINITIALIZED, ERR_R_INTERNAL_ERROR,
	    ERR_R_SSL_LIB, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED};
	static const struct tls_verdict none;
	struct trouble t;

	(void)state;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_false(tls_explain(ERR_PACK(ERR_LIB_SSL, 0, own[i]), &none, &t));
	assert_false(tls_explain(ERR_PACK(ERR_LIB_X509, 0, ERR_R_INTERNAL_ERROR), &none, &t));
	assert_false(tls_explain(
	    tls_code_in("OpenSSL SSL_write: error:0A00007F:SSL routines::bad write retry"), &none,
	    &t));
}

static void
what_openssl_says_of_the_peer_is_told(void **state)
{
	static const struct {
		int reason;
		const char *word;
	} of_peer[] = {
	    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "it wants a certificate of ours"},
	    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "it does not know the CA of our certificate"},
	    {SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "alert internal error"},
	    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "bad record mac"},
	    {ERR_R_MALLOC_FAILURE, "malloc failure"},
	};
	static const struct tls_verdict none;
	struct trouble t;

	(void)state;
	for (size_t i = 0; i < sizeof(of_peer) / sizeof(of_peer[0]); i++) {
		assert_true(tls_explain(ERR_PACK(ERR_LIB_SSL, 0, of_peer[i].reason), &none, &t));
		assert_non_null(strstr(t.what, of_peer[i].word));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_certificate_is_accepted_by_name),
	    cmocka_unit_test(a_good_certificate_is_accepted_by_address),
	    cmocka_unit_test(tls_1_2_is_enough),
	    cmocka_unit_test(ipv6_is_spoken),
	    cmocka_unit_test(a_folder_of_cas_will_do),
	    cmocka_unit_test(bytes_arrive_whole_both_ways),
	    cmocka_unit_test(our_certificate_is_shown),
	    cmocka_unit_test(expired_is_said_with_its_date),
	    cmocka_unit_test(not_yet_valid_points_to_the_clock),
	    cmocka_unit_test(self_signed_is_said),
	    cmocka_unit_test(an_unknown_ca_is_named),
	    cmocka_unit_test(the_system_does_not_trust_our_ca),
	    cmocka_unit_test(a_wrong_name_is_told_with_the_right_ones),
	    cmocka_unit_test(a_wrong_address_is_told_too),
	    cmocka_unit_test(tls_1_1_is_too_old),
	    cmocka_unit_test(a_plain_peer_is_known),
	    cmocka_unit_test(a_certificate_of_ours_that_is_missing_is_said),
	    cmocka_unit_test(files_that_are_gone_are_said),
	    cmocka_unit_test(a_silent_peer_times_out),
	    cmocka_unit_test(a_peer_that_closes_is_no_refusal),
	    cmocka_unit_test(files_are_checked),
	    cmocka_unit_test(the_code_is_found_in_what_curl_says),
	    cmocka_unit_test(no_code_is_made_up),
	    cmocka_unit_test(what_openssl_says_of_itself_is_no_word_on_the_peer),
	    cmocka_unit_test(what_openssl_says_of_the_peer_is_told),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
