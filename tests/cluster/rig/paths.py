# SPDX-License-Identifier: GPL-2.0
"""Where things are. All that the rig makes goes below build/cluster."""

import os

RIG = os.path.dirname(os.path.realpath(__file__))
CLUSTER = os.path.dirname(RIG)
REPO = os.path.dirname(os.path.dirname(CLUSTER))
GUEST = os.path.join(CLUSTER, "guest")
BUILD = os.path.join(REPO, "build", "cluster")
USERLAND = os.path.join(REPO, "userland")

# In a guest, our own programs come first.
GUEST_PATH = (f"{USERLAND}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
              "/sbin:/bin")
