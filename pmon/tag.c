// SPDX-License-Identifier: GPL-2.0
/*
 * Tags: which processes are managed.
 *
 * A tag belongs to a thread group and is inherited over fork and exec. The
 * table is keyed by signal_struct, which lives exactly as long as the thread
 * group and survives exec. Nothing visible to the process marks it, so nothing
 * it does to itself can forge or lose a tag.
 *
 * fork and exit are seen through the scheduler's tracepoints. A child that
 * cannot be given its tag is killed: a half-managed process is worse.
 */
#include <linux/hashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>

#include "internal.h"

#define TAG_HASH_BITS	8

struct tag {
	struct hlist_node hash;
	struct rcu_head rcu;
	struct signal_struct *key;
	struct pmon_budget *budget;
};

static DEFINE_HASHTABLE(tags, TAG_HASH_BITS);
static DEFINE_SPINLOCK(tags_lock);
static struct tracepoint *fork_point;
static struct tracepoint *exit_point;

static struct tag *tag_find(struct signal_struct *key)
{
	struct tag *tag;

	hash_for_each_possible_rcu(tags, tag, hash, (unsigned long)key,
				   lockdep_is_held(&tags_lock))
		if (tag->key == key)
			return tag;
	return NULL;
}

/* pmon_tagged - is the task's thread group tagged? Context: any; cheap. */
bool pmon_tagged(struct task_struct *task)
{
	bool found;

	rcu_read_lock();
	found = tag_find(task->signal);
	rcu_read_unlock();
	return found;
}

/*
 * pmon_tag_budget - budget of a tagged task, referenced; NULL if not tagged
 * Context: @task is current, or its thread group cannot exit.
 */
struct pmon_budget *pmon_tag_budget(struct task_struct *task)
{
	struct pmon_budget *budget = NULL;
	struct tag *tag;

	rcu_read_lock();
	tag = tag_find(task->signal);
	if (tag && kref_get_unless_zero(&tag->budget->ref))
		budget = tag->budget;
	rcu_read_unlock();
	return budget;
}

/* Takes over the caller's reference to the budget if it succeeds. */
static int tag_add(struct task_struct *task, struct pmon_budget *budget,
		   gfp_t gfp)
{
	struct tag *tag = kzalloc(sizeof(*tag), gfp);
	int ret;

	if (!tag)
		return -ENOMEM;
	tag->key = task->signal;
	tag->budget = budget;
	spin_lock(&tags_lock);
	if (tag_find(tag->key)) {
		ret = -EEXIST;
	} else if (!try_module_get(THIS_MODULE)) {
		/* It is being unloaded: who asks by netlink holds no reference. */
		ret = -ESHUTDOWN;
	} else {
		hash_add_rcu(tags, &tag->hash, (unsigned long)tag->key);
		ret = 0;
	}
	spin_unlock(&tags_lock);
	if (ret)
		kfree(tag);
	else
		pmon_count(tags);
	return ret;
}

static void tag_remove(struct signal_struct *key)
{
	struct tag *tag;

	spin_lock(&tags_lock);
	tag = tag_find(key);
	if (tag)
		hash_del_rcu(&tag->hash);
	spin_unlock(&tags_lock);
	if (!tag)
		return;
	pmon_budget_put(tag->budget);
	kfree_rcu(tag, rcu);
	module_put(THIS_MODULE);
}

/*
 * pmon_tag_current - tag the calling process
 *
 * Takes over the caller's reference to @budget if it succeeds.
 * Return: 0; -EEXIST: tagged already; -ESHUTDOWN: pmon is being unloaded; -ENOMEM.
 */
int pmon_tag_current(struct pmon_budget *budget)
{
	return tag_add(current, budget, GFP_KERNEL);
}

/*
 * pmon_tag_drop_current - the calling process is no longer tagged
 *
 * For exec of a program that gains privileges: what it keeps in memory is not
 * its user's to send to other hosts. Context: exec, one thread is left, and its
 * new mm has no managed mapping yet.
 */
void pmon_tag_drop_current(void)
{
	tag_remove(current->signal);
	pmon_count(tags_dropped);
}

/* sched_process_fork: the child exists and does not run yet. */
static void on_fork(void *unused, struct task_struct *parent,
		    struct task_struct *child)
{
	struct pmon_budget *budget;

	pmon_fork_done(child);
	if (child->signal == parent->signal || !pmon_tagged(parent))
		return;
	budget = pmon_tag_budget(parent);
	if (budget && !tag_add(child, budget, GFP_ATOMIC | __GFP_NOWARN))
		return;
	if (budget)
		pmon_budget_put(budget);
	pmon_count(tag_failures);
	pr_err_ratelimited("%s[%d]: no memory to tag child %d: killed\n",
			   parent->comm, task_tgid_nr(parent),
			   task_pid_nr(child));
	send_sig(SIGKILL, child, 1);
}

/* sched_process_exit: after the task gave up its mm. */
static void on_exit(void *unused, struct task_struct *task)
{
	if (!atomic_read(&task->signal->live))
		tag_remove(task->signal);
}

static void find_points(struct tracepoint *point, void *unused)
{
	if (!strcmp(point->name, "sched_process_fork"))
		fork_point = point;
	else if (!strcmp(point->name, "sched_process_exit"))
		exit_point = point;
}

int pmon_tag_init(void)
{
	int ret;

	for_each_kernel_tracepoint(find_points, NULL);
	if (!fork_point || !exit_point) {
		pr_err("this kernel has no sched_process_fork and _exit tracepoints\n");
		return -EOPNOTSUPP;
	}
	ret = tracepoint_probe_register(fork_point, on_fork, NULL);
	if (ret)
		return ret;
	ret = tracepoint_probe_register(exit_point, on_exit, NULL);
	if (ret)
		tracepoint_probe_unregister(fork_point, on_fork, NULL);
	return ret;
}

/* pmon_tag_exit - no tag is left: each holds a module reference */
void pmon_tag_exit(void)
{
	tracepoint_probe_unregister(exit_point, on_exit, NULL);
	tracepoint_probe_unregister(fork_point, on_fork, NULL);
	tracepoint_synchronize_unregister();
	rcu_barrier();
}
