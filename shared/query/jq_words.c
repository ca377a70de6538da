/* SPDX-License-Identifier: Apache-2.0 */
/* See jq_words.h. */
#include "shared/query/jq_words.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN     "jq: error: "
#define TEXT_MAX  (16 * 1024)
#define SHOWN_MAX 128 /* of a function or a variable that is shown */

/* --- one error --- */

/* The tokens of jq's parser that have names of their own. */
static const char *
token_words(const char *token, size_t len)
{
	static const struct {
		const char *token, *words;
	} known[] = {
	    {"$end", "it ends too early"},
	    {"end of file", "it ends too early"},
	    {"INVALID_CHARACTER", "a character that means nothing there"},
	    {"invalid character", "a character that means nothing there"},
	    {"FIELD", "a name behind a dot that does not belong there"},
	    {"IDENT", "a word that does not belong there"},
	    {"LITERAL", "a number that does not belong there"},
	    {"FORMAT", "a format that does not belong there"},
	    {"QQSTRING_START", "a text that does not belong there"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].token) == len && strncmp(token, known[i].token, len) == 0)
			return known[i].words;
	}
	return NULL;
}

/* error: "syntax error, unexpected X, expecting Y or Z (Unix shell quoting issues?)". */
static bool
put_syntax_error(struct buf *out, const char *error, size_t len)
{
	static const char begin[] = "syntax error, unexpected ";
	const char *token = error + sizeof(begin) - 1, *words;
	size_t n = 0;

	if (strncmp(error, begin, sizeof(begin) - 1) != 0)
		return false;
	while (token + n < error + len && strncmp(token + n, ", expecting", 11) != 0 &&
	       strncmp(token + n, " (Unix", 6) != 0)
		n++;
	words = token_words(token, n);
	if (words != NULL)
		return buf_printf(out, "syntax error: %s", words);
	return buf_printf(out, "syntax error: %.*s does not belong there", (int)n, token);
}

/* error: "name/2 is not defined", "$name is not defined". name is told, too. */
static bool
put_not_defined(struct buf *out, const char *error, size_t len, char name[SHOWN_MAX])
{
	static const char end[] = " is not defined";
	size_t n = strcspn(error, " /"), arguments;

	if (len < sizeof(end) - 1 ||
	    strncmp(error + len - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
		return false;
	snprintf(name, SHOWN_MAX, "%.*s", (int)n, error);
	if (error[0] == '$')
		return buf_printf(out, "there is no variable \"%s\"", name);
	arguments = error[n] == '/' ? strtoul(error + n + 1, NULL, 10) : 0;
	if (arguments == 0)
		return buf_printf(out, "there is no function \"%s\"", name);
	return buf_printf(out, "there is no function \"%s\" of %zu argument%s", name, arguments,
	    arguments == 1 ? "" : "s");
}

/* error: without BEGIN, and without where it is; of a program of several lines, which one counts.
 */
static void
put_error(struct buf *out, const char *error, size_t len, const char *line, char name[SHOWN_MAX])
{
	bool ok = out->len == 0 || buf_append_str(out, "; ");

	if (ok && !put_syntax_error(out, error, len) && !put_not_defined(out, error, len, name))
		ok = buf_printf(out, "%.*s", (int)len, error);
	if (ok && line != NULL)
		ok = buf_printf(out, " (line %lu)", strtoul(line, NULL, 10));
	(void)ok; /* what is longer is not for reading */
}

/* --- the cure --- */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The path ".os-release" of the program that has `name` behind a "-"; its length, 0 = none. */
static size_t
find_dashed(const char *program, const char *name, const char **path)
{
	size_t len = strlen(name);

	for (const char *p = strchr(program, '.'); p != NULL; p = strchr(p + 1, '.')) {
		size_t n = 1;
		bool has = false;

		if (!is_word(p[1]))
			continue;
		while (is_word(p[n]) || (p[n] == '-' && is_word(p[n + 1]))) {
			has |= p[n] == '-' && strncmp(p + n + 1, name, len) == 0 &&
			       !is_word(p[n + 1 + len]);
			n++;
		}
		*path = p;
		if (has)
			return n;
	}
	return 0;
}

/* p: in code. before: the character that stands there, which ends a value or not. */
static const char *
foreign_at(const char *p, char before)
{
	if (strncmp(p, "&&", 2) == 0 || strncmp(p, "||", 2) == 0)
		return "in place of && and || it is \"and\" and \"or\"";
	if (*p == '\'')
		return "texts stand in double quotes, and all of it in single ones";
	if (strncmp(p, ".[", 2) == 0 && (is_word(before) || strchr("])\"?", before) != NULL))
		return "no dot stands before a bracket: .a[0]";
	return NULL;
}

/* Finds what other languages have, and jq has not. Texts and comments may have anything. */
static const char *
find_foreign(const char *program)
{
	bool in_text = false;
	char before = ' ';

	for (const char *p = program; *p != '\0'; before = *p++) {
		const char *found = NULL;

		if (*p == '"')
			in_text = !in_text;
		else if (in_text && *p == '\\' && p[1] != '\0')
			p++;
		else if (!in_text && *p == '#')
			p += strcspn(p, "\n") - 1;
		else if (!in_text)
			found = foreign_at(p, before);
		if (found != NULL)
			return found;
	}
	return NULL;
}

static void
put_cure(struct buf *out, const char *program, const char *name)
{
	/* jq looks for functions once its parser took the program: nothing foreign is in it then.
	 */
	const char *path, *foreign = name[0] == '\0' ? find_foreign(program) : NULL;
	size_t n = name[0] == '\0' ? 0 : find_dashed(program, name, &path);
	bool ok = true;

	if (n > 0)
		ok = buf_printf(out,
		    TROUBLE_CURE "a name with \"-\" in it stands in quotes, .\"%.*s\"", (int)n - 1,
		    path + 1);
	else if (foreign != NULL)
		ok = buf_printf(out, TROUBLE_CURE "%s", foreign);
	(void)ok;
}

char *
jq_words_uncompiled(const char *program, const char *text)
{
	bool lines = strchr(program, '\n') != NULL;
	const char *error = strstr(text, BEGIN);
	char name[SHOWN_MAX] = "", *words;
	struct buf out;

	if (error == NULL)
		return xstrdup(text);
	buf_init(&out, TEXT_MAX);
	for (; error != NULL; error = strstr(error, BEGIN)) {
		const char *place;
		size_t len;

		error += sizeof(BEGIN) - 1;
		len = strcspn(error, "\n");
		place = strstr(error, " at <top-level>, line ");
		if (place != NULL && place < error + len)
			len = (size_t)(place - error);
		else
			place = NULL;
		put_error(&out, error, len,
		    lines && place != NULL ? place + sizeof(" at <top-level>, line ") - 1 : NULL,
		    name);
	}
	put_cure(&out, program, name);
	xasprintf(&words, "jq: %.*s", (int)out.len, out.len > 0 ? out.data : text);
	buf_finish(&out);
	return words;
}
