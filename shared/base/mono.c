/* SPDX-License-Identifier: Apache-2.0 */
/* See mono.h. */
#include "shared/base/mono.h"

#include <time.h>

struct mono
mono_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock on Linux */
	return (struct mono){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}
