// SPDX-License-Identifier: GPL-2.0
/*
 * Storing dirty pages: all of a request or none of it.
 *
 * The peer can overwrite the payload while it is read, so the payload is copied
 * into fresh frames and the copies are checked. Nobody sees them until then.
 *
 * A replica's pages go to the log instead (replica.c).
 *
 * The answer tells where the pages are, so that the owner can read and overwrite
 * them one-sided. A frame that another space has as well is not told of: it must
 * not be written in place.
 */
#include <linux/kernel.h>
#include <linux/string.h>

#include "internal.h"
#include "mmon_checksum.h"

static unsigned long index_of(const struct mmon_flush_in *in, u32 i)
{
	return in->addr[i] >> MMON_PAGE_SHIFT;
}

static int check_vmas(struct mmon_space *space, const struct mmon_flush_in *in)
{
	const struct mmon_vmas *vmas = mmon_space_vmas(space);
	int err = 0;
	u32 i;

	for (i = 0; !err && i < in->nr; i++)
		err = mmon_vmas_check(vmas, in->addr[i], MMON_PROT_WRITE);
	return err;
}

/*
 * Pages whose frame is in no other page map: replacing it frees it. That stays
 * so while space->lock is held.
 */
static u32 count_exclusive(struct mmon_space *space,
			   const struct mmon_flush_in *in)
{
	struct mmon_frame *frame;
	u32 i, n = 0;

	lockdep_assert_held(&space->lock);
	for (i = 0; i < in->nr; i++) {
		frame = mmon_entry_frame(xa_load(&space->pages, index_of(in, i)));
		n += frame && atomic_read(&frame->maps) == 1;
	}
	return n;
}

static int fill(struct mmon *m, const struct mmon_flush_in *in,
		struct mmon_frame **fresh)
{
	void *data;
	u32 i;

	for (i = 0; i < in->nr; i++) {
		data = mmon_frame_data(&m->pool, fresh[i]);
		memcpy(data, in->payload + i * MMON_PAGE_SIZE, MMON_PAGE_SIZE);
		if (mmon_checksum(in->checksum, data) != in->sum[i])
			return -EILSEQ;
	}
	return 0;
}

/* All slots are reserved: nothing here can fail. */
static void publish(struct mmon *m, struct mmon_space *space,
		    const struct mmon_flush_in *in, struct mmon_frame **fresh,
		    u32 exclusive)
{
	u32 i, freed = 0;

	for (i = 0; i < in->nr; i++)
		freed += mmon_space_store(m, space, in->addr[i], fresh[i]);
	/* The charge of the exclusive ones passed to the fresh frames. */
	mmon_pool_uncharge(&m->pool, freed - exclusive);
	space->seq++;
}

static int store(struct mmon *m, struct mmon_space *space,
		 const struct mmon_flush_in *in)
{
	struct mmon_frame *fresh[MMON_FLUSH_MAX];
	u32 exclusive;
	int err;

	lockdep_assert_held(&space->lock);
	err = check_vmas(space, in);
	if (!err && space->kind == MMON_REPLICA) {
		err = mmon_append(m, space, in, NULL, in->nr);
		space->seq += !err;
		return err;
	}
	if (err)
		return err;
	exclusive = count_exclusive(space, in);
	mmon_space_claim(m, space, in->nr);
	err = mmon_pool_take(&m->pool, &space->chunks, in->nr,
			     in->nr - exclusive, fresh);
	if (err)
		return err;
	err = fill(m, in, fresh);
	if (!err)
		err = mmon_space_reserve_pages(space, in->addr, in->nr);
	if (err) {
		mmon_pool_untake(&m->pool, in->nr, in->nr - exclusive, fresh);
		return err;
	}
	publish(m, space, in, fresh, exclusive);
	return 0;
}

/* By the page map as it is now, whatever the flush was: a repeat may be old. */
static void locate(struct mmon *m, struct mmon_space *space,
		   const struct mmon_flush_in *in,
		   struct mmon_flush_reply *reply)
{
	struct mmon_frame *frames[MMON_FLUSH_MAX], *frame;
	u32 i;

	lockdep_assert_held(&space->lock);
	for (i = 0; i < in->nr; i++) {
		frame = mmon_entry_frame(xa_load(&space->pages, index_of(in, i)));
		if (frame && atomic_read(&frame->maps) != 1)
			frame = NULL;
		frames[i] = frame;
	}
	memset(reply, 0, sizeof(*reply));
	mmon_chunks_locate(&m->pool, &space->chunks, frames, in->nr,
			   reply->location, reply->grant, &reply->nr_grants);
}

/**
 * mmon_flush - store pages
 * @m: the monitor
 * @owner: who asks
 * @in: checked by the caller: addresses are valid and differ
 * @reply: room for MMON_FLUSH_REPLY_MAX bytes; not written on error
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_flush(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_flush_in *in, struct mmon_flush_reply *reply)
{
	struct mmon_space *space = mmon_space_get(m, in->asid);
	int ret = -EPERM;

	if (!space)
		return -ENOENT;
	if (mmon_space_owned(space, owner)) {
		mutex_lock(&space->lock);
		ret = space->dead ? -ENOENT :
				    mmon_space_sequence(space, in->seq);
		if (!ret)
			ret = store(m, space, in);
		if (ret >= 0)
			locate(m, space, in, reply);
		mutex_unlock(&space->lock);
	}
	mmon_space_put(space);
	return ret;
}
