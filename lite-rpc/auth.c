// SPDX-License-Identifier: GPL-2.0
/*
 * The cluster key: HMAC-SHA256 over the handshake messages.
 *
 * Both node ids and both nonces go into every MAC together with a label of
 * the message, so that no message can be replayed to another host, reflected
 * to its sender or used in another step. Data packets are not covered: RoCE
 * cannot authenticate them, hence the isolated network in the documentation.
 */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/kernel_read_file.h>
#include <linux/slab.h>

#include "internal.h"

#define KEY_MIN		16
#define KEY_MAX		4096

static struct crypto_shash *auth_tfm;	/* set once at load, then read-only */

/* Return: length of the key in @buf without trailing newlines, or -errno. */
static int auth_read_key(const char *path, void *buf)
{
	const char *key = buf;
	ssize_t len;

	/* The nearest in kind; security modules warn of READING_UNKNOWN. */
	len = kernel_read_file_from_path(path, 0, &buf, KEY_MAX, NULL,
					 READING_X509_CERTIFICATE);
	if (len < 0) {
		pr_err("cannot read the cluster key file %s: error %zd\n",
		       path, len);
		/* insmod would call -ENOENT an unknown symbol. */
		return len == -ENOMEM ? len : -EINVAL;
	}
	while (len > 0 && (key[len - 1] == '\n' || key[len - 1] == '\r'))
		len--;
	if (len < KEY_MIN) {
		pr_err("the cluster key in %s has %zd bytes, at least %d are needed\n",
		       path, len, KEY_MIN);
		return -EINVAL;
	}
	return len;
}

/**
 * lite_auth_init - load the cluster key
 * @path: file with the key
 *
 * Return: 0 or negative errno, with a message in the kernel log.
 */
int lite_auth_init(const char *path)
{
	struct crypto_shash *tfm;
	void *key;
	int len, err;

	key = kzalloc(KEY_MAX, GFP_KERNEL);
	if (!key)
		return -ENOMEM;
	len = auth_read_key(path, key);
	if (len < 0) {
		err = len;
		goto out_key;
	}
	tfm = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(tfm)) {
		err = PTR_ERR(tfm);
		pr_err("the kernel has no hmac(sha256): error %d\n", err);
		goto out_key;
	}
	err = crypto_shash_setkey(tfm, key, len);
	if (err)
		crypto_free_shash(tfm);
	else
		auth_tfm = tfm;
out_key:
	memzero_explicit(key, KEY_MAX);
	kfree(key);
	return err;
}

void lite_auth_exit(void)
{
	crypto_free_shash(auth_tfm);
	auth_tfm = NULL;
}

/**
 * lite_auth_mac - MAC of one handshake message
 * @ctx: ids and nonces of this connection attempt
 * @label: which message it is
 * @data: the message without its MAC field
 * @len: bytes of it
 * @mac: result, WIRE_MAC_SIZE bytes
 *
 * Context: any. Return: 0 or negative errno.
 */
int lite_auth_mac(const struct lite_auth *ctx, enum lite_auth_label label,
		  const void *data, u32 len, u8 *mac)
{
	SHASH_DESC_ON_STACK(desc, auth_tfm);
	__le32 head[3] = {
		cpu_to_le32(label),
		cpu_to_le32(ctx->client),
		cpu_to_le32(ctx->server),
	};
	int err;

	desc->tfm = auth_tfm;
	err = crypto_shash_init(desc);
	if (!err)
		err = crypto_shash_update(desc, (const u8 *)head, sizeof(head));
	if (!err)
		err = crypto_shash_update(desc, ctx->nonce_c, WIRE_NONCE_SIZE);
	if (!err)
		err = crypto_shash_update(desc, ctx->nonce_s, WIRE_NONCE_SIZE);
	if (!err)
		err = crypto_shash_finup(desc, data, len, mac);
	shash_desc_zero(desc);
	return err;
}

/**
 * lite_auth_check - does the other side have our key?
 * @ctx: ids and nonces of this connection attempt
 * @label: which message it is
 * @data: the message without its MAC field
 * @len: bytes of it
 * @mac: what the other side sent
 *
 * Context: any. Return: whether the MAC is right.
 */
bool lite_auth_check(const struct lite_auth *ctx, enum lite_auth_label label,
		     const void *data, u32 len, const u8 *mac)
{
	u8 want[WIRE_MAC_SIZE];
	bool ok;

	if (lite_auth_mac(ctx, label, data, len, want))
		return false;
	ok = !crypto_memneq(want, mac, WIRE_MAC_SIZE);
	memzero_explicit(want, sizeof(want));
	return ok;
}
