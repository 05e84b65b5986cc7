// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_blk.c - memview-vhost-user between QEMU and qemu-storage-daemon: P1 and
 * P2 for a disk of a guest that has its memory on both sides of the hole below
 * 4 GiB
 *
 * Both are as packaged. The test is the guest's CPU: it has the rings, and reads
 * and writes the disk at random, all over the memory; each byte is checked.
 */
#include "vhost_io.h"

#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define DISK_SIZE	(16 * MiB)
#define MEMORY_MIB	6144 /* of which a small part is touched */

FIXTURE(blk)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct qtest qtest;
	struct io_device dev;
	struct ring ring;
	char disk[64], device[64]; /* paths */
	pid_t daemon, relay;
};

/* How the frontend announces memory. */
FIXTURE_VARIANT(blk)
{
	const char *message;
	bool relay;
};

FIXTURE_VARIANT_ADD(blk, slots)
{
	.message = "ADD_MEM_REG",
};

FIXTURE_VARIANT_ADD(blk, table)
{
	.message = "SET_MEM_TABLE",
	.relay = true,
};

/* ---- A device without memory slots ---- */

#define CONFIGURE_MEM_SLOTS	(1ULL << 15)

/* Pass one message on, if there is one. */
static int pass(int from, int to, bool answers)
{
	struct vhost_message message;
	int err = vhost_receive(from, &message), i;

	if (err)
		return err;
	if (answers && message.request == GET_PROTOCOL_FEATURES)
		message.u64 &= ~CONFIGURE_MEM_SLOTS;
	err = vhost_send(to, &message);
	for (i = 0; i < message.nr_fds; i++)
		close(message.fds[i]);
	return err;
}

static void relay(int frontend, int backend)
{
	struct pollfd fds[] = { { frontend, POLLIN, 0 }, { backend, POLLIN, 0 } };
	int err = 0;

	while (!err && poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			err = pass(frontend, backend, false);
		if (!err && fds[1].revents)
			err = pass(backend, frontend, true);
	}
	close(frontend);
	close(backend);
}

/* Between the proxy and the device, of which it hides that it has slots. */
static pid_t relay_start(FIXTURE_DATA(blk) *self)
{
	pid_t pid;
	int sock;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		sock = accept(self->proxy.listener, NULL, NULL);
		if (sock < 0)
			_exit(1);
		relay(sock, unix_socket(self->device, false));
	}
}

/* ---- Requests ---- */

/* In front of a slot's data. */
struct header {
	struct virtio_blk_outhdr out;
	uint8_t status;
};

static struct header *header_of(const struct io *io)
{
	return (struct header *)io->mem;
}

/* A read or a write. */
static void ask(struct io_device *dev, struct io *io)
{
	struct header *header = header_of(io);

	header->out = (struct virtio_blk_outhdr){
		.type = io->write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = io->offset / 512,
	};
	header->status = 0xff;
	io_add(io, (struct part){ &header->out, sizeof(header->out) }, false);
	io_add_data(io);
	io_add(io, (struct part){ &header->status, 1 }, true);
}

static int answer(const struct io *io)
{
	return header_of(io)->status == VIRTIO_BLK_S_OK ? 0 : -EIO;
}

/* ---- A session ---- */

static int daemon_start(FIXTURE_DATA(blk) *self)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "exec qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=%s,"
		 "cache.direct=on,aio=native --export type=vhost-user-blk,id=e,node-name=disk,writable=on,"
		 "addr.type=unix,addr.path=%s", self->disk, self->device);
	unlink(self->device);
	self->daemon = program_start(NULL, self->proxy.log, command);
	return program_listens(self->daemon, self->device);
}

/* All zeroes, as is what is expected of it. */
static int make_disk(FIXTURE_DATA(blk) *self)
{
	int fd = open(self->disk, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err;

	memset(self->dev.file.expected, 0, DISK_SIZE);
	err = fd < 0 || fallocate(fd, 0, 0, DISK_SIZE) ? -errno : 0;
	close(fd);
	return err;
}

/* The slots are spread over the memory: a third of them below the hole. */
static int session_begin(FIXTURE_DATA(blk) *self)
{
	unsigned int slot;
	int err;

	err = make_disk(self) ?:
	      daemon_start(self) ?:
	      qtest_start(&self->qtest, qtest_qemu(), MEMORY_MIB, "vhost-user-blk-pci,num-queues=1",
			  self->proxy.frontend) ?:
	      guest_of_qemu(&self->dev.guest, &self->qtest, MEMORY_MIB * MiB) ?:
	      rings_start(-1, &self->dev.guest, &self->ring, 1);
	for (slot = 0; slot < RING_SLOTS && !err; slot++)
		self->dev.io[slot].mem = self->dev.guest.mem + (2 * slot + 1) * self->dev.guest.size / (2 * RING_SLOTS);
	return err;
}

static void session_end(FIXTURE_DATA(blk) *self)
{
	guest_close(&self->dev.guest);
	qtest_stop(&self->qtest);
	program_stop(&self->daemon);
}

FIXTURE_SETUP(blk)
{
	char missing[128];
	const char *ext4 = source_dir(SOURCE_EXT4, missing, sizeof(missing));

	if (!ext4)
		SKIP(return, "missing: %s", missing);
	if (system("command -v qemu-storage-daemon >/dev/null"))
		SKIP(return, "missing: qemu-utils");
	if (!qtest_qemu())
		SKIP(return, QTEST_MISSING);
	ASSERT_LE(0, klog_start(&self->klog));
	ASSERT_EQ(0, proxy_start(&self->proxy, "--verbose"));
	snprintf(self->device, sizeof(self->device), "%s%s", self->proxy.backend,
		 variant->relay ? ".device" : "");
	if (variant->relay)
		self->relay = relay_start(self);
	close(self->proxy.listener);
	snprintf(self->disk, sizeof(self->disk), "%s/disk", ext4);
	self->dev.ring = &self->ring;
	self->dev.ask = ask;
	self->dev.answer = answer;
	ASSERT_EQ(0, io_file_init(&self->dev.file, DISK_SIZE, 512));
	ASSERT_EQ(0, session_begin(self)) TH_LOG("%s", proxy_log(&self->proxy));
}

FIXTURE_TEARDOWN(blk)
{
	if (!self->dev.file.expected)
		return;
	session_end(self);
	if (self->relay > 0) {
		kill(self->relay, SIGKILL);
		waitpid(self->relay, NULL, 0);
	}
	proxy_stop(&self->proxy, SIGTERM);
	free(self->dev.file.expected);
	unlink(self->disk);
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F_TIMEOUT(blk, reads_and_writes, 500)
{
	uint64_t moved;
	long ret;

	if (!self->dev.file.expected)
		return;
	ret = io_rounds(&self->dev, (uint64_t)scaled(16) * MiB, &moved);
	ASSERT_LE(0, ret) TH_LOG("after %ju bytes: %ld; %s", (uintmax_t)moved, ret, proxy_log(&self->proxy));
	EXPECT_TRUE(program_has(self->daemon, "memory-view:"));
	EXPECT_FALSE(program_has(self->daemon, "memfd:memory"));
	EXPECT_TRUE(proxy_announces_by(&self->proxy, variant->message));
	/* And without anybody in between. */
	EXPECT_TRUE(io_file_is(&self->dev.file, self->disk));
	printf("# %s: %ju MiB read and written\n", variant->message, (uintmax_t)(moved / MiB));
}

/* Taken away: the device does nothing to the guest any more, and QEMU lives on. */
TEST_F_TIMEOUT(blk, revoked, 300)
{
	char out[256], *before;
	unsigned int slot;
	int round;

	if (!self->dev.file.expected)
		return;
	before = malloc(RING_SLOTS * IO_SLOT_SIZE);
	ASSERT_NE(NULL, before);
	for (round = 0; round < 2; round++) {
		ASSERT_LE(0, io_round(&self->dev));
		ASSERT_EQ(0, proxy_control(&self->proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
		for (slot = 0; slot < RING_SLOTS; slot++) {
			io_post_any(&self->dev, slot);
			memcpy(before + slot * IO_SLOT_SIZE, self->dev.io[slot].mem, IO_SLOT_SIZE);
		}
		EXPECT_EQ(0, ring_kick(&self->dev.guest, &self->ring));
		sleep_ms(300);
		for (slot = 0; slot < RING_SLOTS; slot++)
			EXPECT_EQ(0, memcmp(before + slot * IO_SLOT_SIZE, self->dev.io[slot].mem, IO_SLOT_SIZE));
		EXPECT_EQ(0, waitpid(self->qtest.pid, NULL, WNOHANG));
		session_end(self);
		/* It would hold for the next session of the same frontend. */
		ASSERT_EQ(0, proxy_control(&self->proxy, "restore all", out, sizeof(out))) TH_LOG("%s", out);
		ASSERT_EQ(0, session_begin(self)) TH_LOG("%s", proxy_log(&self->proxy));
	}
	free(before);
}

TEST_HARNESS_MAIN
