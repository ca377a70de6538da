/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a part of a value: os.name, .os.name, .disks[0].size, .packages["libc6:amd64"]. It is
 * jq's, for one part; a name in it may have whatever is not a dot or a bracket, and a number
 * between dots counts items of an array. */
#ifndef VOGELER_VALUE_PATH_H
#define VOGELER_VALUE_PATH_H

#include <jansson.h>
#include <stddef.h>

/* NULL when the path is one, else what is wrong with it (a static string). "" and "." are the value
 * itself. */
const char *value_path_error(const char *path);
/* Borrowed from value; NULL: there is no such part. path has no error. Then *last is the part that
 * there still was, and *len how much of the path leads to it. */
const json_t *value_path_get(
    const json_t *value, const char *path, const json_t **last, size_t *len);

#endif
