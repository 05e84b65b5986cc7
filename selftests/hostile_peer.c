// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_peer.c - P1 and P2 against a client that goes through another process:
 * a second client of the view, which it may trace, and whose memory it reaches by
 * ptrace, process_vm_writev, /proc/PID/mem, pidfd_getfd and process_madvise; its
 * own /proc files; and what a core dump holds
 *
 * The other client is a child of the attacker's: of the same user, and no more
 * trusted. What may be done to it is what it may do itself.
 */
#include "hostile.h"

#include <linux/kcmp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

static pid_t victim;

/* A child that has touched all it may. Its view is where the attacker's is. */
static pid_t start_victim(void)
{
	unsigned int page;
	uint64_t word;
	int pipes[2];
	char byte;

	if (victim)
		return victim;
	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	victim = fork();
	if (!victim) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (page = 0; page < VIEW_PAGES; page++)
			probe_read(prey_page(page), &word);
		if (write(pipes[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(pipes[0], &byte, 1) != 1)
		return -1;
	close(pipes[0]);
	close(pipes[1]);
	return victim;
}

/* ---- Ways to another's memory ---- */

/* Each reads a word (for writing: replaces it): 0 or a negative errno. */
typedef long (*reach_fn)(pid_t pid, bool write, char *addr, uint64_t *word);

static long reach_vm(pid_t pid, bool write, char *addr, uint64_t *word)
{
	struct iovec local = { word, sizeof(*word) }, remote = { addr, sizeof(*word) };
	ssize_t n;

	if (write)
		n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	else
		n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	return n < 0 ? -errno : 0;
}

static long reach_mem(pid_t pid, bool write, char *addr, uint64_t *word)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write)
		n = pwrite(fd, word, sizeof(*word), (off_t)addr);
	else
		n = pread(fd, word, sizeof(*word), (off_t)addr);
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

static long poke(pid_t pid, bool write, char *addr, uint64_t *word)
{
	errno = 0;
	if (write)
		ptrace(PTRACE_POKEDATA, pid, addr, *word);
	else
		*word = ptrace(PTRACE_PEEKDATA, pid, addr, 0);
	return -errno;
}

static long reach_ptrace(pid_t pid, bool write, char *addr, uint64_t *word)
{
	long ret;

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) || ptrace(PTRACE_INTERRUPT, pid, 0, 0) ||
	    waitpid(pid, NULL, __WALL) != pid)
		return -errno;
	ret = poke(pid, write, addr, word);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return ret;
}

static const reach_fn ways[] = { reach_vm, reach_mem, reach_ptrace };

/* ---- Attacks ---- */

/* A way that the kernel has closed for all is no proof of anything. */
static long is_open(long way, pid_t pid)
{
	uint64_t word = 0;

	return ways[way](pid, false, prey_page(PAGE_RO), &word) ?:
	       word == page_tag(LENT_ID, PAGE_RO) ? 0 : -EIO;
}

static long write_pages(long way, pid_t pid, const unsigned int *pages, unsigned int n)
{
	uint64_t stolen = STOLEN;
	long err = 0;

	while (n-- && err <= 0) {
		err = ways[way](pid, true, prey_page(pages[n]) + WRITE_AT, &stolen);
		if (!err)
			return 0;
	}
	return err;
}

/* 0 if a page could be written that is not writable for anybody. */
static long write_read_only(long way, pid_t pid)
{
	static const unsigned int pages[] = { PAGE_RO, PAGE_RX, PAGE_HOLE };

	return is_open(way, pid) ?: write_pages(way, pid, pages, ARRAY_SIZE(pages));
}

static long write_revoked(long way, pid_t pid)
{
	static const unsigned int pages[] = {
		PAGE_RO, PAGE_RX, PAGE_HOLE, PAGE_UNMAPPED, PAGE_NARROWED, PAGE_REPLACED, PAGE_CUT,
	};
	uint64_t word = 0;

	if (is_open(way, pid))
		return 0;
	if (!ways[way](pid, false, prey_page(PAGE_UNMAPPED), &word) ||
	    !ways[way](pid, false, prey_page(PAGE_CUT), &word))
		return 1;
	return write_pages(way, pid, pages, ARRAY_SIZE(pages));
}

static long own_read_only(long way)
{
	return write_read_only(way, getpid());
}

static long own_revoked(long way)
{
	return write_revoked(way, getpid());
}

static long victims_read_only(long way)
{
	return write_read_only(way, start_victim());
}

static long victims_revoked(long way)
{
	return write_revoked(way, start_victim());
}

/* A handle of the memory that was opened while all was lent. */
static int kept_mem = -1;

static long keep_mem(long arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", start_victim());
	kept_mem = open(path, O_RDWR | O_CLOEXEC);
	return err_or(kept_mem);
}

static long keep_mem_again(long arg)
{
	uint64_t word = STOLEN;

	if (pwrite(kept_mem, &word, 8, (off_t)prey_page(PAGE_NARROWED) + WRITE_AT) == 8 ||
	    pwrite(kept_mem, &word, 8, (off_t)prey_page(PAGE_UNMAPPED) + WRITE_AT) == 8)
		return 0;
	return err_or(pread(kept_mem, &word, 8, (off_t)prey_page(PAGE_UNMAPPED)));
}

static long advise_victim(long advice)
{
	struct iovec iov = { .iov_base = prey.mem, .iov_len = VIEW_SIZE };
	int pidfd = syscall(SYS_pidfd_open, start_victim(), 0);
	long ret = err_or(syscall(SYS_process_madvise, pidfd, &iov, 1, advice, 0));

	close(pidfd);
	return ret;
}

/* The victim's view fd is no more than the attacker's own. */
static long take_fd(long arg)
{
	int pidfd = syscall(SYS_pidfd_open, start_victim(), 0);
	int fd = syscall(SYS_pidfd_getfd, pidfd, prey.viewfd, 0);
	long ret;

	close(pidfd);
	if (fd < 0)
		return -errno;
	ret = err_or(ftruncate(fd, FILE_SIZE));
	if (mmap(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED | MAP_POPULATE, fd, 0) == MAP_FAILED)
		return 0;
	return ret;
}

static long open_victims_fd(long flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", start_victim(), prey.viewfd);
	return err_or_close(open(path, flags | O_CLOEXEC));
}

static long open_victims_mapping(long flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", start_victim(),
		 (long)prey.mem, (long)prey.mem + VIEW_SIZE);
	return err_or_close(open(path, flags | O_CLOEXEC));
}

/* By a system call of the victim's, that its tracer makes it do. */
static long move_victims_pages(long flags)
{
	void *pages[] = { prey_page(PAGE_UNMAPPED), prey_page(PAGE_RO) };
	int status[2], nodes[2] = { 0 };

	return err_or(syscall(SYS_move_pages, start_victim(), 2, pages, nodes, status, flags));
}

#define VM	0
#define MEM	1
#define PTRACE	2

static const struct attack reaching[] = {
	{ "process_vm_writev to itself", own_read_only, VM, REFUSED, .again = own_revoked },
	{ "/proc/self/mem", own_read_only, MEM, REFUSED, .again = own_revoked },
	{ "process_vm_writev", victims_read_only, VM, REFUSED, .again = victims_revoked },
	{ "/proc/PID/mem", victims_read_only, MEM, REFUSED, .again = victims_revoked },
	{ "ptrace", victims_read_only, PTRACE, REFUSED, .again = victims_revoked },
	{ "/proc/PID/mem kept open", keep_mem, 0, WORKS, .again = keep_mem_again },
};

TEST_F(hostile, memory_of_another)
{
	ATTACK_ALL(reaching);
}

static const struct attack meddling[] = {
	ATTACK_ARG(advise_victim, MADV_PAGEOUT, EITHER),
	ATTACK_ARG(advise_victim, MADV_COLD, EITHER),
	ATTACK_ARG(advise_victim, MADV_WILLNEED, EITHER),
	ATTACK_ARG(advise_victim, 25 /* MADV_COLLAPSE */, REFUSED),
	ATTACK(take_fd, -EPERM),
	ATTACK_ARG(open_victims_fd, O_RDWR, REFUSED),
	ATTACK_ARG(open_victims_mapping, O_RDWR, REFUSED),
	{ "move_pages", move_victims_pages, 2 /* MPOL_MF_MOVE */, EITHER },
};

TEST_F(hostile, another_process)
{
	ATTACK_ALL(meddling);
}

/* ---- Core dumps ---- */

#define CORE	"/tmp/memview-hostile.core"

/* A child that dies with all of the view in its page tables. */
static long dump_core(long filter)
{
	struct rlimit limit = { .rlim_cur = 64 * MiB, .rlim_max = RLIM_INFINITY };
	char text[16];
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &limit);
		snprintf(text, sizeof(text), "%#lx", filter);
		write_file("/proc/self/coredump_filter", text);
		madvise(prey.mem, VIEW_SIZE, MADV_DODUMP);
		inspect(&(struct inspection){ 0 });
		signal(SIGQUIT, SIG_DFL);
		raise(SIGQUIT);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return -ECHILD;
	return WCOREDUMP(status) ? 0 : -ENOENT;
}

static const struct attack dumping = {
	.name = "core dump", .run = dump_core, .arg = 0x1ff, .want = WORKS,
};

/* How many words of lent pages are in the file. */
static int count_lent_words(const char *path, bool *is_core)
{
	static char buf[MiB];
	int fd = open(path, O_RDONLY | O_CLOEXEC), count = 0;
	ssize_t n, i;

	*is_core = false;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		*is_core |= !memcmp(buf, "\177ELF", 4);
		for (i = 0; i + 8 <= n; i += PAGE)
			count += *(uint64_t *)(buf + i) >> 32 == LENT_ID;
	}
	close(fd);
	return count;
}

/*
 * What is lent is not for a file that outlives it.
 *
 * Catches: a mapping that core dumps take in, or that MADV_DODUMP lets in.
 */
TEST_F(hostile, core_dump)
{
	char pattern[256];
	struct scene scene;
	bool is_core;

	if (access("/proc/self/coredump_filter", F_OK))
		SKIP(return, "missing: core dumps (CONFIG_ELF_CORE)");
	ASSERT_EQ(0, scene_open(&scene, &variant->kind));
	ASSERT_LT(0, read_file("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)));
	ASSERT_EQ(0, write_file("/proc/sys/kernel/core_pattern", CORE));
	unlink(CORE);
	EXPECT_EQ(0, scene_attack(&scene, &dumping));
	EXPECT_EQ(0, write_file("/proc/sys/kernel/core_pattern", pattern));
	EXPECT_EQ(0, count_lent_words(CORE, &is_core));
	EXPECT_TRUE(is_core);
	unlink(CORE);
	scene_close(&scene);
}

TEST_HARNESS_MAIN
