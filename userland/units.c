// SPDX-License-Identifier: GPL-2.0
/* Sizes, times and addresses as people write them. Pure. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vnode.h"

/* Shift of a suffix, or -1: K, M, G, T, alone or with "iB". */
static int suffix_shift(const char *s)
{
	static const char letters[] = "KMGT";
	const char *p;

	if (!*s)
		return 0;
	p = strchr(letters, toupper((unsigned char)*s));
	if (!p || (s[1] && strcmp(s + 1, "iB")))
		return -1;
	return 10 * (int)(p - letters + 1);
}

const char *vn_parse_size(const char *text, uint64_t *size)
{
	unsigned long long n;
	char *end;
	int shift;

	if (*text == '-')
		return "is negative";
	/* strtoull() would take blanks, signs and the empty string. */
	if (!isdigit((unsigned char)*text))
		return "is not a size: expected a number with K, M, G or T";
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return "is too large";
	shift = suffix_shift(end);
	if (shift < 0)
		return "is not a size: expected a number with K, M, G or T";
	if (!n)
		return "is zero";
	if (n > VN_SIZE_MAX >> shift)
		return "is larger than an address space (128T)";
	*size = ((n << shift) + VN_PAGE_SIZE - 1) & ~(VN_PAGE_SIZE - 1);
	return NULL;
}

bool vn_parse_uint(const char *text, unsigned long min, unsigned long max,
		   unsigned long *value)
{
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || n < min || n > max)
		return false;
	*value = n;
	return true;
}

char *vn_format_bytes(char *buf, size_t size, uint64_t bytes)
{
	static const char letters[] = "BKMGTPE";
	uint64_t unit = 1;
	int i = 0;

	while (i < 6 && bytes / unit >= 1024) {
		unit <<= 10;
		i++;
	}
	if (!i)
		snprintf(buf, size, "%u", (unsigned int)bytes);
	else if (bytes % unit && bytes / unit < 100)
		snprintf(buf, size, "%u.%u%c", (unsigned int)(bytes / unit),
			 (unsigned int)(bytes % unit * 10 / unit), letters[i]);
	else
		snprintf(buf, size, "%u%c", (unsigned int)(bytes / unit),
			 letters[i]);
	return buf;
}

char *vn_format_ms(char *buf, size_t size, uint32_t ms)
{
	if (ms < 1000)
		snprintf(buf, size, "%ums", ms);
	else if (ms < 60 * 1000)
		snprintf(buf, size, "%u.%us", ms / 1000, ms % 1000 / 100);
	else if (ms < 3600 * 1000)
		snprintf(buf, size, "%um", ms / 60000);
	else
		snprintf(buf, size, "%uh", ms / 3600000);
	return buf;
}

bool vn_parse_node(const char *text, uint32_t *node)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, text, &addr) != 1 || !addr.s_addr)
		return false;
	*node = ntohl(addr.s_addr);
	return true;
}

char *vn_format_node(char *buf, size_t size, uint32_t node)
{
	snprintf(buf, size, "%u.%u.%u.%u", node >> 24, node >> 16 & 255,
		 node >> 8 & 255, node & 255);
	return buf;
}
