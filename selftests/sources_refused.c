// SPDX-License-Identifier: GPL-2.0
/*
 * sources_refused.c - P8: what cannot be mapped page by page is no source
 *
 * EOPNOTSUPP for each, with every flag, and the view stays as it was.
 */
#include "memview_test.h"

#include <dirent.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define PAGES	4
#define SIZE	(PAGES * PAGE)
#define FILE_ID	13

FIXTURE(refused)
{
	struct klog klog;
	struct model model;
	int memfd;
	int control;
	char *mem;
};

FIXTURE_SETUP(refused)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, PAGE, 2 * PAGE, PAGE, MAP_RW));
	model_map(&self->model, 1, 2, FILE_ID, 1, MAP_RW);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The fd is consumed. */
static void expect_refused_as(struct __test_metadata *_metadata, FIXTURE_DATA(refused) *self,
			      int fd, uint32_t flags)
{
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EOPNOTSUPP, view_map(self->control, fd, 0, PAGE, 0, flags));
	EXPECT_EQ(-EOPNOTSUPP, view_map(self->control, fd, 0, PAGE, PAGE, flags));
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	close(fd);
}

#define REFUSED(name, expr)                                                 \
	TEST_F(refused, name)                                               \
	{                                                                   \
		expect_refused_as(_metadata, self, (expr), MAP_R);          \
		expect_refused_as(_metadata, self, (expr), MAP_RW);         \
		expect_refused_as(_metadata, self, (expr), MAP_RX);         \
	}

/* The same for what not every machine has. */
#define REFUSED_IF(name, expr, what)                                        \
	TEST_F(refused, name)                                               \
	{                                                                   \
		int fd_ = (expr);                                           \
									    \
		if (fd_ < 0)                                                \
			SKIP(return, "missing: %s", what);                  \
		expect_refused_as(_metadata, self, fd_, MAP_R);             \
		expect_refused_as(_metadata, self, (expr), MAP_RW);         \
	}

static int open_pipe(int end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	close(fds[!end]);
	return fds[end];
}

REFUSED(pipe_read_end, open_pipe(0))
REFUSED(pipe_write_end, open_pipe(1))
REFUSED(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))
REFUSED(socket_inet, socket(AF_INET, SOCK_STREAM, 0))
REFUSED_IF(socket_packet, socket(AF_PACKET, SOCK_RAW, 0), "AF_PACKET (CONFIG_PACKET)")
REFUSED(directory, open("/tmp", O_RDONLY | O_DIRECTORY))
REFUSED(dev_zero, open("/dev/zero", O_RDWR))
REFUSED(dev_null, open("/dev/null", O_RDWR))
REFUSED_IF(dev_mem, open("/dev/mem", O_RDWR), "/dev/mem")
REFUSED_IF(block_device, open("/dev/vda", O_RDWR), "a disk (scripts/vm --disk)")
REFUSED_IF(tty, open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK), "/dev/ttyS0")
REFUSED(eventfd, eventfd(0, EFD_CLOEXEC))
REFUSED(timerfd, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC))
REFUSED(epoll, epoll_create1(EPOLL_CLOEXEC))
REFUSED(inotify, inotify_init1(IN_CLOEXEC))
REFUSED_IF(fanotify, fanotify_init(FAN_CLOEXEC, O_RDONLY), "fanotify")
REFUSED(pidfd, syscall(SYS_pidfd_open, getpid(), 0))
REFUSED_IF(userfaultfd, syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd")
REFUSED(proc_maps, open("/proc/self/maps", O_RDONLY))
REFUSED(proc_mem, open("/proc/self/mem", O_RDWR))
REFUSED(proc_sys, open("/proc/sys/kernel/hostname", O_RDWR))
REFUSED_IF(proc_kcore, open("/proc/kcore", O_RDONLY), "/proc/kcore")
REFUSED(sysfs, open("/sys/kernel/uevent_seqnum", O_RDONLY))
REFUSED(cgroup, open("/sys/fs/cgroup/cgroup.procs", O_RDWR))
REFUSED_IF(tracefs, open("/sys/kernel/tracing/trace", O_RDWR), "tracefs")
REFUSED_IF(debugfs, open("/sys/kernel/debug/sleep_time", O_RDONLY), "a file in debugfs")

static int open_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

REFUSED(signalfd, open_signalfd())

/* Memory of a device: the very thing that must not be lent by accident. */
static int open_pci_memory(void)
{
	static const char dir[] = "/sys/bus/pci/devices";
	struct dirent *entry;
	DIR *devices = opendir(dir);
	char path[PATH_MAX];
	int fd = -1;

	while (devices && fd < 0 && (entry = readdir(devices))) {
		snprintf(path, sizeof(path), "%s/%s/resource0", dir, entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (devices)
		closedir(devices);
	return fd;
}

REFUSED_IF(pci_memory, open_pci_memory(), "a PCI device with memory in sysfs")

REFUSED_IF(secretmem, syscall(SYS_memfd_secret, O_CLOEXEC),
	   "memfd_secret (boot with secretmem.enable=1)")

static int open_hugetlb(void)
{
	int fd = memfd_create("hugetlb", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd >= 0 && ftruncate(fd, HUGE)) {
		close(fd);
		return -1;
	}
	return fd;
}

REFUSED_IF(hugetlb, open_hugetlb(), "hugetlbfs (CONFIG_HUGETLBFS)")

/* A file whose pages are the device's memory. */
static int open_dax(void)
{
	const char *mnt = getenv("MEMVIEW_TEST_MNT");
	char path[PATH_MAX];
	struct statx stx;
	int fd;

	snprintf(path, sizeof(path), "%s/dax/memview-XXXXXX", mnt ? mnt : "/mnt");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	if (ftruncate(fd, SIZE) || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) ||
	    !(stx.stx_attributes & STATX_ATTR_DAX)) {
		close(fd);
		return -1;
	}
	return fd;
}

REFUSED_IF(dax, open_dax(), "a file system with DAX at /mnt/dax (boot with memmap=64M!1G)")

static int open_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

REFUSED_IF(perf_event, open_perf(), "perf events")

static int open_io_uring(void)
{
	struct io_uring_params params = { 0 };

	return syscall(SYS_io_uring_setup, 4, &params);
}

REFUSED_IF(io_uring, open_io_uring(), "io_uring")

static int open_bpf_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 512,
		.map_flags = BPF_F_MMAPABLE,
	};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

REFUSED_IF(bpf_map, open_bpf_map(), "BPF")

static int open_view(void)
{
	int control = view_create(SIZE), viewfd = view_get_fd(control);

	close(control);
	return viewfd;
}

REFUSED(another_view, open_view())
REFUSED(another_control, view_create(SIZE))
REFUSED(own_view, view_get_fd(self->control))
REFUSED(own_control, dup(self->control))

TEST_HARNESS_MAIN
