// SPDX-License-Identifier: GPL-2.0
/*
 * What goes on without a request: room in the log, frames for promoted spaces.
 *
 * Each has one work item on a queue of its own, because the store may be slow. They
 * are kicked where the need arises, with spinlocks held, so a kick only queues. The
 * ends of seedings run here, too, and on a second queue fetches from the store.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "internal.h"

#define NO_FRAMES_DELAY	HZ	/* before the pool is asked again */
#define LOADS_MAX	4	/* fetches that read from the store at once */

static struct workqueue_struct *queue, *load_queue;
static struct mmon *served;

static void make_room(struct work_struct *work)
{
	while (mmon_log_maintain(&served->log))
		cond_resched();
}

static DECLARE_WORK(log_work, make_room);

static void rebuild(struct work_struct *work)
{
	struct delayed_work *again = to_delayed_work(work);
	int ret = mmon_rebuild(served);

	if (ret)
		queue_delayed_work(queue, again, ret < 0 ? NO_FRAMES_DELAY : 0);
}

static DECLARE_DELAYED_WORK(rebuild_work, rebuild);

static void kick_log(struct mmon_log *log)
{
	queue_work(queue, &log_work);
}

static void kick_rebuild(struct mmon *m)
{
	mod_delayed_work(queue, &rebuild_work, 0);
}

/** mmon_background_queue - something else that has to be done. Context: any. */
void mmon_background_queue(struct work_struct *work)
{
	queue_work(queue, work);
}

/** mmon_background_load - the same for a fetch that needs the store */
void mmon_background_load(struct work_struct *work)
{
	queue_work(load_queue, work);
}

/** mmon_background_start - before the first request. Return: 0 or -ENOMEM. */
int mmon_background_start(struct mmon *m)
{
	queue = alloc_workqueue("mmon", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!queue)
		return -ENOMEM;
	load_queue = alloc_workqueue("mmon_load", WQ_UNBOUND | WQ_MEM_RECLAIM,
				     LOADS_MAX);
	if (!load_queue) {
		destroy_workqueue(queue);
		return -ENOMEM;
	}
	served = m;
	m->log.kick = kick_log;
	m->rebuild_kick = kick_rebuild;
	return 0;
}

/**
 * mmon_background_stop - nothing goes on any more
 * @m: the monitor: no request runs, all spaces are gone, and the log is drained
 */
void mmon_background_stop(struct mmon *m)
{
	m->rebuild_kick = NULL;
	cancel_delayed_work_sync(&rebuild_work);
	destroy_workqueue(load_queue);
	/* A reply that did not let itself be waited for kicks nobody any more. */
	WRITE_ONCE(m->log.kick, NULL);
	synchronize_rcu();
	cancel_work_sync(&log_work);
	destroy_workqueue(queue);
}
