/* SPDX-License-Identifier: Apache-2.0 */
/* See jsonx_note.h. */
#include "shared/wire/jsonx_note.h"

const char *
jsonx_refusal_name(enum jsonx_refusal refusal)
{
	switch (refusal) {
	case JSONX_READ:
		return "read";
	case JSONX_SYNTAX:
		return "syntax";
	case JSONX_DEPTH:
		return "depth";
	case JSONX_KEYS:
		return "keys";
	case JSONX_VALUES:
		return "values";
	case JSONX_BYTES:
		return "bytes";
	case JSONX_MEMORY:
		return "memory";
	}
	return "?";
}

const char *
jsonx_odd_text(enum jsonx_odd odd)
{
	switch (odd) {
	case JSONX_BIG_INTEGER:
		return "integers beyond 64 bits are kept as text";
	case JSONX_BIG_REAL:
		return "numbers beyond the range of a double are kept as text";
	case JSONX_NOT_A_NUMBER:
		return "numbers that are none (NaN, Infinity) are kept as text";
	case JSONX_SURROGATE:
		return "halves of a surrogate pair are shown as U+FFFD";
	case JSONX_KEY_TWICE:
		return "repeated keys have the last of their values";
	case JSONX_KEY_NUL:
		return "keys hold a NUL, shown as U+2400";
	case JSONX_KEY_NO_TEXT:
		return "keys are a list or a map, kept as the text of its JSON";
	case JSONX_ALIAS:
		return "aliases name nothing, or what they are in, and are kept as text";
	}
	return "?";
}

bool
jsonx_is_odd(const struct jsonx_note *note)
{
	size_t i;

	for (i = 0; i < JSONX_N_ODD; i++) {
		if (note->odd[i].count > 0)
			return true;
	}
	return false;
}

void
jsonx_odd(struct jsonx_note *note, enum jsonx_odd odd, struct jsonx_place at)
{
	if (note->odd[odd].count++ == 0)
		note->odd[odd].first = at;
}
