/* SPDX-License-Identifier: Apache-2.0 */
/* "write" for the stores that take a batch as it is. */
#ifndef VOGELER_BENCH_PUT_H
#define VOGELER_BENCH_PUT_H

struct bench;

void put_run(struct bench *b);

#endif
