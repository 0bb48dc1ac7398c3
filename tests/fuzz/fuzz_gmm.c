// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: reports and goodbyes to gmm, with bodies from the input,
 * and time that passes.
 */
#include "shim/lite_stub.h"
#include "../../gmm/internal.h"

static struct gmm_members t;
static const u8 *input;
static size_t left;
static u64 now;

static u8 byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static void check_list(void)
{
	static u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *hosts = (void *)answer;
	u32 i, j, len = gmm_members_list(&t, now, hosts);

	SHIM_ASSERT(hosts->nr == t.nr && t.nr <= GMM_HOSTS_MAX);
	SHIM_ASSERT(len == sizeof(*hosts) + t.nr * sizeof(hosts->host[0]));
	for (i = 0; i < t.nr; i++) {
		SHIM_ASSERT(hosts->host[i].free <= hosts->host[i].capacity);
		SHIM_ASSERT(!(hosts->host[i].services & ~0xfffeu));
		SHIM_ASSERT(hosts->host[i].age_ms <= t.lease_ms);
		for (j = 0; j < i; j++)
			SHIM_ASSERT(hosts->host[i].node != hosts->host[j].node);
	}
}

static void request(bool leave, u32 node)
{
	u8 len = byte() % 64, i;
	u8 *body = malloc(len ? len : 1);
	struct lite_request req = {
		.node = node, .incarnation = 1, .body = body, .body_len = len,
		.nr_direct = byte() == 255,
	};
	enum gmm_news news;
	u64 joins = t.joins, refused = t.refused, reports = t.reports;
	int err;

	for (i = 0; i < len; i++)
		body[i] = byte();
	err = leave ? gmm_members_leave(&t, &req, &news) :
		      gmm_members_report(&t, &req, now, &news);
	SHIM_ASSERT(err == 0 || err == -EBADMSG || err == -ENOSPC);
	SHIM_ASSERT(t.refused == refused + !!err);
	SHIM_ASSERT(t.reports == reports + (!err && !leave));
	SHIM_ASSERT((t.joins > joins) ==
		    (news == GMM_JOINED || news == GMM_REJOINED));
	free(body);
}

static void good_report(u32 node)
{
	struct gmm_report body = { byte(), byte() + 1, 1, byte() & 0xfe, 0 };
	struct lite_request req = {
		.node = node, .body = &body, .body_len = sizeof(body),
	};
	enum gmm_news news;
	int err = gmm_members_report(&t, &req, now, &news);

	SHIM_ASSERT(!err || (err == -ENOSPC && t.nr == GMM_HOSTS_MAX));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 node;

	input = data;
	left = size;
	now = 0;
	gmm_members_init(&t, 5000);
	while (left) {
		u8 what = byte();

		now += byte() * 10;
		while (gmm_members_expire(&t, now, &node))
			;
		node = byte();
		if (what & 1)
			good_report(node);
		else
			request(what & 2, node);
		check_list();
	}
	SHIM_ASSERT(t.joins >= t.nr);
	return 0;
}
