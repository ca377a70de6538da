/* SPDX-License-Identifier: Apache-2.0 */
/* "show HOSTS [PLUGIN [PATH]]", when several hosts are meant: answers side by side. */
#include "admin/show_many.h"

#include "admin/contact.h"
#include "admin/meant.h"
#include "admin/missing.h"
#include "admin/record_print.h"
#include "admin/record_view.h"
#include "admin/verb.h"

#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/print/answers.h"
#include "shared/query/plugin_names.h"
#include "shared/store/store.h"
#include "shared/target/missing_part.h"
#include "shared/target/value_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum reading {
	READING_NAMES, /* of names alone each is asked for */
	READING_LIST,  /* of globs all are */
};

struct show_many {
	struct verb_context *v;
	const char *plugin, *path; /* NULL = all of the record, of the value */
	struct meant meant;        /* what is known: of READING_LIST */
	enum reading reading;
	struct hosts names; /* of READING_NAMES */
	size_t next;        /* of names: the one that is asked for */
	struct hosts missing;
	size_t printed, n_missing;
	struct known_reading reading_known;
	struct plugin_names *plugins; /* to tell what was meant, when nobody has it */
	struct answers *answers;
	struct missing_part *missing_part; /* NULL without a path */
	struct contact_reading reading_contacts;
	struct contacts *contacts;
};

static void
many_finish(void *arg)
{
	struct show_many *m = arg;

	hosts_finish(&m->names);
	hosts_finish(&m->missing);
	plugin_names_destroy(m->plugins);
	meant_finish(&m->meant);
	answers_destroy(m->answers);
	missing_part_destroy(m->missing_part);
	contacts_destroy(m->contacts);
	free(m);
}

static void
failed(struct show_many *m, const struct trouble *why)
{
	verb_fail_trouble(m->v, why, "cannot read from %s", store_id(m->v->store));
}

static void
many_on_lack(const char *line, void *arg)
{
	complain_line("vogeler-admin", "%s", line);
}

/* None has that part: it is mistyped, perhaps. */
static void
tell_what_there_is(const struct show_many *m)
{
	char *there = m->missing_part == NULL ? NULL : missing_part_text(m->missing_part);

	if (there != NULL)
		complain_line("vogeler-admin", "\"%s\": %s", m->plugin, there);
	free(there);
}

static size_t
n_said(const struct show_many *m)
{
	return m->printed + answers_count(m->answers);
}

static void
done(struct show_many *m)
{
	verb_done(m->v, n_said(m) > 0 && m->n_missing == 0 ? VERB_OK : VERB_NO_SUCH_HOST);
}

static void
many_on_plugins(const struct plugin_names *names, const struct trouble *why, void *arg)
{
	struct show_many *m = arg;
	char hint[PLUGIN_NAMES_HINT_SIZE];

	if (names != NULL && plugin_names_count(names) > 0 && !plugin_names_has(names, m->plugin))
		complain_line("vogeler-admin", "no record has \"%s\"%s", m->plugin,
		    plugin_names_hint(names, m->plugin, hint));
	done(m);
}

static void
tell_missing(struct show_many *m)
{
	bool any = m->reading == READING_LIST ? m->meant.known.n > 0 : m->names.n > m->missing.n;

	if (m->reading == READING_LIST)
		m->n_missing = meant_tell_missing(&m->meant);
	else
		m->n_missing = m->missing.n;
	for (size_t i = 0; i < m->missing.n; i++)
		missing_say(m->v->store, &m->meant.known, m->missing.names[i]);
	if (m->meant.targets.all && n_said(m) == 0 && m->meant.known.n == 0)
		missing_say_nobody();
	if (m->plugin != NULL && n_said(m) == 0 && any)
		m->plugins = plugin_names_ask(m->v->store, many_on_plugins, m);
	else
		done(m);
}

static void
many_on_known(const struct trouble *why, void *arg)
{
	tell_missing(arg);
}

static void
end(struct show_many *m)
{
	answers_print(stdout, m->answers);
	fflush(stdout);
	answers_tell_lack(m->answers, many_on_lack, NULL);
	if (n_said(m) == 0)
		tell_what_there_is(m);
	if (m->missing.n > 0)
		known_read(&m->reading_known, m->v->store, &m->meant.known, many_on_known, m);
	else
		tell_missing(m);
}

/* --- one record --- */

static void
print_object(const char *host, const json_t *value, const char *why)
{
	json_t *o = answers_object(host, value, why);

	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void
lacks(struct show_many *m, const char *host, const char *why)
{
	if (m->v->json)
		print_object(host, NULL, why);
	else
		answers_lack(m->answers, host, why);
}

static void
lacks_plugin(struct show_many *m, const char *host)
{
	char *why;

	xasprintf(&why, "no value of \"%s\"" TROUBLE_CURE "\"vogeler-admin show %s %s\" says more",
	    m->plugin, "HOST", m->plugin);
	lacks(m, host, why);
	free(why);
}

static void
lacks_path(struct show_many *m, const char *host)
{
	char *why;

	xasprintf(&why, "\"%s\" has no %s", m->plugin, m->path);
	lacks(m, host, why);
	free(why);
}

static void
take_value(struct show_many *m, const char *host, const json_t *value)
{
	if (m->v->json) {
		print_object(host, value, NULL);
		m->printed++;
	} else {
		answers_add(m->answers, host, value);
	}
}

static void
print_whole(const struct show_many *m, const json_t *rec)
{
	char *contact = contact_sentence(m->contacts, rec, wallclock_ms());

	record_print(rec, contact);
	free(contact);
}

static void
take_record(struct show_many *m, const char *host, const json_t *rec)
{
	const json_t *value, *last;
	size_t len;

	if (m->plugin == NULL) {
		if (m->printed++ > 0 && !m->v->json)
			putchar('\n');
		if (m->v->json)
			record_print_json(rec);
		else
			print_whole(m, rec);
		return;
	}
	value = json_object_get(rec, m->plugin);
	if (value == NULL) {
		lacks_plugin(m, host);
		return;
	}
	if (m->path != NULL)
		value = value_path_get(value, m->path, &last, &len);
	if (value != NULL) {
		take_value(m, host, value);
	} else {
		missing_part_add(m->missing_part, last, len);
		lacks_path(m, host);
	}
}

/* --- reading --- */

static void
many_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct show_many *m = arg;
	const char *host = record_view_text(rec, "_id", NULL);

	switch (found) {
	case STORE_FOUND:
		if (host == NULL)
			return;
		hosts_add(&m->meant.known, host);
		if (targets_include(&m->meant.targets, host))
			take_record(m, host, rec);
		return;
	case STORE_FAILED:
		failed(m, why);
		return;
	case STORE_MISSING:
		end(m);
		return;
	}
}

static void ask_next(struct show_many *m);

static void
many_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct show_many *m = arg;
	const char *host = m->names.names[m->next];

	switch (found) {
	case STORE_FOUND:
		take_record(m, host, rec);
		break;
	case STORE_MISSING:
		hosts_add(&m->missing, host);
		break;
	case STORE_FAILED:
		failed(m, why);
		return;
	}
	m->next++;
	ask_next(m);
}

static void
ask_next(struct show_many *m)
{
	if (m->next < m->names.n)
		store_get(m->v->store, m->names.names[m->next], many_on_record, m);
	else
		end(m);
}

static void
many_on_nobody(const char *word, void *arg)
{
	struct show_many *m = arg;

	hosts_add(&m->missing, word);
}

static void
begin(struct show_many *m)
{
	const struct store_filter filter = {&m->plugin, 1};
	const struct hosts none = {0};

	if (targets_need_known(&m->meant.targets)) {
		m->reading = READING_LIST;
		store_list(m->v->store, m->plugin == NULL ? NULL : &filter, many_on_listed, m);
		return;
	}
	targets_resolve(&m->meant.targets, &none, &m->names, many_on_nobody, m);
	ask_next(m);
}

static void
many_on_contacts(struct contacts *contacts, const struct trouble *why, void *arg)
{
	struct show_many *m = arg;

	m->contacts = contacts;
	begin(m);
}

static void
many_on_meant(void *arg)
{
	struct show_many *m = arg;

	if (m->plugin == NULL && !m->v->json)
		contact_read(&m->reading_contacts, m->v->store, many_on_contacts, m);
	else
		begin(m);
}

bool
show_many(struct verb_context *v)
{
	const char *const words[] = {v->args[0], NULL};
	struct show_many *m;

	if (!meant_is_more(v->args[0]))
		return false;
	m = xcalloc(1, sizeof(*m));
	m->v = v;
	m->plugin = v->args[1];
	m->path = m->plugin == NULL ? NULL : v->args[2];
	m->missing_part = m->path == NULL ? NULL : missing_part_create(m->path);
	m->answers = answers_create();
	meant_init(&m->meant, v, "show", words);
	v->finish = many_finish;
	v->finish_arg = m;
	meant_ask(&m->meant, many_on_meant, m);
	return true;
}
