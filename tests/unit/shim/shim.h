/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as the project's pure files need, for userspace.
 *
 * Locks do not lock, they check: taking a held one, sleeping while a spinlock
 * or the RCU read lock is held, and touching what a lock protects without it
 * end the program. Memory freed by RCU stays until shim_rcu_flush(), which a
 * test calls where a grace period may end. Any allocation can be made to fail.
 * One thread; what another CPU might do in between comes in through hooks.
 */
#ifndef SHIM_H
#define SHIM_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

/* ---- diagnosis --------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 3, 4)))
void shim_fail(const char *file, int line, const char *fmt, ...);

#define SHIM_ASSERT(cond)						\
	do {								\
		if (!(cond))						\
			shim_fail(__FILE__, __LINE__, "%s", #cond);	\
	} while (0)

#define WARN_ON(cond) ({						\
	bool bad_ = !!(cond);						\
									\
	if (bad_)							\
		shim_fail(__FILE__, __LINE__, "WARN_ON(%s)", #cond);	\
	bad_;								\
})
#define WARN_ON_ONCE(cond)	WARN_ON(cond)
#define WARN_ONCE(cond, ...)	WARN_ON(cond)

/* %p extensions are the kernel's own, so formats are not checked here. */
void shim_printk(const char *fmt, ...);
extern unsigned long shim_messages;	/* printed so far */

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif
#define pr_info(...)			shim_printk(__VA_ARGS__)
#define pr_warn(...)			shim_printk(__VA_ARGS__)
#define pr_err(...)			shim_printk(__VA_ARGS__)
#define pr_debug(...)			do { } while (0)
#define pr_warn_ratelimited(...)	shim_printk(__VA_ARGS__)
#define pr_info_ratelimited(...)	shim_printk(__VA_ARGS__)
#define pr_err_ratelimited(...)		shim_printk(__VA_ARGS__)

/* ---- small things --------------------------------------------------------------- */

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define DIV_ROUND_CLOSEST(n, d)	(((n) + (d) / 2) / (d))
#define div64_u64(n, d)		((u64)(n) / (u64)(d))
#define min(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) ({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define clamp_t(t, v, lo, hi)	clamp((t)(v), (t)(lo), (t)(hi))
#define clamp(v, lo, hi)	min(max(v, lo), hi)
#define swap(a, b) do { __auto_type t_ = (a); (a) = (b); (b) = t_; } while (0)
#ifndef container_of
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#endif
#define struct_size(p, member, n) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))
#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define GENMASK_ULL(h, l)	((~0ull << (l)) & (~0ull >> (63 - (h))))
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define fallthrough		__attribute__((fallthrough))
#define likely(x)		(x)
#define unlikely(x)		(x)
#define barrier()		__asm__ volatile("" ::: "memory")
#define smp_mb()		barrier()
#define smp_wmb()		barrier()
#define smp_rmb()		barrier()
#define smp_mb__after_atomic()	barrier()
#define smp_mb__before_atomic()	barrier()
#define hweight32(x)		((u32)__builtin_popcount(x))
#define hweight64(x)		((u32)__builtin_popcountll(x))
#define fls(x)			((x) ? 32 - __builtin_clz(x) : 0)
#define U8_MAX			((u8)~0u)
#define U16_MAX			((u16)~0u)
#define U32_MAX			((u32)~0u)
#define U64_MAX			((u64)~0ull)
#ifndef ULONG_MAX
#define ULONG_MAX		(~0ul)
#endif
#define PAGE_SHIFT		12
#define PAGE_SIZE		4096ul
#define HZ			250

#define MAX_ERRNO		4095
#define IS_ERR_VALUE(x)		((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)
#define ERR_PTR(err)		((void *)(long)(err))
#define PTR_ERR(p)		((long)(p))
#define IS_ERR(p)		IS_ERR_VALUE(p)
#define IS_ERR_OR_NULL(p)	(!(p) || IS_ERR(p))

/* ---- context and locks ------------------------------------------------------------- */

extern int shim_atomic_depth;	/* spinlocks held + softirq + RCU read locks */
extern int shim_rcu_depth;

#define might_sleep()		SHIM_ASSERT(shim_atomic_depth == 0)

typedef struct spinlock { int held; } spinlock_t;
struct mutex { int held; };

#define __SPIN_LOCK_UNLOCKED(x)	{ 0 }
#define DEFINE_SPINLOCK(x)	spinlock_t x = { 0 }
#define DEFINE_MUTEX(x)		struct mutex x = { 0 }
#define spin_lock_init(l)	((l)->held = 0)
#define mutex_init(l)		((l)->held = 0)
#define mutex_destroy(l)	SHIM_ASSERT(!(l)->held)
#define lockdep_is_held(l)	((l)->held)
#define lockdep_assert_held(l)	SHIM_ASSERT((l)->held)

static inline void spin_lock(spinlock_t *l)
{
	SHIM_ASSERT(!l->held);
	l->held = 1;
	shim_atomic_depth++;
}

static inline void spin_unlock(spinlock_t *l)
{
	SHIM_ASSERT(l->held);
	l->held = 0;
	shim_atomic_depth--;
}

#define spin_lock_bh(l)			spin_lock(l)
#define spin_unlock_bh(l)		spin_unlock(l)
#define spin_lock_irqsave(l, f)		((void)(f = 0), spin_lock(l))
#define spin_unlock_irqrestore(l, f)	((void)(f), spin_unlock(l))

/* Runs where a mutex would be waited for. */
extern void (*shim_lock_hook)(void);
void shim_lock(void);

static inline void mutex_lock(struct mutex *l)
{
	shim_lock();
	SHIM_ASSERT(!l->held);
	l->held = 1;
}

static inline void mutex_unlock(struct mutex *l)
{
	SHIM_ASSERT(l->held);
	l->held = 0;
}

#define SINGLE_DEPTH_NESTING		1
#define mutex_lock_nested(l, n)		mutex_lock(l)

/* Runs wherever the code offers to sleep, so that tests can run others then. */
extern void (*shim_resched_hook)(void);
void shim_resched(void);
#define cond_resched()			shim_resched()

typedef struct wait_queue_head { int unused; } wait_queue_head_t;
extern void (*shim_wait_hook)(void);
void shim_wait(void);
#define init_waitqueue_head(w)		((w)->unused = 0)
#define wq_has_sleeper(w)		((void)(w), false)
#define wake_up_all(w)			((void)(w))
#define wake_up(w)			((void)(w))
/* The condition gets a second chance after the hook; then time is up. */
#define wait_event_timeout(w, cond, timeout) ({				\
	long left_ = 1;							\
									\
	might_sleep();							\
	if (!(cond)) {							\
		shim_wait();						\
		left_ = (cond) ? 1 : 0;					\
	}								\
	left_;								\
})

/* ---- atomic_t, refcount_t, kref ------------------------------------------------------ */

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;

#define ATOMIC_INIT(v)			{ v }
#define atomic_read(a)			((a)->counter)
#define atomic_set(a, v)		((a)->counter = (v))
#define atomic_inc(a)			((void)(a)->counter++)
#define atomic_dec(a)			((void)(a)->counter--)
#define atomic_inc_return(a)		(++(a)->counter)
#define atomic_dec_and_test(a)		(--(a)->counter == 0)
#define atomic64_read(a)		((a)->counter)
#define atomic64_set(a, v)		((a)->counter = (v))
#define atomic64_add(v, a)		((void)((a)->counter += (v)))
#define atomic64_inc(a)			((void)(a)->counter++)

typedef struct { int refs; } refcount_t;

#define REFCOUNT_INIT(v)		{ v }
#define refcount_set(r, v)		((r)->refs = (v))
#define refcount_read(r)		((r)->refs)

/* Runs before a reference is taken from zero or more: a race window. */
extern void (*shim_tryget_hook)(void);
bool refcount_inc_not_zero(refcount_t *r);

static inline void refcount_inc(refcount_t *r)
{
	SHIM_ASSERT(r->refs > 0);
	r->refs++;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	SHIM_ASSERT(r->refs > 0);
	return --r->refs == 0;
}

struct kref { refcount_t refcount; };

#define kref_init(k)			refcount_set(&(k)->refcount, 1)
#define kref_get(k)			refcount_inc(&(k)->refcount)
#define kref_get_unless_zero(k)		refcount_inc_not_zero(&(k)->refcount)

static inline int kref_put(struct kref *k, void (*release)(struct kref *))
{
	if (!refcount_dec_and_test(&k->refcount))
		return 0;
	release(k);
	return 1;
}

/* ---- RCU --------------------------------------------------------------------------------- */

struct rcu_head {
	struct rcu_head *next;
	void *object;
};

static inline void rcu_read_lock(void)
{
	shim_rcu_depth++;
	shim_atomic_depth++;
}

static inline void rcu_read_unlock(void)
{
	SHIM_ASSERT(shim_rcu_depth > 0);
	shim_rcu_depth--;
	shim_atomic_depth--;
}

void shim_rcu_defer(struct rcu_head *head, void *object);
void shim_rcu_flush(void);

#define rcu_read_lock_held()		(shim_rcu_depth > 0)
#define RCU_LOCKDEP_WARN(cond, msg)	SHIM_ASSERT(!(cond))
#define rcu_dereference(p)		({ SHIM_ASSERT(shim_rcu_depth > 0); (p); })
#define rcu_dereference_protected(p, c)	({ SHIM_ASSERT(c); (p); })
#define rcu_assign_pointer(p, v)	((p) = (v))
#define RCU_INIT_POINTER(p, v)		((p) = (v))
#define kfree_rcu(p, field)		shim_rcu_defer(&(p)->field, p)
#define kvfree_rcu(p, field)		shim_rcu_defer(&(p)->field, p)
#define synchronize_rcu()		shim_rcu_flush()

/* ---- memory --------------------------------------------------------------------------------- */

typedef unsigned int gfp_t;

#define GFP_KERNEL		0x01u
#define GFP_ATOMIC		0x02u
#define __GFP_ZERO		0x04u
#define __GFP_NOWARN		0x08u
#define __GFP_RETRY_MAYFAIL	0x10u
#define __GFP_NORETRY		0x20u
#define __GFP_NOFAIL		0x40u

extern long shim_fail_at;	/* the allocation that fails: 0 the next, -1 none */
extern bool shim_failed;	/* it did */
extern long shim_live;		/* allocations not freed yet */
bool shim_alloc_fails(gfp_t gfp);
void *shim_alloc(size_t n, size_t size, gfp_t gfp);
void shim_free(const void *p);

#define kmalloc(size, gfp)		shim_alloc(1, size, gfp)
#define kzalloc(size, gfp)		shim_alloc(1, size, (gfp) | __GFP_ZERO)
#define kcalloc(n, size, gfp)		shim_alloc(n, size, (gfp) | __GFP_ZERO)
#define kmalloc_array(n, size, gfp)	shim_alloc(n, size, gfp)
#define kvmalloc(size, gfp)		shim_alloc(1, size, gfp)
#define kvzalloc(size, gfp)		shim_alloc(1, size, (gfp) | __GFP_ZERO)
#define kvcalloc(n, size, gfp)		shim_alloc(n, size, (gfp) | __GFP_ZERO)
#define kvmalloc_array(n, size, gfp)	shim_alloc(n, size, gfp)
#define kfree(p)			shim_free(p)
#define kvfree(p)			shim_free(p)

static inline void *kmemdup(const void *src, size_t size, gfp_t gfp)
{
	void *p = shim_alloc(1, size, gfp);

	return p ? memcpy(p, src, size) : NULL;
}

struct page { unsigned char data[4096]; };

#define alloc_page(gfp)		((struct page *)shim_alloc(1, sizeof(struct page), gfp))
#define __free_page(p)		shim_free(p)
#define page_address(p)		((void *)(p)->data)
#define clear_page(p)		((void)memset(p, 0, PAGE_SIZE))

u32 crc32c(u32 crc, const void *data, unsigned int len);
u64 xxh64(const void *data, size_t len, u64 seed);

/* ---- work items and time: run by the test ---------------------------------------------------- */

struct work_struct {
	void (*func)(struct work_struct *work);
	bool pending;
};
struct delayed_work {
	struct work_struct work;
	unsigned long delay;
};
struct workqueue_struct { int unused; };

#define WQ_UNBOUND		0x1
#define WQ_MEM_RECLAIM		0x2
#define WORK_MAX		64	/* pending at once */

#define DECLARE_DELAYED_WORK(n, f)	struct delayed_work n = { { f, false }, 0 }
#define DECLARE_WORK(n, f)		struct work_struct n = { f, false }
#define INIT_WORK(w, f)			(*(w) = (struct work_struct){ f, false })
bool shim_queue_work(struct work_struct *work);
bool shim_cancel_work(struct work_struct *work);
bool schedule_delayed_work(struct delayed_work *work, unsigned long delay);
bool cancel_delayed_work_sync(struct delayed_work *work);
#define queue_delayed_work(q, w, d)	((void)(q), schedule_delayed_work(w, d))
#define mod_delayed_work(q, w, d)	((void)(q), (w)->delay = (d), \
					 shim_queue_work(&(w)->work))
#define queue_work(q, w)		((void)(q), shim_queue_work(w))
#define schedule_work(w)		shim_queue_work(w)
#define cancel_work_sync(w)		shim_cancel_work(w)
#define to_delayed_work(w)		container_of(w, struct delayed_work, work)
#define alloc_workqueue(name, flags, max)				\
	((struct workqueue_struct *)shim_alloc(1, sizeof(struct workqueue_struct), \
					       GFP_KERNEL))
#define alloc_ordered_workqueue(name, flags)	alloc_workqueue(name, flags, 1)
void destroy_workqueue(struct workqueue_struct *wq);
void shim_run_work(void);	/* what is pending now, once */

extern u64 shim_now_ms;
#define ktime_get_boottime()	(shim_now_ms)
#define ktime_to_ms(t)		(t)
#define ktime_get_real_ns()	((1000000000ull + shim_now_ms) * 1000000)
#define msecs_to_jiffies(ms)	((unsigned long)(ms) * HZ / 1000)

#endif /* SHIM_H */
