#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the generated project in /tmp/project by make -j2 and runs it: what it
# prints, and what every object is, must not depend on where memory is.
cd /tmp/project || exit 1
make -s clean-all 2>/dev/null || rm -f -- *.o program
make -s -j2 program || exit 1
./program || exit 1
for object in *.o program; do
	echo "$object $(sha1sum < "$object")"
done | sort
