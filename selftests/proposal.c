// SPDX-License-Identifier: GPL-2.0
/*
 * proposal.c - the published proposal compiles and runs as it is
 *
 * The statements between the VERBATIM marks are those of the proposal, letter
 * for letter: the names, the fields and the call sequence are a promise.
 */
#include "memview_test.h"
#include "header.h"

/* The proposal: the part of process A, up to the passing of the view fd. */
static int control_of_proposal = -1;

static int controller(int memfd)
{
	/* VERBATIM */
	int fd = open("/dev/memory-view", O_RDWR);          /* a new, empty view */
	ftruncate(fd, 16 * GiB);                            /* virtual size; costs nothing */
	struct memview_map_fd_info info = {
		.fd = memfd, .fd_offset = 8 * GiB, .size = 2 * GiB, .mem_offset = 8 * GiB,
		.flags = MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE,
	};
	ioctl(fd, MEMVIEW_MAP_FD, &info);                   /* memfd, tmpfs or page cache of a regular file */
	int viewfd = ioctl(fd, MEMVIEW_GET_VIEWFD);         /* no third argument */
	/* END VERBATIM */

	control_of_proposal = fd;
	return viewfd;
}

static void controller_later(int fd)
{
	/* VERBATIM */
	ioctl(fd, MEMVIEW_UNMAP_FD, &(struct memview_unmap_fd_info){ .mem_offset = 8 * GiB, .size = 2 * GiB });
	/* END VERBATIM */
}

/* The proposal: the part of process B. It keeps its mapping between calls. */
static char *client_mem;

static long client_map(void *arg)
{
	int viewfd = client_viewfd;

	client_mem =
	/* VERBATIM */
	mmap(NULL, 16 * GiB, PROT_READ | PROT_WRITE, MAP_SHARED, viewfd, 0);
	/* END VERBATIM */

	return client_mem == MAP_FAILED ? -errno : 0;
}

struct access {
	uint64_t offset;
	uint64_t value;
};

static long client_read(void *arg)
{
	struct access *access = arg;

	return probe_read(client_mem + access->offset, &access->value);
}

static long client_write(void *arg)
{
	struct access *access = arg;

	return probe_write(client_mem + access->offset, access->value);
}

FIXTURE(proposal)
{
	struct klog klog;
	struct client client;
	int memfd;
};

FIXTURE_SETUP(proposal)
{
	int viewfd;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_create("guest", MFD_CLOEXEC);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, ftruncate(self->memfd, 16 * GiB));
	viewfd = controller(self->memfd);
	ASSERT_LE(0, viewfd);
	ASSERT_EQ(0, client_start(&self->client, viewfd));
	close(viewfd);
	ASSERT_EQ(0, client_call(&self->client, client_map, NULL, 0));
}

FIXTURE_TEARDOWN(proposal)
{
	EXPECT_EQ(0, client_stop(&self->client));
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Both processes see the same memory, and only the range that was lent. */
TEST_F(proposal, lends_memory)
{
	struct access access = { .offset = 8 * GiB };
	uint64_t value;

	ASSERT_EQ(0, fd_write_u64(self->memfd, 8 * GiB, 0x1111));
	ASSERT_EQ(0, client_call(&self->client, client_read, &access, sizeof(access)));
	EXPECT_EQ(0x1111, access.value);

	access = (struct access){ .offset = 10 * GiB - 8, .value = 0x2222 };
	ASSERT_EQ(0, client_call(&self->client, client_write, &access, sizeof(access)));
	ASSERT_EQ(0, fd_read_u64(self->memfd, 10 * GiB - 8, &value));
	EXPECT_EQ(0x2222, value);

	access.offset = 8 * GiB - 8;
	EXPECT_EQ(SIGBUS, client_call(&self->client, client_read, &access, sizeof(access)));
	access.offset = 10 * GiB;
	EXPECT_EQ(SIGBUS, client_call(&self->client, client_write, &access, sizeof(access)));
}

/* P1: the memory that was taken back is out of the client's reach. */
TEST_F(proposal, takes_it_back)
{
	struct access access = { .offset = 8 * GiB, .value = 1 };
	uint64_t value;

	ASSERT_EQ(0, client_call(&self->client, client_write, &access, sizeof(access)));
	controller_later(control_of_proposal);
	access.value = 2;
	EXPECT_EQ(SIGBUS, client_call(&self->client, client_read, &access, sizeof(access)));
	EXPECT_EQ(SIGBUS, client_call(&self->client, client_write, &access, sizeof(access)));
	ASSERT_EQ(0, fd_read_u64(self->memfd, 8 * GiB, &value));
	EXPECT_EQ(1, value);
}

/* The virtual size costs nothing, and fstat() tells it on both kinds of fd. */
TEST_F(proposal, size_is_virtual)
{
	struct stat st;
	int viewfd = view_get_fd(control_of_proposal);

	ASSERT_EQ(0, fstat(control_of_proposal, &st));
	EXPECT_EQ(16 * GiB, st.st_size);
	EXPECT_EQ(0, st.st_blocks);
	ASSERT_LE(0, viewfd);
	ASSERT_EQ(0, fstat(viewfd, &st));
	EXPECT_EQ(16 * GiB, st.st_size);
	EXPECT_TRUE(S_ISREG(st.st_mode));
}

/* The numbers are part of the ABI: they can never change. */
static const struct header_numbers expected = {
	.ioctls = { 0x4020bb00, 0x4018bb01, 0xbb02, 0xc018bb03 },
	.sizes = { 32, 24, 40, 24 },
	.map_offsets = { 0, 4, 8, 16, 24 },
	.unmap_offsets = { 0, 8, 16, 20 },
	.batch_op_offsets = { 0, 4, 8, 12, 16, 24, 32 },
	.batch_offsets = { 0, 8, 12, 16, 20 },
	.flags = { 1, 2, 4 },
	.batch_ops = { 1, 2, 4096 },
	.max_file_offset = { 1 << 14, 0 },
};

static bool same_numbers(const struct header_numbers *numbers)
{
	struct header_numbers copy = *numbers;

	copy.language = 0;
	return !memcmp(&copy, &expected, sizeof(copy));
}

TEST(header_in_c90)
{
	EXPECT_EQ(199000, header_c90.language);
	EXPECT_TRUE(same_numbers(&header_c90));
}

TEST(header_in_c11)
{
	EXPECT_EQ(201112, header_c11.language);
	EXPECT_TRUE(same_numbers(&header_c11));
}

TEST(header_in_cxx17)
{
	EXPECT_EQ(201703, header_cxx17.language);
	EXPECT_TRUE(same_numbers(&header_cxx17));
}

TEST_HARNESS_MAIN
