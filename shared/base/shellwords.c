/* SPDX-License-Identifier: Apache-2.0 */
/* See shellwords.h. Not popt's splitter: it takes an open quote for a closed one, and inside quotes
 * leaves two backslashes where shlex (POSIX mode) and every shell make one. */
#include "shared/base/shellwords.h"

#include "shared/base/xalloc.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum place { BETWEEN, IN_WORD, IN_SINGLE, IN_DOUBLE };

struct splitter {
	char **words;
	size_t n;
	char *word; /* as long as the text: no word is longer */
	size_t len;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
end_word(struct splitter *s)
{
	s->words = xreallocarray(s->words, s->n + 2, sizeof(*s->words));
	s->words[s->n++] = xstrndup(s->word, s->len);
	s->words[s->n] = NULL;
	s->len = 0;
}

/* A backslash at *p: adds what it stands for and moves *p to its last character. false: it is the
 * end of the text. */
static bool
escape(struct splitter *s, enum place place, const char **p)
{
	char next = (*p)[1];

	if (next == '\0')
		return false;
	/* Inside "..." a backslash is itself before anything but '"' and '\' (POSIX XCU 2.2.3, save
	 * '$', '`' and newline, which mean nothing here). */
	if (place == IN_DOUBLE && next != '"' && next != '\\')
		s->word[s->len++] = '\\';
	s->word[s->len++] = next;
	(*p)++;
	return true;
}

static enum place
step_outside(struct splitter *s, enum place place, char c)
{
	if (c == '\'')
		return IN_SINGLE;
	if (c == '"')
		return IN_DOUBLE;
	if (is_blank(c)) {
		if (place == IN_WORD)
			end_word(s);
		return BETWEEN;
	}
	s->word[s->len++] = c;
	return IN_WORD;
}

static enum place
step_quoted(struct splitter *s, enum place place, char c)
{
	if (c == (place == IN_SINGLE ? '\'' : '"'))
		return IN_WORD;
	s->word[s->len++] = c;
	return place;
}

/* NULL, or what is wrong. */
static const char *
split(struct splitter *s, const char *text)
{
	enum place place = BETWEEN;

	for (const char *p = text; *p != '\0'; p++) {
		if (place == BETWEEN && *p == ';')
			return "an unquoted ';' after a space begins a comment in many INI files: write "
			       "';' in quotes, or take it away";
		if (*p == '\\' && place != IN_SINGLE) {
			if (!escape(s, place, &p))
				return "ends in a backslash";
			if (place == BETWEEN)
				place = IN_WORD;
		} else if (place == IN_SINGLE || place == IN_DOUBLE) {
			place = step_quoted(s, place, *p);
		} else {
			place = step_outside(s, place, *p);
		}
	}
	if (place == IN_WORD)
		end_word(s);
	if (place == IN_SINGLE)
		return "has a ' that is never closed";
	if (place == IN_DOUBLE)
		return "has a \" that is never closed";
	return NULL;
}

char **
shellwords_split(const char *text, char *err, size_t err_size)
{
	struct splitter s = {.words = xcalloc(1, sizeof(char *))};
	const char *wrong;

	s.word = xcalloc(1, strlen(text) + 1);
	wrong = split(&s, text);
	free(s.word);
	if (wrong == NULL)
		return s.words;
	snprintf(err, err_size, "%s", wrong);
	shellwords_free(s.words);
	return NULL;
}

/* Returns how many characters at p, which is outside quotes, a shell would take for itself; 0:
 * none. */
static size_t
shell_length(const char *p)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char digits[] = "0123456789";

	if (*p == '$' && (p[1] == '(' || p[1] == '{'))
		return 2;
	if (*p == '$' && p[1] != '\0' && strchr(letters, p[1]) != NULL) {
		p++;
		return 1 + strspn(p, letters) + strspn(p + strspn(p, letters), digits);
	}
	if (strchr("|&;<>", *p) != NULL)
		return p[1] == *p ? 2 : 1;
	return strchr("`()*", *p) != NULL ? 1 : 0;
}

bool
shellwords_find_shell(const char *text, char *out, size_t out_size)
{
	char quote = '\0';

	for (const char *p = text; *p != '\0'; p++) {
		size_t len = quote == '\0' ? shell_length(p) : 0;

		if (*p == '\\' && quote != '\'') {
			if (*++p == '\0')
				break;
		} else if (quote != '\0') {
			quote = *p == quote ? '\0' : quote;
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else if (len > 0) {
			snprintf(out, out_size, "%.*s", (int)len, p);
			return true;
		}
	}
	return false;
}

void
shellwords_free(char **words)
{
	for (size_t i = 0; words != NULL && words[i] != NULL; i++)
		free(words[i]);
	free(words);
}
