/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_MODULE_H
#define SHIM_MODULE_H

#include "../shim.h"

struct module;
#define THIS_MODULE	((struct module *)NULL)
#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME	"unit"
#endif

#endif /* SHIM_MODULE_H */
