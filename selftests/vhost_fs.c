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

#define FILE_SIZE	(32 * MiB)
#define QEMU_MIB	6144 /* of which a small part is touched */

FIXTURE(fs)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct guest guest;
	struct ring ring[2]; /* of urgent requests, which are none here, and of all others */
	struct qtest qtest;
	struct io io[RING_SLOTS];
	struct io_file file;
	char shared[32];
	pid_t daemon;
	int sock;
	uint64_t unique, node, handle;
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

static int daemon_stop(FIXTURE_DATA(fs) *self)
{
	int status = 0;

	if (self->daemon <= 0)
		return 0;
	kill(self->daemon, SIGTERM);
	waitpid(self->daemon, &status, 0);
	self->daemon = 0;
	return status;
}

/* ---- FUSE ---- */

/* The request's own structure at the start of its slot, the answer's a page further on. */
static void *begin(FIXTURE_DATA(fs) *self, struct io *request, uint32_t opcode, uint64_t node,
		   uint32_t arg_size, uint32_t data_size)
{
	struct fuse_in_header *in = (void *)request->mem;

	*in = (struct fuse_in_header){
		.len = sizeof(*in) + arg_size + data_size,
		.opcode = opcode,
		.unique = ++self->unique,
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
static int answer(struct io *request)
{
	struct fuse_in_header *in = (void *)request->mem;
	struct fuse_out_header *out = (void *)(request->mem + PAGE);

	return out->unique == in->unique ? out->error : -EPROTO;
}

static void post(FIXTURE_DATA(fs) *self, unsigned int slot)
{
	struct io *request = &self->io[slot];

	ring_post(&self->guest, &self->ring[1], slot, request->parts, request->nr_out, request->nr_in);
}

static int run(FIXTURE_DATA(fs) *self)
{
	post(self, 0);
	return ring_kick(&self->guest, &self->ring[1]) ?: ring_wait(&self->ring[1], 1) ?: answer(&self->io[0]);
}

static int fuse_init(FIXTURE_DATA(fs) *self)
{
	struct io *request = &self->io[0];
	struct fuse_init_in *in = begin(self, request, FUSE_INIT, 0,
					offsetof(struct fuse_init_in, flags2), 0);
	struct fuse_init_out *out = add_answer(request, sizeof(*out));
	int err;

	in->major = FUSE_KERNEL_VERSION;
	in->minor = 31;
	in->max_readahead = IO_MAX;
	in->flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES;
	err = run(self);
	return err ?: out->max_write < IO_MAX ? -EPROTO : 0;
}

static int fuse_create(FIXTURE_DATA(fs) *self)
{
	static const char name[] = "file";
	struct io *request = &self->io[0];
	struct fuse_create_in *in = begin(self, request, FUSE_CREATE, FUSE_ROOT_ID,
					  sizeof(*in) + sizeof(name), 0);
	struct fuse_entry_out *entry = add_answer(request, sizeof(*entry) + sizeof(struct fuse_open_out));
	struct fuse_open_out *open = (void *)(entry + 1);
	int err;

	in->flags = O_RDWR | O_CREAT;
	in->mode = S_IFREG | 0600;
	memcpy(in + 1, name, sizeof(name));
	err = run(self);
	self->node = entry->nodeid;
	self->handle = open->fh;
	return err;
}

/* ---- Reads and writes ---- */

static void choose_io(FIXTURE_DATA(fs) *self, unsigned int slot)
{
	struct io *io = &self->io[slot];
	struct fuse_write_in *write;
	struct fuse_read_in *read;

	io_choose(&self->file, io, slot);
	if (io->write) {
		write = begin(self, io, FUSE_WRITE, self->node, sizeof(*write), io->size);
		write->fh = self->handle;
		write->offset = io->offset;
		write->size = io->size;
		io_add_data(io);
		add_answer(io, sizeof(struct fuse_write_out));
	} else {
		read = begin(self, io, FUSE_READ, self->node, sizeof(*read), 0);
		read->fh = self->handle;
		read->offset = io->offset;
		read->size = io->size;
		add_answer(io, 0);
		io_add_data(io);
	}
}

/* All slots at a time: the bytes that were moved, or a negative errno. */
static long io_round(FIXTURE_DATA(fs) *self)
{
	unsigned int slot, bad = 0;
	long moved = 0;
	int err;

	for (slot = 0; slot < RING_SLOTS; slot++) {
		choose_io(self, slot);
		post(self, slot);
		moved += self->io[slot].size;
	}
	err = ring_kick(&self->guest, &self->ring[1]) ?: ring_wait(&self->ring[1], RING_SLOTS);
	for (slot = 0; slot < RING_SLOTS && !err; slot++) {
		err = answer(&self->io[slot]);
		bad += !err ? io_check(&self->file, &self->io[slot]) : 0;
	}
	return err ?: bad ? -EILSEQ : moved;
}

/* ---- A session ---- */

/* All zeroes, as is what is expected of it. */
static int make_file(FIXTURE_DATA(fs) *self)
{
	char path[64];
	int fd, err;

	memset(self->file.expected, 0, FILE_SIZE);
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
		err = self->sock < 0 ? self->sock : guest_open(&self->guest);
	} else {
		err = qtest_start(&self->qtest, qtest_qemu(), QEMU_MIB, "vhost-user-fs-pci,tag=fs",
				  self->proxy.frontend) ?:
		      guest_of_qemu(&self->guest, &self->qtest, QEMU_MIB * MiB);
	}
	middle = self->guest.mem + self->guest.low;
	for (slot = 0; slot < RING_SLOTS && !err; slot++)
		self->io[slot].mem = middle + (slot - RING_SLOTS / 2) * (int)IO_SLOT_SIZE;
	return err;
}

static int session_begin(FIXTURE_DATA(fs) *self, bool qemu)
{
	return make_file(self) ?: daemon_start(self) ?: frontend_begin(self, qemu) ?:
	       rings_start(self->sock, &self->guest, self->ring, 2) ?: fuse_init(self) ?:
	       fuse_create(self);
}

static void session_end(FIXTURE_DATA(fs) *self)
{
	rings_close(self->ring, 2);
	guest_close(&self->guest);
	if (self->sock >= 0)
		close(self->sock);
	qtest_stop(&self->qtest);
	daemon_stop(self);
}

FIXTURE_SETUP(fs)
{
	if (access("/usr/libexec/virtiofsd", X_OK))
		SKIP(return, "missing: virtiofsd");
	if (variant->qemu && !qtest_qemu())
		SKIP(return, "missing: QEMU 11 (qemu-system-x86 of trixie-backports), in /opt/backports or on PATH");
	ASSERT_LE(0, klog_start(&self->klog));
	self->sock = -1;
	snprintf(self->shared, sizeof(self->shared), "/tmp/sharedXXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->shared));
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	close(self->proxy.listener);
	self->file = (struct io_file){
		.expected = calloc(1, FILE_SIZE),
		.size = FILE_SIZE,
		.unit = 1,
		.random = random_seed(),
	};
	ASSERT_NE(NULL, self->file.expected);
	ASSERT_EQ(0, session_begin(self, variant->qemu)) TH_LOG("%s", proxy_log(&self->proxy));
}

FIXTURE_TEARDOWN(fs)
{
	char command[64];

	if (!self->file.expected)
		return;
	session_end(self);
	proxy_stop(&self->proxy, SIGTERM);
	free(self->file.expected);
	snprintf(command, sizeof(command), "rm -r %s", self->shared);
	EXPECT_EQ(0, system(command));
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The daemon's memory map, and what it has open. */
static int daemon_has(FIXTURE_DATA(fs) *self, const char *what)
{
	char command[128];

	snprintf(command, sizeof(command), "{ cat /proc/%d/maps; ls -l /proc/%d/fd; } | grep -q %s",
		 self->daemon, self->daemon, what);
	return !system(command);
}

TEST_F_TIMEOUT(fs, reads_and_writes, 500)
{
	uint64_t moved = 0, all = (uint64_t)scaled(64) * MiB;
	char path[64];
	long ret;

	if (!self->file.expected)
		return;
	while (moved < all) {
		ret = io_round(self);
		ASSERT_LE(0, ret) TH_LOG("after %ju bytes: %ld; %s", (uintmax_t)moved, ret,
					 proxy_log(&self->proxy));
		moved += ret;
	}
	EXPECT_TRUE(daemon_has(self, "memory-view:"));
	EXPECT_FALSE(daemon_has(self, "-e memfd:guest -e memfd:memory"));
	/* And without anybody in between. */
	snprintf(path, sizeof(path), "%s/file", self->shared);
	EXPECT_TRUE(io_file_is(&self->file, path));
	printf("# %ju MiB read and written\n", (uintmax_t)(moved / MiB));
}

/* Taken away in the middle: whatever the daemon does then, it changes nothing here. */
TEST_F_TIMEOUT(fs, revoked, 300)
{
	const uint64_t size = RING_SLOTS * IO_SLOT_SIZE;
	char out[256], *before;
	int round;

	if (!self->file.expected)
		return;
	before = malloc(size);
	ASSERT_NE(NULL, before);
	for (round = 0; round < 3; round++) {
		ASSERT_LE(0, io_round(self));
		ASSERT_EQ(0, proxy_control(&self->proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
		choose_io(self, 0);
		post(self, 0);
		memcpy(before, self->io[0].mem, size);
		ring_kick(&self->guest, &self->ring[1]);
		sleep_ms(300);
		EXPECT_EQ(0, memcmp(before, self->io[0].mem, size));
		session_end(self);
		ASSERT_EQ(0, session_begin(self, variant->qemu)) TH_LOG("%s", proxy_log(&self->proxy));
	}
	free(before);
}

TEST_HARNESS_MAIN
