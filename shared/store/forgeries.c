/* SPDX-License-Identifier: Apache-2.0 */
/* See forgeries.h. */
#include "shared/store/forgeries.h"

#include "shared/base/wallclock.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>

void
forgeries_add(
    struct forgeries *f, const char *sender, const char *why, bool untold, int64_t wallclock_ms)
{
	if (f->refused == 0)
		f->since_ms = wallclock_ms;
	f->at_ms = wallclock_ms;
	f->refused++;
	f->untold += untold;
	snprintf(f->sender, sizeof(f->sender), "%s", sender == NULL ? "" : sender);
	snprintf(f->why, sizeof(f->why), "%s", why);
}

json_t *
forgeries_note(const struct forgeries *f)
{
	char since[WALLCLOCK_TEXT_SIZE], at[WALLCLOCK_TEXT_SIZE];
	json_t *note = json_object(), *all = json_object();

	jsonx_set_str(note, "since", wallclock_format(f->since_ms, since));
	jsonx_set_str(note, "at", wallclock_format(f->at_ms, at));
	jsonx_set_int(note, "refused", (json_int_t)f->refused);
	jsonx_set_int(note, "untold", (json_int_t)f->untold);
	jsonx_set_str(note, "sender", f->sender);
	jsonx_set_str(note, "why", f->why); /* it may be cut in the middle of a character */
	json_object_set_new(all, FORGERIES_NOTE, note);
	return all;
}

static const char *
text_of(const json_t *note, const char *key)
{
	const char *text = json_string_value(json_object_get(note, key));

	return text == NULL ? "" : text;
}

void
forgeries_load(struct forgeries *f, const json_t *notes)
{
	const json_t *note = json_object_get(notes, FORGERIES_NOTE);
	int64_t since, at;

	*f = (struct forgeries){0};
	if (!wallclock_parse(text_of(note, "since"), &since) ||
	    !wallclock_parse(text_of(note, "at"), &at))
		return;
	f->since_ms = since;
	f->at_ms = at;
	f->refused = (uint64_t)json_integer_value(json_object_get(note, "refused"));
	f->untold = (uint64_t)json_integer_value(json_object_get(note, "untold"));
	snprintf(f->sender, sizeof(f->sender), "%s", text_of(note, "sender"));
	snprintf(f->why, sizeof(f->why), "%s", text_of(note, "why"));
}
