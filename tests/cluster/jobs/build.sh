#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the generated project in /tmp/project by make -j2 and runs it: what it
# prints, and what every object is, must not depend on where memory is.
# With arguments, only these objects are built again.
cd /tmp/project || exit 1
if [ $# -gt 0 ]; then
	rm -f -- "$@" program
else
	rm -f -- *.o program
fi
make -s -j2 program || exit 1
./program || exit 1
for object in *.o program; do
	echo "$object $(sha1sum < "$object")"
done | sort
