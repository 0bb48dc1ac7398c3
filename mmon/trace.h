/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of mmon. @id is the request's id at both hosts.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmon

#if !defined(MMON_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MMON_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

TRACE_EVENT(mmon_request,
	TP_PROTO(const struct lite_request *req, int err),
	TP_ARGS(req, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, asid)
		__field(u32, node)
		__field(u32, pages)
		__field(int, err)
		__field(u8, op)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->asid = mmon_request_asid(req);
		__entry->node = req->node;
		__entry->pages = req->nr_direct +
				 (req->payload_len >> MMON_PAGE_SHIFT);
		__entry->err = err;
		__entry->op = req->op;
	),
	TP_printk("node=%#x id=%llu op=%u asid=%#llx pages=%u err=%d",
		  __entry->node, __entry->id, __entry->op, __entry->asid,
		  __entry->pages, __entry->err)
);

TRACE_EVENT(mmon_node_lost,
	TP_PROTO(u32 node, u32 event, u64 spaces),
	TP_ARGS(node, event, spaces),
	TP_STRUCT__entry(
		__field(u64, spaces)
		__field(u32, node)
		__field(u32, event)
	),
	TP_fast_assign(
		__entry->spaces = spaces;
		__entry->node = node;
		__entry->event = event;
	),
	TP_printk("node=%#x event=%u spaces=%llu", __entry->node,
		  __entry->event, __entry->spaces)
);

#endif /* MMON_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
