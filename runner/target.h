/* What -n says, and the hosts that it means. Which hosts there are is the caller's knowledge; names
 * are taken as they are, for a host may have a queue and no record yet. No store, no broker. */
#ifndef VOGELER_TARGET_H
#define VOGELER_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#define TARGET_FILE_MAX ((size_t)64 * 1024 * 1024) /* bytes of @FILE or of stdin */

struct hosts { /* sorted by name, each once, after hosts_sort() */
	char **names;
	size_t n;
	size_t room;
};
void hosts_finish(struct hosts *h);
void hosts_add(struct hosts *h, const char *name); /* copies */
void hosts_sort(struct hosts *h);                  /* and drops what is there twice */
/* Keeps the first n. */
void hosts_cut(struct hosts *h, size_t n);
/* Keeps those that are in other too; both are sorted. */
void hosts_intersect(struct hosts *h, const struct hosts *other);

struct targets {
	bool all;           /* -n all; then there is nothing else */
	struct hosts names; /* sorted */
	struct hosts globs; /* fnmatch(3): * ? [a-z] */
	bool many;          /* more may be meant than what was typed: a glob, a file, stdin */
	char *text;         /* for people: "web*,db01", "@hosts.txt" */
};

/* nodes: the values of -n, NULL-terminated; NULL = none. A value is "all", "-" for stdin, "@FILE"
 * or anything with a slash in it for a file, else names and globs with commas between them. Files
 * have one name or glob a line; # begins a comment. Initialises t, which targets_finish() frees
 * also after false: then err says what is wrong, and where. */
bool targets_parse(struct targets *t, char *const *nodes, char *err, size_t err_size);
void targets_finish(struct targets *t);

/* Whether the hosts that there are have to be known to tell which are meant. */
bool targets_need_known(const struct targets *t);
/* Appends to out what t means, sorted; known: the hosts that there are. A glob that no host fits is
 * told. */
typedef void targets_nobody_fn(const char *glob, void *arg);
void targets_resolve(const struct targets *t, const struct hosts *known, struct hosts *out,
    targets_nobody_fn *nobody, void *arg);

#endif
