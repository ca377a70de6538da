/* See target.h. */
#include "runner/target.h"

#include "shared/buf.h"
#include "shared/name.h"
#include "shared/phrase.h"
#include "shared/xalloc.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOB_CHARS "*?["
#define BLANKS     " \t\r\v\f"
#define TEXT_MAX   512

/* --- lists of hosts --- */

void
hosts_finish(struct hosts *h)
{
	hosts_cut(h, 0);
	free(h->names);
	*h = (struct hosts){0};
}

void
hosts_add(struct hosts *h, const char *name)
{
	if (h->n == h->room) {
		h->room = h->room == 0 ? 16 : 2 * h->room;
		h->names = xreallocarray(h->names, h->room, sizeof(*h->names));
	}
	h->names[h->n++] = xstrdup(name);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
hosts_sort(struct hosts *h)
{
	size_t kept = 0;

	if (h->n == 0)
		return;
	qsort(h->names, h->n, sizeof(*h->names), compare);
	for (size_t i = 1; i < h->n; i++) {
		if (strcmp(h->names[i], h->names[kept]) == 0)
			free(h->names[i]);
		else
			h->names[++kept] = h->names[i];
	}
	h->n = kept + 1;
}

void
hosts_cut(struct hosts *h, size_t n)
{
	while (h->n > n)
		free(h->names[--h->n]);
}

void
hosts_intersect(struct hosts *h, const struct hosts *other)
{
	size_t kept = 0, j = 0;

	for (size_t i = 0; i < h->n; i++) {
		while (j < other->n && strcmp(other->names[j], h->names[i]) < 0)
			j++;
		if (j < other->n && strcmp(other->names[j], h->names[i]) == 0)
			h->names[kept++] = h->names[i];
		else
			free(h->names[i]);
	}
	h->n = kept;
}

/* --- what -n says --- */

/* In brackets and stars and all, only what a name may have; and a bracket that is closed, for
 * fnmatch would take an open one for itself. */
static const char *
glob_error(const char *glob)
{
	bool open = false;

	if (strlen(glob) > NAME_HOST_MAX)
		return "longer than 253 bytes";
	for (const char *p = glob; *p != '\0'; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || *p == '-' || *p == '.';

		if (!plain && strchr("*?[]!^", *p) == NULL)
			return "a glob of host names has only letters, digits, - . * ? and [ ]";
		if (*p == '[')
			open = true;
		else if (*p == ']')
			open = false;
	}
	return open ? "\"[\" has no \"]\"" : NULL;
}

static const char *
add_word(struct targets *t, const char *word)
{
	bool glob = strpbrk(word, GLOB_CHARS) != NULL;
	const char *why = glob ? glob_error(word) : name_host_error(word);

	if (strcmp(word, "all") == 0)
		why = "is every host already: it goes alone, as -n all";
	if (why != NULL)
		return why;
	hosts_add(glob ? &t->globs : &t->names, word);
	t->many |= glob;
	return NULL;
}

/* Cuts comment and blanks off; the line is changed. */
static char *
strip(char *line)
{
	size_t len;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, BLANKS);
	len = strlen(line);
	while (len > 0 && strchr(BLANKS, line[len - 1]) != NULL)
		line[--len] = '\0';
	return line;
}

static bool
add_lines(struct targets *t, const char *source, struct buf *text, char *err, size_t err_size)
{
	size_t before = t->names.n + t->globs.n, number = 0;
	char *line = text->data;

	if (text->len > 0 && memchr(text->data, '\0', text->len) != NULL) {
		snprintf(err, err_size, "%s: has a NUL byte: not a list of hosts", source);
		return false;
	}
	while (line != NULL && *line != '\0') {
		char *next = strchr(line, '\n');
		const char *why = NULL;

		number++;
		if (next != NULL)
			*next++ = '\0';
		line = strip(line);
		if (*line != '\0')
			why = add_word(t, line);
		if (why != NULL) {
			snprintf(
			    err, err_size, "%s:%zu: \"%.256s\": %s", source, number, line, why);
			return false;
		}
		line = next;
	}
	if (t->names.n + t->globs.n == before)
		snprintf(err, err_size, "%s: names no host", source);
	return t->names.n + t->globs.n > before;
}

static bool
read_stdin(struct buf *text, int *err)
{
	char chunk[16384];
	ssize_t got;

	for (;;) {
		got = read(STDIN_FILENO, chunk, sizeof(chunk));
		if (got == 0)
			return true;
		if (got < 0 && errno == EINTR)
			continue;
		*err = got < 0 ? errno : EFBIG;
		if (got < 0 || !buf_append(text, chunk, (size_t)got))
			return false;
	}
}

/* path NULL: stdin. */
static bool
add_file(struct targets *t, const char *path, char *err, size_t err_size)
{
	const char *source = path == NULL ? "stdin" : path;
	struct buf text;
	int error = 0;
	bool ok;

	t->many = true;
	buf_init(&text, TARGET_FILE_MAX);
	if (path == NULL)
		ok = read_stdin(&text, &error);
	else
		ok = buf_read_file(&text, path, &error);
	if (ok)
		ok = add_lines(t, source, &text, err, err_size);
	else
		snprintf(err, err_size, "%s: %s", source, phrase_errno(error));
	buf_finish(&text);
	return ok;
}

static bool
add_list(struct targets *t, const char *value, char *err, size_t err_size)
{
	char *copy = xstrdup(value), *rest = copy;
	const char *word = strsep(&rest, ","), *why = NULL;

	for (; word != NULL && why == NULL; word = strsep(&rest, ",")) {
		why = add_word(t, word);
		if (why != NULL)
			snprintf(err, err_size, "-n \"%.256s\": %s", word, why);
	}
	free(copy);
	return why == NULL;
}

static bool
add_value(struct targets *t, const char *value, char *err, size_t err_size)
{
	if (strcmp(value, "all") == 0) {
		t->all = true;
		return true;
	}
	if (strcmp(value, "-") == 0)
		return add_file(t, NULL, err, err_size);
	if (value[0] == '@')
		return add_file(t, value + 1, err, err_size);
	if (strchr(value, '/') != NULL)
		return add_file(t, value, err, err_size);
	return add_list(t, value, err, err_size);
}

static char *
join(char *const *nodes)
{
	struct buf text;
	bool ok = true;
	char *joined;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; ok && nodes[i] != NULL; i++)
		ok = buf_printf(&text, "%s%s", i > 0 ? "," : "", nodes[i]);
	joined = buf_take(&text, NULL);
	if (ok)
		return joined;
	free(joined);
	xasprintf(&joined, "%.64s and more", nodes[0]);
	return joined;
}

bool
targets_parse(struct targets *t, char *const *nodes, char *err, size_t err_size)
{
	*t = (struct targets){0};
	if (nodes == NULL)
		return true;
	t->text = join(nodes);
	for (size_t i = 0; nodes[i] != NULL; i++) {
		if (!add_value(t, nodes[i], err, err_size))
			return false;
	}
	if (t->all && t->names.n + t->globs.n > 0) {
		snprintf(err, err_size, "-n all is every host already: it goes alone");
		return false;
	}
	hosts_sort(&t->names);
	hosts_sort(&t->globs);
	return true;
}

void
targets_finish(struct targets *t)
{
	hosts_finish(&t->names);
	hosts_finish(&t->globs);
	free(t->text);
	*t = (struct targets){0};
}

bool
targets_need_known(const struct targets *t)
{
	return t->all || t->globs.n > 0;
}

void
targets_resolve(const struct targets *t, const struct hosts *known, struct hosts *out,
    targets_nobody_fn *nobody, void *arg)
{
	for (size_t i = 0; i < t->names.n; i++)
		hosts_add(out, t->names.names[i]);
	for (size_t i = 0; t->all && i < known->n; i++)
		hosts_add(out, known->names[i]);
	for (size_t g = 0; g < t->globs.n; g++) {
		size_t before = out->n;

		for (size_t i = 0; i < known->n; i++) {
			if (fnmatch(t->globs.names[g], known->names[i], 0) == 0)
				hosts_add(out, known->names[i]);
		}
		if (out->n == before && nobody != NULL)
			nobody(t->globs.names[g], arg);
	}
	hosts_sort(out);
}
