/* SPDX-License-Identifier: GPL-2.0 */
/*
 * revoke_fuse.h - a file on storage as slow as a test wants: a FUSE file
 * system that the test serves itself, and that can hold back what it has read
 */
#ifndef REVOKE_FUSE_H
#define REVOKE_FUSE_H

#include "memview_test.h"

#include <stdatomic.h>

#define SLOW_PAGES	64
#define SLOW_SIZE	(SLOW_PAGES * PAGE)
#define SLOW_FILE	7 /* page n of the file begins with page_tag(7, n) */

struct slow_shared {
	_Atomic int hold; /* READ requests get no reply... */
	_Atomic int hold_writes; /* ...or WRITE requests... */
	_Atomic int hold_fsyncs; /* ...or FSYNC requests */
	_Atomic int held; /* how many wait for one */
	_Atomic int fail_writes; /* WRITE requests get EIO, and nothing is stored */
	_Atomic int fsyncs; /* how many FSYNC requests there were */
	_Atomic int opens; /* how often the file has been opened... */
	_Atomic int releases; /* ...and closed */
	/*
	 * What is opened now does without the page cache, but for mappings: an
	 * mmap of it empties the cache first, and waits for READs under way.
	 */
	_Atomic int direct;
	char data[SLOW_SIZE]; /* the storage */
};

struct slow_fs {
	int fd; /* of the file, O_RDWR */
	pid_t server;
	struct slow_shared *shared;
	char dir[64];
};

/* -ENODEV: the kernel has no FUSE. */
int slow_fs_start(struct slow_fs *fs);
void slow_fs_stop(struct slow_fs *fs);

#endif /* REVOKE_FUSE_H */
