// SPDX-License-Identifier: GPL-2.0
/*
 * lite_bench: measures and torments lite_rpc. For tests only.
 *
 *	insmod lite_bench.ko role=server
 *	insmod lite_bench.ko role=client peer=10.77.0.2
 *	insmod lite_bench.ko			# both ends, over loopback
 *
 * A client runs what is written to /sys/kernel/debug/lite_bench/run and leaves
 * one JSON object a line in .../result (writing to run empties it first):
 *
 *	bench N		each operation N times, one at a time: ns
 *	one NAME N	only the one of that name
 *	soak S JOBS	S seconds of everything in JOBS threads, contents checked
 *	calls S JOBS F	S seconds of small calls; F: 1 idempotent, 0 not
 *	sleep MS T	a call that is served for MS ms, with a timeout of T ms
 *	late MS T	same, but the reply is given later from a timer
 *	count		how many requests the server has executed
 *	raw N		malformed message number N, see bench_raw()
 *	badkey		a READ with a wrong key
 *	window		a window: used, destroyed, made again
 *
 * Under QEMU -icount shift=0 one nanosecond is one instruction.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "../../lite-rpc/wire.h"
#include "bench.h"
#include "mark.h"

#define JOB_PAGES	16
#define JOBS_MAX	SCRATCH_PAGES
#define RESULT_SIZE	16384
#define STATUS_MAX	160

static char *role = "both";
module_param(role, charp, 0444);
MODULE_PARM_DESC(role, "client, server or both (default)");

static char *peer = "";
module_param(peer, charp, 0444);
MODULE_PARM_DESC(peer, "IPv4 address to call (default: this host)");

static u32 peer_node;
static bool is_client = true;
static bool is_server = true;

/* ---- the client: results ------------------------------------------------- */

static DEFINE_MUTEX(run_mutex);		/* one command at a time */
static char *result;
static size_t result_len;
static struct lite_peer *target;
static struct lite_grant source_grant;
static struct lite_grant scratch_grant;

static __printf(1, 2) void report(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	result_len += vscnprintf(result + result_len, RESULT_SIZE - result_len,
				 fmt, args);
	va_end(args);
}

/* ---- the client: one thread's things ------------------------------------- */

struct job {
	u32 index;
	struct page *page[JOB_PAGES];
	struct lite_region *region;
	struct lite_sge sge[JOB_PAGES];
	u8 body[LITE_BODY_MAX];
	u8 reply[LITE_BODY_MAX];
	struct task_struct *task;
	struct completion done;
	unsigned long until;
	bool calls_only;
	u8 flags;
	u64 ok;
	u64 bad_bytes;
	u64 max_ns;
	u32 errors[STATUS_MAX];
};

static void job_free(struct job *job)
{
	if (!job)
		return;
	if (!IS_ERR_OR_NULL(job->region))
		lite_region_destroy(job->region);
	pages_free(job->page, JOB_PAGES);
	vfree(job);
}

static struct job *job_alloc(u32 index)
{
	struct job *job = vzalloc(sizeof(*job));
	u32 i;

	if (!job)
		return NULL;
	job->index = index;
	init_completion(&job->done);
	if (pages_alloc(job->page, JOB_PAGES))
		goto out;
	job->region = lite_region_create(job->page, JOB_PAGES,
					 LITE_REMOTE_WRITE);
	if (IS_ERR(job->region))
		goto out;
	for (i = 0; i < JOB_PAGES; i++) {
		job->sge[i].region = job->region;
		job->sge[i].page = i;
	}
	return job;
out:
	job_free(job);
	return NULL;
}

static int job_call(struct job *job, u8 op, u32 body_len, u32 nr_payload,
		    u32 nr_direct, u32 timeout_ms, u8 flags)
{
	struct lite_call call = {
		.peer = target,
		.service = LITE_SVC_TEST,
		.op = op,
		.flags = flags,
		.timeout_ms = timeout_ms,
		.req = job->body,
		.req_len = body_len,
		.payload = job->sge,
		.nr_payload = nr_payload,
		.direct = job->sge,
		.nr_direct = nr_direct,
	};

	return lite_call_sync(&call, job->reply, sizeof(job->reply));
}

static int job_io(struct job *job, bool write, u64 addr, u32 rkey, u32 nr)
{
	struct lite_io io = {
		.peer = target,
		.write = write,
		.remote_addr = addr,
		.rkey = rkey,
		.local = job->sge,
		.nr_local = nr,
	};

	return lite_io_sync(&io);
}

static void body_put(struct job *job, u32 value)
{
	__le32 word = cpu_to_le32(value);

	memcpy(job->body, &word, sizeof(word));
}

static int grants_get(struct job *job)
{
	struct bench_grant grant[2];
	int len;

	len = job_call(job, OP_GRANT, 0, 0, 0, 0, LITE_CALL_IDEMPOTENT);
	if (len < 0)
		return len;
	if (len != sizeof(grant))
		return -EBADMSG;
	memcpy(grant, job->reply, sizeof(grant));
	source_grant.addr = le64_to_cpu(grant[0].addr);
	source_grant.rkey = le32_to_cpu(grant[0].rkey);
	scratch_grant.addr = le64_to_cpu(grant[1].addr);
	scratch_grant.rkey = le32_to_cpu(grant[1].rkey);
	return 0;
}

/* ---- benchmarks ---------------------------------------------------------- */

static int bench_null(struct job *job)
{
	return job_call(job, OP_NULL, 0, 0, 0, 0, 0);
}

static int bench_rpc_4k(struct job *job)
{
	return job_call(job, OP_PAGES, 64, 0, 1, 0, LITE_CALL_IDEMPOTENT);
}

static int bench_rpc_64k(struct job *job)
{
	return job_call(job, OP_PAGES, 64, 0, 16, 0, LITE_CALL_IDEMPOTENT);
}

static int bench_work(struct job *job)
{
	return job_call(job, OP_ECHO, 64, 0, 0, 0, 0);
}

static int bench_flush(struct job *job)
{
	return job_call(job, OP_SINK, 64, LITE_PAYLOAD_PAGES, 0, 0, 0);
}

static int bench_flush_1(struct job *job)
{
	return job_call(job, OP_SINK, 64, 1, 0, 0, 0);
}

static int bench_read(struct job *job)
{
	return job_io(job, false, source_grant.addr, source_grant.rkey, 1);
}

static int bench_read_64k(struct job *job)
{
	return job_io(job, false, source_grant.addr, source_grant.rkey,
		      JOB_PAGES);
}

static int bench_write(struct job *job)
{
	return job_io(job, true, scratch_grant.addr, scratch_grant.rkey, 1);
}

static const struct bench {
	const char *name;
	int (*run)(struct job *job);
} benches[] = {
	{ "null", bench_null },
	{ "rpc_4k", bench_rpc_4k },
	{ "rpc_64k", bench_rpc_64k },
	{ "rpc_work", bench_work },
	{ "flush_4k", bench_flush_1 },
	{ "flush_60k", bench_flush },
	{ "read_4k", bench_read },
	{ "read_64k", bench_read_64k },
	{ "write_4k", bench_write },
};

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void bench_one(struct job *job, const struct bench *bench, u32 nr)
{
	u64 *ns, sum = 0, start;
	int err = 0;
	u32 i;

	ns = vmalloc(array_size(nr, sizeof(*ns)));
	if (!ns)
		return;
	/* Connects, warms up. */
	for (i = 0; i < 8 && err >= 0; i++)
		err = bench->run(job);
	MARK(MARK_BEGIN);
	for (i = 0; i < nr && err >= 0; i++) {
		start = ktime_get_ns();
		err = bench->run(job);
		ns[i] = ktime_get_ns() - start;
		sum += ns[i];
		cond_resched();
	}
	MARK(MARK_END);
	if (err < 0) {
		report("{\"op\": \"%s\", \"status\": %d}\n", bench->name, err);
	} else {
		sort(ns, nr, sizeof(*ns), compare_u64, NULL);
		report("{\"op\": \"%s\", \"n\": %u, \"mean_ns\": %llu, ",
		       bench->name, nr, div_u64(sum, nr));
		report("\"min_ns\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu}\n",
		       ns[0], ns[nr / 2], ns[(u64)nr * 99 / 100]);
	}
	vfree(ns);
}

static int run_bench(const char *name, u32 nr)
{
	struct job *job;
	int err;
	u32 i;

	if (!nr || nr > 1000000)
		return -EINVAL;
	job = job_alloc(0);
	if (!job)
		return -ENOMEM;
	err = grants_get(job);
	if (err)
		report("{\"op\": \"grant\", \"status\": %d}\n", err);
	for (i = 0; !err && i < ARRAY_SIZE(benches); i++)
		if (!name || !strcmp(name, benches[i].name))
			bench_one(job, &benches[i], nr);
	job_free(job);
	return 0;
}

/* ---- soak ---------------------------------------------------------------- */

static int soak_echo(struct job *job)
{
	u32 len = get_random_u32() % (LITE_BODY_MAX + 1);
	int ret;

	get_random_bytes(job->body, len);
	ret = job_call(job, OP_ECHO, len, 0, 0, 0, LITE_CALL_IDEMPOTENT);
	if (ret >= 0 && (ret != len || memcmp(job->body, job->reply, len)))
		job->bad_bytes += len + 1;
	return ret;
}

static int soak_flush(struct job *job)
{
	u32 nr = 1 + get_random_u32() % LITE_PAYLOAD_PAGES;
	u32 first = get_random_u32() >> 1;
	__le32 bad;
	u32 i;
	int ret;

	for (i = 0; i < nr; i++)
		pattern_fill(page_address(job->page[i]), first + i);
	body_put(job, first);
	ret = job_call(job, OP_FLUSH, 4, nr, 0, 0, LITE_CALL_IDEMPOTENT);
	if (ret == sizeof(bad)) {
		memcpy(&bad, job->reply, sizeof(bad));
		job->bad_bytes += le32_to_cpu(bad);
	} else if (ret >= 0) {
		job->bad_bytes++;
	}
	return ret;
}

static u32 pages_check(struct job *job, u32 first, u32 nr)
{
	u32 i, bad = 0;

	for (i = 0; i < nr; i++)
		bad += pattern_bad(page_address(job->page[i]),
				   (first + i) % SOURCE_PAGES);
	return bad;
}

static void pages_clear(struct job *job, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		memset(page_address(job->page[i]), 0xa5, PAGE_SIZE);
}

static int soak_pages(struct job *job)
{
	u32 nr = get_random_u32() & 1 ? 1 :
		 1 + get_random_u32() % LITE_DIRECT_MAX;
	u32 first = get_random_u32() % SOURCE_PAGES;
	int ret;

	pages_clear(job, nr);
	body_put(job, first);
	ret = job_call(job, OP_PAGES, 4, 0, nr, 0, LITE_CALL_IDEMPOTENT);
	if (ret >= 0)
		job->bad_bytes += pages_check(job, first, nr);
	return ret;
}

static int soak_read(struct job *job)
{
	u32 nr = 1 + get_random_u32() % LITE_DIRECT_MAX;
	u32 first = get_random_u32() % (SOURCE_PAGES - LITE_DIRECT_MAX);
	int ret;

	pages_clear(job, nr);
	ret = job_io(job, false, source_grant.addr + first * PAGE_SIZE,
		     source_grant.rkey, nr);
	if (!ret)
		job->bad_bytes += pages_check(job, first, nr);
	return ret;
}

static int soak_write(struct job *job)
{
	u64 addr = scratch_grant.addr + job->index * PAGE_SIZE;
	u32 seed = get_random_u32();
	int ret;

	pattern_fill(page_address(job->page[0]), seed);
	ret = job_io(job, true, addr, scratch_grant.rkey, 1);
	if (ret)
		return ret;
	pages_clear(job, 1);
	ret = job_io(job, false, addr, scratch_grant.rkey, 1);
	if (!ret)
		job->bad_bytes += pattern_bad(page_address(job->page[0]), seed);
	return ret;
}

static int soak_once(struct job *job)
{
	if (job->calls_only) {
		body_put(job, 0);
		return job_call(job, OP_ECHO, 64, 0, 0, 0, job->flags);
	}
	switch (get_random_u32() % 5) {
	case 0:
		return soak_echo(job);
	case 1:
		return soak_flush(job);
	case 2:
		return soak_read(job);
	case 3:
		return soak_write(job);
	default:
		return soak_pages(job);
	}
}

static int soak_thread(void *data)
{
	struct job *job = data;
	u64 start;
	int ret;

	while (time_before(jiffies, job->until)) {
		start = ktime_get_ns();
		ret = soak_once(job);
		job->max_ns = max(job->max_ns, ktime_get_ns() - start);
		if (ret >= 0)
			job->ok++;
		else
			job->errors[min(-ret, STATUS_MAX - 1)]++;
		/* A dead peer answers at once: do not spin. */
		if (ret == -EHOSTDOWN)
			msleep(20);
		cond_resched();
	}
	complete(&job->done);
	return 0;
}

static void soak_report(struct job **jobs, u32 nr)
{
	u64 ok = 0, bad = 0, max_ns = 0, count;
	u32 i, status;
	bool first = true;

	for (i = 0; i < nr; i++) {
		ok += jobs[i]->ok;
		bad += jobs[i]->bad_bytes;
		max_ns = max(max_ns, jobs[i]->max_ns);
	}
	report("{\"op\": \"soak\", \"ok\": %llu, \"bad_bytes\": %llu, ", ok, bad);
	report("\"max_ms\": %llu, \"errors\": {",
	       div_u64(max_ns, NSEC_PER_MSEC));
	for (status = 1; status < STATUS_MAX; status++) {
		count = 0;
		for (i = 0; i < nr; i++)
			count += jobs[i]->errors[status];
		if (!count)
			continue;
		report("%s\"%d\": %llu", first ? "" : ", ", -(int)status,
		       count);
		first = false;
	}
	report("}}\n");
}

static int run_soak(u32 seconds, u32 nr, bool calls_only, u8 flags)
{
	struct job *jobs[JOBS_MAX] = {};
	u32 i, started = 0;
	int err = 0;

	if (!nr || nr > JOBS_MAX || seconds > 3600)
		return -EINVAL;
	for (i = 0; i < nr && !err; i++) {
		jobs[i] = job_alloc(i);
		if (!jobs[i])
			err = -ENOMEM;
	}
	if (!err && !calls_only)
		err = grants_get(jobs[0]);
	for (i = 0; i < nr && !err; i++) {
		jobs[i]->until = jiffies + seconds * HZ;
		jobs[i]->calls_only = calls_only;
		jobs[i]->flags = flags;
		jobs[i]->task = kthread_run(soak_thread, jobs[i],
					    "lite_bench/%u", i);
		if (IS_ERR(jobs[i]->task))
			err = PTR_ERR(jobs[i]->task);
		else
			started++;
	}
	for (i = 0; i < started; i++)
		wait_for_completion(&jobs[i]->done);
	if (!err)
		soak_report(jobs, nr);
	for (i = 0; i < nr; i++)
		job_free(jobs[i]);
	return err;
}

/* ---- single shots -------------------------------------------------------- */

static int run_call(const char *name, u8 op, u32 arg, u32 timeout_ms)
{
	struct job *job = job_alloc(0);
	__le64 count = 0;
	u64 start;
	int ret;

	if (!job)
		return -ENOMEM;
	body_put(job, arg);
	start = ktime_get_ns();
	ret = job_call(job, op, 4, 0, 0, timeout_ms, 0);
	if (ret == sizeof(count))
		memcpy(&count, job->reply, sizeof(count));
	report("{\"op\": \"%s\", \"status\": %d, \"ms\": %llu, \"count\": %llu}\n",
	       name, min(ret, 0),
	       div_u64(ktime_get_ns() - start, NSEC_PER_MSEC),
	       le64_to_cpu(count));
	job_free(job);
	return 0;
}

static int run_bad_key(void)
{
	struct job *job = job_alloc(0);
	int ret;

	if (!job)
		return -ENOMEM;
	ret = grants_get(job);
	if (!ret)
		ret = job_io(job, false, source_grant.addr,
			     source_grant.rkey ^ 0x55, 1);
	report("{\"op\": \"badkey\", \"status\": %d}\n", ret);
	job_free(job);
	return 0;
}

static int window_call(struct job *job, u32 create, struct lite_grant *out)
{
	struct bench_grant grant;
	int len;

	body_put(job, create);
	len = job_call(job, OP_WINDOW, 4, 0, 0, 0, 0);
	if (len < 0)
		return len;
	if (len != (create ? sizeof(grant) : 0))
		return -EBADMSG;
	if (!create)
		return 0;
	memcpy(&grant, job->reply, sizeof(grant));
	out->addr = le64_to_cpu(grant.addr);
	out->rkey = le32_to_cpu(grant.rkey);
	out->len = le32_to_cpu(grant.len);
	return 0;
}

static int window_io(struct job *job, const struct lite_grant *grant, bool write)
{
	/* Its last pages, so that an end that is off by one is seen. */
	return job_io(job, write, grant->addr + grant->len -
		      JOB_PAGES * PAGE_SIZE, grant->rkey, JOB_PAGES);
}

static void report_step(const char *step, int status)
{
	report("{\"op\": \"window\", \"step\": \"%s\", \"status\": %d}\n",
	       step, status);
}

/* Pages that were written through a window must come back through it. */
static int window_use(struct job *job, const struct lite_grant *grant, u32 seed)
{
	u32 i, bad = 0;
	int ret;

	for (i = 0; i < JOB_PAGES; i++)
		pattern_fill(page_address(job->page[i]), seed + i);
	ret = window_io(job, grant, true);
	if (ret)
		return ret;
	pages_clear(job, JOB_PAGES);
	ret = window_io(job, grant, false);
	for (i = 0; i < JOB_PAGES; i++)
		bad += pattern_bad(page_address(job->page[i]), seed + i);
	return ret ?: bad ? -EILSEQ : 0;
}

static int run_window(void)
{
	struct job *job = job_alloc(0);
	struct lite_grant first = {}, second = {};

	if (!job)
		return -ENOMEM;
	report_step("create", window_call(job, 1, &first));
	report_step("use", window_use(job, &first, 1000));
	report_step("destroy", window_call(job, 0, NULL));
	report_step("stale read", window_io(job, &first, false));
	report_step("stale write", window_io(job, &first, true));
	report_step("create again", window_call(job, 1, &second));
	report_step("key differs", first.rkey != second.rkey &&
		    first.addr != second.addr ? 0 : -EEXIST);
	report_step("use again", window_use(job, &second, 2000));
	report_step("stale key", window_io(job, &first, false));
	report_step("use once more", window_use(job, &second, 3000));
	report_step("destroy again", window_call(job, 0, NULL));
	job_free(job);
	return 0;
}

/*
 * Messages that no lite_rpc sends. Each must make the server close the
 * connection and nothing else. The last slot is used: short tests do not.
 */
static int bench_raw(u32 which)
{
	u32 imm = wire_imm(WIRE_REQUEST, 0, 31);
	u8 buf[512];
	struct wire_request *msg = (void *)buf;
	u32 len = sizeof(*msg);
	int ret;

	memset(buf, 0, sizeof(buf));
	msg->magic = cpu_to_le32(WIRE_REQ_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->service = LITE_SVC_TEST;
	msg->op = OP_NULL;
	switch (which) {
	case 0:		/* garbage */
		get_random_bytes(buf, sizeof(buf));
		len = sizeof(buf);
		break;
	case 1:		/* truncated */
		len = sizeof(*msg) - 1;
		break;
	case 2:		/* body shorter than announced */
		msg->body_len = cpu_to_le16(100);
		break;
	case 3:		/* oversize body */
		msg->body_len = cpu_to_le16(LITE_BODY_MAX + 1);
		break;
	case 4:		/* too many direct pages */
		msg->nr_direct = 255;
		break;
	case 5:		/* wrong epoch in the header */
		msg->epoch = cpu_to_le32(1);
		break;
	case 6:		/* wrong epoch in the immediate data */
		imm = wire_imm(WIRE_REQUEST, 1, 31);
		break;
	case 7:		/* other major version */
		msg->major++;
		break;
	case 8:		/* reserved field */
		msg->reserved1 = cpu_to_le32(1);
		break;
	case 9:		/* slot out of range */
		imm = wire_imm(WIRE_REQUEST, 0, 4096);
		break;
	case 10:	/* unknown kind */
		imm = wire_imm(15, 0, 31);
		break;
	case 11:	/* payload on the rpc lane */
		msg->nr_payload = 1;
		break;
	case 12:	/* a reply to the server */
		imm = wire_imm(WIRE_REPLY, 0, 31);
		break;
	case 13:	/* trailing bytes */
		len = sizeof(*msg) + 1;
		break;
	default:
		return -EINVAL;
	}
	ret = lite_test_send_raw(target, WIRE_LANE_RPC, buf, len, imm);
	report("{\"op\": \"raw\", \"which\": %u, \"status\": %d}\n", which,
	       ret);
	return 0;
}

/* ---- debugfs ------------------------------------------------------------- */

static int run_command(const char *text)
{
	char name[16], op[16];
	u32 a = 0, b = 0, c = 0;

	if (sscanf(text, "%15s", name) != 1)
		return -EINVAL;
	if (!strcmp(name, "one"))
		return sscanf(text, "%*s %15s %u", op, &a) == 2 ?
			run_bench(op, a) : -EINVAL;
	if (sscanf(text, "%*s %u %u %u", &a, &b, &c) < 0)
		return -EINVAL;
	if (!strcmp(name, "bench"))
		return run_bench(NULL, a);
	if (!strcmp(name, "soak"))
		return run_soak(a, b, false, 0);
	if (!strcmp(name, "calls"))
		return run_soak(a, b, true, c ? LITE_CALL_IDEMPOTENT : 0);
	if (!strcmp(name, "sleep"))
		return run_call(name, OP_SLEEP, a, b);
	if (!strcmp(name, "late"))
		return run_call(name, OP_LATE, a, b);
	if (!strcmp(name, "count"))
		return run_call(name, OP_COUNT, 0, b);
	if (!strcmp(name, "raw"))
		return bench_raw(a);
	if (!strcmp(name, "badkey"))
		return run_bad_key();
	if (!strcmp(name, "window"))
		return run_window();
	return -EINVAL;
}

static ssize_t run_write(struct file *file, const char __user *from,
			 size_t size, loff_t *pos)
{
	char text[64] = {};
	int err;

	if (!is_client)
		return -EOPNOTSUPP;
	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	mutex_lock(&run_mutex);
	result_len = 0;
	result[0] = 0;
	err = run_command(text);
	mutex_unlock(&run_mutex);
	return err ? err : size;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.write = run_write,
};

static ssize_t result_read(struct file *file, char __user *to, size_t size,
			   loff_t *pos)
{
	ssize_t ret;

	mutex_lock(&run_mutex);
	ret = simple_read_from_buffer(to, size, pos, result, result_len);
	mutex_unlock(&run_mutex);
	return ret;
}

static const struct file_operations result_fops = {
	.owner = THIS_MODULE,
	.read = result_read,
};

static struct dentry *bench_dir;

static int client_init(void)
{
	if (!is_client)
		return 0;
	result = vzalloc(RESULT_SIZE);
	if (!result)
		return -ENOMEM;
	target = lite_peer_get(peer_node);
	if (IS_ERR(target)) {
		vfree(result);
		return PTR_ERR(target);
	}
	bench_dir = debugfs_create_dir("lite_bench", NULL);
	debugfs_create_file("run", 0200, bench_dir, NULL, &run_fops);
	debugfs_create_file("result", 0400, bench_dir, NULL, &result_fops);
	return 0;
}

static void client_exit(void)
{
	if (!is_client)
		return;
	debugfs_remove(bench_dir);
	lite_peer_put(target);
	vfree(result);
}

static int __init bench_init(void)
{
	__be32 addr;
	int err;

	if (!strcmp(role, "client"))
		is_server = false;
	else if (!strcmp(role, "server"))
		is_client = false;
	else if (strcmp(role, "both"))
		return -EINVAL;
	peer_node = lite_self();
	if (*peer) {
		if (!in4_pton(peer, -1, (u8 *)&addr, -1, NULL))
			return -EINVAL;
		peer_node = ntohl(addr);
	}
	err = is_server ? bench_server_init() : 0;
	if (err)
		return err;
	err = client_init();
	if (err && is_server)
		bench_server_exit();
	return err;
}

static void __exit bench_exit(void)
{
	client_exit();
	if (is_server)
		bench_server_exit();
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("splitkernel: benchmark and test of lite_rpc");
MODULE_AUTHOR("splitkernel authors");
MODULE_LICENSE("GPL");
SK_IMPORT_LITE_RPC();
