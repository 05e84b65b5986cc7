/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kvm_guest.h - a virtual machine by /dev/kvm, with one processor and a memory
 * slot that is a mapping of a view
 *
 * Its code is one loop, without interrupts or paging, in memory of its own. It
 * counts its rounds, and says what it has seen. An access that its host may not
 * make ends KVM_RUN with EFAULT; the guest waits then, at that instruction.
 */
#ifndef KVM_GUEST_H
#define KVM_GUEST_H

#include "memview_test.h"

#include <linux/kvm.h>
#include <stdatomic.h>

#define RAM_SIZE	(16 * PAGE)
#define CODE_AT		0x1000
#define REPORT_AT	0x2000
#define ORDERS_AT	0x3000
#define VIEW_AT		0x100000
#define PATIENCE_NS	20000000000ULL

struct report {
	_Atomic uint32_t seen;
	_Atomic uint32_t loops;
};

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	char *ram;
	struct report *report;
	pthread_t thread;
	bool started;
	_Atomic int go, stop; /* run; end */
	_Atomic int faults; /* times KVM_RUN said EFAULT */
	int err; /* what else it said */
};

static inline int guest_add_slot(int vm, unsigned int slot, uint64_t at, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* Flat 32-bit protected mode. */
static inline int guest_set_registers(int vcpu)
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
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static inline void guest_on_kick(int sig)
{
	(void)sig;
}

static inline void *guest_thread(void *arg)
{
	struct guest *guest = arg;

	while (!atomic_load(&guest->stop)) {
		if (!atomic_load(&guest->go)) {
			usleep(100);
			continue;
		}
		if (!ioctl(guest->vcpu, KVM_RUN, 0)) {
			guest->err = guest->run->exit_reason;
			break;
		}
		if (errno == EFAULT) {
			atomic_store(&guest->go, 0);
			atomic_fetch_add(&guest->faults, 1);
		} else if (errno != EINTR && errno != EAGAIN) {
			guest->err = -errno;
			break;
		}
	}
	return NULL;
}

/* -ENODEV: this machine has no KVM. */
static inline int guest_probe(struct guest *guest)
{
	guest->vm = guest->vcpu = -1;
	if (load_module("kvm_amd"))
		load_module("kvm_intel");
	guest->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return guest->kvm < 0 ? -ENODEV : 0;
}

/* It has @view at VIEW_AT, and runs when guest_runs() says so. */
static inline int guest_start(struct guest *guest, const void *code, size_t code_size, void *view,
			      uint64_t view_size)
{
	struct sigaction action = { .sa_handler = guest_on_kick };
	long run_size;

	guest->ram = mmap(NULL, RAM_SIZE, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	guest->vm = ioctl(guest->kvm, KVM_CREATE_VM, 0);
	if (guest->ram == MAP_FAILED || guest->vm < 0)
		return -errno;
	memcpy(guest->ram + CODE_AT, code, code_size);
	guest->report = (struct report *)(guest->ram + REPORT_AT);
	if (guest_add_slot(guest->vm, 0, 0, RAM_SIZE, guest->ram) ||
	    guest_add_slot(guest->vm, 1, VIEW_AT, view_size, view))
		return -EINVAL;
	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	run_size = ioctl(guest->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (guest->vcpu < 0 || run_size < 0)
		return -errno;
	guest->run = mmap(NULL, run_size, PROT_RW, MAP_SHARED, guest->vcpu, 0);
	if (guest->run == MAP_FAILED || sigaction(SIGUSR1, &action, NULL))
		return -errno;
	if (guest_set_registers(guest->vcpu) ||
	    pthread_create(&guest->thread, NULL, guest_thread, guest))
		return -EIO;
	guest->started = true;
	return 0;
}

static inline void guest_stop(struct guest *guest)
{
	guest->stop = 1;
	/* Until it has gone: a kick that comes too early is lost. */
	while (guest->started && pthread_tryjoin_np(guest->thread, NULL)) {
		pthread_kill(guest->thread, SIGUSR1);
		usleep(1000);
	}
	close(guest->vcpu);
	close(guest->vm);
	close(guest->kvm);
}

/* Let the guest run and go round its loop a few times. */
static inline bool guest_runs(struct guest *guest)
{
	uint32_t start = atomic_load(&guest->report->loops);
	uint64_t end = now_ns() + PATIENCE_NS * slowness();

	atomic_store(&guest->go, 1);
	while (atomic_load(&guest->report->loops) - start < 10) {
		if (now_ns() > end || guest->err)
			return false;
		usleep(100);
	}
	return true;
}

/* Wait until KVM_RUN has said EFAULT so often. */
static inline bool guest_faults(struct guest *guest, int faults)
{
	uint64_t end = now_ns() + PATIENCE_NS * slowness();

	while (atomic_load(&guest->faults) < faults) {
		if (now_ns() > end || guest->err)
			return false;
		usleep(100);
	}
	return true;
}

/* A guest that reads a word where it is told to, and writes one. */
static const uint8_t reader_code[] __attribute__((unused)) = {
	0x8b, 0x1d, 0x00, 0x30, 0x00, 0x00, /* 1: mov 0x3000, %ebx */
	0x8b, 0x03,			    /* mov (%ebx), %eax */
	0xa3, 0x00, 0x20, 0x00, 0x00,	    /* mov %eax, 0x2000 */
	0x8b, 0x1d, 0x04, 0x30, 0x00, 0x00, /* mov 0x3004, %ebx */
	0xa1, 0x08, 0x30, 0x00, 0x00,	    /* mov 0x3008, %eax */
	0x89, 0x03,			    /* mov %eax, (%ebx) */
	0xff, 0x05, 0x04, 0x20, 0x00, 0x00, /* incl 0x2004 */
	0xeb, 0xde,			    /* jmp 1b */
};

/* What it does from its next round on; at ORDERS_AT. */
struct orders {
	_Atomic uint32_t read_at;
	_Atomic uint32_t write_at;
	_Atomic uint32_t value;
};

#define SCRATCH_AT	(ORDERS_AT + 16)

#endif /* KVM_GUEST_H */
