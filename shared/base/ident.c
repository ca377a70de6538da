/* SPDX-License-Identifier: Apache-2.0 */
/* See ident.h. */
#include "shared/base/ident.h"

#include "shared/base/log.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define UUID_BYTES 16
#define HASH_BYTES 32

void
ident_init(void)
{
	if (sodium_init() < 0)
		fatal("ident", "libsodium found no source of randomness");
}

/* RFC 9562 4.1 and 4.2: variant 10, the version in the high half of byte 6. */
static void
write_uuid(char out[IDENT_SIZE], unsigned char b[UUID_BYTES], unsigned int version)
{
	char hex[UUID_BYTES * 2 + 1];

	b[6] = (unsigned char)((b[6] & 0x0f) | (version << 4));
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	sodium_bin2hex(hex, sizeof(hex), b, UUID_BYTES);
	snprintf(out, IDENT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
	    hex + 20);
}

void
ident_job(char out[IDENT_SIZE], int64_t wallclock_ms)
{
	unsigned char b[UUID_BYTES];
	uint64_t ms = (uint64_t)wallclock_ms;

	randombytes_buf(b, sizeof(b));
	for (int i = 5; i >= 0; i--) {
		b[i] = (unsigned char)(ms & 0xff);
		ms >>= 8;
	}
	write_uuid(out, b, 7);
}

void
ident_response(char out[IDENT_SIZE], const char *job, const char *host, const char *plugin)
{
	const char *parts[] = {job, host, plugin};
	unsigned char b[UUID_BYTES];
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, sizeof(b));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		/* With its NUL, so that ("ab", "c") and ("a", "bc") differ. */
		const char *part = parts[i] != NULL ? parts[i] : "";

		crypto_generichash_update(&state, (const unsigned char *)part, strlen(part) + 1);
	}
	crypto_generichash_final(&state, b, sizeof(b));
	write_uuid(out, b, 8);
}

void
ident_hash(char out[IDENT_HASH_SIZE], const void *data, size_t len)
{
	unsigned char hash[HASH_BYTES];

	crypto_generichash(hash, sizeof(hash), data, len, NULL, 0);
	sodium_bin2hex(out, IDENT_HASH_SIZE, hash, sizeof(hash));
}

uint32_t
ident_random32(void)
{
	return randombytes_random();
}
