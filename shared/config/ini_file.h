/* SPDX-License-Identifier: Apache-2.0 */
/* INI files, by libini_config: sections, keys, values, each with the line it stands on. Knows
 * nothing of what the keys mean. Values lose surrounding quotes ('x' or "x") and, as Python's
 * ConfigParser cut them, a comment that begins with " ;". Keys come out in lower case, as from
 * ConfigParser; names of sections and keys are compared without regard to case. Lines that begin
 * with white space continue the value above. A line that is not UTF-8 is read as Latin-1, as files
 * of 2010 are; values are UTF-8 always. */
#ifndef VOGELER_INI_FILE_H
#define VOGELER_INI_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct trouble;

struct ini_file_entry {
	char *section; /* as first written */
	char *key;
	char *value;
	char *file;
	unsigned int line;
};

struct ini_file {
	struct ini_file_entry *entries; /* in file order */
	size_t n;
};

/* Called once for each thing that is wrong. line 0 = the file as a whole. */
typedef void ini_file_error_fn(
    const char *file, unsigned int line, const struct trouble *what, void *arg);

/* false if anything was wrong (each told to on_error); *c is empty then. Refuses files with NUL,
 * over 1 MiB, keys before any section, a key twice in a section, and indented lines that
 * look like a key of their own. `keep_comments` leaves values as they are written, quotes and
 * " ;..." included (plugin files: both mean something in a command). */
bool ini_file_read(struct ini_file *c, const char *path, bool keep_comments,
    ini_file_error_fn *on_error, void *arg);
/* Reads a file whose text is here, without NUL; the text is changed, and zeroed. */
bool ini_file_read_text(struct ini_file *c, const char *path, struct buf *text, bool keep_comments,
    ini_file_error_fn *on_error, void *arg);
void ini_file_finish(struct ini_file *c);
/* Takes the surrounding quotes and the " ;" comment off a value, in place: what ini_file_read does
 * without keep_comments. */
void ini_file_unquote(char *value);
/* The opposite: text as a value that ini_file_read gives back as it was, quoted if need be.
 * Malloced, caller frees. Text that begins or ends in blanks or quotes, or has " ;", and has both
 * kinds of quotes in it cannot be said: its double quotes become single ones. */
char *ini_file_quote(const char *text);
/* NULL if absent. */
const struct ini_file_entry *ini_file_find(
    const struct ini_file *c, const char *section, const char *key);

#endif
