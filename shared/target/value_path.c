/* SPDX-License-Identifier: Apache-2.0 */
/* See value_path.h. */
#include "shared/target/value_path.h"

#include "shared/base/xalloc.h"
#include "shared/wire/jread.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS     "0123456789"
#define DIGITS_MAX 9 /* more items than a value may have */
#define NOT_QUOTED "what begins with a quote is no string of JSON"

struct step {
	const char *name; /* not NUL-terminated; NULL: it is an index, or quoted */
	size_t len;
	char *quoted; /* malloced */
	long index;   /* from the end when it is below 0 */
	bool is_index;
};

/* The string at *at, with its quotes; then *at is behind it. NULL: it is none. */
static char *
read_quoted(const char **at)
{
	size_t len;
	struct jread j;

	jread_init(&j, *at, strlen(*at), NULL);
	if (jread_next(&j) != JREAD_STRING)
		return NULL;
	*at += j.end;
	return jread_text_new(&j, &len);
}

static const char *
read_index(const char **at, struct step *step)
{
	const char *p = *at;
	bool minus = *p == '-';
	size_t n = strspn(p + minus, DIGITS);

	if (n == 0)
		return *p == ']' ? "[] is many values: a path leads to one, as [0]"
				 : "a bracket holds a number, or a name in quotes";
	if (n > DIGITS_MAX)
		return "no array is that long";
	step->is_index = true;
	step->index = strtol(p, NULL, 10);
	*at = p + minus + n;
	return NULL;
}

/* Behind "[". */
static const char *
read_bracket(const char **at, struct step *step)
{
	const char *why = NULL;

	if (**at != '"') {
		why = read_index(at, step);
	} else {
		step->quoted = read_quoted(at);
		if (step->quoted == NULL)
			return NOT_QUOTED;
	}
	if (why == NULL && *(*at)++ != ']')
		why = "\"[\" has no \"]\"";
	return why;
}

/* The next step of the path; begins: nothing was read yet. */
static const char *
read_step(const char **at, bool begins, struct step *step)
{
	*step = (struct step){0};
	if (**at == '.')
		++*at;
	else if (**at != '[' && !begins)
		return "a dot is missing behind \"]\"";
	if (**at == '[') {
		++*at;
		return read_bracket(at, step);
	}
	if (**at == '"') {
		step->quoted = read_quoted(at);
		return step->quoted != NULL ? NULL : NOT_QUOTED;
	}
	step->name = *at;
	step->len = strcspn(*at, ".[");
	*at += step->len;
	return step->len > 0 ? NULL : "a name is missing behind a dot";
}

static bool
is_whole(const char *path)
{
	return path[0] == '\0' || strcmp(path, ".") == 0;
}

const char *
value_path_error(const char *path)
{
	const char *at = path, *why = NULL;

	if (is_whole(path))
		return NULL;
	while (why == NULL && *at != '\0') {
		struct step step;

		why = read_step(&at, at == path, &step);
		free(step.quoted);
	}
	return why;
}

static const json_t *
item_at(const json_t *array, long index)
{
	long n = (long)json_array_size(array);

	index += index < 0 ? n : 0;
	return index < 0 ? NULL : json_array_get(array, (size_t)index);
}

static const json_t *
take_step(const json_t *value, const struct step *step)
{
	if (step->is_index)
		return item_at(value, step->index);
	if (step->quoted != NULL)
		return json_object_get(value, step->quoted);
	if (json_is_array(value) && step->len <= DIGITS_MAX &&
	    strspn(step->name, DIGITS) >= step->len)
		return item_at(value, strtol(step->name, NULL, 10));
	return json_object_getn(value, step->name, step->len);
}

const json_t *
value_path_get(const json_t *value, const char *path, const json_t **last, size_t *len)
{
	const char *at = path;

	*last = value;
	*len = 0;
	if (is_whole(path))
		return value;
	while (*at != '\0') {
		struct step step;

		if (read_step(&at, at == path, &step) != NULL)
			abort(); /* the caller has looked */
		value = take_step(*last, &step);
		free(step.quoted);
		if (value == NULL)
			return NULL;
		*last = value;
		*len = (size_t)(at - path);
	}
	return value;
}
