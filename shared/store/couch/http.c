/* SPDX-License-Identifier: Apache-2.0 */
/* See http.h. The rules that keep curl's multi interface and an event loop apart:
 *
 * - No callback of curl's calls into curl, nor does it ever return an error: transfers would hang.
 * - A socket's watch is made anew at each announcement, since descriptor numbers come back, and
 * goes on REMOVE or when the socket is closed, whichever is first: REMOVE may come late or never.
 * - Handles are added and removed only in reap() and its like, never inside curl.
 * - Requests over max_connections wait here: curl's time limit would count its own queue. */
#include "shared/store/couch/http.h"

#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/tls.h"
#include "shared/store/couch/http_access.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

enum { CONNECT_TIMEOUT_MS = 10000 };
/* About what a batch of records has: it goes to the kernel in few calls. */
#define UPLOAD_BUFFER_BYTES (256L * 1024)

struct request {
	TAILQ_ENTRY(request) entry;
	struct http *http;
	CURL *easy; /* while in curl's hands */
	char *method, *url, *body;
	size_t body_len;
	struct buf answer;
	bool too_large;
	bool retried;
	size_t place;                    /* of this try */
	size_t moves;                    /* to another place */
	unsigned int login;              /* which one it was sent with */
	char curl_says[CURL_ERROR_SIZE]; /* of this try */
	http_fn *fn;
	void *arg;
};
TAILQ_HEAD(request_list, request);

struct spare {
	SLIST_ENTRY(spare) entry;
	CURL *easy;
};

struct socket {
	int fd;
	struct loop_watch *watch;
	UT_hash_handle hh;
};

struct http {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer;
	struct curl_slist *headers;
	struct socket *sockets;
	struct request_list waiting, active;
	struct request_list refused; /* that are not sent: each is answered by the timer */
	struct loop_timer *refuse;
	struct http_access access;
	SLIST_HEAD(, spare) spares; /* easy handles to use again: max_connections at most */
	size_t waiting_count, active_count, refused_count;
	/* https://. The verdict is of the last handshake. */
	char *tls_host; /* NULL: http:// */
	struct tls_options tls;
	struct tls_verdict verdict;
	struct trouble tls_error; /* of the latest request that failed by TLS */
	uint32_t max_connections, timeout_ms;
	size_t max_response_bytes;
	bool closed;
};

/* Options are constants of ours and known to the library we link: only memory can be out. */
#define SET(easy, option, value)                                                                   \
	do {                                                                                       \
		CURLcode set_rc = curl_easy_setopt(easy, option, value);                           \
		if (set_rc != CURLE_OK)                                                            \
			fatal("http", "cannot set " #option ": %s", curl_easy_strerror(set_rc));   \
	} while (0)

#define SET_MULTI(multi, option, value)                                                            \
	do {                                                                                       \
		CURLMcode set_rc = curl_multi_setopt(multi, option, value);                        \
		if (set_rc != CURLM_OK)                                                            \
			fatal("http", "cannot set " #option ": %s", curl_multi_strerror(set_rc));  \
	} while (0)

static void reap(struct http *h);

/* ---- curl's side: sockets and time ---- */

static void
forget_socket(struct http *h, int fd)
{
	struct socket *sock;

	HASH_FIND_INT(h->sockets, &fd, sock);
	if (sock == NULL)
		return;
	HASH_DEL(h->sockets, sock);
	loop_watch_destroy(sock->watch);
	free(sock);
}

static void
act(struct http *h, curl_socket_t fd, int mask)
{
	int running;
	CURLMcode rc = curl_multi_socket_action(h->multi, fd, mask, &running);

	if (rc != CURLM_OK)
		log_error("http", "curl: %s", curl_multi_strerror(rc));
	reap(h);
}

static void
http_on_ready(int fd, unsigned int events, void *arg)
{
	int mask = 0;

	if ((events & LOOP_READ) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & LOOP_WRITE) != 0)
		mask |= CURL_CSELECT_OUT;
	act(arg, fd, mask);
}

static void
http_on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
curl_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
	struct http *h = arg;
	struct socket *sock;
	unsigned int events = 0;

	forget_socket(h, fd);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if ((what & CURL_POLL_IN) != 0)
		events |= LOOP_READ;
	if ((what & CURL_POLL_OUT) != 0)
		events |= LOOP_WRITE;
	sock = xcalloc(1, sizeof(*sock));
	sock->fd = fd;
	sock->watch = loop_watch_create(h->loop, fd, events, http_on_ready, h);
	HASH_ADD_INT(h->sockets, fd, sock);
	return 0;
}

static int
curl_on_close(void *arg, curl_socket_t fd)
{
	forget_socket(arg, fd);
	close(fd);
	return 0;
}

static int
curl_on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *h = arg;

	if (timeout_ms < 0)
		loop_timer_disarm(h->timer);
	else
		loop_timer_arm(h->timer, timeout_ms);
	return 0;
}

static size_t
curl_on_body(char *data, size_t size, size_t nmemb, void *arg)
{
	struct request *r = arg;

	if (!buf_append(&r->answer, data, size * nmemb)) {
		r->too_large = true;
		return 0; /* ends this transfer */
	}
	return size * nmemb;
}

/* ---- one request ---- */

static void
set_method(CURL *easy, const struct request *r)
{
	if (r->body != NULL) {
		SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
		SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		SET(easy, CURLOPT_POSTFIELDS, r->body); /* borrowed */
	} else if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
		SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		SET(easy, CURLOPT_POSTFIELDS, "");
	} else if (strcmp(r->method, "HEAD") == 0) {
		SET(easy, CURLOPT_NOBODY, 1L);
	}
	SET(easy, CURLOPT_CUSTOMREQUEST, r->method);
}

static void
set_limits(CURL *easy, const struct http *h)
{
	uint32_t connect_ms =
	    h->timeout_ms < CONNECT_TIMEOUT_MS ? h->timeout_ms : CONNECT_TIMEOUT_MS;

	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	SET(easy, CURLOPT_TIMEOUT_MS, (long)h->timeout_ms);
	/* A store that waits for its disk is silent too: never given up before the total time. */
	SET(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(easy, CURLOPT_LOW_SPEED_TIME, (long)h->timeout_ms / 1000 + 1);
	SET(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)h->max_response_bytes);
}

/* ctx is OpenSSL's: the curl that we are built with uses it. */
static CURLcode
curl_on_context(CURL *easy, void *ctx, void *arg)
{
	struct request *r = arg;
	struct http *h = r->http;
	const char *host = r->place == 0 ? h->tls_host : h->access.places[r->place].host;

	h->verdict = (struct tls_verdict){0};
	return tls_guard(ctx, host, &h->verdict) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void
set_tls(CURL *easy, struct request *r)
{
	const struct tls_options *tls = &r->http->tls;

	SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	/* curl knows the URL's host alone; tls_guard() checks the name of the node that is asked.
	 */
	SET(easy, CURLOPT_SSL_VERIFYHOST, r->place == 0 ? 2L : 0L);
	SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(easy, CURLOPT_SSL_CTX_FUNCTION, curl_on_context);
	SET(easy, CURLOPT_SSL_CTX_DATA, r);
	if (tls->ca_file != NULL && is_folder(tls->ca_file)) {
		SET(easy, CURLOPT_CAINFO, NULL);
		SET(easy, CURLOPT_CAPATH, tls->ca_file);
	} else if (tls->ca_file != NULL) {
		SET(easy, CURLOPT_CAINFO, tls->ca_file);
		SET(easy, CURLOPT_CAPATH, NULL); /* nor the system's */
	}
	if (tls->cert_file == NULL)
		return;
	SET(easy, CURLOPT_SSLCERT, tls->cert_file);
	SET(easy, CURLOPT_SSLKEY, tls->key_file != NULL ? tls->key_file : tls->cert_file);
	SET(easy, CURLOPT_KEYPASSWD, ""); /* nobody is there to type one */
}

static void
set_security(CURL *easy, struct request *r)
{
	struct http *h = r->http;

	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_PROXY, "");
	SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	if (h->access.user != NULL)
		SET(easy, CURLOPT_USERNAME, h->access.user);
	if (h->access.password != NULL)
		SET(easy, CURLOPT_PASSWORD, h->access.password);
	if (h->tls_host != NULL)
		set_tls(easy, r);
}

static void
set_up(CURL *easy, struct request *r)
{
	struct http *h = r->http;

	curl_easy_reset(easy); /* keeps connections and the DNS cache */
	SET(easy, CURLOPT_PRIVATE, r);
	r->curl_says[0] = '\0';
	SET(easy, CURLOPT_ERRORBUFFER, r->curl_says);
	SET(easy, CURLOPT_URL, r->url);
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* Giving up a transfer does not wait for the resolver's thread. */
	SET(easy, CURLOPT_QUICK_EXIT, 1L);
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(easy, CURLOPT_HTTPHEADER, h->headers);
	SET(easy, CURLOPT_CLOSESOCKETFUNCTION, curl_on_close);
	SET(easy, CURLOPT_CLOSESOCKETDATA, h);
	SET(easy, CURLOPT_WRITEFUNCTION, curl_on_body);
	SET(easy, CURLOPT_WRITEDATA, r);
	set_limits(easy, h);
	set_security(easy, r);
	if (r->place > 0)
		SET(easy, CURLOPT_CONNECT_TO, h->access.places[r->place].connect_to);
	set_method(easy, r);
	if (r->retried)
		SET(easy, CURLOPT_FRESH_CONNECT, 1L);
}

static CURL *
take_spare(struct http *h)
{
	struct spare *spare = SLIST_FIRST(&h->spares);
	CURL *easy;

	if (spare == NULL) {
		easy = curl_easy_init();
		if (easy == NULL)
			fatal("http", "out of memory");
		return easy;
	}
	SLIST_REMOVE_HEAD(&h->spares, entry);
	easy = spare->easy;
	free(spare);
	return easy;
}

static void
keep_spare(struct http *h, CURL *easy)
{
	struct spare *spare = xcalloc(1, sizeof(*spare));

	spare->easy = easy;
	SLIST_INSERT_HEAD(&h->spares, spare, entry);
}

/* Hands r to curl, which begins with it in a later pass (it arms a zero timer). */
static void
begin(struct http *h, struct request *r)
{
	CURLMcode rc;

	r->easy = take_spare(h);
	r->login = h->access.login;
	r->place = h->access.place;
	set_up(r->easy, r);
	TAILQ_INSERT_TAIL(&h->active, r, entry);
	h->active_count++;
	rc = curl_multi_add_handle(h->multi, r->easy);
	if (rc != CURLM_OK)
		fatal("http", "curl: %s", curl_multi_strerror(rc));
}

/* Takes r out of curl's hands. */
static void
withdraw(struct request *r)
{
	struct http *h = r->http;

	curl_multi_remove_handle(h->multi, r->easy);
	TAILQ_REMOVE(&h->active, r, entry);
	h->active_count--;
}

static void
request_free(struct request *r)
{
	buf_finish(&r->answer);
	free(r->method);
	free(r->url);
	free(r->body);
	free(r);
}

/* ---- its end ---- */

/* Into h->tls_error; false: it was something else. */
static bool
tls_failed(const struct request *r, CURLcode result)
{
	static const struct tls_verdict none;
	struct http *h = r->http;

	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
		return tls_explain(tls_code_in(r->curl_says), &h->verdict, &h->tls_error);
	case CURLE_SEND_ERROR: /* with TLS 1.3 our certificate is judged only now */
	case CURLE_RECV_ERROR:
		return tls_explain(tls_code_in(r->curl_says), &none, &h->tls_error);
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_USE_SSL_FAILED:
		trouble_set(&h->tls_error, TROUBLE_OTHER, NULL, "TLS failed: %s",
		    r->curl_says[0] != '\0' ? r->curl_says : curl_easy_strerror(result));
		return true;
	default:
		return false;
	}
}

static bool
is_https(const struct request *r)
{
	const char *url = NULL;

	curl_easy_getinfo(r->easy, CURLINFO_EFFECTIVE_URL, &url);
	return url != NULL && strncasecmp(url, "https:", 6) == 0;
}

/* Connected, and TLS was begun and not finished. (CURLINFO_CONNECT_TIME is still 0 then.) */
static bool
was_securing(const struct request *r)
{
	curl_off_t secured_us = 0;
	long local_port = 0;

	curl_easy_getinfo(r->easy, CURLINFO_LOCAL_PORT, &local_port);
	curl_easy_getinfo(r->easy, CURLINFO_APPCONNECT_TIME_T, &secured_us);
	return is_https(r) && local_port != 0 && secured_us == 0;
}

/* Broken before a word was said on a new connection with TLS. A server that wants our certificate
 * may be gone before its alert is read: the reset that answers our request overtakes it. */
static bool
was_turned_away(const struct request *r)
{
	long status = 0, connects = 0;

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects);
	return is_https(r) && status == 0 && connects > 0;
}

static const char *
failure_phrase(const struct request *r, CURLcode result)
{
	long err = 0;

	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "no such host";
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &err);
		return err != 0 ? errtext_errno((int)err) : "cannot connect";
	case CURLE_OPERATION_TIMEDOUT:
		return was_securing(r) ? "no answer in time during the TLS handshake"
				       : "no answer in time";
	case CURLE_SSL_CONNECT_ERROR:
		curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &err);
		return err != 0 ? errtext_errno((int)err)
				: "closed by the peer during the TLS handshake";
	case CURLE_GOT_NOTHING:
		return was_turned_away(r) ? "connection broken after the TLS handshake"
					  : "closed by the peer without an answer";
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return was_turned_away(r) ? "connection broken after the TLS handshake"
					  : "connection broken";
	case CURLE_PARTIAL_FILE:
		return "the answer was cut off";
	case CURLE_FILESIZE_EXCEEDED:
		return "the answer is too large";
	case CURLE_WRITE_ERROR:
		return r->too_large ? "the answer is too large" : "out of memory";
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return "the answer is not HTTP";
	default:
		return curl_easy_strerror(result);
	}
}

/* NULL: what happened says no more than where it did. */
static const char *
failure_cure(const struct request *r, CURLcode result)
{
	switch (result) {
	case CURLE_OPERATION_TIMEDOUT:
		/* CouchDB's plain port takes a TLS hello for the slow beginning of a request. */
		return was_securing(r) ? "is this the plain port?" : NULL;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		if (!was_turned_away(r))
			return NULL;
		return r->http->tls.cert_file == NULL
			   ? "does it want a certificate of ours (cert_file, key_file)? See its log"
			   : "does it take our certificate (cert_file)? See its log";
	default:
		return NULL;
	}
}

static long
info_long(CURL *easy, CURLINFO info)
{
	long value = 0;

	curl_easy_getinfo(easy, info, &value);
	return value;
}

/* The peer closed a kept connection just as we used it. curl begins again by itself when that shows
 * while it waits for the answer or begins to send, for every method; not when it shows in the
 * middle of a large body. */
static bool
may_retry(const struct request *r, CURLcode result)
{
	if (r->retried || (result != CURLE_SEND_ERROR && result != CURLE_RECV_ERROR &&
			      result != CURLE_GOT_NOTHING))
		return false;
	return info_long(r->easy, CURLINFO_NUM_CONNECTS) == 0 &&
	       info_long(r->easy, CURLINFO_HEADER_SIZE) == 0;
}

/* True when not one byte of it went out, on any try. */
static bool
was_never_sent(const struct request *r, CURLcode result)
{
	if (r->retried)
		return false;
	if (result != CURLE_SSL_CONNECT_ERROR && result != CURLE_PEER_FAILED_VERIFICATION &&
	    result != CURLE_COULDNT_CONNECT && result != CURLE_COULDNT_RESOLVE_HOST &&
	    result != CURLE_OPERATION_TIMEDOUT)
		return false;
	return info_long(r->easy, CURLINFO_REQUEST_SIZE) == 0;
}

/* Asked of another it cannot be done twice, since this one has not had it. */
static bool
may_ask_another(const struct request *r, CURLcode result)
{
	return r->moves + 1 < r->http->access.n_places && was_never_sent(r, result) &&
	       (result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST ||
		   result == CURLE_OPERATION_TIMEDOUT);
}

/* ---- those that are not sent ---- */

/* Refuses those that wait for a connection. */
static void
refuse_waiting(struct http *h)
{
	TAILQ_CONCAT(&h->refused, &h->waiting, entry);
	h->refused_count += h->waiting_count;
	h->waiting_count = 0;
	loop_timer_arm(h->refuse, 0); /* never an answer from inside the call */
}

static void
http_on_refuse(void *arg)
{
	struct http *h = arg;
	struct request_list now = TAILQ_HEAD_INITIALIZER(now);
	struct http_response resp = http_access_refusal(&h->access);
	struct request *r;

	TAILQ_CONCAT(&now, &h->refused, entry); /* what is asked by a callback has its own turn */
	while ((r = TAILQ_FIRST(&now)) != NULL && !h->closed) {
		TAILQ_REMOVE(&now, r, entry);
		h->refused_count--;
		r->fn(&resp, r->arg); /* may begin others, may destroy h */
		request_free(r);
	}
	while ((r = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, r, entry);
		request_free(r);
	}
}

static void
begin_waiting(struct http *h)
{
	struct request *r;
	uint32_t at_once;

	if (http_access_is_held_back(&h->access, loop_now(h->loop))) {
		refuse_waiting(h);
		return;
	}
	at_once = http_access_at_once(&h->access, h->max_connections);
	while (h->waiting_count > 0 && h->active_count < at_once) {
		r = TAILQ_FIRST(&h->waiting);
		TAILQ_REMOVE(&h->waiting, r, entry);
		h->waiting_count--;
		begin(h, r);
	}
}

static void
fill_response(struct http_response *resp, const struct request *r, CURLcode result)
{
	curl_off_t retry_after = 0;
	char *type = NULL;

	memset(resp, 0, sizeof(*resp));
	resp->body = "";
	if (result == CURLE_OK)
		resp->status = info_long(r->easy, CURLINFO_RESPONSE_CODE);
	if (resp->status == 0) {
		resp->tls_failed = tls_failed(r, result);
		if (resp->tls_failed) {
			resp->error = r->http->tls_error.what;
			resp->cure = r->http->tls_error.cure;
		} else {
			resp->error = result == CURLE_OK ? "the answer has no status"
							 : failure_phrase(r, result);
			resp->cure = failure_cure(r, result);
		}
		resp->never_sent = was_never_sent(r, result);
		resp->too_large = r->too_large || result == CURLE_FILESIZE_EXCEEDED;
		return;
	}
	if (r->answer.len > 0) {
		resp->body = r->answer.data;
		resp->body_len = r->answer.len;
	}
	curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &type);
	resp->content_type = type;
	curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (retry_after > 0)
		resp->retry_after_s = retry_after > UINT32_MAX ? UINT32_MAX : (uint32_t)retry_after;
}

static void
finish(struct http *h, struct request *r, CURLcode result)
{
	struct http_response resp;

	withdraw(r);
	if (may_retry(r, result)) {
		log_debug("http", "a kept connection was closed under a request, trying again");
		keep_spare(h, r->easy);
		r->retried = true;
		buf_reset(&r->answer);
		begin(h, r);
		return;
	}
	if (may_ask_another(r, result)) {
		http_access_move_on(&h->access, r->place, failure_phrase(r, result));
		keep_spare(h, r->easy);
		r->moves++;
		buf_reset(&r->answer);
		begin(h, r);
		return;
	}
	fill_response(&resp, r, result);
	if (resp.status == 0 && !resp.too_large)
		http_access_move_on(&h->access, r->place, resp.error);
	http_access_note(&h->access, r->login, &resp, loop_now(h->loop));
	r->fn(&resp, r->arg); /* may begin others, may destroy h */
	if (h->closed)
		curl_easy_cleanup(r->easy);
	else
		keep_spare(h, r->easy);
	request_free(r);
}

static void
reap(struct http *h)
{
	struct request *r;
	CURLMsg *msg;
	int left;

	while (!h->closed) {
		msg = curl_multi_info_read(h->multi, &left);
		if (msg == NULL)
			break;
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &r);
		finish(h, r, msg->data.result);
	}
	if (!h->closed)
		begin_waiting(h);
}

/* ---- the whole ---- */

static void
add_header(struct http *h, const char *line)
{
	struct curl_slist *headers = curl_slist_append(h->headers, line);

	if (headers == NULL)
		fatal("http", "out of memory");
	h->headers = headers;
}

struct http *
http_create(struct loop *loop, const struct http_options *opt)
{
	struct http *h = xcalloc(1, sizeof(*h));
	long connections;

	assert(opt->max_connections > 0);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		fatal("http", "cannot set up curl");
	h->loop = loop;
	http_access_init(&h->access, opt);
	h->tls_host = xstrdup_null(opt->tls_host);
	tls_options_copy(&h->tls, opt->tls);
	h->max_connections = opt->max_connections;
	h->timeout_ms = opt->timeout_ms;
	h->max_response_bytes = opt->max_response_bytes;
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->active);
	TAILQ_INIT(&h->refused);
	SLIST_INIT(&h->spares);
	add_header(h, "Content-Type: application/json");
	add_header(h, "Accept: application/json");
	add_header(h, "Expect:"); /* no round trip before a body */
	h->timer = loop_timer_create(loop, "http", http_on_timer, h);
	h->refuse = loop_timer_create(loop, "http-refuse", http_on_refuse, h);
	h->multi = curl_multi_init();
	if (h->multi == NULL)
		fatal("http", "out of memory");
	connections = (long)opt->max_connections;
	SET_MULTI(h->multi, CURLMOPT_SOCKETFUNCTION, curl_on_socket);
	SET_MULTI(h->multi, CURLMOPT_SOCKETDATA, h);
	SET_MULTI(h->multi, CURLMOPT_TIMERFUNCTION, curl_on_timer);
	SET_MULTI(h->multi, CURLMOPT_TIMERDATA, h);
	SET_MULTI(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	SET_MULTI(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
	SET_MULTI(h->multi, CURLMOPT_MAXCONNECTS, connections); /* kept while idle */
	return h;
}

void
http_set_login(struct http *h, const char *user, const char *password)
{
	http_access_set_login(&h->access, user, password);
}

static void
drop_requests(struct http *h)
{
	struct request *r;
	struct spare *spare;

	while ((r = TAILQ_FIRST(&h->refused)) != NULL) {
		TAILQ_REMOVE(&h->refused, r, entry);
		request_free(r);
	}
	while (!TAILQ_EMPTY(&h->waiting)) {
		r = TAILQ_FIRST(&h->waiting);
		TAILQ_REMOVE(&h->waiting, r, entry);
		request_free(r);
	}
	while (!TAILQ_EMPTY(&h->active)) {
		r = TAILQ_FIRST(&h->active);
		withdraw(r);
		curl_easy_cleanup(r->easy);
		request_free(r);
	}
	while (!SLIST_EMPTY(&h->spares)) {
		spare = SLIST_FIRST(&h->spares);
		SLIST_REMOVE_HEAD(&h->spares, entry);
		curl_easy_cleanup(spare->easy);
		free(spare);
	}
}

void
http_destroy(struct http *h)
{
	struct socket *sock, *next;

	if (h == NULL)
		return;
	h->closed = true;
	drop_requests(h);
	curl_multi_cleanup(h->multi); /* closes the connections, through curl_on_close() */
	h->multi = NULL;
	HASH_ITER (hh, h->sockets, sock, next)
		forget_socket(h, sock->fd);
	loop_timer_destroy(h->timer);
	loop_timer_destroy(h->refuse);
	curl_slist_free_all(h->headers);
	http_access_finish(&h->access);
	free(h->tls_host);
	tls_options_finish(&h->tls);
	curl_global_cleanup();
	loop_defer_free(h->loop, h, free); /* reap() may be below us on the stack */
}

void
http_request(struct http *h, const char *method, const char *url, char *body, size_t body_len,
    http_fn *fn, void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->http = h;
	r->method = xstrdup(method);
	r->url = xstrdup(url);
	r->body = body;
	r->body_len = body_len;
	r->fn = fn;
	r->arg = arg;
	buf_init(&r->answer, h->max_response_bytes);
	TAILQ_INSERT_TAIL(&h->waiting, r, entry);
	h->waiting_count++;
	begin_waiting(h);
}

size_t
http_in_flight(const struct http *h)
{
	return h->waiting_count + h->active_count + h->refused_count;
}
