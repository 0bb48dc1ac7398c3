// SPDX-License-Identifier: GPL-2.0
/*
 * wordcount [--mb M] [--threads N] - counts the words of M MiB of text
 *
 * In the style of Phoenix: each thread counts the words of its part of the text
 * in a hash table of its own (map), the tables are joined, by ranges of the hash,
 * again by all threads (reduce), and the words are sorted by number. The text is
 * made here, from a vocabulary with a zipf distribution and a fixed seed.
 */
#include "workload.h"

#define WORDS		20000	/* of the vocabulary */
#define WORD_MAX	12
#define SLOTS		(1UL << 16)
#define PICKS		(1UL << 16)

struct entry {
	const char *word;
	uint32_t length, hash;
	uint64_t count;
};

static char *text;
static unsigned long size;
static struct entry *tables[THREADS_MAX];
static struct entry *joined;
static unsigned long threads;
static char vocabulary[WORDS][WORD_MAX + 1];
static uint16_t picks[PICKS];	/* words as often as the distribution has them */

static void make_vocabulary(void)
{
	double *zipf = zipf_table(WORDS);
	uint64_t state = SEED;
	unsigned long i, j, length;

	for (i = 0; i < WORDS; i++) {
		length = 3 + next_random(&state) % (WORD_MAX - 3);
		for (j = 0; j < length; j++)
			vocabulary[i][j] = 'a' + next_random(&state) % 26;
	}
	for (i = 0; i < PICKS; i++)
		picks[i] = zipf_rank(zipf, WORDS, &state);
	free(zipf);
}

static void *generate(void *arg)
{
	struct part *part = arg;
	char *p = text + part->first, *end = p + part->nr;
	uint64_t state = mix(SEED + part->first) | 1;
	const char *word;
	size_t length;

	while (p < end) {
		word = vocabulary[picks[xorshift(&state) % PICKS]];
		length = strlen(word);
		if (length + 1 > (size_t)(end - p)) {
			memset(p, ' ', end - p);
			break;
		}
		memcpy(p, word, length);
		p[length] = ' ';
		p += length + 1;
	}
	return NULL;
}

static void count(struct entry *table, const char *word, uint32_t length,
		  uint32_t hash, uint64_t number_of)
{
	struct entry *entry = &table[hash % SLOTS];

	while (entry->word && (entry->hash != hash || entry->length != length ||
			       memcmp(entry->word, word, length)))
		if (++entry == table + SLOTS)
			entry = table;
	if (!entry->word) {
		entry->word = word;
		entry->length = length;
		entry->hash = hash;
	}
	entry->count += number_of;
}

static void *map(void *arg)
{
	struct part *part = arg;
	const char *p = text + part->first, *end = p + part->nr, *word;
	uint32_t hash;

	tables[part->index] = map_private(SLOTS * sizeof(struct entry));
	while (p < end) {
		while (p < end && *p == ' ')
			p++;
		word = p;
		for (hash = 2166136261; p < end && *p != ' '; p++)
			hash = (hash ^ (uint8_t)*p) * 16777619;
		if (p > word)
			count(tables[part->index], word, p - word, hash, 1);
	}
	return NULL;
}

/* Joins those slots of all tables whose hash is this thread's. */
static void *reduce(void *arg)
{
	struct part *part = arg;
	unsigned long t, i;

	for (t = 0; t < threads; t++)
		for (i = 0; i < SLOTS; i++) {
			const struct entry *entry = &tables[t][i];

			if (entry->word && entry->hash % threads == part->index)
				count(joined + part->index * SLOTS, entry->word,
				      entry->length, entry->hash, entry->count);
		}
	return NULL;
}

static int by_count(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->length != y->length)
		return x->length < y->length ? 1 : -1;
	return memcmp(x->word, y->word, x->length);
}

/* Parts of the text end where a word ends. */
static void cut_text(struct part *parts)
{
	unsigned long i, end;

	parts_cut(parts, threads, size);
	for (i = 0; i + 1 < threads; i++) {
		end = parts[i].first + parts[i].nr;
		while (end < size && text[end] != ' ')
			end++;
		parts[i].nr = end - parts[i].first;
		parts[i + 1].nr -= end - parts[i + 1].first;
		parts[i + 1].first = end;
	}
}

int main(int argc, char **argv)
{
	struct options options = { .mb = 24, .threads = 1 };
	struct part parts[THREADS_MAX] = {};
	unsigned long i, words;
	uint64_t start, sum = 0;
	char note[48];

	options_parse(&options, argc, argv);
	threads = options.threads;
	size = options.mb << 20;
	start = now_ns();
	make_vocabulary();
	text = map_private(size);
	joined = map_private(threads * SLOTS * sizeof(*joined));
	/* In 64 pieces whatever the number of threads: the same text. */
	for (i = 0; i < 64; i++) {
		parts[0].first = size / 64 * i;
		parts[0].nr = size / 64;
		generate(&parts[0]);
	}
	cut_text(parts);
	parts_run(parts, threads, map);
	parts_run(parts, threads, reduce);
	for (i = words = 0; i < threads * SLOTS; i++)
		if (joined[i].word)
			joined[words++] = joined[i];
	qsort(joined, words, sizeof(*joined), by_count);
	for (i = 0; i < words; i++)
		sum = fold(fold(sum, joined[i].count), joined[i].hash);
	snprintf(note, sizeof(note), "%lu words", words);
	result("wordcount", now_ns() - start, sum, note);
	return 0;
}
