/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM lite_rpc

#if !defined(LITE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LITE_TRACE_H

#include <linux/tracepoint.h>

/* A call was given a slot and is on its way. */
TRACE_EVENT(lite_call_send,

	TP_PROTO(u32 node, u8 lane, u32 slot, u8 service, u8 op, u64 id),
	TP_ARGS(node, lane, slot, service, op, id),
	TP_STRUCT__entry(
		__field(u32, node)
		__field(u32, slot)
		__field(u8, lane)
		__field(u8, service)
		__field(u8, op)
		__field(u64, id)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->slot = slot;
		__entry->lane = lane;
		__entry->service = service;
		__entry->op = op;
		__entry->id = id;
	),
	TP_printk("node=%08x lane=%u slot=%u service=%u op=%u id=%llu",
		  __entry->node, __entry->lane, __entry->slot,
		  __entry->service, __entry->op, __entry->id)
);

/* A call has ended, done() is about to run. */
TRACE_EVENT(lite_call_done,

	TP_PROTO(u32 node, u8 service, u8 op, u64 id, int status),
	TP_ARGS(node, service, op, id, status),
	TP_STRUCT__entry(
		__field(u32, node)
		__field(u8, service)
		__field(u8, op)
		__field(u64, id)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->service = service;
		__entry->op = op;
		__entry->id = id;
		__entry->status = status;
	),
	TP_printk("node=%08x service=%u op=%u id=%llu status=%d",
		  __entry->node, __entry->service, __entry->op, __entry->id,
		  __entry->status)
);

/* A request has arrived and is well formed; id as at the calling host. */
TRACE_EVENT(lite_request,

	TP_PROTO(u32 node, u8 lane, u32 slot, u8 service, u8 op, u64 id),
	TP_ARGS(node, lane, slot, service, op, id),
	TP_STRUCT__entry(
		__field(u32, node)
		__field(u32, slot)
		__field(u8, lane)
		__field(u8, service)
		__field(u8, op)
		__field(u64, id)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->slot = slot;
		__entry->lane = lane;
		__entry->service = service;
		__entry->op = op;
		__entry->id = id;
	),
	TP_printk("node=%08x lane=%u slot=%u service=%u op=%u id=%llu",
		  __entry->node, __entry->lane, __entry->slot,
		  __entry->service, __entry->op, __entry->id)
);

/* A connection changes state: enum lite_conn_state. */
TRACE_EVENT(lite_conn_state,

	TP_PROTO(u32 node, u8 lane, bool server, u32 epoch, u8 from, u8 to),
	TP_ARGS(node, lane, server, epoch, from, to),
	TP_STRUCT__entry(
		__field(u32, node)
		__field(u32, epoch)
		__field(u8, lane)
		__field(bool, server)
		__field(u8, from)
		__field(u8, to)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->epoch = epoch;
		__entry->lane = lane;
		__entry->server = server;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("node=%08x lane=%u %s epoch=%u %u -> %u",
		  __entry->node, __entry->lane,
		  __entry->server ? "server" : "client", __entry->epoch,
		  __entry->from, __entry->to)
);

#endif /* LITE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
