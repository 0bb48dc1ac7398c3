// SPDX-License-Identifier: GPL-2.0
/*
 * Regions: pages that take part in transfers.
 *
 * Every page is mapped for the device one by one, so that it can be the local
 * end of a transfer under the protection domain's local_dma_lkey. A region
 * that peers may reach gets memory regions on top, registered by work request
 * (FRWR), LITE_MR_PAGES to each, with just the access that was asked for.
 * There is never a key that covers more than a region. Windows (window.c) are
 * memory regions on top as well, that come and go while the region stays.
 *
 * The address that peers use is not a kernel address but a random number:
 * it leaks nothing and a stale one does not hit.
 */
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

static void region_unmap(struct lite_region *region, u32 nr)
{
	while (nr--)
		ib_dma_unmap_page(lite_device.ib, region->dma[nr], PAGE_SIZE,
				  DMA_BIDIRECTIONAL);
}

static int region_map(struct lite_region *region, struct page **pages)
{
	u32 i;

	for (i = 0; i < region->nr; i++) {
		region->dma[i] = ib_dma_map_page(lite_device.ib, pages[i], 0,
						 PAGE_SIZE, DMA_BIDIRECTIONAL);
		if (ib_dma_mapping_error(lite_device.ib, region->dma[i])) {
			region_unmap(region, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/*
 * With room for one page more than it gets: rxe of Linux 6.1 keeps 256 pages to
 * a table, and steps to the next table after the last page of one even when the
 * transfer ends there. The table of tables must have an entry to step to.
 */
static struct ib_mr *alloc_mr(void)
{
	struct ib_mr *mr = ib_alloc_mr(lite_device.pd, IB_MR_TYPE_MEM_REG,
				       LITE_MR_PAGES + 1);

	if (mr == ERR_PTR(-EINVAL))	/* as many as the device can have */
		mr = ib_alloc_mr(lite_device.pd, IB_MR_TYPE_MEM_REG,
				 LITE_MR_PAGES);
	return mr;
}

static u32 mr_access(u32 access)
{
	u32 flags = IB_ACCESS_LOCAL_WRITE;

	if (access & LITE_REMOTE_READ)
		flags |= IB_ACCESS_REMOTE_READ;
	if (access & LITE_REMOTE_WRITE)
		flags |= IB_ACCESS_REMOTE_WRITE;
	return flags;
}

static int mr_map(struct ib_mr *mr, const dma_addr_t *dma, u32 nr)
{
	struct scatterlist *sg = kvcalloc(nr, sizeof(*sg), GFP_KERNEL);
	int mapped;
	u32 i;

	if (!sg)
		return -ENOMEM;
	sg_init_table(sg, nr);
	for (i = 0; i < nr; i++) {
		sg_dma_address(&sg[i]) = dma[i];
		sg_dma_len(&sg[i]) = PAGE_SIZE;
	}
	mapped = ib_map_mr_sg(mr, sg, nr, NULL, PAGE_SIZE);
	kvfree(sg);
	if (mapped < 0)
		return mapped;
	return mapped == nr ? 0 : -EIO;
}

/**
 * lite_mr_register - a memory region over some pages of a region
 * @region: whose pages are mapped for the device
 * @first: first page
 * @nr: how many, 1..LITE_MR_PAGES
 * @access: LITE_REMOTE_* mask
 *
 * With a key and an address that are not those of any earlier one.
 *
 * Context: process, may sleep, lite_device::open held.
 * Return: memory region or ERR_PTR.
 */
struct ib_mr *lite_mr_register(struct lite_region *region, u32 first, u32 nr,
			       u32 access)
{
	struct ib_reg_wr wr = { .wr.opcode = IB_WR_REG_MR };
	struct ib_mr *mr;
	int err;

	lockdep_assert_held(&lite_device.open);
	mr = alloc_mr();
	if (IS_ERR(mr))
		return mr;
	err = mr_map(mr, &region->dma[first], nr);
	if (err)
		goto out_mr;
	mr->iova = (u64)(get_random_u32() >> 1) << 28 |
		   (u64)(get_random_u32() & 0xff) << 21;
	ib_update_fast_reg_key(mr, ib_inc_rkey(mr->rkey));
	wr.mr = mr;
	wr.key = mr->rkey;
	wr.access = mr_access(access);
	err = lite_device_local_op(&wr.wr);
	if (err)
		goto out_mr;
	return mr;
out_mr:
	ib_dereg_mr(mr);
	return ERR_PTR(err);
}

/**
 * lite_mr_unregister - revoke the key of a memory region
 * @mr: from lite_mr_register()
 *
 * After LOCAL_INV no new access begins; ib_dereg_mr() waits for those under
 * way: rxe holds a reference on the memory region while it copies a packet.
 *
 * Context: process, may sleep, lite_device::open held.
 */
void lite_mr_unregister(struct ib_mr *mr)
{
	struct ib_send_wr wr = { .opcode = IB_WR_LOCAL_INV };

	lockdep_assert_held(&lite_device.open);
	wr.ex.invalidate_rkey = mr->rkey;
	lite_device_local_op(&wr);
	ib_dereg_mr(mr);
}

static void region_unregister(struct lite_region *region)
{
	while (region->nr_mrs)
		lite_mr_unregister(region->mr[--region->nr_mrs]);
}

/* One memory region over the pages from @index * LITE_MR_PAGES on. */
static int region_register(struct lite_region *region, u32 index)
{
	u32 first = index * LITE_MR_PAGES;
	u32 nr = min_t(u32, region->nr - first, LITE_MR_PAGES);
	struct ib_mr *mr = lite_mr_register(region, first, nr, region->access);

	if (IS_ERR(mr))
		return PTR_ERR(mr);
	region->mr[region->nr_mrs++] = mr;
	return 0;
}

static int region_register_all(struct lite_region *region)
{
	u32 nr_mrs = DIV_ROUND_UP(region->nr, LITE_MR_PAGES);
	int err = 0;
	u32 i;

	if (!region->access)
		return 0;
	region->mr = kvcalloc(nr_mrs, sizeof(*region->mr), GFP_KERNEL);
	if (!region->mr)
		return -ENOMEM;
	for (i = 0; !err && i < nr_mrs; i++)
		err = region_register(region, i);
	if (err)
		region_unregister(region);
	return err;
}

/*
 * Take everything from a region but its struct: its owner still has that.
 * Called with lite_device::open held.
 */
void lite_region_revoke(struct lite_region *region)
{
	lockdep_assert_held(&lite_device.open);
	if (lite_device.gone)
		return;
	lite_windows_revoke(region);
	region_unregister(region);
	region_unmap(region, region->nr);
}

/*
 * Nothing but the removal of the device keeps others out meanwhile: it can take
 * long, and connections need regions.
 */
static int region_set_up(struct lite_region *region, struct page **pages)
{
	int err;

	if (lite_device.gone)
		return -ENODEV;
	err = region_map(region, pages);
	if (err)
		return err;
	err = region_register_all(region);
	if (err) {
		region_unmap(region, region->nr);
		return err;
	}
	spin_lock(&lite_device.regions_lock);
	list_add(&region->entry, &lite_device.regions);
	spin_unlock(&lite_device.regions_lock);
	return 0;
}

struct lite_region *lite_region_create(struct page **pages, u32 nr, u32 access)
{
	struct lite_region *region;
	int err;

	if (!nr || access & ~(LITE_REMOTE_READ | LITE_REMOTE_WRITE))
		return ERR_PTR(-EINVAL);
	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->nr = nr;
	region->access = access;
	INIT_LIST_HEAD(&region->windows);
	region->dma = kvcalloc(nr, sizeof(*region->dma), GFP_KERNEL);
	if (!region->dma) {
		err = -ENOMEM;
		goto out_free;
	}
	down_read(&lite_device.open);
	err = region_set_up(region, pages);
	up_read(&lite_device.open);
	if (!err)
		return region;
out_free:
	kvfree(region->mr);
	kvfree(region->dma);
	kfree(region);
	return ERR_PTR(err);
}

SK_EXPORT(lite_region_create);

void lite_region_destroy(struct lite_region *region)
{
	if (IS_ERR_OR_NULL(region))
		return;
	WARN_ON_ONCE(!list_empty(&region->windows));
	down_read(&lite_device.open);
	lite_region_revoke(region);
	spin_lock(&lite_device.regions_lock);
	list_del(&region->entry);
	spin_unlock(&lite_device.regions_lock);
	up_read(&lite_device.open);
	kvfree(region->mr);
	kvfree(region->dma);
	kfree(region);
}

SK_EXPORT(lite_region_destroy);

int lite_region_grant(struct lite_region *region, u32 page, u32 nr,
		      struct lite_grant *grant)
{
	struct lite_sge sge = { .region = region, .page = page };

	if (!nr || page >= region->nr || nr > region->nr - page ||
	    page / LITE_MR_PAGES != (page + nr - 1) / LITE_MR_PAGES)
		return -EINVAL;
	if (!region->access || !region->nr_mrs)
		return -EACCES;
	grant->addr = lite_sge_remote_addr(&sge);
	grant->rkey = lite_sge_rkey(&sge);
	grant->len = nr << PAGE_SHIFT;
	return 0;
}

SK_EXPORT(lite_region_grant);

/**
 * lite_buf_alloc - pages of our own, contiguous in the kernel, as a region
 * @buf: where to put it
 * @nr: number of pages
 * @access: LITE_REMOTE_* mask
 *
 * Zeroed, so that no stale kernel memory is ever in reach of a peer.
 *
 * Context: process. Return: 0 or negative errno; @buf is then empty.
 */
int lite_buf_alloc(struct lite_buf *buf, u32 nr, u32 access)
{
	int err = -ENOMEM;
	u32 i;

	memset(buf, 0, sizeof(*buf));
	buf->pages = kvcalloc(nr, sizeof(*buf->pages), GFP_KERNEL);
	if (!buf->pages)
		return -ENOMEM;
	buf->nr = nr;
	for (i = 0; i < nr; i++) {
		buf->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!buf->pages[i])
			goto out_free;
	}
	buf->va = vmap(buf->pages, nr, VM_MAP, PAGE_KERNEL);
	if (!buf->va)
		goto out_free;
	buf->region = lite_region_create(buf->pages, nr, access);
	if (IS_ERR(buf->region)) {
		err = PTR_ERR(buf->region);
		goto out_free;
	}
	return 0;
out_free:
	lite_buf_free(buf);
	return err;
}

void lite_buf_free(struct lite_buf *buf)
{
	u32 i;

	lite_region_destroy(buf->region);
	if (buf->va)
		vunmap(buf->va);
	for (i = 0; i < buf->nr; i++)
		if (buf->pages[i])
			__free_page(buf->pages[i]);
	kvfree(buf->pages);
	memset(buf, 0, sizeof(*buf));
}
