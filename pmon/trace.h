/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pmon

#if !defined(PMON_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PMON_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

TRACE_EVENT(pmon_space,
	TP_PROTO(struct pmon_space *space, const char *what),
	TP_ARGS(space, what),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(int, pid)
		__string(what, what)
	),
	TP_fast_assign(
		__entry->asid = space->asid;
		__entry->pid = space->pid;
		sk_assign_str(what, what);
	),
	TP_printk("asid=%llx pid=%d %s", __entry->asid, __entry->pid,
		  __get_str(what))
);

TRACE_EVENT(pmon_miss,
	TP_PROTO(struct pmon_space *space, pgoff_t index),
	TP_ARGS(space, index),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(unsigned long, index)
	),
	TP_fast_assign(
		__entry->asid = space->asid;
		__entry->index = index;
	),
	TP_printk("asid=%llx index=%lx", __entry->asid, __entry->index)
);

TRACE_EVENT(pmon_fetch,
	TP_PROTO(struct pmon_space *space, pgoff_t index, int status),
	TP_ARGS(space, index, status),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(unsigned long, index)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->asid = space->asid;
		__entry->index = index;
		__entry->status = status;
	),
	TP_printk("asid=%llx index=%lx status=%d", __entry->asid,
		  __entry->index, __entry->status)
);

TRACE_EVENT(pmon_flush,
	TP_PROTO(struct pmon_region *region, unsigned int pages),
	TP_ARGS(region, pages),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(unsigned int, pages)
	),
	TP_fast_assign(
		__entry->asid = region->asid;
		__entry->pages = pages;
	),
	TP_printk("asid=%llx pages=%u", __entry->asid, __entry->pages)
);

TRACE_EVENT(pmon_stream,
	TP_PROTO(struct pmon_region *region, struct pmon_holder *holder, u8 op,
		 int status),
	TP_ARGS(region, holder, op, status),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(u64, seq)
		__field(int, status)
		__field(u8, op)
	),
	TP_fast_assign(
		__entry->asid = holder->asid;
		__entry->seq = holder->seq + (status < 0);
		__entry->status = status;
		__entry->op = op;
	),
	TP_printk("asid=%llx op=%u seq=%llu status=%d", __entry->asid,
		  __entry->op, __entry->seq, __entry->status)
);

TRACE_EVENT(pmon_holder,
	TP_PROTO(struct pmon_region *region, u32 node, const char *what),
	TP_ARGS(region, node, what),
	TP_STRUCT__entry(
		__field(u64, asid)
		__field(u32, node)
		__string(what, what)
	),
	TP_fast_assign(
		__entry->asid = region->asid;
		__entry->node = node;
		sk_assign_str(what, what);
	),
	TP_printk("region=%llx node=%pI4h %s", __entry->asid, &__entry->node,
		  __get_str(what))
);

TRACE_EVENT(pmon_fork,
	TP_PROTO(struct pmon_space *parent, struct pmon_space *child,
		 unsigned long stored, int status),
	TP_ARGS(parent, child, stored, status),
	TP_STRUCT__entry(
		__field(u64, parent)
		__field(u64, child)
		__field(unsigned long, stored)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->parent = parent->asid;
		__entry->child = child->asid;
		__entry->stored = stored;
		__entry->status = status;
	),
	TP_printk("parent=%llx child=%llx stored=%lu status=%d",
		  __entry->parent, __entry->child, __entry->stored,
		  __entry->status)
);

#endif /* PMON_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
