/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A monitor on a small pool, requests to it, and what must hold at all times.
 * Shared by the unit tests and the fuzz target of mmon.
 */
#ifndef MMON_FIXTURE_H
#define MMON_FIXTURE_H

#include "shim/lite_stub.h"
#include "../../mmon/internal.h"

#define RW		(MMON_PROT_READ | MMON_PROT_WRITE)
#define PAGE(n)		((u64)(n) << MMON_PAGE_SHIFT)
#define NODE_A		0x0a000001u
#define NODE_B		0x0a000002u
#define INCARNATION(n)	((u64)(n) * 1000003u)

/* A page's content says whose it is; the rest follows from that. */
struct content {
	u64 asid;
	u64 addr;
	u64 stamp;
	u64 node;
};

void content_fill(void *page, const struct content *c);
/* Is it a page that content_fill() made, and which? */
bool content_read(const void *page, struct content *c);

void fixture_start(struct mmon *m, u32 capacity);
/* The same with a log for replicas. */
void fixture_start_log(struct mmon *m, u32 capacity, u32 segments,
		       struct mmon_store *store);
/* Ends all spaces; everything must be back then. */
void fixture_stop(struct mmon *m);

/*
 * All invariants. @pinned: frames that fetches still hold, by address of the
 * frame; may be NULL.
 */
void fixture_check(struct mmon *m, const struct mmon_pages *pinned, u32 nr);

struct mmon_change ch(u32 type, u32 prot, u64 first, u64 last, u64 to);

int do_maps(struct mmon *m, u32 node, u64 asid, u64 seq, u32 nr,
	    const struct mmon_change *changes);
int do_map(struct mmon *m, u32 node, u64 asid, u64 seq,
	   struct mmon_change change);
int do_flush(struct mmon *m, u32 node, u64 asid, u64 seq, u32 nr,
	     const u64 *addr, u64 stamp);
int do_flush1(struct mmon *m, u32 node, u64 asid, u64 seq, u64 addr, u64 stamp);
/* @frame: of each page, as in struct place. */
int do_adopt(struct mmon *m, u32 node, u64 asid, u64 seq, u32 want, u32 nr,
	     const u64 *addr, const u32 *frame);
int do_clone(struct mmon *m, u32 node, u64 asid, u64 seq, u64 child, u64 start,
	     u64 end);
int do_exit(struct mmon *m, u32 node, u64 asid);
int do_replica(struct mmon *m, u32 node, u64 asid, u32 feeder);
int do_promote(struct mmon *m, u32 node, u64 asid, u64 seq);
/* @owner: what the pages' contents say whose they are. */
int do_feed(struct mmon *m, u32 node, u64 asid, u32 nr, const u64 *addr,
	    u32 owner, u64 stamp);
/* What a fetch found, also if it has to be read from the store. */
const void *page_data(struct mmon *m, const struct mmon_pages *pages, u32 i);
/* Leaves the references in @pages. */
int do_fetch(struct mmon *m, u32 node, u64 asid, u32 nr, const u64 *addr,
	     struct mmon_pages *pages);
/* One page: 0 and its stamp, or an error. */
int do_fetch1(struct mmon *m, u32 node, u64 asid, u64 addr, u64 *stamp);
/* What the owner of a page got told: whether, and how it reaches it. */
struct place {
	u32 rkey;		/* 0: not told */
	u64 addr;
	u32 frame;
};

/* Of page @i of the last flush that was answered. */
struct place flush_place(u32 i);

/* The spare frames that the last adoption was answered with. */
u32 spares_listed(void);
struct place spare_place(u32 i);

/* Any request, in the context it would run in. The answer is checked. */
int do_raw(struct mmon *m, struct lite_request *req, struct mmon_pages *pages);

u64 counter(struct mmon *m, const char *name);

/* Random numbers: same seed, same numbers, everywhere. */
void random_seed(u64 seed);
u32 random_below(u32 n);
u64 seed_from_env(const char *name);

#endif /* MMON_FIXTURE_H */
