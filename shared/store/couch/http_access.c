/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/http_access.h"

#include "shared/base/log.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"

#include <bsd/string.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

/* ---- nodes ---- */

static void
add_places(struct http_access *a, const struct http_options *opt)
{
	char *line;

	a->n_places = opt->n_others + 1;
	a->places = xcalloc(a->n_places, sizeof(*a->places));
	a->places[0].host = xstrdup("the first host");
	for (size_t i = 0; i < opt->n_others; i++) {
		const struct uri_place *other = &opt->others[i];

		a->places[i + 1].host = xstrdup(other->host);
		xasprintf(&line, strchr(other->host, ':') != NULL ? "::[%s]:%u" : "::%s:%u",
		    other->host, (unsigned int)other->port);
		a->places[i + 1].connect_to = curl_slist_append(NULL, line);
		if (a->places[i + 1].connect_to == NULL)
			fatal("http", "out of memory");
		free(line);
	}
}

void
http_access_move_on(struct http_access *a, size_t place, const char *why)
{
	if (a->n_places < 2 || a->place != place)
		return;
	a->place = (a->place + 1) % a->n_places;
	log_warn("http", "%s: %s; going on with %s", a->places[place].host, why,
	    a->places[a->place].host);
}

/* ---- the login ---- */

static void
forget_login(struct http_access *a)
{
	free(a->user);
	if (a->password != NULL)
		explicit_bzero(a->password, strlen(a->password));
	free(a->password);
}

void
http_access_set_login(struct http_access *a, const char *user, const char *password)
{
	forget_login(a);
	a->user = xstrdup_null(user);
	a->password = xstrdup_null(password);
	a->login++;
	a->state = HTTP_LOGIN_UNTRIED;
}

bool
http_access_is_held_back(const struct http_access *a, struct mono now)
{
	return a->state == HTTP_LOGIN_REFUSED && mono_diff(a->until, now) > 0;
}

struct http_response
http_access_refusal(const struct http_access *a)
{
	return (struct http_response){.error = "this login was refused",
	    .never_sent = true,
	    .refused = a->status,
	    .body = a->said,
	    .body_len = strlen(a->said)};
}

uint32_t
http_access_at_once(struct http_access *a, uint32_t max)
{
	if (a->state == HTTP_LOGIN_REFUSED)
		a->state = HTTP_LOGIN_UNTRIED;
	return a->user != NULL && a->state != HTTP_LOGIN_GOOD ? 1 : max;
}

/* Notes an answer; one to what was sent with an earlier login says nothing about this one. */
void
http_access_note(
    struct http_access *a, unsigned int login, const struct http_response *resp, struct mono now)
{
	if (a->user == NULL || login != a->login || resp->status == 0)
		return;
	if (resp->status != 401 && !http_says_locked(resp)) {
		if (a->state == HTTP_LOGIN_UNTRIED)
			a->state = HTTP_LOGIN_GOOD;
		return;
	}
	a->state = HTTP_LOGIN_REFUSED;
	a->status = resp->status;
	strlcpy(a->said, resp->body, sizeof(a->said));
	a->until = mono_add(now, a->wait_ms);
}

/* ---- the whole ---- */

void
http_access_init(struct http_access *a, const struct http_options *opt)
{
	*a = (struct http_access){.user = xstrdup_null(opt->user),
	    .password = xstrdup_null(opt->password),
	    .wait_ms = opt->login_wait_ms > 0 ? opt->login_wait_ms : HTTP_LOGIN_WAIT_MS};
	add_places(a, opt);
}

void
http_access_finish(struct http_access *a)
{
	forget_login(a);
	for (size_t i = 0; i < a->n_places; i++) {
		free(a->places[i].host);
		curl_slist_free_all(a->places[i].connect_to);
	}
	free(a->places);
	*a = (struct http_access){0};
}
