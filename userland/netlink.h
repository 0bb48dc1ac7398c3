/* SPDX-License-Identifier: GPL-2.0 */
/* Generic netlink to one family: see netlink.c. */
#ifndef VNODE_NETLINK_H
#define VNODE_NETLINK_H

#include <stdint.h>

#include <libmnl/libmnl.h>

#define VN_EXTACK_MAX	256

struct vn_nl {
	struct mnl_socket *sock;
	uint16_t family;
	uint32_t portid;
	uint32_t seq;
	char extack[VN_EXTACK_MAX];	/* the kernel's words on the last refusal */
	char request[1024];
	char reply[32768];
};

/* Return: 0 to go on, negative errno to give up. */
typedef int (*vn_nl_cb)(const struct nlmsghdr *nlh, void *arg);

/**
 * vn_nl_open - socket and family id
 * Return: 0; -ENOENT: no such family, that is, module not loaded; other
 * negative errno. After an error there is nothing to close.
 */
int vn_nl_open(struct vn_nl *nl, const char *family);
void vn_nl_close(struct vn_nl *nl);

/** vn_nl_request - begin a request; attributes are put to the result */
struct nlmsghdr *vn_nl_request(struct vn_nl *nl, uint8_t cmd, uint16_t flags);

/**
 * vn_nl_talk - send the request and hand each answer to @cb
 * @cb: may be NULL
 * Return: 0; negative errno of the kernel or of @cb, nl->extack set if the
 * kernel explained itself. -EINTR: a dump that changed while it was made.
 */
int vn_nl_talk(struct vn_nl *nl, struct nlmsghdr *nlh, vn_nl_cb cb, void *arg);

/**
 * vn_nl_join - hear what @family, which is open, sends to its multicast group @name
 * Return: 0; -ENOENT: it has no such group; other negative errno.
 */
int vn_nl_join(struct vn_nl *nl, const char *family, const char *name);

/**
 * vn_nl_listen - wait for messages of groups, and hand each to @cb
 * Return: 0; what @cb returned that is not 0; -ENOBUFS: some were missed.
 */
int vn_nl_listen(struct vn_nl *nl, vn_nl_cb cb, void *arg);

/** vn_nl_strerror - the words for an error of vn_nl_talk */
const char *vn_nl_strerror(const struct vn_nl *nl, int err);

/** vn_nl_parse_ack - error and extack of NLMSG_ERROR or NLMSG_DONE */
int vn_nl_parse_ack(const struct nlmsghdr *nlh, char *extack, size_t size);

#endif /* VNODE_NETLINK_H */
