/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lite_rpc for tests: regions and windows that are counted, a handler that the
 * test calls, and the reply it gave.
 */
#ifndef LITE_STUB_H
#define LITE_STUB_H

#include "shim.h"
#include "lite_rpc.h"

struct lite_stub_reply {
	int count;
	int status;
	u8 body[LITE_BODY_MAX];
	u32 len;
	struct lite_sge src[LITE_DIRECT_MAX];
	u32 nr;
	void (*release)(void *arg);
	void *arg;
};

struct lite_stub_member {
	bool present;
	u64 capacity;
	u64 free;
	struct lite_member_figures figures;
};

extern long lite_stub_regions;
extern long lite_stub_windows;
extern bool lite_stub_no_windows;	/* none can be created */
/* Runs once, where a window is created or destroyed, before that is done. */
extern void (*lite_stub_window_hook)(void);
extern const struct lite_handler *lite_stub_handler;
extern struct lite_stub_reply lite_stub_reply;
extern struct lite_stub_member lite_stub_member[LITE_SVC_MAX];

const void *lite_stub_page(const struct lite_sge *sge);
/* What a peer reaches with a key: the page, NULL if it is refused. */
void *lite_stub_reach(u32 rkey, u64 addr);
/* Hand a request to the handler, in the context lite_rpc would use. */
void lite_stub_call(struct lite_request *req);
/* The same, but the reply may come later: see lite_stub_reply.count. */
void lite_stub_begin(struct lite_request *req);
/*
 * A call was submitted: lite_stub_answer() it now or later. Without a hook the other
 * host is dead.
 */
extern void (*lite_stub_call_hook)(struct lite_call *call);
void lite_stub_answer(struct lite_call *call, int status);
extern long lite_stub_peers;	/* references to peers */
/* The network has sent the pages of the last reply. */
void lite_stub_release(void);

#endif /* LITE_STUB_H */
