/* SPDX-License-Identifier: GPL-2.0 */
/* Only newer userspace headers bring their own. */
#include "../shim.h"
