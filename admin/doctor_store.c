/* SPDX-License-Identifier: Apache-2.0 */
/* The store: is it there, is its certificate good, does it let us in, does it hold the database,
 * does it take a write and a delete, and do its clock and ours agree? */
#include "admin/doctor.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/stream.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/couch/http.h"
#include "shared/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOBODY     "vogeler.doctor" /* cannot be a host */
#define ANSWER_MAX 4096
#define PAGE_MAX   (1024 * 1024) /* of a proxy, for one */

static const char *const after_tcp[] = {
    "store tls", "store login", "store database", "store write", "store clock", NULL};
enum { LINK_TLS, LINK_LOGIN, LINK_DATABASE, LINK_WRITE, LINK_CLOCK };
/* Beyond it CouchDB writes more numbers of old revisions than anything else of a small record. */
#define REVS_LIMIT_MAX 100

struct ward {
	struct doctor *d;
	struct uri uri;
	struct http *http; /* for the first answer alone */
	struct store *store;
	struct stream *stream;
	struct loop_timer *patience; /* with the stream */
	size_t asked;                /* of the other hosts of its URI */
	bool reached;                /* one of its hosts */
	struct doctor_orders orders;
	struct doctor_contact contact;
	struct doctor_forged forged;
};

static void
ward_free(void *arg)
{
	struct ward *w = arg;

	http_destroy(w->http);
	store_close(w->store);
	doctor_contact_finish(&w->contact);
	uri_finish(&w->uri);
	free(w);
}

static void
end(struct ward *w)
{
	loop_timer_destroy(w->patience);
	loop_defer_free(w->d->v->loop, w, ward_free);
	doctor_next(w->d);
}

/* --- the clock --- */

static void
say_clock(struct ward *w, const char *answer)
{
	const char *date = strcasestr(answer, "\r\nDate:");
	struct tm tm = {0};
	int64_t off, now = wallclock_ms();

	/* RFC 9110 5.6.7: always GMT. */
	if (date == NULL || strptime(date + strlen("\r\nDate:"), " %a, %d %b %Y %T", &tm) == NULL) {
		doctor_say(w->d, after_tcp[LINK_CLOCK], CHECK_SKIP, NULL, "its answer has no Date");
		return;
	}
	off = now - (int64_t)timegm(&tm) * 1000;
	doctor_say_clock(w->d, after_tcp[LINK_CLOCK], off);
}

static void
ward_on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct ward *w = arg;
	char request[512], answer[ANSWER_MAX] = "";
	const char *data;
	size_t len = 0;

	if (sev == STREAM_UP) {
		snprintf(request, sizeof(request),
		    "HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", w->uri.host);
		if (stream_write(s, request, strlen(request)))
			return;
	}
	/* All of the head, or what has come of it at the end. */
	data = stream_peek(s, &len);
	if (len >= sizeof(answer))
		len = sizeof(answer) - 1;
	if (len > 0)
		memcpy(answer, data, len);
	if (sev != STREAM_DOWN && strstr(answer, "\r\n\r\n") == NULL && len < sizeof(answer) - 1)
		return;
	stream_close(s);
	say_clock(w, answer);
	end(w);
}

static void
ward_on_silence(void *arg)
{
	struct ward *w = arg;
	char text[UNITS_TEXT_SIZE];

	stream_close(w->stream);
	doctor_say(w->d, after_tcp[LINK_CLOCK], CHECK_SKIP, NULL, "no answer to HEAD / within %s",
	    units_format_ms(w->d->options->couch_timeout_ms, text));
	end(w);
}

static void
check_clock(struct ward *w)
{
	struct stream_options opt = {
	    .host = w->uri.host,
	    .port = w->uri.port,
	    .output_max = ANSWER_MAX,
	    .output_high = ANSWER_MAX,
	    .connect_timeout_ms = w->d->options->connect_timeout_ms,
	    .tls = w->uri.scheme == URI_COUCHS ? &w->d->options->couch_tls : NULL,
	};
	const char *const none[] = {after_tcp[LINK_CLOCK], NULL};

	if (w->uri.scheme == URI_PG) { /* told with the server */
		end(w);
		return;
	}
	if (w->uri.scheme == URI_COUCH || w->uri.scheme == URI_COUCHS) {
		w->stream = stream_open(w->d->v->loop, &opt, ward_on_stream, w);
		w->patience = loop_timer_create(w->d->v->loop, "doctor-clock", ward_on_silence, w);
		loop_timer_arm(w->patience, w->d->options->couch_timeout_ms);
		return;
	}
	doctor_skip(w->d, none, "it is on this machine");
	end(w);
}

/* --- what is known of the hosts --- */

static void
ward_on_forged(void *arg)
{
	check_clock(arg);
}

static void
ward_on_orders(void *arg)
{
	struct ward *w = arg;

	w->forged =
	    (struct doctor_forged){.d = w->d, .store = w->store, .fn = ward_on_forged, .arg = w};
	doctor_forged(&w->forged);
}

static void
ward_on_contact(void *arg)
{
	struct ward *w = arg;

	w->orders = (struct doctor_orders){
	    .d = w->d, .store = w->store, .contact = &w->contact, .fn = ward_on_orders, .arg = w};
	doctor_orders(&w->orders);
}

static void
check_hosts(struct ward *w)
{
	w->contact =
	    (struct doctor_contact){.d = w->d, .store = w->store, .fn = ward_on_contact, .arg = w};
	doctor_contact_read(&w->contact);
}

/* --- revisions --- */

static void
ward_on_limit(const struct http_response *r, void *arg)
{
	struct ward *w = arg;
	long limit = r->status == 200 ? strtol(r->body, NULL, 10) : 0;
	char cure[256];

	snprintf(cure, sizeof(cure),
	    "as an administrator: curl -X PUT %s://%s:%u/%s/_revs_limit -d 20",
	    w->uri.scheme == URI_COUCHS ? "https" : "http", w->uri.host, (unsigned int)w->uri.port,
	    w->uri.path);
	if (limit > REVS_LIMIT_MAX)
		doctor_say(w->d, "store revisions", CHECK_WARN, cure,
		    "_revs_limit is %ld: with each change of a record the numbers of so many old "
		    "revisions are written",
		    limit);
	else if (limit > 0)
		doctor_say(w->d, "store revisions", CHECK_OK, NULL, "_revs_limit is %ld", limit);
	else
		doctor_say(
		    w->d, "store revisions", CHECK_SKIP, NULL, "it does not say (%ld)", r->status);
	check_hosts(w);
}

static void
check_revisions(struct ward *w)
{
	char *db, *url;

	if (w->http == NULL) { /* no CouchDB */
		check_hosts(w);
		return;
	}
	db = couch_url(&w->uri);
	xasprintf(&url, "%s/_revs_limit", db);
	http_request(w->http, "GET", url, NULL, 0, ward_on_limit, w);
	free(url);
	free(db);
}

/* --- the database --- */

static void
ward_on_checked(const struct trouble *why, const char *done, void *arg)
{
	struct ward *w = arg;

	if (why == NULL)
		doctor_say(w->d, "store content", CHECK_OK, NULL, "%s", done);
	else
		doctor_say_trouble(w->d, "store content", CHECK_FAIL, why);
	check_revisions(w);
}

/* A page that is damaged is met by those alone whose rows are on it. */
static void
check_content(struct ward *w)
{
	if (store_can_check(w->store))
		store_check(w->store, ward_on_checked, w);
	else
		check_revisions(w);
}

static void
ward_on_probed(const struct trouble *why, const char *done, void *arg)
{
	struct ward *w = arg;

	if (why == NULL)
		doctor_say(
		    w->d, after_tcp[LINK_WRITE], CHECK_OK, NULL, "a probe was written and removed");
	else
		doctor_say_trouble(w->d, after_tcp[LINK_WRITE], CHECK_FAIL, why);
	check_content(w);
}

/* Whom a probe that is refused is a failure of. Nothing but how it is mounted forbids root to write
 * a file. */
static bool
is_to_write(const struct ward *w)
{
	return w->d->role == DOCTOR_COLLECTOR || geteuid() == 0;
}

static void
ward_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct ward *w = arg;

	if (found == STORE_FAILED) {
		doctor_say_trouble(w->d, after_tcp[LINK_DATABASE], CHECK_FAIL, why);
		doctor_skip(w->d, &after_tcp[LINK_WRITE], "no database");
		end(w);
		return;
	}
	doctor_say(
	    w->d, after_tcp[LINK_DATABASE], CHECK_OK, NULL, "%s answers", store_id(w->store));
	if (store_is_read_only(w->store) && !is_to_write(w)) {
		doctor_say(w->d, after_tcp[LINK_WRITE], CHECK_OK, NULL,
		    "this user may read it, which is all that looking takes; to send commands "
		    "with outcomes it would have to write it");
		check_content(w);
		return;
	}
	store_probe(w->store, ward_on_probed, w);
}

static void
open_store(struct ward *w)
{
	struct trouble why;

	w->store = store_open(w->d->v->loop, &w->uri, w->d->options, STORE_USE, &why);
	if (w->store != NULL) {
		store_get(w->store, NOBODY, ward_on_record, w);
		return;
	}
	doctor_say_trouble(w->d, after_tcp[LINK_DATABASE], CHECK_FAIL, &why);
	doctor_skip(w->d, &after_tcp[LINK_WRITE], "no database");
	end(w);
}

/* --- TLS and login --- */

static bool
is_tls(const struct ward *w)
{
	return w->uri.scheme == URI_COUCHS;
}

static const char *const *
first_link(const struct ward *w)
{
	return &after_tcp[is_tls(w) ? LINK_TLS : LINK_LOGIN];
}

/* One answer tells of both: with TLS 1.3 a server that wants our certificate says so after the
 * handshake. Whether there is a database of that name is the next link. */
static void
ward_on_answer(const struct http_response *r, void *arg)
{
	struct ward *w = arg;
	const char *const *link = first_link(w);
	struct trouble why;
	char id[512];
	bool refused = r->status == 401 || http_says_locked(r);

	if (r->status != 0 && is_tls(w))
		doctor_say(w->d, *link++, CHECK_OK, NULL, "the store's certificate is good");
	if (r->status != 0 && !refused) {
		doctor_say(w->d, after_tcp[LINK_LOGIN], CHECK_OK, NULL, "%s%s",
		    w->uri.user != NULL ? "as " : "without a user: the URI names none",
		    w->uri.user != NULL ? w->uri.user : "");
		open_store(w);
		return;
	}
	couch_answer_read(r, 200, uri_redacted(&w->uri, id, sizeof(id)), &why);
	doctor_say_trouble(w->d, *link, CHECK_FAIL, &why);
	doctor_skip(w->d, link + 1, "not reached");
	end(w);
}

static void
ward_on_reached(bool ok, void *arg)
{
	struct ward *w = arg;
	const struct options *o = w->d->options;
	struct http_options opt = {
	    .user = w->uri.user,
	    .password = w->uri.password,
	    .tls_host = is_tls(w) ? w->uri.host : NULL,
	    .others = w->uri.others,
	    .n_others = w->uri.n_others,
	    .tls = &o->couch_tls,
	    .max_connections = 1,
	    .timeout_ms = o->couch_timeout_ms,
	    .max_response_bytes = PAGE_MAX,
	};
	char *url;

	w->reached = w->reached || ok;
	if (w->asked < w->uri.n_others) { /* each is told of; one is enough to go on */
		const struct uri_place *other = &w->uri.others[w->asked++];

		reach_start(w->d, "store", other->host, other->port, ward_on_reached, w);
		return;
	}
	if (w->reached) {
		w->http = http_create(w->d->v->loop, &opt);
		url = couch_url(&w->uri);
		http_request(w->http, "GET", url, NULL, 0, ward_on_answer, w);
		free(url);
		return;
	}
	doctor_skip(w->d, first_link(w), "not reached");
	end(w);
}

/* --- PostgreSQL --- */

static void
ward_on_pg(bool ok, void *arg)
{
	if (ok)
		open_store(arg);
	else
		end(arg);
}

static void
ward_on_pg_reached(bool ok, void *arg)
{
	struct ward *w = arg;

	w->reached = w->reached || ok;
	if (w->asked < w->uri.n_others) {
		const struct uri_place *other = &w->uri.others[w->asked++];

		reach_start(w->d, "store", other->host, other->port, ward_on_pg_reached, w);
	} else {
		doctor_pg(w->d, &w->uri, ward_on_pg, w);
	}
}

static void
check_pg(struct ward *w)
{
	if (w->uri.host == NULL || w->uri.host[0] == '/') /* its socket */
		doctor_pg(w->d, &w->uri, ward_on_pg, w);
	else
		reach_start(w->d, "store", w->uri.host, w->uri.port, ward_on_pg_reached, w);
}

/* Opening would make it; looking must not. */
static void
check_file(struct ward *w)
{
	struct stat st;

	if (stat(w->uri.path, &st) != 0) {
		int err = errno;

		doctor_say(w->d, "store file", CHECK_FAIL,
		    err == ENOENT ? "vogeler-admin setup, as the user that vogelerd runs as"
				  : "give this user the right to read it",
		    "%s: %s", w->uri.path, errtext_errno(err));
		doctor_skip(w->d, &after_tcp[LINK_DATABASE], "no file");
		end(w);
		return;
	}
	if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		doctor_say(w->d, "store file", CHECK_WARN, "chmod o-rw the file",
		    "%s: everyone may %s what hosts answer (mode %04o)", w->uri.path,
		    (st.st_mode & S_IWOTH) != 0 ? "change" : "read",
		    (unsigned int)st.st_mode & 07777);
	else
		doctor_say(w->d, "store file", CHECK_OK, NULL, "%s, mode %04o, owner %u",
		    w->uri.path, (unsigned int)st.st_mode & 07777, (unsigned int)st.st_uid);
	open_store(w);
}

void
doctor_store(struct doctor *d)
{
	const char *dbhost = d->options->dbhost;
	struct ward *w;
	struct trouble why;

	if (d->role == DOCTOR_AGENT) {
		doctor_skip(d, &after_tcp[LINK_DATABASE], "an agent needs none");
		doctor_next(d);
		return;
	}
	if (dbhost == NULL) {
		doctor_skip(d, &after_tcp[LINK_DATABASE],
		    "no store is named (--dbhost URI, or [couch] dsn): only "
		    "vogelerd and vogeler-admin need one");
		doctor_next(d);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->d = d;
	if (!uri_parse(dbhost, &w->uri, &why)) {
		doctor_say_trouble(d, after_tcp[LINK_DATABASE], CHECK_FAIL, &why);
		doctor_skip(d, &after_tcp[LINK_WRITE], "no store");
		end(w);
		return;
	}
	switch (w->uri.scheme) {
	case URI_SQLITE:
		check_file(w);
		return;
	case URI_COUCH:
	case URI_COUCHS:
		reach_start(d, "store", w->uri.host, w->uri.port, ward_on_reached, w);
		return;
	case URI_NULL:
		doctor_say(d, after_tcp[LINK_DATABASE], CHECK_WARN, "name one that does",
		    "null:// keeps nothing: it is for benchmarks");
		doctor_skip(d, &after_tcp[LINK_WRITE], "nothing is kept");
		end(w);
		return;
	case URI_PG:
		check_pg(w);
		return;
	case URI_AMQP: /* told by the options */
	case URI_AMQPS:
		open_store(w);
		return;
	}
}
