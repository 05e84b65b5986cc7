# SPDX-License-Identifier: GPL-2.0
#
# memview: `make help` says what there is.
#
# Two ways to build. test, demo and the like need no more than a Debian machine:
# scripts/sdk makes a Debian 13 root, everything is compiled in it, and scripts/vm
# boots it. all and install serve this machine, with its own kernel and tools.

KERNEL	?= 6.12
KREL	?= $(shell uname -r)
TOP	:= $(CURDIR)
BUILD	:= $(TOP)/build/$(KREL)
DESTDIR	?=
PREFIX	?= /usr/local
MODDIR	?= /lib/modules/$(KREL)/updates
TOOLS	:= memview-demo memviewctl memview-vhost-user
PAGES	:= $(TOOLS:%=%.8)
COMPLETION := $(PREFIX)/share/bash-completion/completions/memviewctl

export KREL BUILD DESTDIR PREFIX

.DEFAULT_GOAL := all

all: module userspace ## build for this machine's kernel

help: ## this text
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | \
		while IFS="$$(printf '\t')" read -r t d; do printf '  %-14s %s\n' "$$t" "$$d"; done

demo: ## boot a VM and show what memview does
	@scripts/demo --kernel $(KERNEL) $(DEMO)

test: ## boot VMs and run the tests (KERNEL=6.12, 7, debug, debug7 or kcsan; TEST='-v revoke' for some)
	@scripts/test --kernel $(KERNEL) $(TEST)

bench: ## boot VMs and measure views against what they replace (BENCH='--check')
	@scripts/bench --kernel $(KERNEL) $(BENCH)

check-all: ## all there is to check, most of a day; can be stopped, and goes on (CHECK='--table', or steps)
	@scripts/check-all $(CHECK)

coverage: ## which lines and branches of the module do the tests reach? (TEST as above)
	@scripts/coverage $(TEST)

soak: ## everything at random against a model, for HOURS=1 or MINUTES (SOAK='--kernel 7'; see scripts/soak --help)
	@scripts/soak $(if $(MINUTES),--minutes $(MINUTES),--hours $(or $(HOURS),1)) $(SOAK)

fuzz: ## random sequences of calls against a model, guided by coverage, for SECONDS=600 (FUZZ='--kernel debug')
	@scripts/fuzz --seconds $(or $(SECONDS),600) $(FUZZ)

beside: ## do stress-ng and the kernel's own mm tests end alike with and without views? (BESIDE='--kernel 7')
	@scripts/beside $(BESIDE)

style: ## check the code's style: clang-format, checkpatch, sparse, W=1, shellcheck
	@scripts/style

module: ## memview.ko alone
	@$(MAKE) --no-print-directory -C module all

# BPF programs are compiled against the types of the module that was built.
userspace selftests: module

userspace: ## the tools alone
	@$(MAKE) --no-print-directory -C userspace all

selftests: ## the test programs alone
	@$(MAKE) --no-print-directory -C selftests all

benchmarks: ## the programs of `make bench` alone
	@$(MAKE) --no-print-directory -C selftests/bench all

# What a VM needs; scripts/vm calls it in the SDK root. BPF programs are built from the module's types.
build-guest: module
	@$(MAKE) --no-print-directory userspace selftests benchmarks

install: ## install what `make` has built (DESTDIR, PREFIX)
	@scripts/check-kernel --loadable $(BUILD)/module/memview.ko
	install -D -m 644 $(BUILD)/module/memview.ko $(DESTDIR)$(MODDIR)/memview.ko
	install -D -m 644 scripts/70-memview.rules $(DESTDIR)/usr/lib/udev/rules.d/70-memview.rules
	@$(MAKE) --no-print-directory install-userspace
	@[ -n "$(DESTDIR)" ] || { depmod $(KREL); ldconfig; udevadm control --reload 2>/dev/null || true; }
	@echo "installed; 'modprobe memview' loads it, 'memviewctl doctor' says what else is missing"

# All but the module and its udev rule: what packages take from here.
install-userspace:
	install -D -m 644 include/uapi/linux/memview.h $(DESTDIR)$(PREFIX)/include/linux/memview.h
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(addprefix $(BUILD)/bin/,$(TOOLS))
	@$(MAKE) --no-print-directory -C userspace/libmemview install
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/memview/bpf $(BUILD)/bpf/policy_*.bpf.o
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/memview bpf/*.bt
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(PAGES:%=userspace/man/%)
	install -D -m 644 userspace/completion/memviewctl $(DESTDIR)$(COMPLETION)

uninstall: ## remove what install has put there
	rm -f $(DESTDIR)$(MODDIR)/memview.ko $(DESTDIR)/usr/lib/udev/rules.d/70-memview.rules \
		$(DESTDIR)$(PREFIX)/include/linux/memview.h $(DESTDIR)$(COMPLETION) \
		$(addprefix $(DESTDIR)$(PREFIX)/bin/,$(TOOLS)) $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(PAGES))
	@$(MAKE) --no-print-directory -C userspace/libmemview uninstall
	rm -rf $(DESTDIR)$(PREFIX)/lib/memview $(DESTDIR)$(PREFIX)/share/memview
	@[ -n "$(DESTDIR)" ] || depmod $(KREL)

deb: ## build the Debian packages, in a root of their own, into build/deb
	@scripts/deb/build $(DEB)

test-deb: ## are the packages built, lintian clean, installed, built by DKMS, loaded, upgraded, removed without a trace?
	@scripts/test-deb

clean: ## remove what was built here (the cached SDK root stays)
	rm -rf build

.PHONY: all help demo test bench check-all coverage soak fuzz beside style module userspace selftests benchmarks build-guest \
	install install-userspace uninstall deb test-deb clean
