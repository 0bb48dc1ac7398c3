// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: keys to some pages of a region, granted and revoked at any time.
 *
 * Windows may overlap, and lie over a region that has keys of its own: each is
 * a memory region by itself. What is granted is kept in the window, so that
 * lite_window_grant() can be called in any context and after the removal of the
 * device, when the memory region is gone.
 *
 * Whoever creates or destroys holds lite_device::open for reading, the removal
 * holds it for writing. So a window either is on its region's list with a
 * memory region, or has lost it to the removal.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"

/*
 * struct lite_window - owned by who created it
 * @entry: on lite_region::windows
 * @mr: NULL after the removal of the device
 */
struct lite_window {
	struct list_head entry;
	struct ib_mr *mr;
	struct lite_grant grant;
};

static int window_set_up(struct lite_window *window, struct lite_region *region,
			 u32 page, u32 nr, u32 access)
{
	lockdep_assert_held(&lite_device.open);
	if (lite_device.gone)
		return -ENODEV;
	window->mr = lite_mr_register(region, page, nr, access);
	if (IS_ERR(window->mr))
		return PTR_ERR(window->mr);
	window->grant = (struct lite_grant){
		.addr = window->mr->iova,
		.rkey = window->mr->rkey,
		.len = nr << PAGE_SHIFT,
	};
	spin_lock(&lite_device.regions_lock);
	list_add(&window->entry, &region->windows);
	spin_unlock(&lite_device.regions_lock);
	return 0;
}

struct lite_window *lite_window_create(struct lite_region *region, u32 page,
				       u32 nr, u32 access)
{
	struct lite_window *window;
	int err;

	if (!nr || nr > LITE_MR_PAGES || page >= region->nr ||
	    nr > region->nr - page || !access ||
	    access & ~(LITE_REMOTE_READ | LITE_REMOTE_WRITE))
		return ERR_PTR(-EINVAL);
	window = kzalloc(sizeof(*window), GFP_KERNEL);
	if (!window)
		return ERR_PTR(-ENOMEM);
	down_read(&lite_device.open);
	err = window_set_up(window, region, page, nr, access);
	up_read(&lite_device.open);
	if (!err)
		return window;
	kfree(window);
	return ERR_PTR(err);
}

SK_EXPORT(lite_window_create);

static void window_revoke(struct lite_window *window)
{
	if (window->mr)
		lite_mr_unregister(window->mr);
	window->mr = NULL;
}

void lite_window_destroy(struct lite_window *window)
{
	if (IS_ERR_OR_NULL(window))
		return;
	down_read(&lite_device.open);
	window_revoke(window);
	spin_lock(&lite_device.regions_lock);
	list_del(&window->entry);
	spin_unlock(&lite_device.regions_lock);
	up_read(&lite_device.open);
	kfree(window);
}

SK_EXPORT(lite_window_destroy);

void lite_window_grant(const struct lite_window *window, struct lite_grant *grant)
{
	*grant = window->grant;
}

SK_EXPORT(lite_window_grant);

/*
 * Revoke all windows of a region; their owners still have them. Nobody else is
 * at the list: the removal keeps everybody out, and who destroys a region has
 * destroyed its windows.
 */
void lite_windows_revoke(struct lite_region *region)
{
	struct lite_window *window;

	lockdep_assert_held(&lite_device.open);
	list_for_each_entry(window, &region->windows, entry)
		window_revoke(window);
}
