# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# lib.sh - the way into the roots that packages are built and tested in. Sourced after scripts/lib.sh, never run.

# enter MODE TREE DIR CMD...: run CMD in TREE, which is read-only if MODE is ro, with DIR at /mnt. Its mounts and processes end
# with it.
enter()
{
	# shellcheck disable=SC2016 # expanded by the shell that this starts
	unshare --mount --pid --fork --kill-child=KILL bash -euo pipefail -c '
		mode=$1 tree=$2 dir=$3 jail=$2/mnt
		shift 3
		mount --bind "$tree" "$jail"
		mount --rbind /dev "$jail/dev"
		mount -t proc proc "$jail/proc"
		mount -t tmpfs -o mode=1777 tmpfs "$jail/tmp"
		mount --bind "$dir" "$jail/mnt"
		[ ! -f "$jail/etc/resolv.conf" ] || [ ! -e /etc/resolv.conf ] ||
			mount --bind /etc/resolv.conf "$jail/etc/resolv.conf"
		[ "$mode" = rw ] || mount -o remount,bind,ro "$jail"
		exec env -i HOME=/tmp LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive INITRD=No \
			${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			chroot "$jail" sh -c "cd /mnt && exec \"\$@\"" sh "$@"
	' bash "$@" </dev/null
}

# take_root NAME: make sure that the root build or test is there, set root to it, and keep it for as long as this process lives.
take_root()
{
	root=$("$top/scripts/deb/root" "$1") || exit
	exec {root_lock}>>"$root.lock"
	flock -s "$root_lock"
	[ -e "$root/.complete" ] || die "the root $root went away just now; run this again"
}
