// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_kvm.c - P1 for a virtual machine whose memory slot is a view: what is
 * revoked is out of the guest's reach, too
 *
 * The guest is one loop that reads and writes the first page of the view. An
 * access that its host may not make ends KVM_RUN with EFAULT.
 */
#include "revoke.h"

#include <linux/kvm.h>

#define RAM_SIZE	(16 * PAGE)	/* code and report */
#define CODE_AT		0x1000
#define REPORT_AT	0x2000
#define VIEW_AT		0x100000
#define VIEW_PAGES	16
#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define PATIENCE_NS	20000000000ULL

#define GUEST_SECRET	0x5ec20000U	/* no public word has a bit of it */
#define GUEST_PUBLIC	0x00000d00U
#define GUEST_WRITES	1

static const uint8_t guest_code[] = {
	0xa1, 0x00, 0x00, 0x10, 0x00,		  /* 1: mov 0x100000, %eax */
	0x09, 0x05, 0x00, 0x20, 0x00, 0x00,	  /* or %eax, 0x2000 */
	0xff, 0x05, 0x04, 0x20, 0x00, 0x00,	  /* incl 0x2004 */
	0xc7, 0x05, 0x08, 0x00, 0x10, 0x00,	  /* movl $1, 0x100008 */
	GUEST_WRITES, 0x00, 0x00, 0x00,
	0xeb, 0xe3,				  /* jmp 1b */
};

struct report {
	_Atomic uint32_t seen; /* all bits ever read */
	_Atomic uint32_t loops;
};

FIXTURE(revoke_kvm)
{
	int kvm, vm, vcpu;
	struct kvm_run *run;
	long run_size;
	char *ram;
	struct report *report;
	int memfd[2], control, viewfd;
	struct face *own[2];
	char *mem;
	pthread_t thread;
	_Atomic int go, stop; /* run; end */
	_Atomic int faults; /* times KVM_RUN said EFAULT */
	int err; /* what else it said */
	struct klog klog;
};

static int add_slot(int vm, unsigned int slot, uint64_t guest, uint64_t size,
		    void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = guest,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* Flat 32-bit protected mode. */
static int set_registers(int vcpu)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff,
		.selector = 8,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
		.type = 11,
	};
	struct kvm_regs regs = { .rip = CODE_AT, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = flat;
	flat.type = 3;
	flat.selector = 16;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat;
	sregs.cr0 |= 1;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static void on_kick(int sig)
{
	(void)sig;
}

static void *vcpu_thread(void *arg)
{
	FIXTURE_DATA(revoke_kvm) *self = arg;

	while (!atomic_load(&self->stop)) {
		if (!atomic_load(&self->go)) {
			usleep(100);
			continue;
		}
		if (!ioctl(self->vcpu, KVM_RUN, 0)) {
			self->err = self->run->exit_reason;
			break;
		}
		if (errno == EFAULT) {
			atomic_store(&self->go, 0);
			atomic_fetch_add(&self->faults, 1);
		} else if (errno != EINTR && errno != EAGAIN) {
			self->err = -errno;
			break;
		}
	}
	return NULL;
}

static int create_vm(FIXTURE_DATA(revoke_kvm) *self)
{
	self->vm = ioctl(self->kvm, KVM_CREATE_VM, 0);
	if (self->vm < 0)
		return -errno;
	if (add_slot(self->vm, 0, 0, RAM_SIZE, self->ram) ||
	    add_slot(self->vm, 1, VIEW_AT, VIEW_SIZE, self->mem))
		return -EINVAL;
	self->vcpu = ioctl(self->vm, KVM_CREATE_VCPU, 0);
	self->run_size = ioctl(self->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (self->vcpu < 0 || self->run_size < 0)
		return -errno;
	self->run = mmap(NULL, self->run_size, PROT_RW, MAP_SHARED, self->vcpu,
			 0);
	if (self->run == MAP_FAILED)
		return -errno;
	return set_registers(self->vcpu);
}

FIXTURE_SETUP(revoke_kvm)
{
	struct sigaction action = { .sa_handler = on_kick };
	int i;

	self->kvm = self->vm = self->vcpu = -1;
	ASSERT_EQ(0, klog_start(&self->klog));
	if (load_module("kvm_amd"))
		load_module("kvm_intel");
	self->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (self->kvm < 0)
		SKIP(return, "missing: /dev/kvm");
	for (i = 0; i < 2; i++) {
		self->memfd[i] = memfd_filled(VIEW_SIZE, 0);
		ASSERT_LE(0, self->memfd[i]);
		self->own[i] = mmap(NULL, PAGE, PROT_RW, MAP_SHARED,
				    self->memfd[i], 0);
		ASSERT_NE(MAP_FAILED, self->own[i]);
	}
	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, VIEW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->ram = mmap(NULL, RAM_SIZE, PROT_RW,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->ram);
	memcpy(self->ram + CODE_AT, guest_code, sizeof(guest_code));
	self->report = (struct report *)(self->ram + REPORT_AT);
	ASSERT_EQ(0, create_vm(self));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, vcpu_thread, self));
}

FIXTURE_TEARDOWN(revoke_kvm)
{
	/* Until it has gone: a kick that comes too early is lost. */
	if (self->vcpu >= 0) {
		self->stop = 1;
		while (pthread_tryjoin_np(self->thread, NULL)) {
			pthread_kill(self->thread, SIGUSR1);
			usleep(1000);
		}
		close(self->vcpu);
		close(self->vm);
	}
	close(self->kvm);
	close(self->viewfd);
	close(self->control);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Let the guest run and go round its loop a few times. */
static bool guest_runs(FIXTURE_DATA(revoke_kvm) *self)
{
	uint32_t start = atomic_load(&self->report->loops);
	uint64_t end = now_ns() + PATIENCE_NS * slowness();

	atomic_store(&self->go, 1);
	while (atomic_load(&self->report->loops) - start < 10) {
		if (now_ns() > end || self->err)
			return false;
		usleep(100);
	}
	return true;
}

static bool guest_faults(FIXTURE_DATA(revoke_kvm) *self, int faults)
{
	uint64_t end = now_ns() + PATIENCE_NS * slowness();

	while (atomic_load(&self->faults) < faults) {
		if (now_ns() > end || self->err)
			return false;
		usleep(100);
	}
	return true;
}

static int show(FIXTURE_DATA(revoke_kvm) *self, int file, uint32_t flags)
{
	return view_map(self->control, self->memfd[file], 0, VIEW_SIZE, 0, flags);
}

static void set_word(FIXTURE_DATA(revoke_kvm) *self, int file, uint32_t word)
{
	*(volatile uint32_t *)self->own[file] = word;
}

enum change { UNMAP, TRUNCATE, REPLACE, NARROW, CHANGES };

static int apply(FIXTURE_DATA(revoke_kvm) *self, enum change change)
{
	switch (change) {
	case UNMAP:
		return view_unmap(self->control, 0, VIEW_SIZE);
	case TRUNCATE:
		return view_resize(self->control, 0) ?:
		       view_resize(self->control, VIEW_SIZE);
	case REPLACE:
		return show(self, 1, MAP_RW);
	default:
		return show(self, 0, MAP_R);
	}
}

/*
 * Catches: a zap that does not tell the MMU notifiers of the client's mm, or a
 * page that KVM got at by another way than the client's page table.
 */
TEST_F_TIMEOUT(revoke_kvm, guest_loses_the_page, 300)
{
	const int rounds = scaled(60);
	int round, change, faults = 0;
	uint64_t marker;

	for (round = 0; round < rounds; round++) {
		change = round % CHANGES;
		set_word(self, 0, GUEST_PUBLIC);
		set_word(self, 1, GUEST_PUBLIC);
		ASSERT_EQ(0, show(self, 0, MAP_RW));
		ASSERT_TRUE(guest_runs(self)) TH_LOG("KVM_RUN: %d", self->err);

		ASSERT_EQ(0, apply(self, change));
		marker = MARKER | round;
		self->own[0]->slot = marker;
		if (change != NARROW)
			set_word(self, 0, GUEST_SECRET);
		if (change == REPLACE) {
			ASSERT_TRUE(guest_runs(self));
			usleep(1000);
		} else {
			ASSERT_TRUE(guest_faults(self, ++faults))
				TH_LOG("the guest goes on: change %d", change);
		}
		ASSERT_EQ(marker, self->own[0]->slot)
			TH_LOG("P1: a guest's write landed after its revoke");
		ASSERT_EQ(0, self->report->seen & GUEST_SECRET)
			TH_LOG("P1: the guest has read a secret");
	}
	EXPECT_EQ(GUEST_PUBLIC, self->report->seen);
	EXPECT_EQ(GUEST_WRITES, (uint32_t)self->own[1]->slot);
	EXPECT_EQ(faults, self->faults);
	EXPECT_EQ(0, self->err);
}

TEST_HARNESS_MAIN
