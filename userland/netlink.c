// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: resolve a family, send a request, take the answers, and
 * keep what the kernel says about a refusal (extended ack), which libmnl's own
 * message loop drops.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <splitkernel.h>

#include "netlink.h"

/* The extack attributes follow the echoed request, if that was not capped. */
static const struct nlattr *extack_begin(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t off;

	if (nlh->nlmsg_type == NLMSG_DONE)
		return mnl_nlmsg_get_payload_offset(nlh, sizeof(int));
	off = sizeof(*err);
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED)) {
		if (err->msg.nlmsg_len < sizeof(err->msg) ||
		    err->msg.nlmsg_len > nlh->nlmsg_len)
			return NULL;
		off += err->msg.nlmsg_len - sizeof(err->msg);
	}
	return mnl_nlmsg_get_payload_offset(nlh, off);
}

static void extack_text(const struct nlmsghdr *nlh, char *text, size_t size)
{
	const char *end = (const char *)nlh + nlh->nlmsg_len;
	const struct nlattr *attr = extack_begin(nlh);
	size_t len;

	while (attr && (const char *)attr < end &&
	       mnl_attr_ok(attr, end - (const char *)attr)) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG) {
			len = strnlen(mnl_attr_get_payload(attr),
				      mnl_attr_get_payload_len(attr));
			len = len < size ? len : size - 1;
			memcpy(text, mnl_attr_get_payload(attr), len);
			text[len] = '\0';
			return;
		}
		attr = mnl_attr_next(attr);
	}
}

int vn_nl_parse_ack(const struct nlmsghdr *nlh, char *extack, size_t size)
{
	bool done = nlh->nlmsg_type == NLMSG_DONE;
	int err;

	extack[0] = '\0';
	if (mnl_nlmsg_get_payload_len(nlh) <
	    (done ? sizeof(int) : sizeof(struct nlmsgerr)))
		return done ? 0 : -EBADMSG;
	memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		extack_text(nlh, extack, size);
	return err > 0 ? -EBADMSG : err;
}

struct nlmsghdr *vn_nl_request(struct vn_nl *nl, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl->request);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = nl->family;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = SK_GENL_VERSION;
	return nlh;
}

/* One datagram. Return: 1 when the answer is complete, 0 to read on. */
static int take_answers(struct vn_nl *nl, int len, vn_nl_cb cb, void *arg)
{
	const struct nlmsghdr *nlh = (const void *)nl->reply;
	bool intr = false;
	int err;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != nl->seq || nlh->nlmsg_pid != nl->portid)
			continue;
		intr |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
		if (nlh->nlmsg_type == NLMSG_ERROR ||
		    nlh->nlmsg_type == NLMSG_DONE) {
			err = vn_nl_parse_ack(nlh, nl->extack,
					      sizeof(nl->extack));
			return err ? err : intr ? -EINTR : 1;
		}
		if (nlh->nlmsg_type < NLMSG_MIN_TYPE || !cb)
			continue;
		err = cb(nlh, arg);
		if (err)
			return err;
	}
	return intr ? -EINTR : 0;
}

int vn_nl_talk(struct vn_nl *nl, struct nlmsghdr *nlh, vn_nl_cb cb, void *arg)
{
	ssize_t len;
	int ret;

	nl->extack[0] = '\0';
	/* A dump ends with NLMSG_DONE, anything else with the ack. */
	if (!(nlh->nlmsg_flags & NLM_F_DUMP))
		nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl->sock, nl->reply,
					  sizeof(nl->reply));
		if (len < 0)
			return -errno;
		ret = take_answers(nl, len, cb, arg);
	} while (!ret);
	return ret < 0 ? ret : 0;
}

const char *vn_nl_strerror(const struct vn_nl *nl, int err)
{
	return nl->extack[0] ? nl->extack : strerror(-err);
}

static int family_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;
	uint16_t *family = arg;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
			*family = mnl_attr_get_u16(attr);
	}
	return 0;
}

/* What the kernel knows of family @name, to @cb. */
static int ask_family(struct vn_nl *nl, const char *name, vn_nl_cb cb, void *arg)
{
	uint16_t family = nl->family;
	struct nlmsghdr *nlh;

	nl->family = GENL_ID_CTRL;
	nlh = vn_nl_request(nl, CTRL_CMD_GETFAMILY, 0);
	nl->family = family;
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, name);
	return vn_nl_talk(nl, nlh, cb, arg);
}

static int resolve(struct vn_nl *nl, const char *name)
{
	int err = ask_family(nl, name, family_cb, &nl->family);

	return err || nl->family ? err : -ENOENT;
}

int vn_nl_open(struct vn_nl *nl, const char *family)
{
	int on = 1, err;

	memset(nl, 0, sizeof(*nl));
	nl->seq = time(NULL);
	nl->sock = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		goto close;
	}
	nl->portid = mnl_socket_get_portid(nl->sock);
	/* Without these there are fewer words, but no harm is done. */
	mnl_socket_setsockopt(nl->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(nl->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	err = resolve(nl, family);
	if (!err)
		return 0;
close:
	vn_nl_close(nl);
	return err;
}

/* ---- multicast groups ------------------------------------------------------- */

struct group {
	const char *name;
	uint32_t id;		/* 0: not found */
};

static void find_in_group(const struct nlattr *nest, struct group *group)
{
	const struct nlattr *attr;
	const char *name = "";
	uint32_t id = 0;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			id = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME &&
			 mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(attr);
	}
	if (!strcmp(name, group->name))
		group->id = id;
}

static int group_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr, *nest;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested(nest, attr)
			find_in_group(nest, arg);
	}
	return 0;
}

int vn_nl_join(struct vn_nl *nl, const char *family, const char *name)
{
	struct group group = { .name = name };
	int err = ask_family(nl, family, group_cb, &group);

	if (err)
		return err;
	if (!group.id)
		return -ENOENT;
	if (mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP, &group.id,
				  sizeof(group.id)) < 0)
		return -errno;
	return 0;
}

int vn_nl_listen(struct vn_nl *nl, vn_nl_cb cb, void *arg)
{
	const struct nlmsghdr *nlh = (const void *)nl->reply;
	ssize_t size = mnl_socket_recvfrom(nl->sock, nl->reply,
					   sizeof(nl->reply));
	int len = size, ret;

	if (size < 0)
		return -errno;
	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_type != nl->family)
			continue;
		ret = cb(nlh, arg);
		if (ret)
			return ret;
	}
	return 0;
}

void vn_nl_close(struct vn_nl *nl)
{
	mnl_socket_close(nl->sock);
	nl->sock = NULL;
}
