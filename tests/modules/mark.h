/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a measurement begins and ends, for the plugin in tests/bench/executed: instructions
 * that do nothing and that nobody else has. For programs and modules, x86-64.
 */
#ifndef TESTS_MARK_H
#define TESTS_MARK_H

/* nopl MARK(%rax): opcode 0f 1f, ModR/M 80, four bytes of displacement. */
#define MARK_OPCODE	"\x0f\x1f\x80"
#define MARK_BEGIN	0x534b0001
#define MARK_END	0x534b0002

#ifdef __x86_64__
#define MARK(which)	asm volatile(".byte 0x0f, 0x1f, 0x80; .long %c0" \
				     : : "i"(which) : "memory")
#else
#define MARK(which)	do { } while (0)
#endif

#endif
