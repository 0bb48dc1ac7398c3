// SPDX-License-Identifier: GPL-2.0
/*
 * The services that the monitors register.
 *
 * A service is found under RCU and held by a percpu reference for as long as a
 * request or event of it runs. Unregistering unpublishes it, kills the
 * reference and waits for the last one: then no code of the module runs any
 * more on our behalf, except for what it calls from its own threads.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "internal.h"

static DEFINE_MUTEX(services_mutex);
static struct lite_provider __rcu *services[LITE_SVC_MAX];

static void service_gone(struct percpu_ref *ref)
{
	struct lite_provider *service = container_of(ref, struct lite_provider,
						    ref);

	complete(&service->gone);
}

/**
 * lite_service_get - who serves a request?
 * @index: enum lite_service, any number from the wire
 *
 * Context: any. Return: service with a reference, or NULL.
 */
struct lite_provider *lite_service_get(u8 index)
{
	struct lite_provider *service;

	if (index >= LITE_SVC_MAX)
		return NULL;
	rcu_read_lock();
	service = rcu_dereference(services[index]);
	if (service && !percpu_ref_tryget_live(&service->ref))
		service = NULL;
	rcu_read_unlock();
	return service;
}

int lite_register_handler(const struct lite_handler *handler)
{
	struct lite_provider *service;
	int err;

	if (!handler->service || handler->service >= LITE_SVC_MAX ||
	    !handler->handle || !handler->name)
		return -EINVAL;
	service = kzalloc(sizeof(*service), GFP_KERNEL);
	if (!service)
		return -ENOMEM;
	service->handler = handler;
	init_completion(&service->gone);
	err = percpu_ref_init(&service->ref, service_gone, 0, GFP_KERNEL);
	if (err)
		goto out_free;
	mutex_lock(&services_mutex);
	if (rcu_access_pointer(services[handler->service]))
		err = -EBUSY;
	else
		rcu_assign_pointer(services[handler->service], service);
	mutex_unlock(&services_mutex);
	if (!err)
		return 0;
	percpu_ref_exit(&service->ref);
out_free:
	kfree(service);
	return err;
}

SK_EXPORT(lite_register_handler);

void lite_unregister_handler(const struct lite_handler *handler)
{
	struct lite_provider *service;

	mutex_lock(&services_mutex);
	service = rcu_dereference_protected(services[handler->service],
					    lockdep_is_held(&services_mutex));
	if (service && service->handler == handler)
		RCU_INIT_POINTER(services[handler->service], NULL);
	else
		service = NULL;
	mutex_unlock(&services_mutex);
	if (!service)
		return;
	percpu_ref_kill(&service->ref);
	wait_for_completion(&service->gone);
	percpu_ref_exit(&service->ref);
	/* Somebody may still look at it without having got a reference. */
	synchronize_rcu();
	kfree(service);
}

SK_EXPORT(lite_unregister_handler);

/* lite_services_event - tell all services; process context */
void lite_services_event(u32 node, enum lite_event event)
{
	struct lite_provider *service;
	u8 i;

	for (i = 0; i < LITE_SVC_MAX; i++) {
		service = lite_service_get(i);
		if (!service)
			continue;
		if (service->handler->event)
			service->handler->event(node, event,
						service->handler->service_data);
		percpu_ref_put(&service->ref);
	}
}
