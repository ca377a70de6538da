/* SPDX-License-Identifier: Apache-2.0 */
/* For what reads a file: the input as one, in memory. */
#ifndef VOGELER_FUZZ_FILE_H
#define VOGELER_FUZZ_FILE_H

#include <stddef.h>
#include <stdint.h>

/* A path that can be opened until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);

#endif
