// SPDX-License-Identifier: GPL-2.0
/*
 * kvm_window.c - a DAX window: a guest's memory slot is a view of files, which
 * its host changes while the guest runs, and never touches the slot again
 *
 * What the guest sees must be what the file has there, as soon as a change returns.
 */
#include "kvm_guest.h"

#define VIEW_PAGES	16
#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define FILE_PAGES	32
#define FILE_SIZE	(FILE_PAGES * PAGE)

FIXTURE(kvm_window)
{
	struct guest guest;
	struct orders *orders;
	struct source file[2];
	int control, viewfd;
	int faults; /* that there should be */
	struct klog klog;
};

FIXTURE_VARIANT(kvm_window)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(kvm_window, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(kvm_window, ext4) { .kind = SOURCE_EXT4 };

static uint64_t guest_page(unsigned int page)
{
	return VIEW_AT + page * PAGE;
}

/* The first word of a page of a file: none is zero. */
static uint32_t word(int file, unsigned int page)
{
	return page_tag(0, file * 1000 + page + 1);
}

static int fill(FIXTURE_DATA(kvm_window) *self, int file)
{
	unsigned int page;
	int err = 0;

	for (page = 0; page < FILE_PAGES && !err; page++)
		err = fd_write_u64(self->file[file].fd, page * PAGE, word(file, page));
	return err;
}

FIXTURE_SETUP(kvm_window)
{
	char *mem;
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->control = self->viewfd = -1;
	if (guest_probe(&self->guest))
		SKIP(return, "missing: /dev/kvm");
	for (i = 0; i < 2; i++) {
		SOURCE_OPEN_OR_SKIP(&self->file[i], variant->kind, FILE_SIZE);
		ASSERT_EQ(0, fill(self, i));
	}
	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	mem = view_mmap(self->viewfd, VIEW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, guest_start(&self->guest, reader_code, sizeof(reader_code), mem, VIEW_SIZE));
	self->orders = (struct orders *)(self->guest.ram + ORDERS_AT);
	self->orders->read_at = self->orders->write_at = SCRATCH_AT;
}

FIXTURE_TEARDOWN(kvm_window)
{
	EXPECT_EQ(self->faults, self->guest.faults);
	EXPECT_EQ(0, self->guest.err);
	guest_stop(&self->guest);
	close(self->viewfd);
	close(self->control);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int show(FIXTURE_DATA(kvm_window) *self, unsigned int page, unsigned int n, int file,
		unsigned int file_page, uint32_t flags)
{
	return view_map(self->control, self->file[file].fd, file_page * PAGE, n * PAGE,
			page * PAGE, flags);
}

/* The guest reads this, and goes on. */
#define EXPECT_SEES(expected, page)					\
	do {								\
		self->orders->read_at = guest_page(page);		\
		ASSERT_TRUE(guest_runs(&self->guest)) TH_LOG("KVM_RUN: %d", self->guest.err); \
		EXPECT_EQ(expected, self->guest.report->seen) TH_LOG("page %u", page); \
	} while (0)

/* The guest is stopped by its access. */
#define EXPECT_STOPS()							\
	ASSERT_TRUE(guest_faults(&self->guest, ++self->faults)) TH_LOG("the guest goes on")

TEST_F(kvm_window, map_and_remap)
{
	unsigned int page, round, rounds = scaled(100);
	uint64_t random = random_seed();

	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_R));
	for (page = 0; page < VIEW_PAGES; page++)
		EXPECT_SEES(word(0, page), page);
	for (round = 0; round < rounds; round++) {
		unsigned int at = random_next(&random) % FILE_PAGES, file = round % 2;

		page = random_next(&random) % VIEW_PAGES;
		/* It looks at this page while it is changed. */
		self->orders->read_at = guest_page(page);
		ASSERT_EQ(0, show(self, page, 1, file, at, round % 3 ? MAP_R : MAP_RW));
		EXPECT_SEES(word(file, at), page);
	}
}

/* The window moves as a whole: the guest sees the one or the other. */
TEST_F(kvm_window, batch)
{
	struct memview_batch_op ops[VIEW_PAGES];
	unsigned int page, file;

	for (file = 0; file < 4; file++) {
		for (page = 0; page < VIEW_PAGES; page++)
			ops[page] = batch_map(self->file[file % 2].fd, (FILE_PAGES - 1 - page) * PAGE,
					      PAGE, page * PAGE, MAP_R);
		ASSERT_EQ(0, view_batch(self->control, ops, VIEW_PAGES, NULL));
		for (page = 0; page < VIEW_PAGES; page++)
			EXPECT_SEES(word(file % 2, FILE_PAGES - 1 - page), page);
	}
}

TEST_F(kvm_window, narrow)
{
	uint64_t value;

	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
	self->orders->value = 0x1111;
	self->orders->write_at = guest_page(1) + 8;
	EXPECT_SEES(word(0, 1), 1);
	ASSERT_EQ(0, fd_read_u64(self->file[0].fd, PAGE + 8, &value));
	EXPECT_EQ(0x1111, value);

	/* It reads on; it is its write that stops it. */
	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_R));
	ASSERT_EQ(0, fd_write_u64(self->file[0].fd, PAGE + 8, 0x2222));
	EXPECT_STOPS();
	sleep_ms(5);
	ASSERT_EQ(0, fd_read_u64(self->file[0].fd, PAGE + 8, &value));
	EXPECT_EQ(0x2222, value);
	/* The same instruction, once it may. */
	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
	EXPECT_SEES(word(0, 1), 1);
	ASSERT_EQ(0, fd_read_u64(self->file[0].fd, PAGE + 8, &value));
	EXPECT_EQ(0x1111, value);
}

TEST_F(kvm_window, unmap)
{
	unsigned int page;

	for (page = 0; page < VIEW_PAGES; page += 5) {
		ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
		EXPECT_SEES(word(0, page), page);
		/* Of its neighbours it does not hear. */
		ASSERT_EQ(0, view_unmap(self->control, (page ^ 1) * PAGE, PAGE));
		EXPECT_SEES(word(0, page), page);
		ASSERT_EQ(0, view_unmap(self->control, page * PAGE, PAGE));
		EXPECT_STOPS();
		EXPECT_EQ(word(0, page), self->guest.report->seen);
		/* Another file is there when it goes on. */
		ASSERT_EQ(0, show(self, page, 1, 1, page + 3, MAP_R));
		EXPECT_SEES(word(1, page + 3), page);
	}
}

/* What happens to the file is seen in the window. */
TEST_F(kvm_window, punch)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
	EXPECT_SEES(word(0, 3), 3);
	EXPECT_SEES(word(0, 4), 4);
	ASSERT_EQ(0, fallocate(self->file[0].fd, punch, 4 * PAGE, PAGE));
	EXPECT_SEES(0, 4);
	EXPECT_SEES(word(0, 3), 3);
	ASSERT_EQ(0, fd_write_u64(self->file[0].fd, 4 * PAGE, 0x77));
	EXPECT_SEES(0x77, 4);
}

TEST_F(kvm_window, truncate)
{
	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
	EXPECT_SEES(word(0, 7), 7);
	EXPECT_SEES(word(0, 8), 8);
	ASSERT_EQ(0, ftruncate(self->file[0].fd, 8 * PAGE));
	EXPECT_STOPS();
	/* It has grown again, and is a hole there. */
	ASSERT_EQ(0, ftruncate(self->file[0].fd, FILE_SIZE));
	EXPECT_SEES(0, 8);
	EXPECT_SEES(word(0, 7), 7);
	/* The window itself, too. */
	ASSERT_EQ(0, view_resize(self->control, 7 * PAGE));
	EXPECT_STOPS();
	ASSERT_EQ(0, view_resize(self->control, VIEW_SIZE));
	ASSERT_EQ(0, show(self, 7, 1, 1, 0, MAP_R));
	EXPECT_SEES(word(1, 0), 7);
}

/* Whoever serves the window dies: so does what the guest has of it. */
TEST_F(kvm_window, server_goes)
{
	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(0, show(self, 0, VIEW_PAGES, 0, 0, MAP_RW));
	EXPECT_SEES(word(0, 9), 9);
	close(self->control);
	EXPECT_STOPS();
	EXPECT_EQ(word(0, 9), self->guest.report->seen);
	self->control = -1;
}

TEST_HARNESS_MAIN
