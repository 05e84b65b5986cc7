// SPDX-License-Identifier: GPL-2.0
/*
 * abi.c - structures of the ABI can grow, and a 32-bit caller is understood
 *
 * The kernel takes the size of the caller's structure from the ioctl number.
 * A sweep over sizes plays callers of older and of newer headers.
 */
#include "memview_test.h"

#define PAGES	16
#define FILE_ID	1

#define SIZED_IOCTL(nr, size) _IOC(_IOC_WRITE, MEMVIEW_IOC_MAGIC, nr, size)
#define NR_MAP		_IOC_NR(MEMVIEW_MAP_FD)
#define NR_UNMAP	_IOC_NR(MEMVIEW_UNMAP_FD)
#define MAP_SIZE	sizeof(struct memview_map_fd_info)
#define UNMAP_SIZE	sizeof(struct memview_unmap_fd_info)
#define BATCH_SIZE	sizeof(struct memview_batch)
#define NR_SET_FLAGS	_IOC_NR(MEMVIEW_SET_FLAGS)
#define FLAGS_SIZE	sizeof(struct memview_set_flags)

FIXTURE(abi)
{
	struct klog klog;
	struct model model;
	int control;
	int memfd;
	char *mem;
};

FIXTURE_SETUP(abi)
{
	int viewfd;

	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->memfd = memfd_filled(PAGES * PAGE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(PAGES * PAGE);
	ASSERT_LE(0, self->control);
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	self->mem = view_mmap(viewfd, PAGES * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	close(viewfd);
}

FIXTURE_TEARDOWN(abi)
{
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* A structure as some other version of the header has it. */
union sized {
	struct memview_map_fd_info map;
	struct memview_unmap_fd_info unmap;
	unsigned char bytes[2 * MAP_SIZE];
};

static int sized_ioctl(int control, unsigned int nr, size_t size, union sized *arg)
{
	return ioctl(control, SIZED_IOCTL(nr, size), arg) ? -errno : 0;
}

static void fill_map(FIXTURE_DATA(abi) *self, union sized *arg)
{
	*arg = (union sized){ .bytes = { 0 } };
	arg->map = (struct memview_map_fd_info){
		.fd = self->memfd,
		.flags = MAP_R,
		.fd_offset = 3 * PAGE,
		.size = 2 * PAGE,
		.mem_offset = PAGE,
	};
}

static void fill_unmap(union sized *arg)
{
	*arg = (union sized){ .bytes = { 0 } };
	arg->unmap = (struct memview_unmap_fd_info){
		.mem_offset = PAGE,
		.size = 2 * PAGE,
	};
}

TEST_F(abi, map_of_every_size)
{
	union sized arg;
	size_t size;

	for (size = 0; size <= 2 * MAP_SIZE; size++) {
		fill_map(self, &arg);
		if (size < MAP_SIZE) {
			EXPECT_EQ(-EINVAL, sized_ioctl(self->control, NR_MAP, size, &arg))
				TH_LOG("size %zu", size);
			continue;
		}
		EXPECT_EQ(0, sized_ioctl(self->control, NR_MAP, size, &arg))
			TH_LOG("size %zu", size);
		model_map(&self->model, 1, 2, FILE_ID, 3, MAP_R);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
		EXPECT_EQ(0, view_unmap(self->control, 0, PAGES * PAGE));
		model_unmap(&self->model, 0, PAGES);
	}
}

TEST_F(abi, unmap_of_every_size)
{
	union sized arg;
	size_t size;

	for (size = 0; size <= 2 * UNMAP_SIZE; size++) {
		ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 4 * PAGE, 0, MAP_RW));
		model_map(&self->model, 0, 4, FILE_ID, 0, MAP_RW);
		fill_unmap(&arg);
		if (size < UNMAP_SIZE) {
			EXPECT_EQ(-EINVAL, sized_ioctl(self->control, NR_UNMAP, size, &arg))
				TH_LOG("size %zu", size);
		} else {
			EXPECT_EQ(0, sized_ioctl(self->control, NR_UNMAP, size, &arg))
				TH_LOG("size %zu", size);
			model_unmap(&self->model, 1, 2);
		}
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
	}
}

/* Each single byte that the kernel does not know must be zero. */
TEST_F(abi, unknown_fields_are_refused)
{
	union sized arg;
	size_t at;

	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 4 * PAGE, 0, MAP_RW));
	model_map(&self->model, 0, 4, FILE_ID, 0, MAP_RW);
	for (at = MAP_SIZE; at < 2 * MAP_SIZE; at++) {
		fill_map(self, &arg);
		arg.bytes[at] = 0x80;
		EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_MAP, at + 1, &arg));
		EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_MAP, 2 * MAP_SIZE, &arg));
	}
	for (at = UNMAP_SIZE; at < 2 * UNMAP_SIZE; at++) {
		fill_unmap(&arg);
		arg.bytes[at] = 1;
		EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_UNMAP, at + 1, &arg));
		EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_UNMAP, 2 * UNMAP_SIZE, &arg));
	}
}

static int sized_batch(int control, size_t size, void *arg)
{
	return ioctl(control, _IOC(_IOC_READ | _IOC_WRITE, MEMVIEW_IOC_MAGIC,
				   _IOC_NR(MEMVIEW_BATCH), size), arg) ? -errno : 0;
}

/* Callers with an older and a newer struct memview_batch. */
TEST_F(abi, batch_of_every_size)
{
	const struct memview_batch_op op = batch_map(self->memfd, 3 * PAGE, 2 * PAGE, PAGE, MAP_R);
	unsigned char bytes[2 * BATCH_SIZE] = { 0 };
	struct memview_batch batch;
	size_t size, at;

	for (size = 0; size <= 2 * BATCH_SIZE; size++) {
		for (at = BATCH_SIZE; at <= size; at++) {
			memset(bytes, 0, sizeof(bytes));
			batch = (struct memview_batch){
				.ops = (uintptr_t)&op,
				.nr_ops = 1,
				.op_size = sizeof(op),
				.failed = 7,
			};
			memcpy(bytes, &batch, sizeof(batch));
			if (at < size) {
				bytes[at] = 1;
				EXPECT_EQ(-E2BIG, sized_batch(self->control, size, bytes));
				continue;
			}
			EXPECT_EQ(0, sized_batch(self->control, size, bytes)) TH_LOG("%zu", size);
			memcpy(&batch, bytes, sizeof(batch));
			EXPECT_EQ(1, batch.failed);
		}
		if (size < BATCH_SIZE) {
			EXPECT_EQ(-EINVAL, sized_batch(self->control, size, bytes))
				TH_LOG("size %zu", size);
		}
	}
	model_map(&self->model, 1, 2, FILE_ID, 3, MAP_R);
}

TEST_F(abi, set_flags_of_every_size)
{
	union sized arg = { .bytes = { MEMVIEW_REVOKE_ON_CLOSE } };
	struct view_info info;
	size_t size;

	for (size = 0; size <= 2 * FLAGS_SIZE; size++) {
		ASSERT_EQ(0, view_set_flags(self->control, 0));
		EXPECT_EQ(size < FLAGS_SIZE ? -EINVAL : 0,
			  sized_ioctl(self->control, NR_SET_FLAGS, size, &arg)) TH_LOG("%zu", size);
		ASSERT_EQ(0, view_info(self->control, &info));
		EXPECT_EQ(size < FLAGS_SIZE ? 0 : MEMVIEW_REVOKE_ON_CLOSE, info.flags);
	}
	for (size = FLAGS_SIZE; size < 2 * FLAGS_SIZE; size++) {
		arg = (union sized){ .bytes = { [0] = 0, [FLAGS_SIZE] = 0 } };
		arg.bytes[size] = 1;
		EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_SET_FLAGS, size + 1, &arg));
	}
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(MEMVIEW_REVOKE_ON_CLOSE, info.flags);
}

/* The largest size that an ioctl number can tell: more than a page. */
TEST_F(abi, largest_size)
{
	unsigned char *big = calloc(1, 1 << _IOC_SIZEBITS);
	size_t size = (1 << _IOC_SIZEBITS) - 1;
	union sized arg;

	ASSERT_NE(NULL, big);
	fill_map(self, &arg);
	memcpy(big, &arg, sizeof(arg));
	EXPECT_EQ(0, sized_ioctl(self->control, NR_MAP, size, (union sized *)big));
	model_map(&self->model, 1, 2, FILE_ID, 3, MAP_R);
	big[size - 1] = 1;
	EXPECT_EQ(-E2BIG, sized_ioctl(self->control, NR_MAP, size, (union sized *)big));
	free(big);
}

/* The kernel reads no byte more than the size, and faults if there are fewer. */
TEST_F(abi, structure_at_the_end_of_memory)
{
	char *two = mmap(NULL, 2 * PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union sized arg;
	char *end;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + PAGE, PAGE));
	end = two + PAGE;

	fill_map(self, &arg);
	memcpy(end - MAP_SIZE, &arg, MAP_SIZE);
	EXPECT_EQ(0, sized_ioctl(self->control, NR_MAP, MAP_SIZE, (void *)(end - MAP_SIZE)));
	model_map(&self->model, 1, 2, FILE_ID, 3, MAP_R);
	EXPECT_EQ(-EFAULT, sized_ioctl(self->control, NR_MAP, MAP_SIZE + 1,
				       (void *)(end - MAP_SIZE)));
	memcpy(end - MAP_SIZE + 8, &arg, MAP_SIZE - 8);
	EXPECT_EQ(-EFAULT, sized_ioctl(self->control, NR_MAP, MAP_SIZE,
				       (void *)(end - MAP_SIZE + 8)));
	EXPECT_EQ(-EFAULT, sized_ioctl(self->control, NR_MAP, MAP_SIZE, NULL));
	EXPECT_EQ(-EFAULT, sized_ioctl(self->control, NR_UNMAP, UNMAP_SIZE, (void *)-1L));
}

/* Numbers that are none of ours: another direction, magic or number. */
TEST_F(abi, other_numbers)
{
	union sized arg;
	unsigned int nr;

	fill_map(self, &arg);
	for (nr = 5; nr < 256; nr++) {
		EXPECT_EQ(-1, ioctl(self->control, _IOW(MEMVIEW_IOC_MAGIC, nr, union sized), &arg));
		EXPECT_EQ(ENOTTY, errno) TH_LOG("number %u", nr);
		EXPECT_EQ(-1, ioctl(self->control, _IO(MEMVIEW_IOC_MAGIC, nr), &arg));
		EXPECT_EQ(ENOTTY, errno) TH_LOG("number %u", nr);
	}
	for (nr = 0; nr < 5; nr++) {
		EXPECT_EQ(-1, ioctl(self->control,
				    _IOW(MEMVIEW_IOC_MAGIC ^ 1, nr, struct memview_map_fd_info),
				    &arg));
		EXPECT_EQ(ENOTTY, errno) TH_LOG("number %u", nr);
		EXPECT_EQ(-1, ioctl(self->control,
				    _IOR(MEMVIEW_IOC_MAGIC, nr, struct memview_map_fd_info), &arg));
		EXPECT_EQ(ENOTTY, errno) TH_LOG("number %u", nr);
	}
}

/* A new view fd is close-on-exec, and each call makes another one. */
TEST_F(abi, get_viewfd)
{
	struct view_info one, two, control;
	int a = view_get_fd(self->control), b = view_get_fd(self->control);

	ASSERT_LE(0, a);
	ASSERT_LE(0, b);
	EXPECT_NE(a, b);
	EXPECT_EQ(FD_CLOEXEC, fcntl(a, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(a, F_GETFL) & O_ACCMODE);
	ASSERT_EQ(0, view_info(self->control, &control));
	ASSERT_EQ(0, view_info(a, &one));
	ASSERT_EQ(0, view_info(b, &two));
	EXPECT_EQ(control.id, one.id);
	EXPECT_EQ(control.id, two.id);
	close(a);
	close(b);
}

/* The system call as a 32-bit program makes it: arguments of 32 bits. */
static long syscall32(long nr, uint32_t a, uint32_t b, uint32_t c)
{
	long ret;

	__asm__ __volatile__("int $0x80"
			     : "=a"(ret)
			     : "a"(nr), "b"(a), "c"(b), "d"(c)
			     : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

#define SYSCALL32_GETPID	20
#define SYSCALL32_IOCTL		54
#define SYSCALL32_FTRUNCATE64	194

static long try_syscall32(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	return syscall32(SYSCALL32_GETPID, 0, 0, 0) == getpid() ? 0 : -ENOSYS;
}

static void batch_of_32_bits(struct __test_metadata *_metadata, FIXTURE_DATA(abi) *self)
{
	struct {
		struct memview_batch batch;
		struct memview_batch_op ops[2];
	} *arg = mmap(NULL, PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	ASSERT_NE(MAP_FAILED, arg);
	arg->ops[0] = batch_map(self->memfd, 0, 3 * PAGE, 5 * PAGE, MAP_R);
	arg->ops[1] = batch_unmap(6 * PAGE, PAGE);
	arg->batch.ops = (uintptr_t)arg->ops;
	arg->batch.nr_ops = 2;
	arg->batch.op_size = sizeof(arg->ops[0]);
	EXPECT_EQ(0, syscall32(SYSCALL32_IOCTL, self->control, MEMVIEW_BATCH, (uintptr_t)arg));
	EXPECT_EQ(2, arg->batch.failed);
	model_map(&self->model, 5, 3, FILE_ID, 0, MAP_R);
	model_unmap(&self->model, 6, 1);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

TEST_F(abi, caller_of_32_bits)
{
	struct client client;
	struct view_info info;
	union sized *arg;
	int viewfd;
	long has32;

	ASSERT_EQ(0, client_start(&client, -1));
	has32 = client_call(&client, try_syscall32, NULL, 0);
	client_stop(&client);
	if (has32)
		SKIP(return, "missing: 32-bit system calls (CONFIG_IA32_EMULATION)");

	arg = mmap(NULL, PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	fill_map(self, arg);
	EXPECT_EQ(0, syscall32(SYSCALL32_IOCTL, self->control, MEMVIEW_MAP_FD, (uintptr_t)arg));
	model_map(&self->model, 1, 2, FILE_ID, 3, MAP_R);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);

	viewfd = syscall32(SYSCALL32_IOCTL, self->control, MEMVIEW_GET_VIEWFD, 0);
	EXPECT_LE(0, viewfd);
	EXPECT_EQ(0, view_info(viewfd, &info));
	EXPECT_EQ(-ENOTTY, syscall32(SYSCALL32_IOCTL, viewfd, MEMVIEW_MAP_FD, (uintptr_t)arg));
	close(viewfd);

	batch_of_32_bits(_metadata, self);
	fill_unmap(arg);
	EXPECT_EQ(0, syscall32(SYSCALL32_IOCTL, self->control, MEMVIEW_UNMAP_FD, (uintptr_t)arg));
	model_unmap(&self->model, 1, 2);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);

	/* A size of more than 32 bits arrives whole, and is undone again. */
	EXPECT_EQ(0, syscall32(SYSCALL32_FTRUNCATE64, self->control, PAGES * PAGE, 1));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(4 * GiB + PAGES * PAGE, info.size);
}

TEST_HARNESS_MAIN
