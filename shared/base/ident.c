/* SPDX-License-Identifier: Apache-2.0 */
/* See ident.h. */
#include "shared/base/ident.h"

#include "shared/base/log.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>

void
ident_init(void)
{
	if (sodium_init() < 0)
		fatal("ident", "libsodium found no source of randomness");
}

void
ident_from_bytes(char out[IDENT_SIZE], const unsigned char bytes[IDENT_BYTES])
{
	char hex[IDENT_BYTES * 2 + 1];

	sodium_bin2hex(hex, sizeof(hex), bytes, IDENT_BYTES);
	snprintf(out, IDENT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
	    hex + 20);
}

void
ident_hash_from_bytes(char out[IDENT_HASH_SIZE], const unsigned char bytes[IDENT_HASH_BYTES])
{
	sodium_bin2hex(out, IDENT_HASH_SIZE, bytes, IDENT_HASH_BYTES);
}

bool
ident_to_bytes(const char *text, unsigned char out[IDENT_BYTES])
{
	char again[IDENT_SIZE];
	size_t n;

	if (text == NULL || strlen(text) != IDENT_SIZE - 1 ||
	    sodium_hex2bin(out, IDENT_BYTES, text, IDENT_SIZE - 1, "-", &n, NULL) != 0 ||
	    n != IDENT_BYTES)
		return false;
	ident_from_bytes(again, out);
	return strcmp(again, text) == 0; /* the hyphens are in their places, no letter is large */
}

bool
ident_hash_to_bytes(const char *text, unsigned char out[IDENT_HASH_BYTES])
{
	char again[IDENT_HASH_SIZE];
	size_t n;

	if (text == NULL || strlen(text) != IDENT_HASH_SIZE - 1 ||
	    sodium_hex2bin(out, IDENT_HASH_BYTES, text, IDENT_HASH_SIZE - 1, NULL, &n, NULL) != 0 ||
	    n != IDENT_HASH_BYTES)
		return false;
	ident_hash_from_bytes(again, out);
	return strcmp(again, text) == 0;
}

/* RFC 9562 4.1 and 4.2: variant 10, the version in the high half of byte 6. */
static void
write_uuid(char out[IDENT_SIZE], unsigned char b[IDENT_BYTES], unsigned int version)
{
	b[6] = (unsigned char)((b[6] & 0x0f) | (version << 4));
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	ident_from_bytes(out, b);
}

void
ident_job(char out[IDENT_SIZE], int64_t wallclock_ms)
{
	unsigned char b[IDENT_BYTES];
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
	unsigned char b[IDENT_BYTES];
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
	unsigned char hash[IDENT_HASH_BYTES];

	crypto_generichash(hash, sizeof(hash), data, len, NULL, 0);
	sodium_bin2hex(out, IDENT_HASH_SIZE, hash, sizeof(hash));
}

uint32_t
ident_random32(void)
{
	return randombytes_random();
}
