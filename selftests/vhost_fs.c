// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_fs.c - memview-vhost-user in front of virtiofsd: P1 and P2 for a device
 * that serves a file system
 *
 * The test is the guest: it has the memory and the rings, and speaks FUSE over
 * them. virtiofsd is as packaged, and has views of that memory. Files are
 * written and read at random, many requests at a time, in pieces all over the
 * memory; each byte is checked, and those beside them.
 */
#include "vhost_io.h"

#include <linux/fuse.h>

#define FILE_SIZE	(8 * MiB)
#define QEMU_MIB	6144 /* of which a small part is touched */

/* The guest's FUSE, and the file that it has open. */
struct fuse {
	struct io_device dev; /* first: see ask() */
	uint64_t unique, node, handle;
};

FIXTURE(fs)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct fuse fuse;
	struct ring ring[2]; /* of urgent requests, which are none here, and of all others */
	struct qtest qtest;
	char shared[32];
	pid_t daemon;
	int sock;
};

FIXTURE_VARIANT(fs)
{
	bool qemu; /* is the frontend */
};

FIXTURE_VARIANT_ADD(fs, direct)
{
	.qemu = false,
};

FIXTURE_VARIANT_ADD(fs, by_qemu)
{
	.qemu = true,
};

/* ---- The device ---- */

static int daemon_start(FIXTURE_DATA(fs) *self)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "exec /usr/libexec/virtiofsd --socket-path %s --shared-dir %s --sandbox none --seccomp none --cache never",
		 self->proxy.backend, self->shared);
	unlink(self->proxy.backend);
	self->daemon = program_start(NULL, self->proxy.log, command);
	return program_listens(self->daemon, self->proxy.backend);
}

/* ---- FUSE ---- */

/* The request's own structure at the start of its slot, the answer's a page further on. */
static void *begin(struct fuse *fuse, struct io *request, uint32_t opcode, uint64_t node,
		   uint32_t arg_size, uint32_t data_size)
{
	struct fuse_in_header *in = (void *)request->mem;

	*in = (struct fuse_in_header){
		.len = sizeof(*in) + arg_size + data_size,
		.opcode = opcode,
		.unique = ++fuse->unique,
		.nodeid = node,
		.pid = getpid(),
	};
	request->parts[0] = (struct part){ in, sizeof(*in) + arg_size };
	request->nr_out = 1;
	request->nr_in = 0;
	memset(in + 1, 0, arg_size);
	return in + 1;
}

static void *add_answer(struct io *request, uint32_t arg_size)
{
	struct fuse_out_header *out = (void *)(request->mem + PAGE);

	memset(out, 0, sizeof(*out));
	io_add(request, (struct part){ out, sizeof(*out) + arg_size }, true);
	return out + 1;
}

/* The errno of the answer, or -EPROTO. */
static int answer(const struct io *request)
{
	struct fuse_in_header *in = (void *)request->mem;
	struct fuse_out_header *out = (void *)(request->mem + PAGE);

	return out->unique == in->unique ? out->error : -EPROTO;
}

static int run(struct fuse *fuse)
{
	struct io_device *dev = &fuse->dev;

	io_post(dev, 0);
	return ring_kick(&dev->guest, dev->ring) ?: ring_wait(dev->ring, 1) ?: answer(&dev->io[0]);
}

static int fuse_init(struct fuse *fuse)
{
	struct io *request = &fuse->dev.io[0];
	struct fuse_init_in *in = begin(fuse, request, FUSE_INIT, 0,
					offsetof(struct fuse_init_in, flags2), 0);
	struct fuse_init_out *out = add_answer(request, sizeof(*out));
	int err;

	in->major = FUSE_KERNEL_VERSION;
	in->minor = 31;
	in->max_readahead = IO_MAX;
	in->flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES;
	err = run(fuse);
	return err ?: out->max_write < IO_MAX ? -EPROTO : 0;
}

static int fuse_create(struct fuse *fuse)
{
	static const char name[] = "file";
	struct io *request = &fuse->dev.io[0];
	struct fuse_create_in *in = begin(fuse, request, FUSE_CREATE, FUSE_ROOT_ID,
					  sizeof(*in) + sizeof(name), 0);
	struct fuse_entry_out *entry = add_answer(request, sizeof(*entry) + sizeof(struct fuse_open_out));
	struct fuse_open_out *open = (void *)(entry + 1);
	int err;

	in->flags = O_RDWR | O_CREAT;
	in->mode = S_IFREG | 0600;
	memcpy(in + 1, name, sizeof(name));
	err = run(fuse);
	fuse->node = entry->nodeid;
	fuse->handle = open->fh;
	return err;
}

/* A read or a write. */
static void ask(struct io_device *dev, struct io *io)
{
	struct fuse *fuse = (struct fuse *)dev;
	struct fuse_write_in *write;
	struct fuse_read_in *read;

	if (io->write) {
		write = begin(fuse, io, FUSE_WRITE, fuse->node, sizeof(*write), io->size);
		write->fh = fuse->handle;
		write->offset = io->offset;
		write->size = io->size;
		io_add_data(io);
		add_answer(io, sizeof(struct fuse_write_out));
	} else {
		read = begin(fuse, io, FUSE_READ, fuse->node, sizeof(*read), 0);
		read->fh = fuse->handle;
		read->offset = io->offset;
		read->size = io->size;
		add_answer(io, 0);
		io_add_data(io);
	}
}

/* ---- A session ---- */

/* All zeroes, as is what is expected of it. */
static int make_file(FIXTURE_DATA(fs) *self)
{
	char path[64];
	int fd, err;

	memset(self->fuse.dev.file.expected, 0, FILE_SIZE);
	snprintf(path, sizeof(path), "%s/file", self->shared);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	err = fd < 0 || ftruncate(fd, FILE_SIZE) ? -errno : 0;
	close(fd);
	return err;
}

/* Its memory. Some slots are below the hole in the addresses, some beyond it. */
static int frontend_begin(FIXTURE_DATA(fs) *self, bool qemu)
{
	char *middle;
	int slot, err;

	if (!qemu) {
		self->sock = proxy_connect(&self->proxy);
		err = self->sock < 0 ? self->sock : guest_open(&self->fuse.dev.guest);
	} else {
		err = qtest_start(&self->qtest, qtest_qemu(), QEMU_MIB, "vhost-user-fs-pci,tag=fs",
				  self->proxy.frontend) ?:
		      guest_of_qemu(&self->fuse.dev.guest, &self->qtest, QEMU_MIB * MiB);
	}
	middle = self->fuse.dev.guest.mem + self->fuse.dev.guest.low;
	for (slot = 0; slot < RING_SLOTS && !err; slot++)
		self->fuse.dev.io[slot].mem = middle + (slot - RING_SLOTS / 2) * (int)IO_SLOT_SIZE;
	return err;
}

static int session_begin(FIXTURE_DATA(fs) *self, bool qemu)
{
	return make_file(self) ?: daemon_start(self) ?: frontend_begin(self, qemu) ?:
	       rings_start(self->sock, &self->fuse.dev.guest, self->ring, 2) ?: fuse_init(&self->fuse) ?:
	       fuse_create(&self->fuse);
}

static void session_end(FIXTURE_DATA(fs) *self)
{
	rings_close(self->ring, 2);
	guest_close(&self->fuse.dev.guest);
	if (self->sock >= 0)
		close(self->sock);
	qtest_stop(&self->qtest);
	program_stop(&self->daemon);
}

FIXTURE_SETUP(fs)
{
	if (access("/usr/libexec/virtiofsd", X_OK))
		SKIP(return, "missing: virtiofsd");
	if (variant->qemu && !qtest_qemu())
		SKIP(return, QTEST_MISSING);
	ASSERT_LE(0, klog_start(&self->klog));
	self->sock = -1;
	snprintf(self->shared, sizeof(self->shared), "/tmp/sharedXXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->shared));
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	close(self->proxy.listener);
	self->fuse.dev.ring = &self->ring[1];
	self->fuse.dev.ask = ask;
	self->fuse.dev.answer = answer;
	ASSERT_EQ(0, io_file_init(&self->fuse.dev.file, FILE_SIZE, 1));
	ASSERT_EQ(0, session_begin(self, variant->qemu)) TH_LOG("%s", proxy_log(&self->proxy));
}

FIXTURE_TEARDOWN(fs)
{
	char command[64];

	if (!self->fuse.dev.file.expected)
		return;
	session_end(self);
	proxy_stop(&self->proxy, SIGTERM);
	free(self->fuse.dev.file.expected);
	snprintf(command, sizeof(command), "rm -r %s", self->shared);
	EXPECT_EQ(0, system(command));
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F_TIMEOUT(fs, reads_and_writes, 500)
{
	uint64_t moved;
	char path[64];
	long ret;

	if (!self->fuse.dev.file.expected)
		return;
	ret = io_rounds(&self->fuse.dev, (uint64_t)scaled(16) * MiB, &moved);
	ASSERT_LE(0, ret) TH_LOG("after %ju bytes: %ld; %s", (uintmax_t)moved, ret, proxy_log(&self->proxy));
	EXPECT_TRUE(program_has(self->daemon, "memory-view:"));
	EXPECT_FALSE(program_has(self->daemon, "-e memfd:guest -e memfd:memory"));
	/* And without anybody in between. */
	snprintf(path, sizeof(path), "%s/file", self->shared);
	EXPECT_TRUE(io_file_is(&self->fuse.dev.file, path));
	printf("# %ju MiB read and written\n", (uintmax_t)(moved / MiB));
}

/* Taken away in the middle: whatever the daemon does then, it changes nothing here. */
TEST_F_TIMEOUT(fs, revoked, 300)
{
	struct io_device *dev = &self->fuse.dev;
	char out[256], *before, *watched;
	uint64_t size;
	int round;

	if (!dev->file.expected)
		return;
	for (round = 0; round < 2; round++) {
		/* All of the memory, or what is in use of QEMU's. */
		watched = variant->qemu ? dev->io[0].mem : dev->guest.mem;
		size = variant->qemu ? RING_SLOTS * IO_SLOT_SIZE : dev->guest.size;
		before = malloc(size);
		ASSERT_NE(NULL, before);
		ASSERT_LE(0, io_round(dev));
		ASSERT_EQ(0, proxy_control(&self->proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
		io_post_any(dev, 0);
		memcpy(before, watched, size);
		ring_kick(&dev->guest, dev->ring);
		sleep_ms(300);
		EXPECT_EQ(0, memcmp(before, watched, size));
		free(before);
		session_end(self);
		/* It would hold for the next session of the same frontend. */
		ASSERT_EQ(0, proxy_control(&self->proxy, "restore all", out, sizeof(out))) TH_LOG("%s", out);
		ASSERT_EQ(0, session_begin(self, variant->qemu)) TH_LOG("%s", proxy_log(&self->proxy));
	}
}

TEST_HARNESS_MAIN
