# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# lib.sh - what scripts/sdk and scripts/vm share: the build root's place and lock, and the way in.
# Sourced, never run. The caller sets -euo pipefail.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
self=${0##*/}
recipe=$top/scripts/sdk.packages

say()
{
	printf '%s: %s\n' "$self" "$*" >&2
}

die()
{
	say "$*"
	exit "${die_status:-1}"
}

# A copied root keeps working when the recipe's comments change: only its words are hashed.
recipe_words()
{
	sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$recipe"
}

set_paths()
{
	local hash

	: "${XDG_CACHE_HOME:=${HOME:?HOME is not set: set it or XDG_CACHE_HOME}/.cache}"
	mkdir -p "$XDG_CACHE_HOME/memview" ||
		die "cannot make the cache directory $XDG_CACHE_HOME/memview; set XDG_CACHE_HOME to a writable place"
	cache=$(cd "$XDG_CACHE_HOME/memview" && pwd -P)
	hash=$(recipe_words | sha256sum)
	root=$cache/root-${hash:0:12}
}

# need_root ARG...: run this script again as root, keeping what decides where the cache is.
need_root()
{
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null ||
		die "needs root for chroot and mount, and sudo is not installed; run it as root or install sudo"
	exec sudo -- env "HOME=${HOME:-/root}" "XDG_CACHE_HOME=${XDG_CACHE_HOME:-}" "TERM=${TERM:-dumb}" \
		"MEMVIEW_NO_BUILD=${MEMVIEW_NO_BUILD:-}" "$top/scripts/$self" "$@"
}

# use_root: make sure that the root is there, and keep it for as long as this process or a child lives.
use_root()
{
	[ -e "$root/.complete" ] || "$top/scripts/sdk" build || exit "${die_status:-1}"
	exec {root_lock}>>"$root.lock"
	flock -s "$root_lock"
	[ -e "$root/.complete" ] || die "the build root $root went away just now; run this again"
}

# mount_root: in a private mount namespace, make $root/mnt a copy of the root to chroot into, with the checkout
# at /memview. The copy leaves the root itself without mounts, so that nothing can reach the host through it.
mount_root()
{
	jail=$root/mnt
	mount --bind "$root" "$jail"
	mount --rbind /dev "$jail/dev"
	mount --rbind /sys "$jail/sys"
	mount -t tmpfs -o mode=1777 tmpfs "$jail/tmp"
	mount -t tmpfs -o mode=755 tmpfs "$jail/run"
	mount --bind "$top" "$jail/memview"
	mount_kernels "$jail"
}

# mount_kernels TREE: give TREE, a copy of the root, the modules of kernels that are no part of the root. For each,
# kernels/RELEASE in the cache is a link to the directory to see as /lib/modules/RELEASE.
mount_kernels()
{
	local link

	for link in "${root%/*}"/kernels/*; do
		[ -d "$link" ] || continue
		mkdir -p "$root/lib/modules/${link##*/}"
		mount --bind "$link/" "$1/lib/modules/${link##*/}"
	done
}

# give_back: files made by root under build/ go to whoever owns the checkout.
give_back()
{
	local owner

	owner=$(stat -c %u:%g "$top")
	[ "${owner%:*}" -ne 0 ] && [ -d "$top/build" ] || return 0
	find "$top/build" -uid 0 -exec chown -h "$owner" {} +
}
