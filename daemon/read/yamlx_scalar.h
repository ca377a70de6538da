/* SPDX-License-Identifier: Apache-2.0 */
/* This says what a plain YAML scalar means: the resolver of YAML 1.1 as PyYAML's SafeLoader has it.
 * Pure. */
#ifndef VOGELER_YAMLX_SCALAR_H
#define VOGELER_YAMLX_SCALAR_H

#include "shared/wire/jsonx.h"
#include <jansson.h>
#include <stddef.h>

/* at is where it is, for the note. text is NUL-terminated beyond len. A new reference; a string for
 * whatever is nothing else. NULL only when memory is out or text is not UTF-8. */
json_t *yamlx_scalar(const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at);

/* Reads text as the type of an explicit tag ("tag:yaml.org,2002:int"); NULL when it does not fit or
 * the tag is another. */
json_t *yamlx_scalar_tagged(
    const char *tag, const char *text, size_t len, struct jsonx_note *note, struct jsonx_place at);

#endif
