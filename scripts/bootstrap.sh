# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# bootstrap.sh - how a Debian root is made: by mmdebstrap, beside its final place.
# Sourced after lib.sh, never run. The caller holds a lock, and has set cache.

host_tools()
{
	command -v mmdebstrap >/dev/null && return
	command -v apt-get >/dev/null ||
		die "mmdebstrap is missing and there is no apt-get to install it with;" \
		    "install mmdebstrap (1.0 or later) and the Debian archive keyring, then run this again"
	say "installing mmdebstrap on this machine"
	local log=$cache/host-tools.log
	{ apt-get update && apt-get install -y --no-install-recommends mmdebstrap debian-archive-keyring; } \
		>"$log" 2>&1 </dev/null || fail_log "$log" "cannot install mmdebstrap with apt-get"
}

# fail_log LOG WHAT: the end of a log, then the verdict.
fail_log()
{
	tail -n 15 "$1" >&2
	die "$2 (whole log: $1). If a download failed, check the network and run this again; what was complete is kept"
}

# with_elapsed LOG: keep everything in LOG, show the phases.
with_elapsed()
{
	local line

	SECONDS=0
	while IFS= read -r line; do
		printf '%s\n' "$line"
		case $line in
		I:*|E:*) printf '%s: [%3ds] %s\n' "$self" "$SECONDS" "${line#?: }" >&2 ;;
		esac
	done >>"$1"
}

# bootstrap LOG TREE ARGUMENT...: have mmdebstrap make TREE. Whatever ends this shell before bootstrapped() ends mmdebstrap, and
# removes TREE.
bootstrap()
{
	local log=$1

	bootstrap_tree=$2
	shift 2
	: >"$log"
	# In a PID namespace, so that nothing goes on writing when this script is killed.
	set -- setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc \
		mmdebstrap --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io "$@"
	trap 'exec 2>/dev/null; kill -KILL "$!"; wait; rm -rf --one-file-system "$bootstrap_tree"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	INITRD=No DEBIAN_FRONTEND=noninteractive "$@" </dev/null > >(with_elapsed "$log") 2>&1 &
	wait "$!" || fail_log "$log" "mmdebstrap could not build the root"
}

# bootstrapped TREE ROOT: TREE is complete, ROOT is its place.
bootstrapped()
{
	mv -T "$1" "$2"
	trap - EXIT INT TERM HUP
}
