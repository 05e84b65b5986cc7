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
#include "vhost_ring.h"

#include <linux/fuse.h>

#define FILE_SIZE	(32 * MiB)
#define IO_MAX		(128 << 10)
#define SLOT_SIZE	(1 * MiB)
#define FILL		0xa5 /* where nothing is to be written */

/* What is being asked in a slot. */
struct request {
	char *mem; /* SLOT_SIZE bytes of the guest's */
	struct part parts[SLOT_PARTS];
	unsigned int nr_out, nr_in;
	struct part data[6];
	unsigned int nr_data;
	uint32_t offset, size; /* of the file */
	bool write;
};

FIXTURE(fs)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct guest guest;
	struct ring ring[2]; /* of urgent requests, which are none here, and of all others */
	struct request request[RING_SLOTS];
	char shared[32];
	pid_t daemon;
	int sock;
	uint64_t random, unique, node, handle;
	unsigned char *expected; /* what the file has */
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
static void *begin(FIXTURE_DATA(fs) *self, struct request *request, uint32_t opcode, uint64_t node,
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

static void add_part(struct request *request, struct part part, bool in)
{
	request->parts[request->nr_out + request->nr_in] = part;
	request->nr_out += !in;
	request->nr_in += in;
}

static void *add_answer(struct request *request, uint32_t arg_size)
{
	struct fuse_out_header *out = (void *)(request->mem + PAGE);

	memset(out, 0, sizeof(*out));
	add_part(request, (struct part){ out, sizeof(*out) + arg_size }, true);
	return out + 1;
}

/* The errno of the answer, or -EPROTO. */
static int answer(struct request *request)
{
	struct fuse_in_header *in = (void *)request->mem;
	struct fuse_out_header *out = (void *)(request->mem + PAGE);

	return out->unique == in->unique ? out->error : -EPROTO;
}

static void post(FIXTURE_DATA(fs) *self, unsigned int slot)
{
	struct request *request = &self->request[slot];

	ring_post(&self->guest, &self->ring[1], slot, request->parts, request->nr_out, request->nr_in);
}

static int run(FIXTURE_DATA(fs) *self)
{
	post(self, 0);
	return ring_kick(&self->ring[1]) ?: ring_wait(&self->ring[1], 1) ?: answer(&self->request[0]);
}

static int fuse_init(FIXTURE_DATA(fs) *self)
{
	struct request *request = &self->request[0];
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
	struct request *request = &self->request[0];
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

/* Cut the span into pieces, with gaps, somewhere in the slot's memory. */
static void scatter(FIXTURE_DATA(fs) *self, struct request *request)
{
	uint32_t left = request->size, most = ARRAY_SIZE(request->data), size;
	char *at = request->mem + 2 * PAGE;

	request->nr_data = 0;
	while (left) {
		at += 1 + random_next(&self->random) % 9000;
		size = request->nr_data + 1 == most ? left : 1 + random_next(&self->random) % left;
		request->data[request->nr_data++] = (struct part){ at, size };
		at += size;
		left -= size;
	}
}

static void begin_io(FIXTURE_DATA(fs) *self, struct request *request)
{
	unsigned char *from = self->expected + request->offset;
	struct fuse_write_in *write;
	struct fuse_read_in *read;
	unsigned int i;

	memset(request->mem + PAGE, FILL, SLOT_SIZE - PAGE);
	scatter(self, request);
	if (request->write) {
		write = begin(self, request, FUSE_WRITE, self->node, sizeof(*write), request->size);
		write->fh = self->handle;
		write->offset = request->offset;
		write->size = request->size;
	} else {
		read = begin(self, request, FUSE_READ, self->node, sizeof(*read), 0);
		read->fh = self->handle;
		read->offset = request->offset;
		read->size = request->size;
		add_answer(request, 0);
	}
	for (i = 0; i < request->nr_data; i++) {
		add_part(request, request->data[i], !request->write);
		if (request->write)
			memcpy(request->data[i].at, from, request->data[i].size);
		from += request->data[i].size;
	}
	if (request->write)
		add_answer(request, sizeof(struct fuse_write_out));
}

/* Are the bytes of [@at, @end) still as they were? */
static bool untouched(const char *at, const char *end)
{
	for (; at < end; at++)
		if (*(const unsigned char *)at != FILL)
			return false;
	return true;
}

/* The number of bytes that are not as they should be, at least. */
static unsigned int check_io(FIXTURE_DATA(fs) *self, struct request *request)
{
	const unsigned char *want = self->expected + request->offset;
	const char *at = request->mem + 2 * PAGE;
	unsigned int i, bad = 0;

	for (i = 0; i < request->nr_data; i++) {
		const struct part *part = &request->data[i];

		bad += !untouched(at, part->at);
		bad += !!memcmp(part->at, want, part->size);
		want += part->size;
		at = (char *)part->at + part->size;
	}
	return bad + !untouched(at, request->mem + SLOT_SIZE);
}

/* So that no two requests of a round are of the same bytes: each has a slice of the file. */
static void choose_io(FIXTURE_DATA(fs) *self, unsigned int slot)
{
	const uint32_t slice = FILE_SIZE / RING_SLOTS;
	struct request *request = &self->request[slot];
	uint32_t i;

	request->write = random_next(&self->random) % 2;
	request->size = 1 + random_next(&self->random) % IO_MAX;
	request->offset = slot * slice + random_next(&self->random) % (slice - IO_MAX);
	if (request->write)
		for (i = 0; i < request->size; i += 61)
			self->expected[request->offset + i] = random_next(&self->random);
	begin_io(self, request);
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
		moved += self->request[slot].size;
	}
	err = ring_kick(&self->ring[1]) ?: ring_wait(&self->ring[1], RING_SLOTS);
	for (slot = 0; slot < RING_SLOTS && !err; slot++) {
		err = answer(&self->request[slot]);
		bad += !err ? check_io(self, &self->request[slot]) : 0;
	}
	return err ?: bad ? -EILSEQ : moved;
}

/* ---- A session ---- */

/* All zeroes, as is what is expected of it. */
static int make_file(FIXTURE_DATA(fs) *self)
{
	char path[64];
	int fd, err;

	memset(self->expected, 0, FILE_SIZE);
	snprintf(path, sizeof(path), "%s/file", self->shared);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	err = fd < 0 || ftruncate(fd, FILE_SIZE) ? -errno : 0;
	close(fd);
	return err;
}

static int session_begin(FIXTURE_DATA(fs) *self)
{
	int err = make_file(self) ?: daemon_start(self);

	self->sock = err ? err : proxy_connect(&self->proxy);
	if (self->sock < 0)
		return self->sock;
	return rings_start(self->sock, &self->guest, self->ring, 2) ?: fuse_init(self) ?:
	       fuse_create(self);
}

static void session_end(FIXTURE_DATA(fs) *self)
{
	close(self->sock);
	rings_close(self->ring, 2);
	daemon_stop(self);
}

FIXTURE_SETUP(fs)
{
	unsigned int slot;

	if (access("/usr/libexec/virtiofsd", X_OK))
		SKIP(return, "missing: virtiofsd");
	ASSERT_LE(0, klog_start(&self->klog));
	self->random = random_seed();
	snprintf(self->shared, sizeof(self->shared), "/tmp/sharedXXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->shared));
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	close(self->proxy.listener);
	ASSERT_EQ(0, guest_open(&self->guest));
	self->expected = calloc(1, FILE_SIZE);
	ASSERT_NE(NULL, self->expected);
	/* Some slots are below the hole in the addresses, some beyond it. */
	for (slot = 0; slot < RING_SLOTS; slot++)
		self->request[slot].mem = self->guest.mem + GUEST_LOW + ((int)slot - 4) * (int)SLOT_SIZE;
	ASSERT_EQ(0, session_begin(self)) TH_LOG("%s", proxy_log(&self->proxy));
}

FIXTURE_TEARDOWN(fs)
{
	char command[64];

	if (!self->expected)
		return;
	daemon_stop(self);
	proxy_stop(&self->proxy, SIGTERM);
	guest_close(&self->guest);
	free(self->expected);
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
	void *file;
	long ret;
	int fd;

	if (!self->expected)
		return;
	while (moved < all) {
		ret = io_round(self);
		ASSERT_LE(0, ret) TH_LOG("after %ju bytes: %ld; %s", (uintmax_t)moved, ret,
					 proxy_log(&self->proxy));
		moved += ret;
	}
	EXPECT_TRUE(daemon_has(self, "memory-view:"));
	EXPECT_FALSE(daemon_has(self, "memfd:guest"));
	/* And without anybody in between. */
	snprintf(path, sizeof(path), "%s/file", self->shared);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	file = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, file);
	EXPECT_EQ(0, memcmp(file, self->expected, FILE_SIZE));
	munmap(file, FILE_SIZE);
	close(fd);
	printf("# %ju MiB read and written\n", (uintmax_t)(moved / MiB));
}

/* Taken away in the middle: whatever the daemon does then, it changes nothing here. */
TEST_F_TIMEOUT(fs, revoked, 300)
{
	char out[256], *before;
	int round;

	if (!self->expected)
		return;
	before = malloc(GUEST_SIZE);
	ASSERT_NE(NULL, before);
	for (round = 0; round < 3; round++) {
		ASSERT_LE(0, io_round(self));
		ASSERT_EQ(0, proxy_control(&self->proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
		choose_io(self, 0);
		post(self, 0);
		memcpy(before, self->guest.mem, GUEST_SIZE);
		ring_kick(&self->ring[1]);
		sleep_ms(300);
		EXPECT_EQ(0, memcmp(before, self->guest.mem, GUEST_SIZE));
		session_end(self);
		ASSERT_EQ(0, session_begin(self)) TH_LOG("%s", proxy_log(&self->proxy));
	}
	free(before);
}

TEST_HARNESS_MAIN
