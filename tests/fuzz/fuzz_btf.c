// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: the BTF reader of pmon on arbitrary bytes. The first byte
 * says how long the function name behind it is, the rest is the blob.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined \
 *	      -o fuzz_btf fuzz_btf.c ../../pmon/btf.c
 */
#include <stdlib.h>
#include <string.h>

#include "../../pmon/btf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[34] = "", out[160];
	struct btf_view v;
	u32 *offsets;
	size_t len;
	u32 at;
	int nr;

	if (!size)
		return 0;
	len = data[0] % (sizeof(name) - 1);
	if (len > size - 1)
		len = size - 1;
	memcpy(name, data + 1, len);
	data += 1 + len;
	size -= 1 + len;

	if (btf_view_init(&v, data, size))
		return 0;
	nr = btf_count_types(&v);
	if (nr < 0)
		return 0;
	offsets = malloc(nr * sizeof(*offsets));
	if (offsets && !btf_view_index(&v, offsets, nr)) {
		if (!btf_prototype(&v, name, out, sizeof(out)) &&
		    strlen(out) >= sizeof(out))
			abort();
		/* The name in two: a member and the struct it is looked for in. */
		name[len / 2] = '\0';
		if (!btf_member(&v, name + len / 2 + 1, name, &at, out, sizeof(out)) &&
		    (strlen(out) >= sizeof(out) || at > UINT32_MAX / 8))
			abort();
	}
	free(offsets);
	return 0;
}
