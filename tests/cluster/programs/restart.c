// SPDX-License-Identifier: GPL-2.0
/*
 * restart - does the machine restart instructions as it should?
 *
 * QEMU's TCG (7.2) does not: of "test %eax,%eax; setg (memory)" the setg destroys what the flags are computed from before it stores. If the store
 * faults, the flags that the kernel sees, and the instruction starts again with, are
 * wrong, and so is what it stores. A program whose memory comes and goes suffers
 * from that whoever makes it come and go: pmon, swap, or as here madvise(). gcc's
 * cc1 sets ira_conflicts_p that way, once for each function.
 *
 * Exit: 0 it does; 1 it does not; 2 could not run.
 * Out: {"program":"restart","tried":..,"wrong":..}
 */
#include "common.h"

/* Stores whether @value is greater than 0. */
static void set_greater(int value, unsigned char *to)
{
#ifdef __x86_64__
	asm volatile("test %0, %0\n\tsetg (%1)"
		     : : "r"(value), "r"(to) : "memory", "cc");
#else
	*to = value > 0;
#endif
}

int main(void)
{
	unsigned char *page = map_private(PAGE);
	unsigned int tried = 0, wrong = 0;
	int value;

	for (value = -50; value <= 50; value++, tried++) {
		if (madvise(page, PAGE, MADV_DONTNEED))
			die("MADV_DONTNEED");
		set_greater(value, page);
		wrong += *page != (value > 0);
	}
	printf("{\"program\":\"restart\",\"tried\":%u,\"wrong\":%u}\n", tried, wrong);
	return wrong > 0;
}
