// SPDX-License-Identifier: GPL-2.0
/*
 * The parts of the shim that have state. See shim.h.
 */
#include <stdarg.h>

#include "shim.h"

int shim_atomic_depth;
int shim_rcu_depth;
unsigned long shim_messages;
void (*shim_resched_hook)(void);
void (*shim_wait_hook)(void);
void (*shim_lock_hook)(void);
void (*shim_tryget_hook)(void);
long shim_fail_at = -1;
bool shim_failed;
long shim_live;
u64 shim_now_ms;

static struct rcu_head *deferred;
static struct work_struct *scheduled[WORK_MAX];

void shim_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

void shim_printk(const char *fmt, ...)
{
	(void)fmt;
	shim_messages++;
}

/* A hook runs once and may itself reach the same point. */
static void run_hook(void (**hook)(void))
{
	void (*run)(void) = *hook;

	*hook = NULL;
	if (run)
		run();
}

void shim_resched(void)
{
	might_sleep();
	run_hook(&shim_resched_hook);
}

void shim_lock(void)
{
	might_sleep();
	run_hook(&shim_lock_hook);
}

void shim_wait(void)
{
	might_sleep();
	run_hook(&shim_wait_hook);
}

bool refcount_inc_not_zero(refcount_t *r)
{
	run_hook(&shim_tryget_hook);
	SHIM_ASSERT(r->refs >= 0);
	if (!r->refs)
		return false;
	r->refs++;
	return true;
}

void shim_rcu_defer(struct rcu_head *head, void *object)
{
	head->object = object;
	head->next = deferred;
	deferred = head;
}

void shim_rcu_flush(void)
{
	struct rcu_head *head;

	SHIM_ASSERT(shim_rcu_depth == 0);
	while ((head = deferred)) {
		deferred = head->next;
		shim_free(head->object);
	}
}

bool shim_alloc_fails(gfp_t gfp)
{
	if (!(gfp & GFP_ATOMIC))
		might_sleep();
	if (gfp & __GFP_NOFAIL || shim_fail_at < 0)
		return false;
	if (shim_fail_at-- > 0)
		return false;
	shim_failed = true;
	return true;
}

void *shim_alloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes = n * size;
	void *p;

	SHIM_ASSERT(!size || bytes / size == n);
	if (shim_alloc_fails(gfp))
		return NULL;
	p = malloc(bytes ? bytes : 1);
	SHIM_ASSERT(p);
	memset(p, gfp & __GFP_ZERO ? 0 : 0xa5, bytes);
	shim_live++;
	return p;
}

void shim_free(const void *p)
{
	if (!p)
		return;
	shim_live--;
	free((void *)p);
}

/*
 * Byte by byte with a table made bit by bit. Tests spend most of their time
 * here, so it goes without the sanitizers.
 */
__attribute__((no_sanitize("address", "undefined")))
u32 crc32c(u32 crc, const void *data, unsigned int len)
{
	static u32 table[256];
	const u8 *p = data;
	unsigned int i, bit;

	if (!table[1]) {
		for (i = 0; i < 256; i++) {
			u32 c = i;

			for (bit = 0; bit < 8; bit++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			table[i] = c;
		}
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

/* Not xxh64, but FNV-1a: no test knows its values. */
u64 xxh64(const void *data, size_t len, u64 seed)
{
	u64 hash = seed ^ 0xcbf29ce484222325;
	const u8 *p = data;

	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3;
	return hash;
}

bool shim_queue_work(struct work_struct *work)
{
	unsigned int i;

	if (work->pending)
		return false;
	for (i = 0; i < ARRAY_SIZE(scheduled); i++) {
		if (scheduled[i])
			continue;
		scheduled[i] = work;
		work->pending = true;
		return true;
	}
	shim_fail(__FILE__, __LINE__, "too many work items");
}

bool shim_cancel_work(struct work_struct *work)
{
	unsigned int i;
	bool was = work->pending;

	might_sleep();
	for (i = 0; i < ARRAY_SIZE(scheduled); i++)
		if (scheduled[i] == work)
			scheduled[i] = NULL;
	work->pending = false;
	return was;
}

bool schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	if (work->work.pending)
		return false;
	work->delay = delay;
	return shim_queue_work(&work->work);
}

bool cancel_delayed_work_sync(struct delayed_work *work)
{
	return shim_cancel_work(&work->work);
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	while (wq) {
		unsigned int i, n = 0;

		for (i = 0; i < ARRAY_SIZE(scheduled); i++)
			n += !!scheduled[i];
		if (!n)
			break;
		shim_run_work();
	}
	shim_free(wq);
}

void shim_run_work(void)
{
	struct work_struct *now[ARRAY_SIZE(scheduled)];
	unsigned int i;

	memcpy(now, scheduled, sizeof(now));
	memset(scheduled, 0, sizeof(scheduled));
	for (i = 0; i < ARRAY_SIZE(now); i++) {
		if (!now[i])
			continue;
		now[i]->pending = false;
		now[i]->func(now[i]);
	}
}
