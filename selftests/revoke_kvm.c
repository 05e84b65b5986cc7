// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_kvm.c - P1 for a virtual machine whose memory slot is a view: what is
 * revoked is out of the guest's reach, too
 *
 * The guest is one loop that reads and writes the first page of the view. An
 * access that its host may not make ends KVM_RUN with EFAULT.
 */
#include "kvm_guest.h"
#include "revoke.h"

#define VIEW_PAGES	16
#define VIEW_SIZE	(VIEW_PAGES * PAGE)

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

FIXTURE(revoke_kvm)
{
	struct guest guest;
	int memfd[2], control, viewfd;
	struct face *own[2];
	char *mem;
	struct klog klog;
};

FIXTURE_SETUP(revoke_kvm)
{
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	if (guest_probe(&self->guest))
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
	ASSERT_EQ(0, guest_start(&self->guest, guest_code, sizeof(guest_code),
				 self->mem, VIEW_SIZE));
}

FIXTURE_TEARDOWN(revoke_kvm)
{
	guest_stop(&self->guest);
	close(self->viewfd);
	close(self->control);
	EXPECT_KLOG_CLEAN(&self->klog);
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
		ASSERT_TRUE(guest_runs(&self->guest)) TH_LOG("KVM_RUN: %d", self->guest.err);

		ASSERT_EQ(0, apply(self, change));
		marker = MARKER | round;
		self->own[0]->slot = marker;
		if (change != NARROW)
			set_word(self, 0, GUEST_SECRET);
		if (change == REPLACE) {
			ASSERT_TRUE(guest_runs(&self->guest));
			usleep(1000);
		} else {
			ASSERT_TRUE(guest_faults(&self->guest, ++faults))
				TH_LOG("the guest goes on: change %d", change);
		}
		ASSERT_EQ(marker, self->own[0]->slot)
			TH_LOG("P1: a guest's write landed after its revoke");
		ASSERT_EQ(0, self->guest.report->seen & GUEST_SECRET)
			TH_LOG("P1: the guest has read a secret");
	}
	EXPECT_EQ(GUEST_PUBLIC, self->guest.report->seen);
	EXPECT_EQ(GUEST_WRITES, (uint32_t)self->own[1]->slot);
	EXPECT_EQ(faults, self->guest.faults);
	EXPECT_EQ(0, self->guest.err);
}

TEST_HARNESS_MAIN
