/* SPDX-License-Identifier: Apache-2.0 */
/* How much address space this process has, for tests that limit it. */
#ifndef VOGELER_TEST_ADDRESS_SPACE_H
#define VOGELER_TEST_ADDRESS_SPACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

/* In bytes. */
static inline size_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
