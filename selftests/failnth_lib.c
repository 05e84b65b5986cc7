// SPDX-License-Identifier: GPL-2.0
/*
 * failnth_lib.c - the kernel's fault injection and leak detectors; failnth.h
 * describes them
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "failnth.h"

#include <sys/rseq.h>

#define DEBUGFS "/sys/kernel/debug/"

/* How to make every allocation a candidate, and say nothing of it. */
static const struct {
	const char *path;
	const char *value;
	const char *config; /* NULL: not every kernel has it, and none needs to */
} settings[] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "0", "CONFIG_FAILSLAB" },
	{ DEBUGFS "failslab/verbose", "0", "CONFIG_FAILSLAB" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "0", "CONFIG_FAIL_PAGE_ALLOC" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "0", "CONFIG_FAIL_PAGE_ALLOC" },
	{ DEBUGFS "fail_page_alloc/min-order", "0", "CONFIG_FAIL_PAGE_ALLOC" },
	{ DEBUGFS "fail_page_alloc/verbose", "0", "CONFIG_FAIL_PAGE_ALLOC" },
	{ DEBUGFS "fail_usercopy/verbose", "0", NULL },
	{ DEBUGFS "fail_futex/verbose", "0", NULL },
	{ DEBUGFS "fail_function/verbose", "0", NULL },
};

/*
 * Where a thread runs, the kernel writes to its memory when it was preempted. After
 * a fork() that is a page to copy, and SIGSEGV if there is no memory for it.
 */
static void do_without_rseq(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
	unsigned int len;

	/* As long as it was registered: what the C library thought best. */
	for (len = 32; len <= 256; len += 4)
		if (!syscall(SYS_rseq, area, len, RSEQ_FLAG_UNREGISTER, RSEQ_SIG))
			break;
}

int failnth_open(struct failnth *f, char *missing, size_t len)
{
	unsigned int i;

	do_without_rseq();
	*f = (struct failnth){ .fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC) };
	if (f->fd < 0) {
		snprintf(missing, len, "fail-nth (CONFIG_FAULT_INJECTION)");
		return -ENODEV;
	}
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		if (write_file(settings[i].path, settings[i].value) && settings[i].config) {
			snprintf(missing, len, "%s, with CONFIG_FAULT_INJECTION_DEBUG_FS",
				 settings[i].config);
			failnth_close(f);
			return -ENODEV;
		}
	}
	return 0;
}

void failnth_close(struct failnth *f)
{
	close(f->fd);
	f->fd = -1;
}

void failnth_arm(struct failnth *f)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", f->n);

	sigprocmask(SIG_SETMASK, NULL, &f->signals);
	if (pwrite(f->fd, text, len, 0) != len)
		abort();
}

bool failnth_disarm(struct failnth *f)
{
	char text[16] = "";
	ssize_t n = pread(f->fd, text, sizeof(text) - 1, 0);
	bool injected = n > 0 && atoi(text) == 0;

	/* If the read itself was hit, the work was not. */
	f->injected += injected;
	if (!injected && n > 0 && pwrite(f->fd, "0", 1, 0) != 1)
		pwrite(f->fd, "0", 1, 0); /* this one was hit, and the next is not */
	/* fork() blocks all signals for a while, and does not notice if letting them in again is what fails. */
	sigprocmask(SIG_SETMASK, &f->signals, NULL);
	return injected;
}

bool failnth_is_fine(int err)
{
	return err == -ENOMEM || err == -EAGAIN || err == -EFAULT || err == -EIO ||
	       err == -ENFILE || err == -ENOSPC;
}

uint64_t failnth_count_mappings(void)
{
	static char text[65536];
	char *at = text;
	uint64_t n = 0;

	if (read_file("/proc/self/maps", text, sizeof(text)) <= 0)
		return 0;
	while ((at = strstr(at + 1, "memory-view:view")))
		n++;
	return n;
}

long slab_objects(const char *name)
{
	char path[96], real[PATH_MAX];
	uint64_t objects;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s", name);
	/* A cache that is shared with others is a link to another name. */
	if (!realpath(path, real) || strcmp(real, path))
		return -ENOENT;
	/* Free objects of the slabs that CPUs allocate from count, but now. */
	snprintf(real, sizeof(real), "%s/shrink", path);
	write_file(real, "1");
	snprintf(real, sizeof(real), "%s/objects", path);
	return file_number(real, "", &objects) ? -ENOENT : (long)objects;
}

/* One report ends where the next begins, or at the end. */
static int count_reports(char *text, char *first, size_t len)
{
	char *report = strstr(text, "unreferenced object"), *next;
	int count = 0;

	for (; report; report = next) {
		next = strstr(report + 1, "unreferenced object");
		if (next)
			next[-1] = 0;
		if (strstr(report, "memview") && !count++)
			snprintf(first, len, "%s", report);
	}
	return count;
}

int memory_leaks(char *first, size_t len)
{
	static char text[1024 * KiB];

	/* What is younger than five seconds is not looked at. */
	if (access(DEBUGFS "kmemleak", W_OK))
		return -ENOENT;
	sleep_ms(6000);
	/* A pointer may be in a register or on a stack for the moment. */
	if (write_file(DEBUGFS "kmemleak", "scan") || write_file(DEBUGFS "kmemleak", "scan") ||
	    read_file(DEBUGFS "kmemleak", text, sizeof(text)) < 0)
		return -EIO;
	return count_reports(text, first, len);
}
