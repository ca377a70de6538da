/* SPDX-License-Identifier: Apache-2.0 */
/* See jq_plugins.h. A scan of tokens with one question at each: is the input here (".") the
 * record, or something taken from it? Of what is taken from it all may be read. While it is the
 * record, only paths with a name in front (.facter.os), literals, operators, brackets and a few
 * functions that look at nothing by themselves are let through; anything else may read any plugin.
 *
 * A pipe whose left side cannot yield the record makes what follows, up to the end of the bracket,
 * work on something taken from it. Names found there are collected too where a path begins: a
 * name too many costs little. */
#include "shared/query/jq_plugins.h"

#include "shared/base/name.h"
#include "shared/base/xalloc.h"
#include "shared/target/target.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

enum token {
	TOKEN_END,
	TOKEN_PATH, /* .name ."name": text is the name */
	TOKEN_DOT,  /* . alone */
	TOKEN_WORD, /* keywords and functions */
	TOKEN_VARIABLE,
	TOKEN_LITERAL, /* numbers and strings */
	TOKEN_OPEN,    /* ( [ { */
	TOKEN_CLOSE,   /* ) ] } */
	TOKEN_PIPE,
	TOKEN_SEMICOLON,
	TOKEN_OPERATOR,
	TOKEN_DARK, /* what this does not understand */
};

struct scope {
	bool record;    /* the input is the record */
	bool yields;    /* what stands here so far, since the last pipe, may yield the record */
	bool as;        /* the next pipe belongs to "as" */
	bool needs_two; /* any(f) reads all values; any(g; f) does not */
	bool condition; /* of select() and the like */
	bool object;    /* {...} with the record as its input */
	bool key;       /* of an object: a key is next */
};

struct scan {
	const char *at;
	enum token token, last;
	char text[NAME_PLUGIN_MAX + 1];
	bool too_long;      /* for a plugin */
	bool after_try;     /* the last token is "?" */
	bool after_keyword; /* is "and" or "or" */
	size_t n_tokens;
	struct scope scopes[DEPTH_MAX];
	size_t depth;
	struct hosts names; /* a sorted list of words is what it is */
	struct jq_record_path *paths;
	size_t n_paths;
};

/* --- tokens --- */

static bool
is_name_start(char c)
{
	return isalpha((unsigned char)c) || c == '_';
}

static void
take_name(struct scan *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s->at[n]) || s->at[n] == '_')
		n++;
	s->too_long = n > NAME_PLUGIN_MAX;
	if (!s->too_long) {
		memcpy(s->text, s->at, n);
		s->text[n] = '\0';
	}
	s->at += n;
}

/* at: behind the opening quote. A backslash may begin "\(…)" or spell a letter otherwise. */
static enum token
take_string(struct scan *s, enum token token)
{
	size_t n = strcspn(s->at, "\"\\");

	s->too_long = n > NAME_PLUGIN_MAX;
	if (!s->too_long) {
		memcpy(s->text, s->at, n);
		s->text[n] = '\0';
	}
	while (s->at[n] == '\\' && s->at[n + 1] != '(' && s->at[n + 1] != '\0') {
		if (token == TOKEN_PATH)
			return TOKEN_DARK;
		n += 2;
		n += strcspn(s->at + n, "\"\\");
	}
	if (s->at[n] != '"')
		return TOKEN_DARK;
	s->at += n + 1;
	return token;
}

/* at: behind a dot. */
static enum token
take_path(struct scan *s)
{
	const char *p = s->at;

	if (isdigit((unsigned char)*p)) {
		s->at += strspn(p, "0123456789eE");
		return TOKEN_LITERAL;
	}
	if (is_name_start(*p)) {
		take_name(s);
		return TOKEN_PATH;
	}
	if (*p == '.')
		return TOKEN_DARK; /* recursive descent */
	if (*p == '[')
		p++;
	while (p > s->at && isspace((unsigned char)*p))
		p++;
	if (*p == '"') {
		bool bracket = p > s->at;
		enum token token;

		s->at = p + 1;
		token = take_string(s, TOKEN_PATH);
		if (!bracket || token != TOKEN_PATH)
			return token;
		s->at += strspn(s->at, " \t\n\r");
		return *s->at++ == ']' ? TOKEN_PATH : TOKEN_DARK;
	}
	return TOKEN_DOT;
}

/* An assignment (=, +=, //=) yields what it assigned into: the record, perhaps. */
static enum token
take_operator(struct scan *s, char c)
{
	bool compares = strchr("=!<>", c) != NULL;

	if (c == '/' && *s->at == '/')
		s->at++;
	if (strchr(",?:", c) != NULL)
		return TOKEN_OPERATOR;
	if (*s->at != '=')
		return c == '=' ? TOKEN_DARK : TOKEN_OPERATOR;
	s->at++;
	return compares ? TOKEN_OPERATOR : TOKEN_DARK;
}

static enum token
take_other(struct scan *s)
{
	char c = *s->at++;

	switch (c) {
	case '(':
	case '[':
	case '{':
		return TOKEN_OPEN;
	case ')':
	case ']':
	case '}':
		return TOKEN_CLOSE;
	case ';':
		return TOKEN_SEMICOLON;
	case '"':
		return take_string(s, TOKEN_LITERAL);
	case '$':
		take_name(s);
		return s->text[0] == '_' ? TOKEN_DARK : TOKEN_VARIABLE;
	default:
		return strchr("=!<>+-*/%,?:", c) != NULL ? take_operator(s, c) : TOKEN_DARK;
	}
}

static enum token
next(struct scan *s)
{
	for (;;) {
		s->at += strspn(s->at, " \t\n\r");
		if (*s->at != '#')
			break;
		s->at += strcspn(s->at, "\n");
	}
	if (*s->at == '\0')
		return TOKEN_END;
	if (*s->at == '.') {
		s->at++;
		return take_path(s);
	}
	if (*s->at == '|') {
		s->at++;
		if (*s->at != '=')
			return TOKEN_PIPE;
		s->at++;
		return TOKEN_DARK; /* an update yields the record */
	}
	if (isdigit((unsigned char)*s->at)) {
		s->at += strspn(s->at, "0123456789.eE");
		return TOKEN_LITERAL;
	}
	if (is_name_start(*s->at)) {
		take_name(s);
		return s->too_long || strncmp(s->at, "::", 2) == 0 ? TOKEN_DARK : TOKEN_WORD;
	}
	return take_other(s);
}

/* --- what they mean --- */

/* Right behind these a dot goes on with a path. */
static bool
ends_term(enum token t)
{
	return t == TOKEN_PATH || t == TOKEN_CLOSE || t == TOKEN_VARIABLE || t == TOKEN_DOT;
}

/* A name behind one of these goes on with it, whatever blanks are between. */
static bool
begins_path(const struct scan *s)
{
	return s->last == TOKEN_OPEN || s->last == TOKEN_PIPE || s->last == TOKEN_SEMICOLON ||
	       (s->last == TOKEN_OPERATOR && !s->after_try) ||
	       (s->last == TOKEN_WORD && s->after_keyword);
}

static void
note_path(struct scan *s, const struct scope *now)
{
	bool alone = s->last == TOKEN_OPEN || s->last == TOKEN_PIPE || s->n_tokens == 0;
	struct jq_record_path *p;

	if (!now->record || !begins_path(s) || name_plugin_error(s->text) != NULL)
		return;
	s->paths = xreallocarray(s->paths, s->n_paths + 1, sizeof(*s->paths));
	p = &s->paths[s->n_paths++];
	*p = (struct jq_record_path){.plugin = xstrdup(s->text), .condition = now->condition};
	jq_path_read(&p->path, s->text, s->at, alone);
}

static bool
on_path(struct scan *s, struct scope *now, bool continues)
{
	if (continues && s->last != TOKEN_CLOSE)
		return true;
	note_path(s, now);
	/* Behind a bracket it may be the record's or not. */
	if (s->too_long || (name_is_reserved(s->text) && strcmp(s->text, "_id") != 0))
		return !now->record;
	if (name_plugin_error(s->text) == NULL)
		hosts_add(&s->names, s->text);
	return true;
}

static bool
is_one_of(const char *word, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (strcmp(word, *list) == 0)
			return true;
	}
	return false;
}

static bool
on_word(struct scan *s, struct scope *now)
{
	static const char *const harmless[] = {
	    "and", "or", "not", "true", "false", "null", "empty", "now", NULL};
	bool call = s->at[strspn(s->at, " \t\n\r")] == '(';

	if (strcmp(s->text, "as") == 0) {
		now->as = true;
		return !now->yields; /* else the variable may be the record */
	}
	if (!now->record || is_one_of(s->text, harmless))
		return true;
	if (call && strcmp(s->text, "select") == 0) {
		now->yields = true;
		return true;
	}
	return call && (strcmp(s->text, "any") == 0 || strcmp(s->text, "all") == 0);
}

static bool
open_scope(struct scan *s, bool function)
{
	const struct scope *outer = &s->scopes[s->depth];
	struct scope *inner;

	if (s->depth + 1 == DEPTH_MAX)
		return false;
	inner = &s->scopes[++s->depth];
	*inner = (struct scope){.record = outer->record};
	inner->condition = outer->condition || (function && strcmp(s->text, "not") != 0);
	inner->object = inner->key = outer->record && s->at[-1] == '{';
	inner->needs_two = function && outer->record &&
			   (strcmp(s->text, "any") == 0 || strcmp(s->text, "all") == 0);
	return true;
}

static bool
close_scope(struct scan *s)
{
	const struct scope *inner = &s->scopes[s->depth];

	if (s->depth == 0 || inner->needs_two || (inner->object && inner->yields))
		return false;
	if (inner->yields)
		s->scopes[s->depth - 1].yields = true;
	s->depth--;
	return true;
}

static void
on_pipe(struct scope *now)
{
	if (now->as)
		now->as = false;
	else if (!now->yields)
		now->record = false;
	now->yields = false;
}

/* Goes on to the next argument: in any(g; f) the first works on the input, the second on what g
 * yields, which is not the record unless g can yield it. */
static void
on_semicolon(struct scope *now)
{
	now->needs_two = false;
	now->record = now->record && now->yields;
	now->yields = false;
}

/* {name} is short for {name: .name}. */
static bool
on_key(struct scan *s, struct scope *now)
{
	bool named = s->at[strspn(s->at, " \t\n\r")] == ':';

	now->key = false;
	switch (s->token) {
	case TOKEN_WORD:
		return named || on_path(s, now, false);
	case TOKEN_LITERAL:
		return named;
	case TOKEN_VARIABLE:
		return true;
	case TOKEN_OPEN:
		return open_scope(s, false);
	case TOKEN_CLOSE:
		return close_scope(s);
	default:
		return false;
	}
}

/* The next member has the record as its input again. */
static bool
on_operator(struct scan *s, struct scope *now)
{
	if (!now->object || s->at[-1] != ',')
		return true;
	if (now->yields)
		return false; /* the record would be a part of the object */
	now->record = now->key = true;
	now->as = false;
	return true;
}

static bool
on_token(struct scan *s, bool continues)
{
	struct scope *now = &s->scopes[s->depth];

	if (now->key)
		return on_key(s, now);
	switch (s->token) {
	case TOKEN_PATH:
		return on_path(s, now, continues);
	case TOKEN_DOT:
		/* ".[…]" behind a term, as in .a.[0], is not the input itself. */
		return !now->record || continues;
	case TOKEN_WORD:
		return on_word(s, now);
	case TOKEN_OPEN:
		return open_scope(s, s->last == TOKEN_WORD);
	case TOKEN_CLOSE:
		return close_scope(s);
	case TOKEN_PIPE:
		on_pipe(now);
		return true;
	case TOKEN_SEMICOLON:
		on_semicolon(now);
		return s->depth > 0;
	case TOKEN_DARK:
		return false;
	case TOKEN_VARIABLE:
	case TOKEN_LITERAL:
	case TOKEN_END:
		return true;
	case TOKEN_OPERATOR:
		return on_operator(s, now);
	}
	return false;
}

/* false: at some token it was not understood. */
static bool
scan_program(struct scan *s, const char *program)
{
	bool told = true;

	*s = (struct scan){.at = program, .last = TOKEN_OPERATOR, .scopes = {{.record = true}}};
	do {
		bool space = strchr(" \t\n\r#", *s->at) != NULL;

		s->token = next(s);
		told = on_token(s, !space && ends_term(s->last));
		s->last = s->token;
		s->after_try = s->token == TOKEN_OPERATOR && s->at[-1] == '?';
		s->after_keyword = s->token == TOKEN_WORD &&
				   (strcmp(s->text, "and") == 0 || strcmp(s->text, "or") == 0);
		s->n_tokens++;
	} while (told && s->token != TOKEN_END);
	return told;
}

bool
jq_plugins(const char *program, enum jq_mode mode, char ***names, size_t *n)
{
	struct scan s;
	bool told = scan_program(&s, program) && (mode == JQ_TRUTH || !s.scopes[0].yields);

	jq_paths_free(s.paths, s.n_paths);
	hosts_sort(&s.names);
	*n = s.names.n;
	if (told) {
		hosts_add(&s.names, "");
		free(s.names.names[s.names.n - 1]);
		s.names.names[s.names.n - 1] = NULL;
		*names = s.names.names;
		return true;
	}
	hosts_finish(&s.names);
	*names = NULL;
	return false;
}

size_t
jq_record_paths(const char *program, struct jq_record_path **paths)
{
	struct scan s;
	bool told = scan_program(&s, program);

	(void)told; /* what was understood until then is */
	hosts_finish(&s.names);
	*paths = s.paths;
	return s.n_paths;
}

void
jq_paths_free(struct jq_record_path *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(paths[i].path.text);
		free(paths[i].plugin);
	}
	free(paths);
}
