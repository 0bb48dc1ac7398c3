/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Value entries of space->lines: what an index holds that has no line.
 *
 * An entry that says "stored at the home" carries all that a miss needs: the
 * checksum and, if the home has granted it, where the page lies there, so that it
 * can be read without asking. 63 bits, from the lowest:
 *
 *	bit 0		1: stored at the home; 0: one of the constants below
 *	bit 1		it may be written there in place
 *	bits 2-29	location as in struct mmon_flush_reply; 0: not known
 *	bits 30-61	checksum of the page
 */
#ifndef PMON_ENTRY_H
#define PMON_ENTRY_H

#include <linux/types.h>
#include <linux/xarray.h>

#define PMON_ENTRY_LOST		xa_mk_value(2)
#define PMON_ENTRY_UNREAD	xa_mk_value(4)
#define PMON_ENTRY_POISONED	xa_mk_value(6)
/* Never stored: a transfer that failed for now leaves the index absent. */
#define PMON_ENTRY_ABSENT	xa_mk_value(8)

/* Never stored: stands for "at the home, as the line has it", see pmon_line_entry(). */
#define PMON_ENTRY_STORED	xa_mk_value(10)

#define PMON_LOCATION_BITS	28	/* 1 TiB at one home, less a frame */

/**
 * struct pmon_copy - what is known of the home's copy of a page
 * @sum: checksum of the page (checksum.c)
 * @location: frame there + 1; 0: only its home knows
 * @in_place: the frame may be overwritten with the page's next content: since it
 *	was granted no fork has promised it to a child
 */
struct pmon_copy {
	u32 sum;
	u32 location;
	bool in_place;
};

static inline void *pmon_entry_remote(struct pmon_copy copy)
{
	return xa_mk_value((unsigned long)copy.sum << 30 |
			   (unsigned long)copy.location << 2 |
			   (unsigned long)copy.in_place << 1 | 1);
}

static inline bool pmon_entry_is_remote(void *entry)
{
	return xa_is_value(entry) && (xa_to_value(entry) & 1);
}

static inline struct pmon_copy pmon_entry_copy(void *entry)
{
	unsigned long value = xa_to_value(entry);

	return (struct pmon_copy){
		.sum = value >> 30,
		.location = (value >> 2) & ((1u << PMON_LOCATION_BITS) - 1),
		.in_place = value & 2,
	};
}

/* A copy with the same content of which nothing else is known. */
static inline struct pmon_copy pmon_copy_of(u32 sum)
{
	return (struct pmon_copy){ .sum = sum };
}

#endif /* PMON_ENTRY_H */
