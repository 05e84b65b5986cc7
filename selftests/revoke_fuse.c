// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_fuse.c - a FUSE server for one file; revoke_fuse.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "revoke_fuse.h"

#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <linux/fuse.h>

#define FILE_NODE	2
#define MAX_WRITE	65536
#define QUEUE		64

struct server {
	int dev;
	struct slow_shared *shared;
	struct request {
		uint64_t unique;
		enum { READ, WRITE, FSYNC } kind;
		uint64_t offset; /* to read */
		uint32_t size; /* to read, or written */
	} queue[QUEUE]; /* what has no reply yet */
	int queued;
};

static void reply(struct server *s, uint64_t unique, int err, const void *out,
		  size_t len)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + len,
		.error = err,
		.unique = unique,
	};
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ (void *)out, len },
	};

	/* A request whose caller is gone is unknown by now; that is fine. */
	if (writev(s->dev, iov, len ? 2 : 1) < 0 && errno != ENOENT)
		_exit(errno);
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.size = node == FILE_NODE ? SLOW_SIZE : 0,
		.blocks = SLOW_SIZE / 512,
		.mode = node == FILE_NODE ? S_IFREG | 0700 : S_IFDIR | 0700,
		.nlink = 1,
		.blksize = PAGE,
	};
}

static void reply_init(struct server *s, uint64_t unique)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 40,
		/* Read-ahead is what makes the wait of a fault killable. */
		.max_readahead = 4 * PAGE,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_INIT_EXT,
		.flags2 = FUSE_DIRECT_IO_ALLOW_MMAP >> 32,
		.max_background = 16,
		.congestion_threshold = 16,
		.max_write = MAX_WRITE,
		.time_gran = 1,
	};

	reply(s, unique, 0, &out, sizeof(out));
}

static void reply_entry(struct server *s, uint64_t unique)
{
	struct fuse_entry_out out = {
		.nodeid = FILE_NODE,
		.entry_valid = 3600,
		.attr_valid = 3600,
		.attr = attributes(FILE_NODE),
	};

	reply(s, unique, 0, &out, sizeof(out));
}

static void reply_attr(struct server *s, uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = {
		.attr_valid = 3600,
		.attr = attributes(node),
	};

	reply(s, unique, 0, &out, sizeof(out));
}

static void enqueue(struct server *s, const struct request *request)
{
	if (s->queued == QUEUE)
		_exit(ENOSPC);
	s->queue[s->queued++] = *request;
}

static void enqueue_read(struct server *s, uint64_t unique,
			 const struct fuse_read_in *in)
{
	struct request request = {
		.unique = unique,
		.offset = in->offset,
		.size = in->size,
	};

	enqueue(s, &request);
}

/* What is written is there at once; only the reply may take its time. */
static void enqueue_write(struct server *s, uint64_t unique,
			  const struct fuse_write_in *in)
{
	struct request request = {
		.unique = unique,
		.kind = WRITE,
		.size = in->size,
	};

	if (atomic_load(&s->shared->fail_writes) || in->offset > SLOW_SIZE ||
	    in->size > SLOW_SIZE - in->offset) {
		reply(s, unique, -EIO, NULL, 0);
		return;
	}
	memcpy(s->shared->data + in->offset, in + 1, in->size);
	enqueue(s, &request);
}

static void answer(struct server *s, const struct request *request)
{
	struct fuse_write_out out = { .size = request->size };
	uint64_t start, len;

	if (request->kind == FSYNC) {
		reply(s, request->unique, 0, NULL, 0);
		return;
	}
	if (request->kind == WRITE) {
		reply(s, request->unique, 0, &out, sizeof(out));
		return;
	}
	start = request->offset < SLOW_SIZE ? request->offset : SLOW_SIZE;
	len = SLOW_SIZE - start;
	reply(s, request->unique, 0, s->shared->data + start,
	      len < request->size ? len : request->size);
}

static bool is_held(struct server *s, const struct request *request)
{
	switch (request->kind) {
	case FSYNC:
		return atomic_load(&s->shared->hold_fsyncs);
	case WRITE:
		return atomic_load(&s->shared->hold_writes);
	default:
		return atomic_load(&s->shared->hold);
	}
}

/* Answer what is not held back any more. */
static void answer_queue(struct server *s)
{
	int i, kept = 0;

	for (i = 0; i < s->queued; i++) {
		if (is_held(s, &s->queue[i]))
			s->queue[kept++] = s->queue[i];
		else
			answer(s, &s->queue[i]);
	}
	s->queued = kept;
	atomic_store(&s->shared->held, kept);
}

static void handle(struct server *s, const struct fuse_in_header *in)
{
	struct fuse_open_out opened = {
		.fh = 1,
		.open_flags = atomic_load(&s->shared->direct) ? FOPEN_DIRECT_IO : 0,
	};
	struct fuse_statfs_out statfs = { .st = { .bsize = PAGE } };
	const void *arg = in + 1;

	switch (in->opcode) {
	case FUSE_INIT:
		reply_init(s, in->unique);
		break;
	case FUSE_LOOKUP:
		reply_entry(s, in->unique);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		reply_attr(s, in->unique, in->nodeid);
		break;
	case FUSE_OPEN:
		s->shared->opens++;
		reply(s, in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		enqueue_read(s, in->unique, arg);
		break;
	case FUSE_WRITE:
		enqueue_write(s, in->unique, arg);
		break;
	case FUSE_STATFS:
		reply(s, in->unique, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_RELEASE:
		s->shared->releases++;
		reply(s, in->unique, 0, NULL, 0);
		break;
	case FUSE_FSYNC:
		atomic_fetch_add(&s->shared->fsyncs, 1);
		enqueue(s, &(struct request){ .unique = in->unique, .kind = FSYNC });
		break;
	case FUSE_FLUSH:
		reply(s, in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these have no reply */
	default:
		reply(s, in->unique, -ENOSYS, NULL, 0);
	}
}

static void serve(struct server *s)
{
	static char buf[MAX_WRITE + PAGE] __attribute__((aligned(8)));
	struct pollfd poller = { .fd = s->dev, .events = POLLIN };
	ssize_t n;

	for (;;) {
		if (poll(&poller, 1, 2) > 0) {
			n = read(s->dev, buf, sizeof(buf));
			if (n < 0 && errno == ENODEV)
				_exit(0); /* unmounted */
			if (n >= (ssize_t)sizeof(struct fuse_in_header))
				handle(s, (struct fuse_in_header *)buf);
		}
		answer_queue(s);
	}
}

static int fork_server(struct slow_fs *fs, int dev)
{
	struct server s = { .dev = dev, .shared = fs->shared };

	fflush(NULL);
	fs->server = fork();
	if (fs->server < 0)
		return -errno;
	if (!fs->server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(&s);
	}
	return 0;
}

int slow_fs_start(struct slow_fs *fs)
{
	char options[96], path[96];
	unsigned int page;
	int dev, err;

	*fs = (struct slow_fs){ .fd = -1, .dir = "/tmp/memview-fuse-XXXXXX" };
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return -ENODEV;
	fs->shared = shared_alloc(sizeof(*fs->shared));
	if (!fs->shared || !mkdtemp(fs->dir))
		return -ENOMEM;
	for (page = 0; page < SLOW_PAGES; page++)
		*(uint64_t *)(fs->shared->data + page * PAGE) =
			page_tag(SLOW_FILE, page);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", dev);
	if (mount("memview-test", fs->dir, "fuse", 0, options))
		return -errno;
	err = fork_server(fs, dev);
	close(dev);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/file", fs->dir);
	fs->fd = open(path, O_RDWR | O_CLOEXEC);
	return fs->fd < 0 ? -errno : 0;
}

void slow_fs_stop(struct slow_fs *fs)
{
	if (fs->shared) {
		atomic_store(&fs->shared->hold, 0);
		atomic_store(&fs->shared->hold_writes, 0);
		atomic_store(&fs->shared->hold_fsyncs, 0);
	}
	if (fs->fd >= 0)
		close(fs->fd);
	umount2(fs->dir, MNT_DETACH);
	if (fs->server > 0) {
		kill(fs->server, SIGKILL);
		waitpid(fs->server, NULL, 0);
	}
	rmdir(fs->dir);
}
