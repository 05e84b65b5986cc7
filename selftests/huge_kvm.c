// SPDX-License-Identifier: GPL-2.0
/*
 * huge_kvm.c - P1 and P2 where KVM maps a huge page of a view by one entry of
 * its own
 *
 * The slot begins in the middle of a piece of the view, as it does in the
 * guest's memory: what is huge for the one is for the other.
 */
#include "huge.h"
#include "kvm_guest.h"

#define SIZE		(3 * HUGE)
#define SLOT_SIZE	(SIZE - VIEW_AT % HUGE)
#define PAGES		(SIZE / PAGE)
#define PAGE_AT		(HUGE_PAGES + 100)
#define PAGES_2M	"/sys/kernel/debug/kvm/pages_2m"

FIXTURE(huge_kvm)
{
	struct guest guest;
	struct orders *orders;
	struct source src;
	int control, viewfd;
	int faults; /* that there should be */
	struct klog klog;
};

/* The first word of a page of the file: none is zero. */
static uint32_t word(unsigned int page)
{
	return page_tag(0, page + 1);
}

static uint64_t guest_page(unsigned int page)
{
	return VIEW_AT - VIEW_AT % HUGE + page * PAGE;
}

FIXTURE_SETUP(huge_kvm)
{
	unsigned int page;
	char *mem;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->control = self->viewfd = -1;
	if (guest_probe(&self->guest))
		SKIP(return, "missing: /dev/kvm");
	OPEN_HUGE_OR_SKIP(&self->src, HUGE_MEMFD, SIZE, 1);
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(0, fd_write_u64(self->src.fd, page * PAGE, word(page)));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	mem = view_mmap(self->viewfd, SLOT_SIZE, PROT_RW, SIZE - SLOT_SIZE);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, guest_start(&self->guest, reader_code, sizeof(reader_code), mem, SLOT_SIZE));
	self->orders = (struct orders *)(self->guest.ram + ORDERS_AT);
	self->orders->read_at = self->orders->write_at = SCRATCH_AT;
}

FIXTURE_TEARDOWN(huge_kvm)
{
	EXPECT_EQ(self->faults, self->guest.faults);
	EXPECT_EQ(0, self->guest.err);
	guest_stop(&self->guest);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define EXPECT_SEES(page)						\
	do {								\
		self->orders->read_at = guest_page(page);		\
		ASSERT_TRUE(guest_runs(&self->guest)) TH_LOG("KVM_RUN: %d", self->guest.err); \
		EXPECT_EQ(word(page), self->guest.report->seen) TH_LOG("page %u", page); \
	} while (0)

#define EXPECT_STOPS()							\
	ASSERT_TRUE(guest_faults(&self->guest, ++self->faults)) TH_LOG("the guest goes on")

#define EXPECT_HUGE(n)							\
	do {								\
		uint64_t is_ = ~0ULL;					\
									\
		ASSERT_EQ(0, file_number(PAGES_2M, "", &is_));		\
		EXPECT_EQ(n, is_);					\
	} while (0)

TEST_F(huge_kvm, unmap)
{
	EXPECT_SEES(PAGE_AT);
	EXPECT_HUGE(1);
	/* Of what is not in the piece it does not hear; a neighbour goes with it, and comes back. */
	ASSERT_EQ(0, view_unmap(self->control, (2 * HUGE_PAGES + 1) * PAGE, PAGE));
	EXPECT_HUGE(1);
	ASSERT_EQ(0, view_unmap(self->control, (PAGE_AT + 1) * PAGE, PAGE));
	EXPECT_HUGE(0);
	EXPECT_SEES(PAGE_AT);
	self->orders->read_at = guest_page(PAGE_AT + 1);
	EXPECT_STOPS();
	EXPECT_EQ(word(PAGE_AT), self->guest.report->seen);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	EXPECT_SEES(PAGE_AT + 1);
}

TEST_F(huge_kvm, narrow)
{
	uint64_t value;

	self->orders->value = 0x1111;
	self->orders->write_at = guest_page(PAGE_AT) + 8;
	EXPECT_SEES(PAGE_AT);
	EXPECT_HUGE(1);
	ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE_AT * PAGE + 8, &value));
	EXPECT_EQ(0x1111, value);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_R));
	ASSERT_EQ(0, fd_write_u64(self->src.fd, PAGE_AT * PAGE + 8, 0x2222));
	EXPECT_STOPS();
	sleep_ms(5);
	ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE_AT * PAGE + 8, &value));
	EXPECT_EQ(0x2222, value);
	/* It may read all of it. */
	self->orders->write_at = SCRATCH_AT;
	ASSERT_EQ(0, view_map(self->control, self->src.fd, PAGE_AT * PAGE, PAGE, PAGE_AT * PAGE,
			      MAP_RW));
	EXPECT_SEES(PAGE_AT);
	EXPECT_SEES(PAGE_AT - 1);
}

TEST_F(huge_kvm, punch)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	EXPECT_SEES(PAGE_AT);
	EXPECT_HUGE(1);
	ASSERT_EQ(0, fallocate(self->src.fd, punch, PAGE_AT * PAGE, PAGE));
	EXPECT_HUGE(0);
	EXPECT_SEES(PAGE_AT + 1);
	ASSERT_EQ(0, fd_write_u64(self->src.fd, PAGE_AT * PAGE, word(PAGE_AT)));
	EXPECT_SEES(PAGE_AT);
}

TEST_HARNESS_MAIN
