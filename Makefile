# SPDX-License-Identifier: GPL-2.0
# splitkernel: thin front over Kbuild, userland and the tests.
#
#   make              modules and userland
#   make modules KDIR=/lib/modules/X/build
#                     (tests/build-modules RELEASE: out of the tree, for VMs)
#   make demo         boot a cluster in VMs and run the main job
#   make test         everything CI runs; make test-long: the full figures
#   make test-programs  real programs at full size, on a quarter of their memory
#   make bench        beside swap and InfiniSwap's design; BENCH=quick: in 20 minutes
#   make bench-cost   instructions per operation (icount)
#   make bench-threads  the same of a miss, with several threads and CPUs
#   make bench-hosts  instructions of a page on both hosts, beside swap over the same link
#   make bench-fork   instructions per fork
#   make bench-replication  the time of a dirty workload, with copies over without
#   make bench-cluster  spread, placements and joins on 1, 2, 4 memory hosts; DRAIN=MB
#   make bench-latency  a miss against a READ of a page, on two hosts
#   make test-debug  the tests in a kernel that checks itself; MINUTES=N bounds it
#   make test-faults  hosts and links fail under programs; SEEDS=n, SEED=first
#   make soak     programs come and go on it for MINUTES=30
#   make check        W=1, sparse, checkpatch, both kernels

SHELL		:= /bin/bash
REPO		:= $(CURDIR)
KRELEASE	?= $(shell tests/kernel-release 2>/dev/null)
KDIR		?= /lib/modules/$(KRELEASE)/build
MAKEFLAGS	+= --no-print-directory
JOBS		?= $(shell nproc)

.PHONY: all setup modules userland programs demo test test-long test-programs test-debug test-faults soak bench bench-cost bench-hosts bench-threads bench-latency bench-fork bench-replication bench-cluster check semantics-table clean install

all: modules userland

setup:
	@tests/setup

modules:
	@test -d "$(KDIR)" || { echo "no kernel headers at $(KDIR): run 'make setup' or give KDIR=" >&2; exit 1; }
	$(MAKE) -j$(JOBS) -C $(KDIR) M=$(REPO) W=1 modules

userland:
	$(MAKE) -C userland

# What tests and benchmarks run in the VMs.
programs:
	@$(MAKE) -C tests/cluster/programs
	@$(MAKE) -C tests/bench/workloads
	@$(MAKE) -C tests/bench/executed

demo: setup
	@$(MAKE) -s all programs
	@tests/demo/demo

test: setup
	@$(MAKE) -s all programs
	@tests/run

test-long: setup
	@tests/setup --programs
	@$(MAKE) -s all programs
	@tests/run --long

test-debug:
	@tests/setup --debug-kernel
	@$(MAKE) -s userland programs
	@tests/debug/run $(if $(MINUTES),--minutes $(MINUTES))

test-faults: setup
	@$(MAKE) -s all programs
	@tests/faults/run --seeds $(or $(SEEDS),5) $(if $(SEED),--seed $(SEED))

soak:
	@tests/setup --debug-kernel
	@$(MAKE) -s userland programs
	@tests/debug/soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

test-programs: setup
	@tests/setup --programs
	@$(MAKE) -s all programs
	@tests/run --long tests/cluster/test_programs.py

bench: setup
	@tests/setup --bench
	@$(MAKE) -s all programs
	@tests/bench/run --size $(or $(BENCH),full)

bench-cost: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-cost

bench-hosts: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-hosts

bench-latency: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-latency

bench-fork: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-fork

bench-replication: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-replication

bench-cluster: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-cluster $(if $(DRAIN),--drain $(DRAIN))

bench-threads: setup
	@$(MAKE) -s all programs
	@tests/bench/bench-threads

check: setup
	@tests/check

# docs/semantics.md says what the semantics suite checks.
semantics-table:
	@tests/semantics-table

install: all
	$(MAKE) -C $(KDIR) M=$(REPO) modules_install
	$(MAKE) -C userland install

clean:
	-@test -d "$(KDIR)" && $(MAKE) -C $(KDIR) M=$(REPO) clean
	@$(MAKE) -C userland clean
	rm -rf build
