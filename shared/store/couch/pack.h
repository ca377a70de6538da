/* SPDX-License-Identifier: Apache-2.0 */
/* Texts compressed to be kept in memory, at the level that costs next to nothing (zstd 1). */
#ifndef VOGELER_PACK_H
#define VOGELER_PACK_H

#include <stdbool.h>
#include <stddef.h>

struct pack;

struct pack *pack_create(void);
void pack_destroy(struct pack *p); /* NULL is fine */
/* Malloced, as large as it needs to be. NULL: it does not pay, or memory is out: keep the text. */
void *pack_text(struct pack *p, const char *text, size_t len, size_t *packed_len);
/* The text of that length, malloced and NUL-terminated; NULL: out of memory. */
char *pack_open(struct pack *p, const void *packed, size_t packed_len, size_t len);

#endif
