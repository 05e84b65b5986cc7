// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_ring.c - the driver's side of vhost-user: memory of a guest, and split
 * rings in it; vhost_ring.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "vhost_ring.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>

#define RING_SIZE	(RING_SLOTS * SLOT_PARTS)
#define RING_BYTES	(16 * PAGE)
#define RINGS_AT	(16 * MiB) /* beyond the hole in the addresses */

/* As QEMU's machine q35 has it, with more than that. */
#define QEMU_LOW	(2 * GiB)
#define QEMU_HIGH	(4 * GiB)

#define PATIENCE_MS	60000

#define F_VERSION_1		(1ULL << 32)
#define F_PROTOCOL_FEATURES	(1ULL << 30)

static int guest_map(struct guest *guest)
{
	guest->mem = mmap(NULL, guest->size, PROT_RW, MAP_SHARED, guest->memfd, 0);
	return guest->mem == MAP_FAILED ? -errno : 0;
}

int guest_open(struct guest *guest)
{
	*guest = (struct guest){
		.memfd = memfd_create("guest", MFD_CLOEXEC),
		.size = 64 * MiB,
		.low = 16 * MiB,
		.high = 5 * GiB,
	};
	if (guest->memfd < 0 || ftruncate(guest->memfd, guest->size))
		return -errno;
	return guest_map(guest);
}

/* A memfd of another process, by the name that it was given. */
static int open_memfd(pid_t pid, const char *name)
{
	char path[64], link[128];
	struct dirent *entry;
	int fd = -ENOENT;
	ssize_t size;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		size = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		link[size < 0 ? 0 : size] = '\0';
		if (strstr(link, name))
			fd = openat(dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

int guest_of_qemu(struct guest *guest, struct qtest *qtest, uint64_t size)
{
	*guest = (struct guest){
		.memfd = open_memfd(qtest->pid, "memory-backend-memfd"),
		.size = size,
		.low = QEMU_LOW,
		.high = QEMU_HIGH,
		.qtest = qtest,
	};
	return guest->memfd < 0 ? guest->memfd : guest_map(guest);
}

void guest_close(struct guest *guest)
{
	munmap(guest->mem, guest->size);
	close(guest->memfd);
}

static uint64_t guest_address(const struct guest *guest, const void *at)
{
	uint64_t offset = (const char *)at - guest->mem;

	return offset < guest->low ? offset : guest->high + offset - guest->low;
}

/* A question; the answer is in @message. */
static int ask(int sock, uint32_t request, struct vhost_message *message)
{
	int err = vhost_send_empty(sock, request, 0) ?: vhost_receive(sock, message);

	return err ?: message->request == request && message->size == 8 ? 0 : -EPROTO;
}

static int negotiate(int sock)
{
	const uint64_t features = F_VERSION_1 | F_PROTOCOL_FEATURES;
	struct vhost_message message;
	int err = ask(sock, GET_FEATURES, &message);

	if (err)
		return err;
	if (features & ~message.u64)
		return -EOPNOTSUPP;
	return ask(sock, GET_PROTOCOL_FEATURES, &message) ?:
	       vhost_send_u64(sock, SET_PROTOCOL_FEATURES, 0, 0) ?:
	       vhost_send_empty(sock, SET_OWNER, 0) ?:
	       vhost_send_u64(sock, SET_FEATURES, 0, features);
}

static int announce(int sock, const struct guest *guest)
{
	uint64_t user = (uintptr_t)guest->mem;
	struct vhost_message message = {
		.request = SET_MEM_TABLE,
		.flags = FLAG_VERSION,
		.size = 8 + 2 * sizeof(struct vhost_region),
		.table.nr = 2,
		.table.region = {
			{ 0, guest->low, user, 0 },
			{ guest->high, guest->size - guest->low, user + guest->low, guest->low },
		},
		.nr_fds = 2,
		.fds = { guest->memfd, guest->memfd },
	};

	return vhost_send(sock, &message);
}

static int send_state(int sock, uint32_t request, uint32_t index, uint32_t num)
{
	return vhost_send_u64(sock, request, 0, (uint64_t)num << 32 | index);
}

static int send_eventfd(int sock, uint32_t request, uint32_t index, int fd)
{
	struct vhost_message message = {
		.request = request, .flags = FLAG_VERSION, .size = 8, .u64 = index,
		.nr_fds = 1, .fds = { fd },
	};

	return vhost_send(sock, &message);
}

static int send_addresses(int sock, uint32_t index, const struct ring *ring)
{
	struct vhost_message message = {
		.request = SET_VRING_ADDR, .flags = FLAG_VERSION, .size = 40,
	};
	uint64_t words[5] = {
		index, (uintptr_t)ring->desc, (uintptr_t)ring->used, (uintptr_t)ring->avail, 0,
	};

	memcpy(message.payload, words, sizeof(words));
	return vhost_send(sock, &message);
}

static void ring_init(struct guest *guest, struct ring *ring, uint32_t index)
{
	char *at = guest->mem + guest->low + RINGS_AT + index * RING_BYTES;

	memset(at, 0, RING_BYTES);
	*ring = (struct ring){
		.desc = (struct vring_desc *)at,
		.avail = (struct vring_avail *)(at + 4 * PAGE),
		.used = (struct vring_used *)(at + 8 * PAGE),
		.kick = -1,
		.call = -1,
		.index = index,
	};
}

static int ring_start(int sock, struct ring *ring, uint32_t index)
{
	ring->kick = eventfd(0, EFD_CLOEXEC);
	ring->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->kick < 0 || ring->call < 0)
		return -errno;
	return send_state(sock, SET_VRING_NUM, index, RING_SIZE) ?:
	       send_state(sock, SET_VRING_BASE, index, 0) ?:
	       send_addresses(sock, index, ring) ?:
	       send_eventfd(sock, SET_VRING_CALL, index, ring->call) ?:
	       send_eventfd(sock, SET_VRING_KICK, index, ring->kick) ?:
	       send_state(sock, SET_VRING_ENABLE, index, 1);
}

static int rings_start_qemu(struct guest *guest, struct ring *rings, unsigned int nr)
{
	int err = qtest_features_ok(guest->qtest);
	unsigned int i;

	for (i = 0; i < nr && !err; i++) {
		/* Nobody takes its interrupts. */
		rings[i].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		err = qtest_queue(guest->qtest, i, RING_SIZE, guest_address(guest, rings[i].desc),
				  guest_address(guest, rings[i].avail),
				  guest_address(guest, rings[i].used));
	}
	return err ?: qtest_driver_ok(guest->qtest);
}

int rings_start(int sock, struct guest *guest, struct ring *rings, unsigned int nr)
{
	struct vhost_message message;
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++)
		ring_init(guest, &rings[i], i);
	if (guest->qtest)
		return rings_start_qemu(guest, rings, nr);
	err = negotiate(sock) ?: announce(sock, guest);
	for (i = 0; i < nr && !err; i++)
		err = ring_start(sock, &rings[i], i);
	/* A kick before the device has seen all that may be lost: an answer comes after it. */
	return err ?: ask(sock, GET_FEATURES, &message);
}

void rings_close(struct ring *rings, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (rings[i].call < 0)
			continue;
		close(rings[i].kick);
		close(rings[i].call);
	}
}

void ring_post(struct guest *guest, struct ring *ring, unsigned int slot, const struct part *parts,
	       unsigned int nr_out, unsigned int nr_in)
{
	unsigned int head = slot * SLOT_PARTS, nr = nr_out + nr_in, i;
	struct vring_avail *avail = ring->avail;

	for (i = 0; i < nr; i++)
		ring->desc[head + i] = (struct vring_desc){
			.addr = guest_address(guest, parts[i].at),
			.len = parts[i].size,
			.flags = (i >= nr_out ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < nr ? VRING_DESC_F_NEXT : 0),
			.next = head + i + 1,
		};
	avail->ring[avail->idx % RING_SIZE] = head;
	__atomic_store_n(&avail->idx, avail->idx + 1, __ATOMIC_RELEASE);
}

int ring_kick(struct guest *guest, struct ring *ring)
{
	uint64_t one = 1;

	if (guest->qtest)
		return qtest_kick(guest->qtest, ring->index);
	return write(ring->kick, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

/* Until the device calls; or for a moment, where it does not. */
static int wait_call(struct ring *ring)
{
	struct pollfd poll_fd = { ring->call, POLLIN, 0 };
	uint64_t count;

	if (ring->call < 0) {
		usleep(200);
		return 0;
	}
	if (poll(&poll_fd, 1, PATIENCE_MS * slowness()) != 1)
		return -ETIMEDOUT;
	return read(ring->call, &count, sizeof(count)) < 0 && errno != EAGAIN ? -errno : 0;
}

int ring_wait(struct ring *ring, unsigned int nr)
{
	uint64_t limit = now_ns() + PATIENCE_MS * 1000000ULL * slowness();
	int err;

	while ((uint16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - ring->seen) < nr) {
		err = now_ns() > limit ? -ETIMEDOUT : wait_call(ring);
		if (err)
			return err;
	}
	ring->seen += nr;
	return 0;
}
