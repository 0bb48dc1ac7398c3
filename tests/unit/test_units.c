// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check sizes, numbers, times and addresses as vnode reads and
 * writes them.
 *
 *	cc -std=gnu11 -g -Wall -Wextra -fsanitize=address,undefined \
 *	   -o test_units test_units.c ../../userland/units.c -lcmocka
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../userland/vnode.h"

static void test_good_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} cases[] = {
		{ "1", 4096 }, { "4096", 4096 }, { "4097", 8192 },
		{ "1K", 4096 }, { "4096K", 4 << 20 }, { "64M", 64 << 20 },
		{ "64m", 64 << 20 }, { "64MiB", 64 << 20 }, { "1G", 1 << 30 },
		{ "007K", 8192 }, { "128T", 1ULL << 47 },
		{ "140737488355328", 1ULL << 47 },
		{ "140737488355327", 1ULL << 47 },
	};
	uint64_t size;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size = 0;
		assert_null(vn_parse_size(cases[i].text, &size));
		assert_int_equal(size, cases[i].size);
	}
}

static void test_bad_sizes(void **state)
{
	static const char *const cases[] = {
		"", "0", "0M", "00", "-1", "-1M", "+1", " 1", "1 ", "1 M", "M",
		"1.5G", "1KB", "1MB", "1Mi", "1X", "1MM", "0x10", "129T",
		"140737488355329", "131073G", "18446744073709551615",
		"18446744073709551616", "99999999999999999999K", "1e9", "ten",
	};
	uint64_t size = 4711;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_non_null(vn_parse_size(cases[i], &size));
		assert_int_equal(size, 4711);
	}
	assert_string_equal(vn_parse_size("0", &size), "is zero");
	assert_string_equal(vn_parse_size("-3", &size), "is negative");
}

static void test_numbers(void **state)
{
	unsigned long n = 7;

	(void)state;
	assert_true(vn_parse_uint("0", 0, 5, &n));
	assert_int_equal(n, 0);
	assert_true(vn_parse_uint("5", 0, 5, &n));
	assert_int_equal(n, 5);
	assert_false(vn_parse_uint("6", 0, 5, &n));
	assert_false(vn_parse_uint("0", 1, 5, &n));
	assert_false(vn_parse_uint("", 0, 5, &n));
	assert_false(vn_parse_uint("-1", 0, -1UL, &n));
	assert_false(vn_parse_uint("3s", 0, 5, &n));
	assert_false(vn_parse_uint("99999999999999999999", 0, -1UL, &n));
	assert_int_equal(n, 5);
}

static void check_bytes(uint64_t bytes, const char *want)
{
	char buf[16];

	assert_string_equal(vn_format_bytes(buf, sizeof(buf), bytes), want);
	assert_true(strlen(want) <= 6);
}

static void test_formats(void **state)
{
	char buf[24];

	(void)state;
	check_bytes(0, "0");
	check_bytes(1023, "1023");
	check_bytes(1024, "1K");
	check_bytes(1536, "1.5K");
	check_bytes(64 << 20, "64M");
	check_bytes((64 << 20) + 4096, "64.0M");
	check_bytes((200 << 20) + 4096, "200M");
	check_bytes(3ULL << 29, "1.5G");
	check_bytes((1ULL << 40) - 1, "1023G");
	check_bytes(UINT64_MAX, "15.9E");

	assert_string_equal(vn_format_ms(buf, sizeof(buf), 999), "999ms");
	assert_string_equal(vn_format_ms(buf, sizeof(buf), 3250), "3.2s");
	assert_string_equal(vn_format_ms(buf, sizeof(buf), 61000), "1m");
	assert_string_equal(vn_format_ms(buf, sizeof(buf), UINT32_MAX), "1193h");
	assert_string_equal(vn_format_node(buf, sizeof(buf), 0x0a000102),
			    "10.0.1.2");
	assert_string_equal(vn_format_node(buf, sizeof(buf), UINT32_MAX),
			    "255.255.255.255");
}

static void test_nodes(void **state)
{
	static const char *const bad[] = {
		"", "10.0.0", "10.0.0.1.2", "10.0.0.256", "host", "0.0.0.0",
		"10.0.0.1 ", "::1",
	};
	uint32_t node = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(vn_parse_node(bad[i], &node));
	assert_int_equal(node, 7);
	assert_true(vn_parse_node("10.0.1.2", &node));
	assert_int_equal(node, 0x0a000102);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_sizes),
		cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
