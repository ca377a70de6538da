/* SPDX-License-Identifier: Apache-2.0 */
/* This says what there is in the place of a part that some values have not: who mistyped a name
 * finds it there. */
#ifndef VOGELER_MISSING_PART_H
#define VOGELER_MISSING_PART_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct missing_part;

/* path: as of value_path.h; copied. */
struct missing_part *missing_part_create(const char *path);
void missing_part_destroy(struct missing_part *m); /* NULL is fine */
/* One more value that has no such part: value_path_get() has said what there still was. Those of
 * which more of the path was there take the place of others. */
void missing_part_add(struct missing_part *m, const json_t *last, size_t len);
bool missing_part_any(const struct missing_part *m); /* was one added? */
/* "did you mean name? os has: name, id", the name that is nearest to the one that was typed first;
 * "it has: …" of the value itself; "disks is a list of 1"; "os.id has no parts". Malloced; NULL:
 * nothing was added. */
char *missing_part_text(const struct missing_part *m);

#endif
