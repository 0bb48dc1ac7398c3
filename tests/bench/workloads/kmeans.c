// SPDX-License-Identifier: GPL-2.0
/*
 * kmeans [--mb M] [--threads N] [--ops R] - clusters M MiB of points
 *
 * In the style of Phoenix: threads assign their part of the points to the nearest
 * centre (map), sums of all threads give the new centres (reduce), R rounds
 * (default 4) or until no point moves. Coordinates are integers, so that the
 * result does not depend on the order of additions.
 */
#include "workload.h"

#define DIMENSIONS	15
#define CENTRES		8
#define RANGE		1000

struct point {
	int32_t x[DIMENSIONS];
	int32_t centre;
};

struct sums {
	int64_t x[CENTRES][DIMENSIONS];
	int64_t nr[CENTRES];
	uint64_t moved;
};

static struct point *points;
static int32_t centre[CENTRES][DIMENSIONS];
static struct sums sums[THREADS_MAX];

static int32_t nearest(const struct point *point)
{
	int64_t best = INT64_MAX, distance, delta;
	int32_t c, d, found = 0;

	for (c = 0; c < CENTRES; c++) {
		distance = 0;
		for (d = 0; d < DIMENSIONS; d++) {
			delta = point->x[d] - centre[c][d];
			distance += delta * delta;
		}
		if (distance < best) {
			best = distance;
			found = c;
		}
	}
	return found;
}

static void *assign(void *arg)
{
	struct part *part = arg;
	struct sums *mine = &sums[part->index];
	unsigned long i;
	int32_t c, d;

	memset(mine, 0, sizeof(*mine));
	for (i = part->first; i < part->first + part->nr; i++) {
		c = nearest(&points[i]);
		if (points[i].centre != c) {
			points[i].centre = c;
			mine->moved++;
		}
		mine->nr[c]++;
		for (d = 0; d < DIMENSIONS; d++)
			mine->x[c][d] += points[i].x[d];
	}
	return NULL;
}

/* New centres out of all threads' sums. Return: how many points moved. */
static uint64_t reduce(unsigned long threads)
{
	uint64_t moved = 0;
	unsigned long t;
	int32_t c, d;

	for (t = 1; t < threads; t++)
		for (c = 0; c < CENTRES; c++) {
			sums[0].nr[c] += sums[t].nr[c];
			for (d = 0; d < DIMENSIONS; d++)
				sums[0].x[c][d] += sums[t].x[c][d];
		}
	for (t = 0; t < threads; t++)
		moved += sums[t].moved;
	for (c = 0; c < CENTRES; c++)
		for (d = 0; d < DIMENSIONS && sums[0].nr[c]; d++)
			centre[c][d] = sums[0].x[c][d] / sums[0].nr[c];
	return moved;
}

static void *generate(void *arg)
{
	struct part *part = arg;
	uint64_t state;
	unsigned long i;
	int32_t d;

	for (i = part->first; i < part->first + part->nr; i++) {
		state = mix(SEED + i) | 1;
		for (d = 0; d < DIMENSIONS; d++)
			points[i].x[d] = xorshift(&state) % RANGE;
		points[i].centre = -1;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct options options = { .mb = 24, .threads = 1, .ops = 4 };
	struct part parts[THREADS_MAX] = {};
	uint64_t start, sum = 0;
	unsigned long nr, round;
	char note[32];
	int32_t c, d;

	options_parse(&options, argc, argv);
	nr = (options.mb << 20) / sizeof(*points);
	start = now_ns();
	points = map_private(nr * sizeof(*points));
	parts_cut(parts, options.threads, nr);
	parts_run(parts, options.threads, generate);
	for (c = 0; c < CENTRES; c++)
		memcpy(centre[c], points[nr / CENTRES * c].x, sizeof(centre[c]));
	for (round = 0; round < options.ops; round++) {
		parts_run(parts, options.threads, assign);
		if (!reduce(options.threads))
			break;
	}
	for (c = 0; c < CENTRES; c++)
		for (d = 0; d < DIMENSIONS; d++)
			sum = fold(sum, centre[c][d]);
	snprintf(note, sizeof(note), "%lu rounds", round);
	result("kmeans", now_ns() - start, sum, note);
	return 0;
}
