// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_kernel.c - P1 and P2 against a client that has the kernel write for it:
 * it puts into the view what the kernel keeps in user memory (futexes, lists of
 * locks, restartable sequences, the word that a dying thread clears, a signal
 * stack, buffers of system calls), and has the view revoked meanwhile
 */
#include "hostile.h"

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <sched.h>
#include <sys/prctl.h>

/* Where in a page the structures are. */
static void *in_page(unsigned int page)
{
	return prey_page(page) + WRITE_AT;
}

/* ---- Futexes ---- */

static long futex(void *addr, int op, uint32_t value, const struct timespec *timeout)
{
	return err_or(syscall(SYS_futex, addr, op, value, timeout, NULL, 0));
}

static pthread_t waiter;
static _Atomic pid_t waiter_tid;
static _Atomic long waited = 1;

static void *wait_for_long(void *addr)
{
	struct timespec limit = { .tv_sec = 60 };

	waiter_tid = gettid();
	waited = futex(addr, FUTEX_WAIT, 1, &limit);
	return NULL;
}

static bool is_asleep(pid_t tid)
{
	char path[64], stat[256], *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (!tid || read_file(path, stat, sizeof(stat)) <= 0)
		return false;
	state = strrchr(stat, ')');
	return state && state[2] == 'S';
}

static long futex_wait(long page)
{
	int try;

	if (probe_write(in_page(page), 1))
		return -EFAULT;
	if (pthread_create(&waiter, NULL, wait_for_long, in_page(page)))
		return -EAGAIN;
	for (try = 0; try < 3000; try++) {
		if (is_asleep(waiter_tid))
			return 0;
		sleep_ms(10);
	}
	return -ETIMEDOUT;
}

/* Who waits goes on waiting; who comes now is refused, and wakes nobody. */
static long futex_wait_again(long page)
{
	long wake = futex(in_page(page), FUTEX_WAKE, 1, NULL);

	if (waited != 1)
		return 0;
	return wake < 0 ? futex(in_page(page), FUTEX_WAIT, 1, NULL) : wake;
}

static long futex_lock(long page)
{
	if (probe_write(in_page(page), 0))
		return -EFAULT;
	return futex(in_page(page), FUTEX_LOCK_PI, 0, NULL);
}

static long futex_lock_again(long page)
{
	long ret = futex(in_page(page), FUTEX_UNLOCK_PI, 0, NULL);

	return ret < 0 ? futex(in_page(page), FUTEX_LOCK_PI, 0, NULL) : ret;
}

static long futex_lock_read_only(long page)
{
	struct timespec limit = { .tv_nsec = 1 };

	return futex(in_page(page), FUTEX_LOCK_PI, 0, &limit);
}

static void *lock_for_long(void *addr)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	waited = futex(addr, FUTEX_LOCK_PI, 0, &limit);
	return NULL;
}

/* Another thread waits for the lock: the kernel keeps the owner in the view. */
static long futex_contend(long page)
{
	long err = futex_lock(page);
	int try;

	if (err)
		return err;
	err = -pthread_create(&waiter, NULL, lock_for_long, in_page(page));
	for (try = 0; try < 3000 && !err; try++) {
		uint32_t word = *(volatile uint32_t *)in_page(page);

		if (word & FUTEX_WAITERS)
			return 0;
		sleep_ms(10);
	}
	return err ?: -ETIMEDOUT;
}

/* ---- What dies with a thread ---- */

static struct robust_list_head robust;
static struct robust_list robust_entry;
static _Atomic int robust_go;

/* It says that it owns a lock, whose word is in the view. */
static void *die_with_lock(void *arg)
{
	char *word = in_page((long)arg);

	robust.list.next = &robust_entry;
	robust.futex_offset = word - (char *)&robust_entry;
	robust_entry.next = &robust.list;
	*(uint32_t *)word = gettid();
	if (syscall(SYS_set_robust_list, &robust, sizeof(robust)))
		return (void *)1;
	robust_go = 1;
	while (robust_go == 1)
		sleep_ms(1);
	syscall(SYS_exit, 0);
	return NULL;
}

static long robust_list(long page)
{
	int try;

	if (pthread_create(&waiter, NULL, die_with_lock, (void *)page))
		return -EAGAIN;
	for (try = 0; try < 3000 && !robust_go; try++)
		sleep_ms(10);
	return robust_go ? 0 : -ETIMEDOUT;
}

/* It dies now, with its lock where it cannot write any more. */
static long robust_list_again(long page)
{
	robust_go = 2;
	sleep_ms(100);
	return -1; /* see the files */
}

/* A child's ID is cleared in the view when it dies. */
static int clear_pipe[2];

static long clear_child_tid(long page)
{
	char byte;
	pid_t pid;

	if (pipe2(clear_pipe, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		syscall(SYS_set_tid_address, in_page(page));
		close(clear_pipe[1]);
		if (read(clear_pipe[0], &byte, 1))
			_exit(1);
		_exit(0);
	}
	return err_or(pid);
}

static long clear_child_tid_again(long page)
{
	close(clear_pipe[1]);
	return wait(NULL) < 0 ? 0 : -1; /* see the files */
}

/* ---- What the kernel writes on each return, and for each signal ---- */

static struct rseq *rseq;
static pid_t rseq_pid;
static volatile int rseq_err;

/*
 * A process that shares the memory and has none of the C library's thread data,
 * nor its restartable sequences. The kernel writes each time it has slept.
 */
static int sleep_on(void *arg)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	signal(SIGSEGV, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rseq_err = syscall(SYS_rseq, rseq, 32, 0, 0x53053053) ? EINVAL : 0;
	while (!rseq_err)
		syscall(SYS_nanosleep, &ms, NULL);
	return rseq_err;
}

static long restartable(long page)
{
	static char stack[4 * PAGE] __attribute__((aligned(16)));
	siginfo_t info = { 0 };
	int try;

	rseq = in_page(page);
	rseq_err = -1;
	rseq_pid = clone(sleep_on, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (rseq_pid < 0)
		return -errno;
	for (try = 0; try < 3000 && rseq_err < 0; try++) {
		waitid(P_PID, rseq_pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid)
			return -EFAULT;
		sleep_ms(10);
	}
	return rseq_err < 0 ? -ETIMEDOUT : -rseq_err;
}

/* What the kernel cannot write to kills. */
static long restartable_again(long page)
{
	int status = 0, try;

	for (try = 0; try < 3000; try++) {
		if (waitpid(rseq_pid, &status, WNOHANG) == rseq_pid)
			return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? -EFAULT : status;
		sleep_ms(10);
	}
	return 0;
}

static void on_signal(int sig)
{
}

/* A handler that runs on a stack in the view. */
static long signal_stack(long page)
{
	stack_t stack = { .ss_sp = prey_page(page), .ss_size = 2 * PAGE };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	int status;
	pid_t pid = fork();

	if (!pid) {
		sigaltstack(&stack, NULL);
		sigaction(SIGUSR1, &action, NULL);
		signal(SIGSEGV, SIG_DFL);
		raise(SIGUSR1);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return WIFSIGNALED(status) ? -EFAULT : 0;
}

/* ---- Buffers of system calls ---- */

static long get_random(long page)
{
	return err_or(syscall(SYS_getrandom, in_page(page), 64, 0));
}

static long get_name(long page)
{
	return err_or(prctl(PR_GET_NAME, in_page(page), 0, 0, 0));
}

static long get_times(long page)
{
	return err_or(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, in_page(page)));
}

static aio_context_t aio;
static int aio_pipe[2];

/* An asynchronous read into the view, which nothing ends before the revoke. */
static long aio_read(long page)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (uintptr_t)in_page(page),
		.aio_nbytes = 8,
	}, *list = &iocb;
	uint64_t word = STOLEN;
	long ret;

	if (pipe2(aio_pipe, O_CLOEXEC) || (!aio && syscall(SYS_io_setup, 4, &aio)))
		return -errno;
	if (write(aio_pipe[1], &word, sizeof(word)) != sizeof(word))
		return -errno;
	iocb.aio_fildes = aio_pipe[0];
	ret = err_or(syscall(SYS_io_submit, aio, 1, &list));
	if (ret == 1) {
		struct io_event event = { .res = -EIO };

		syscall(SYS_io_getevents, aio, 1, 1, &event, NULL);
		ret = event.res;
	}
	return ret;
}

static const struct attack locking[] = {
	{ "wait", futex_wait, PAGE_UNMAPPED, WORKS, .again = futex_wait_again },
	{ "wait", futex_wait, PAGE_CUT, WORKS, .again = futex_wait_again },
	{ "lock", futex_lock, PAGE_UNMAPPED, WORKS, .again = futex_lock_again },
	{ "lock", futex_lock, PAGE_NARROWED, WORKS, .again = futex_lock_again },
	{ "lock, contended", futex_contend, PAGE_UNMAPPED, WORKS, .again = futex_lock_again },
	{ "lock, contended", futex_contend, PAGE_REPLACED, WORKS, .again = futex_lock_again },
	ATTACK_ARG(futex_lock_read_only, PAGE_RO, REFUSED),
	ATTACK_ARG(futex_lock_read_only, PAGE_HOLE, REFUSED),
};

TEST_F(hostile, futex)
{
	ATTACK_ALL(locking);
}

static const struct attack dying[] = {
	{ "robust list", robust_list, PAGE_UNMAPPED, WORKS, .again = robust_list_again },
	{ "robust list", robust_list, PAGE_NARROWED, WORKS, .again = robust_list_again },
	{ "robust list", robust_list, PAGE_CUT, WORKS, .again = robust_list_again },
	{ "child ID", clear_child_tid, PAGE_RO, WORKS, .again = clear_child_tid_again },
	{ "child ID", clear_child_tid, PAGE_NARROWED, WORKS, .again = clear_child_tid_again },
	{ "child ID", clear_child_tid, PAGE_UNMAPPED, WORKS, .again = clear_child_tid_again },
};

TEST_F(hostile, exit)
{
	ATTACK_ALL(dying);
}

static const struct attack writing[] = {
	{ "rseq", restartable, PAGE_UNMAPPED, WORKS, .again = restartable_again },
	{ "rseq", restartable, PAGE_NARROWED, WORKS, .again = restartable_again },
	ATTACK_ARG(restartable, PAGE_RO, REFUSED),
	ATTACK_ARG(signal_stack, PAGE_RO, -EFAULT),
	{ "signal stack", signal_stack, PAGE_NARROWED, WORKS, .again = signal_stack },
	{ "getrandom", get_random, PAGE_UNMAPPED, WORKS, .again = get_random },
	{ "getrandom", get_random, PAGE_NARROWED, WORKS, .again = get_random },
	ATTACK_ARG(get_random, PAGE_RO, -EFAULT),
	{ "PR_GET_NAME", get_name, PAGE_CUT, WORKS, .again = get_name },
	ATTACK_ARG(get_name, PAGE_RX, -EFAULT),
	{ "clock_gettime", get_times, PAGE_REPLACED, WORKS, .again = get_times },
	{ "aio", aio_read, PAGE_UNMAPPED, WORKS, .again = aio_read },
	{ "aio", aio_read, PAGE_NARROWED, WORKS, .again = aio_read },
	ATTACK_ARG(aio_read, PAGE_RO, -EFAULT),
};

TEST_F(hostile, kernel_writes)
{
	ATTACK_ALL(writing);
}

TEST_HARNESS_MAIN
