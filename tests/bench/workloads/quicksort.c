// SPDX-License-Identifier: GPL-2.0
/*
 * quicksort [--mb M] - sorts M MiB (default 24) of random 32-bit numbers
 *
 * Exit: 0; 3 if they are not in order afterwards; 2 could not run.
 */
#include "workload.h"

#define SMALL	24	/* fewer are sorted by insertion */

static void insertion_sort(uint32_t *a, unsigned long n)
{
	unsigned long i, j;
	uint32_t x;

	for (i = 1; i < n; i++) {
		x = a[i];
		for (j = i; j && a[j - 1] > x; j--)
			a[j] = a[j - 1];
		a[j] = x;
	}
}

static uint32_t middle_of(uint32_t a, uint32_t b, uint32_t c)
{
	if (a > b)
		return b > c ? b : a > c ? c : a;
	return a > c ? a : b > c ? c : b;
}

static void quicksort(uint32_t *a, unsigned long n)
{
	while (n > SMALL) {
		uint32_t pivot = middle_of(a[0], a[n / 2], a[n - 1]), x;
		unsigned long i = 0, j = n - 1;

		for (;; i++, j--) {
			while (a[i] < pivot)
				i++;
			while (a[j] > pivot)
				j--;
			if (i >= j)
				break;
			x = a[i];
			a[i] = a[j];
			a[j] = x;
		}
		/* The smaller part by recursion: the stack stays small. */
		j++;
		if (j < n - j) {
			quicksort(a, j);
			a += j;
			n -= j;
		} else {
			quicksort(a + j, n - j);
			n = j;
		}
	}
	insertion_sort(a, n);
}

int main(int argc, char **argv)
{
	struct options options = { .mb = 24 };
	uint64_t state = SEED, sum = 0, start;
	unsigned long i, n, bad = 0;
	uint32_t *a;

	options_parse(&options, argc, argv);
	n = (options.mb << 20) / sizeof(*a);
	start = now_ns();
	a = map_private(n * sizeof(*a));
	for (i = 0; i < n; i++)
		a[i] = xorshift(&state);
	quicksort(a, n);
	for (i = 0; i < n; i++) {
		bad += i && a[i - 1] > a[i];
		sum = fold(sum, a[i]);
	}
	result("quicksort", now_ns() - start, sum, "");
	return bad ? EXIT_WRONG : 0;
}
