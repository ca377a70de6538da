/* SPDX-License-Identifier: Apache-2.0 */
/* See target.h. */
#include "shared/target/target.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/xalloc.h"
#include "shared/target/ranges.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define GLOB_CHARS      "*?["
#define BLANKS          " \t\r\v\f"
#define TEXT_MAX        512
#define WORD_SHOWN      256 /* bytes, of one that is refused */
#define WHY_SIZE        512
#define GROUPS_MAX      1000 /* groups in groups, each as often as it is named */
#define GROUP_MARK      "group:"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* what editors of another system begin a file with */

/* --- what -n says --- */

/* Allows in brackets, stars and all only what a name may have, and a bracket that is closed, for
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
			return *p == ','
				   ? "a bracket with a comma holds numbers: [1,10-12]"
				   : "a glob of host names has only letters, digits, - . * ? and [ ]";
		if (*p == '[')
			open = true;
		else if (*p == ']')
			open = false;
	}
	return open ? "\"[\" has no \"]\"" : NULL;
}

struct target_reading {     /* of the values of -n, or of the hosts of a group */
	const char *option; /* "-n ", or "" where it has none */
	const struct hostgroups *groups;
	const struct hostgroup *within; /* NULL: the command line */
	bool check;                     /* files and groups are not looked into */
	size_t *room;                   /* for so many groups more */
	bool missing;                   /* with check: why says what may be there elsewhere */
	char why[WHY_SIZE];             /* what a word is refused for */
};

struct word { /* one that is being added */
	struct targets *t;
	bool glob;
};

static const char *
check_name(const char *name, void *arg)
{
	const struct word *w = arg;

	if (w->glob)
		return glob_error(name);
	if (strcmp(name, "all") == 0)
		return "is every host already: it goes alone";
	return name_host_error(name);
}

static const char *
take_name(const char *name, void *arg)
{
	struct word *w = arg;
	const char *why = check_name(name, w);

	if (why == NULL)
		hosts_add(&w->t->names, name);
	return why;
}

static const char *
see_whether_glob(const char *name, void *arg)
{
	struct word *w = arg;

	w->glob = strpbrk(name, GLOB_CHARS) != NULL;
	return w->glob ? "" : NULL;
}

static const char *add_reference(struct targets *t, const char *name, struct target_reading *r);

/* One that is a glob besides its numbers is kept as it is: which hosts there are is not known. r:
 * NULL in a file of hosts. */
static const char *
add_word(struct targets *t, const char *word, struct target_reading *r)
{
	struct word w = {.t = t};
	const char *why;

	if (word[0] == '@')
		return r != NULL ? add_reference(t, word + 1, r)
				 : "a file of hosts has names and globs; a group, or another file, "
				   "goes beside it on the command line";
	ranges_expand(word, see_whether_glob, &w);
	why = ranges_expand(word, w.glob ? check_name : take_name, &w);
	if (why == NULL && w.glob)
		hosts_add(&t->globs, word);
	t->many |= w.glob || ranges_are_in(word);
	return why;
}

/* Words with commas between them, and blanks around, as they are printed. NULL: they are in;
 * else why the one that begins at *bad, of *len bytes, is not. */
static const char *
add_words(
    struct targets *t, const char *list, struct target_reading *r, const char **bad, size_t *len)
{
	const char *why = NULL;

	for (;;) {
		size_t n = ranges_word_length(list), from = strspn(list, BLANKS), to = n;
		char *word;

		from = from < n ? from : n;
		while (to > from && strchr(BLANKS, list[to - 1]) != NULL)
			to--;
		word = xstrndup(list + from, to - from);
		why = add_word(t, word, r);
		free(word);
		*bad = list + from;
		*len = to - from;
		if (why != NULL || list[n] == '\0')
			return why;
		list += n + 1;
	}
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

/* Cut, and behind a ":" without its "@": what stands between these may be a password, and would be
 * masked. */
static int
show_word(const char **word, size_t len, bool behind_colon)
{
	if (behind_colon && len > 0 && **word == '@') {
		++*word;
		len--;
	}
	return len < WORD_SHOWN ? (int)len : WORD_SHOWN;
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
	if (line != NULL && strncmp(line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		line += strlen(BYTE_ORDER_MARK);
	while (line != NULL && *line != '\0') {
		char *next = strchr(line, '\n');
		const char *why = NULL, *bad;
		size_t len;

		number++;
		if (next != NULL)
			*next++ = '\0';
		line = strip(line);
		if (*line != '\0')
			why = add_words(t, line, NULL, &bad, &len);
		if (why != NULL) {
			int shown = show_word(&bad, len, true);

			snprintf(
			    err, err_size, "%s:%zu: \"%.*s\": %s", source, number, shown, bad, why);
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
		snprintf(err, err_size, "%s: %s", source, errtext_errno(error));
	buf_finish(&text);
	return ok;
}

/* --- groups, and files beside them --- */

/* A path in a configuration file is from where that is; malloced. */
static char *
path_of(const char *path, const struct hostgroup *within)
{
	const char *slash = within == NULL || within->file == NULL || path[0] == '/'
				? NULL
				: strrchr(within->file, '/');
	char *whole;

	if (slash == NULL)
		return xstrdup(path);
	xasprintf(&whole, "%.*s%s", (int)(slash + 1 - within->file), within->file, path);
	return whole;
}

/* One that may not be read is one, too: reading it says so. */
static bool
is_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno != ENOENT && errno != ENOTDIR;
	return !S_ISDIR(st.st_mode);
}

static const char *
add_file_word(struct targets *t, const char *path, struct target_reading *r)
{
	if (r->check)
		return NULL;
	return add_file(t, path, r->why, sizeof(r->why)) ? NULL : r->why;
}

static bool has_group(const struct targets *t, const char *name);
static bool read_group(
    struct target_group *tg, const struct hostgroup *g, struct target_reading *outer);

static const char *
add_group(struct targets *t, const struct hostgroup *g, struct target_reading *r)
{
	struct target_group *tg;

	t->many = true;
	if (has_group(t, g->name))
		return NULL;
	if (*r->room == 0)
		return "more than 1000 groups are within groups here";
	--*r->room;
	t->groups = xreallocarray(t->groups, t->n_groups + 1, sizeof(*t->groups));
	tg = &t->groups[t->n_groups++];
	*tg = (struct target_group){.name = xstrdup(g->name), .where = xstrdup_null(g->where)};
	return r->check || read_group(tg, g, r) ? NULL : r->why;
}

static const char *
no_such_reference(const char *name, const char *path, struct target_reading *r)
{
	char hint[WHY_SIZE / 2];

	hostgroups_suggest(r->groups, name, hint, sizeof(hint));
	if (path != NULL)
		snprintf(r->why, sizeof(r->why), "no group is named %s, and no file %s is there%s",
		    name, path, hint);
	else
		snprintf(r->why, sizeof(r->why), "no group is named %s%s", name, hint);
	return r->why;
}

static const char *
add_group_or_file(struct targets *t, const char *name, const char *path, struct target_reading *r)
{
	const struct hostgroup *g = hostgroups_find(r->groups, name);
	bool file = is_file(path);

	if (g != NULL && file && r->within == NULL) {
		snprintf(r->why, sizeof(r->why),
		    "is a group (%s:%u) and a file, too" TROUBLE_CURE "write @" GROUP_MARK
		    "%s for the group, @./%s for the file",
		    g->file == NULL ? "-o" : g->file, g->line, name, name);
		return r->why;
	}
	if (g != NULL)
		return add_group(t, g, r);
	if (file)
		return add_file_word(t, path, r);
	r->missing = r->check;
	no_such_reference(name, path, r);
	return r->check ? NULL : r->why;
}

/* Adds what follows "@". */
static const char *
add_reference(struct targets *t, const char *name, struct target_reading *r)
{
	const struct hostgroup *g;
	const char *why;
	char *path;

	if (strncasecmp(name, GROUP_MARK, strlen(GROUP_MARK)) == 0) {
		name += strlen(GROUP_MARK);
		g = hostgroups_find(r->groups, name);
		return g != NULL ? add_group(t, g, r) : no_such_reference(name, NULL, r);
	}
	if (name[0] == '\0')
		return "the name of a group or of a file is missing behind the @";
	path = path_of(name, r->within);
	why = strchr(name, '/') != NULL ? add_file_word(t, path, r)
					: add_group_or_file(t, name, path, r);
	free(path);
	return why;
}

static bool
has_group(const struct targets *t, const char *name)
{
	for (size_t i = 0; i < t->n_groups; i++) {
		if (strcasecmp(t->groups[i].name, name) == 0)
			return true;
	}
	return false;
}

/* --- values --- */

static bool
add_list(struct targets *t, const char *value, struct target_reading *r, char *err, size_t err_size)
{
	const char *bad, *why;
	size_t len;

	why = add_words(t, value, r, &bad, &len);
	if (why != NULL) {
		int shown = show_word(&bad, len, r->within != NULL);

		snprintf(err, err_size, "%s\"%.*s\": %s", r->within == NULL ? r->option : "hosts ",
		    shown, bad, why);
	}
	return why == NULL;
}

/* A path may have commas in it, and @: one that is there is one. */
static bool
is_path(const char *value)
{
	return strchr(value, '/') != NULL && (strchr(value, '@') == NULL || is_file(value));
}

static bool
add_value(
    struct targets *t, const char *value, struct target_reading *r, char *err, size_t err_size)
{
	char *path;
	bool ok;

	if (strcmp(value, "all") == 0) {
		t->all = true;
		return true;
	}
	if (strcmp(value, "-") == 0 && r->within == NULL)
		return add_file(t, NULL, err, err_size);
	if (value[0] == '@' && strchr(value, ',') != NULL && is_file(value + 1))
		value++;
	else if (!is_path(value))
		return add_list(t, value, r, err, err_size);
	path = path_of(value, r->within);
	ok = r->check || add_file(t, path, err, err_size);
	free(path);
	return ok;
}

static bool
check_all_is_alone(const struct targets *t, char *err, size_t err_size)
{
	if (!t->all || t->names.n + t->globs.n + t->n_groups == 0)
		return true;
	snprintf(err, err_size, "\"all\" is every host already: it goes alone");
	return false;
}

static bool
finish_values(struct targets *t, char *err, size_t err_size)
{
	hosts_sort(&t->names);
	hosts_sort(&t->globs);
	return check_all_is_alone(t, err, err_size);
}

/* Its mistakes are told with where it stands. */
static bool
read_group(struct target_group *tg, const struct hostgroup *g, struct target_reading *outer)
{
	struct target_reading r = {.groups = outer->groups, .within = g, .room = outer->room};
	char err[WHY_SIZE];

	if (g->hosts == NULL)
		tg->in.all = true;
	else if (!add_value(&tg->in, g->hosts, &r, err, sizeof(err)) ||
		 !finish_values(&tg->in, err, sizeof(err))) {
		snprintf(outer->why, sizeof(outer->why), "%s:%u: [group %s] %.300s",
		    g->file == NULL ? "-o" : g->file, g->line, g->name, err);
		return false;
	}
	return true;
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
targets_parse(struct targets *t, const char *option, char *const *nodes,
    const struct hostgroups *groups, char *err, size_t err_size)
{
	size_t room = GROUPS_MAX;
	struct target_reading r = {.option = option, .groups = groups, .room = &room};

	*t = (struct targets){0};
	if (nodes == NULL)
		return true;
	t->text = join(nodes);
	for (size_t i = 0; nodes[i] != NULL; i++) {
		if (!add_value(t, nodes[i], &r, err, err_size))
			return false;
	}
	return finish_values(t, err, err_size);
}

void
targets_finish(struct targets *t)
{
	hosts_finish(&t->names);
	hosts_finish(&t->globs);
	for (size_t i = 0; i < t->n_groups; i++) {
		targets_finish(&t->groups[i].in);
		hosts_finish(&t->groups[i].fit);
		free(t->groups[i].name);
		free(t->groups[i].where);
	}
	free(t->groups);
	free(t->text);
	*t = (struct targets){0};
}

/* --- the groups of a configuration --- */

struct target_check {
	const struct hostgroups *groups;
	struct targets *read; /* of each, with no more than the names of the groups in it */
	bool *seen;           /* on the way from the one that is looked at */
	targets_wrong_fn *wrong;
	void *arg;
};

static void
check_words(struct target_check *c, size_t i)
{
	const struct hostgroup *g = &c->groups->list[i];
	size_t room = GROUPS_MAX;
	struct target_reading r = {.groups = c->groups, .within = g, .check = true, .room = &room};
	char err[2 * WHY_SIZE];

	if (g->hosts == NULL)
		return;
	if (!add_value(&c->read[i], g->hosts, &r, err, sizeof(err)) ||
	    !finish_values(&c->read[i], err, sizeof(err)))
		c->wrong(g, true, err, c->arg);
	else if (r.missing)
		c->wrong(g, false, r.why, c->arg);
}

/* Is the group "to" among those in "from", or in these? Then circle says by which way. */
static bool
leads_to(struct target_check *c, size_t from, size_t to, struct buf *circle)
{
	const struct targets *t = &c->read[from];
	const struct hostgroup *list = c->groups->list;

	c->seen[from] = true;
	for (size_t i = 0; i < t->n_groups; i++) {
		size_t next = (size_t)(hostgroups_find(c->groups, t->groups[i].name) - list);

		if (next != to && (c->seen[next] || !leads_to(c, next, to, circle)))
			continue;
		if (!buf_printf(circle, "%s%s is in %s", circle->len > 0 ? ", " : "",
			list[next].name, list[from].name))
			log_debug("config", "a way round that is too long to be told whole");
		return true;
	}
	return false;
}

/* One is enough: what is in itself is in nothing that can be told. */
static void
check_circles(struct target_check *c)
{
	struct buf circle;
	char *text;

	buf_init(&circle, TEXT_MAX);
	for (size_t i = 0; i < c->groups->n; i++) {
		memset(c->seen, 0, c->groups->n * sizeof(*c->seen));
		if (!leads_to(c, i, i, &circle))
			continue;
		xasprintf(&text, "hosts go round: %.*s", (int)circle.len, circle.data);
		c->wrong(&c->groups->list[i], true, text, c->arg);
		free(text);
		break;
	}
	buf_finish(&circle);
}

void
targets_check_groups(const struct hostgroups *groups, targets_wrong_fn *wrong, void *arg)
{
	struct target_check c = {.groups = groups, .wrong = wrong, .arg = arg};

	c.read = xcalloc(groups->n + 1, sizeof(*c.read));
	c.seen = xcalloc(groups->n + 1, sizeof(*c.seen));
	for (size_t i = 0; i < groups->n; i++)
		check_words(&c, i);
	check_circles(&c);
	for (size_t i = 0; i < groups->n; i++)
		targets_finish(&c.read[i]);
	free(c.read);
	free(c.seen);
}

/* --- whom it means --- */

void
targets_each_where(struct targets *t, targets_where_fn *fn, void *arg)
{
	for (size_t i = 0; i < t->n_groups; i++) {
		if (t->groups[i].where != NULL)
			fn(&t->groups[i], arg);
		targets_each_where(&t->groups[i].in, fn, arg);
	}
}

/* Says whether they are needed; what a where is true of is known. */
bool
targets_need_known(const struct targets *t)
{
	for (size_t i = 0; i < t->n_groups; i++) {
		if (t->groups[i].where == NULL && targets_need_known(&t->groups[i].in))
			return true;
	}
	return t->all || t->globs.n > 0;
}

static const char *
see_whether_fits(const char *glob, void *arg)
{
	return fnmatch(glob, arg, 0) == 0 ? "it does" : NULL;
}

static bool
group_includes(const struct target_group *g, const char *host)
{
	return (g->where == NULL || hosts_has(&g->fit, host)) && targets_include(&g->in, host);
}

bool
targets_include(const struct targets *t, const char *host)
{
	if (t->all || hosts_has(&t->names, host))
		return true;
	for (size_t i = 0; i < t->globs.n; i++) {
		if (ranges_expand(t->globs.names[i], see_whether_fits, (void *)host) != NULL)
			return true;
	}
	for (size_t i = 0; i < t->n_groups; i++) {
		if (group_includes(&t->groups[i], host))
			return true;
	}
	return false;
}

struct search { /* for the hosts that a glob fits */
	const struct hosts *known;
	struct hosts *out;
};

static const char *
take_known(const char *glob, void *arg)
{
	struct search *s = arg;

	for (size_t i = 0; i < s->known->n; i++) {
		if (fnmatch(glob, s->known->names[i], 0) == 0)
			hosts_add(s->out, s->known->names[i]);
	}
	return NULL;
}

/* A host that has no record is in no group with a where, whoever names it. */
static void
resolve_group(const struct target_group *g, const struct hosts *known, struct hosts *out)
{
	struct hosts in = {0};

	targets_resolve(&g->in, g->where == NULL ? known : &g->fit, &in, NULL, NULL);
	if (g->where != NULL)
		hosts_intersect(&in, &g->fit);
	hosts_copy(out, &in);
	hosts_finish(&in);
}

static void
tell_nobody(const struct target_group *g, targets_nobody_fn *nobody, void *arg)
{
	char *word;

	xasprintf(&word, "@%s", g->name);
	nobody(word, arg);
	free(word);
}

void
targets_resolve(const struct targets *t, const struct hosts *known, struct hosts *out,
    targets_nobody_fn *nobody, void *arg)
{
	struct search search = {known, out};

	for (size_t i = 0; i < t->names.n; i++)
		hosts_add(out, t->names.names[i]);
	for (size_t i = 0; t->all && i < known->n; i++)
		hosts_add(out, known->names[i]);
	for (size_t g = 0; g < t->globs.n; g++) {
		size_t before = out->n;

		ranges_expand(t->globs.names[g], take_known, &search);
		if (out->n == before && nobody != NULL)
			nobody(t->globs.names[g], arg);
	}
	for (size_t g = 0; g < t->n_groups; g++) {
		size_t before = out->n;

		resolve_group(&t->groups[g], known, out);
		if (out->n == before && nobody != NULL)
			tell_nobody(&t->groups[g], nobody, arg);
	}
	hosts_sort(out);
}
