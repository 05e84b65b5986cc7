// SPDX-License-Identifier: GPL-2.0
/*
 * lib_system.c - helpers of the selftests: faults, the kernel log, odds and
 * ends; memview_test.h describes them
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

#include <sched.h>
#include <setjmp.h>

/* ---- Accesses that may fault ---- */

static __thread sigjmp_buf probe_env;
static __thread volatile sig_atomic_t probing;
__thread struct probe_fault probe_fault;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!probing) {
		/*
		 * Not ours: end it all. Do not count on the access to raise it
		 * again: one that was passed on by kill() would be forgotten,
		 * and the crash reported as success.
		 */
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	probing = 0;
	probe_fault.sig = sig;
	probe_fault.code = info->si_code;
	probe_fault.addr = info->si_addr;
	/* SA_NODEFER: the signal is not blocked, so there is no mask to undo. */
	siglongjmp(probe_env, 1);
}

static void __attribute__((constructor)) catch_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

#define PROBE(access)                                                     \
	({                                                                \
		int sig_ = 0;                                             \
									  \
		if (!sigsetjmp(probe_env, 0)) {                           \
			probing = 1;                                      \
			__asm__ __volatile__("" ::: "memory");            \
			access;                                           \
			__asm__ __volatile__("" ::: "memory");            \
			probing = 0;                                      \
		} else {                                                  \
			sig_ = probe_fault.sig;                           \
		}                                                         \
		sig_;                                                     \
	})

int probe_read(const void *addr, uint64_t *value)
{
	return PROBE(*value = *(const volatile uint64_t *)addr);
}

int probe_read8(const void *addr, uint8_t *value)
{
	return PROBE(*value = *(const volatile uint8_t *)addr);
}

int probe_write(void *addr, uint64_t value)
{
	return PROBE(*(volatile uint64_t *)addr = value);
}

int probe_write8(void *addr, uint8_t value)
{
	return PROBE(*(volatile uint8_t *)addr = value);
}

int probe_exec(const void *addr, uint32_t *value)
{
	uint32_t (*function)(void) = (uint32_t(*)(void))(uintptr_t)addr;

	return PROBE(*value = function());
}

void put_code(void *buf, uint32_t value)
{
	unsigned char *code = buf;

	code[0] = 0xb8; /* mov $value, %eax */
	memcpy(code + 1, &value, sizeof(value));
	code[5] = 0xc3; /* ret */
	code[6] = 0x90;
	code[7] = 0x90;
}

/* ---- The kernel log ---- */

int klog_start(struct klog *klog)
{
	klog->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (klog->fd < 0)
		return -errno;
	return lseek(klog->fd, 0, SEEK_END) < 0 ? -errno : 0;
}

static bool is_splat(const char *text)
{
	static const char *const patterns[] = {
		"BUG:", "BUG at", "kernel BUG", "WARNING:", "Oops", "KASAN",
		"KFENCE", "KMSAN", "UBSAN", "INFO: possible ", "INFO: task ",
		"INFO: trying ", "INFO: inconsistent ", "suspicious RCU",
		"suspicious rcu", "refcount_t:", "Bad page", "bad page",
		"Bad rss-counter", "blocked for more than", "soft lockup",
		"hard LOCKUP", "rcu: INFO:", "list_add corruption",
		"list_del corruption", "general protection fault",
		"unable to handle", "new suspected memory leaks",
		"scheduling while atomic", "held lock freed", "Kernel panic",
		"DEBUG_LOCKS_WARN_ON", "VM_BUG_ON",
	};
	size_t i;

	/* What user space did, not the kernel. */
	if (strstr(text, "traps: "))
		return false;
	/* The kernel has data races of its own. */
	if (strstr(text, "KCSAN"))
		return strstr(text, "[memview]") != NULL;
	for (i = 0; i < ARRAY_SIZE(patterns); i++)
		if (strstr(text, patterns[i]))
			return true;
	return false;
}

int klog_splats(struct klog *klog, char *line, size_t len)
{
	char record[8192], *text;
	int count = 0;
	ssize_t n;

	for (;;) {
		n = read(klog->fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* overwritten; goes on with what is left */
		if (n <= 0)
			break;
		record[n] = 0;
		/* "priority,sequence,time,flags;text"; 8 and up: user space */
		if (atoi(record) >= 8)
			continue;
		text = strchr(record, ';');
		if (!text || !is_splat(text))
			continue;
		if (!count++ && len)
			snprintf(line, len, "%.*s",
				 (int)strcspn(text + 1, "\n"), text + 1);
	}
	close(klog->fd);
	klog->fd = -1;
	return count;
}

/* ---- Odds and ends ---- */

int read_file(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (done < len - 1) {
		n = read(fd, buf + done, len - 1 - done);
		if (n <= 0)
			break;
		done += n;
	}
	buf[done] = 0;
	n = n < 0 ? -errno : 0;
	close(fd);
	return n ? (int)n : (int)done;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -errno;
	close(fd);
	return err;
}

int file_number(const char *path, const char *key, uint64_t *value)
{
	static __thread char text[65536];
	size_t len = strlen(key);
	char *line;
	int n = read_file(path, text, sizeof(text));

	if (n < 0)
		return n;
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len))
			continue;
		line += len + strspn(line + len, " \t");
		if (*line < '0' || *line > '9')
			return -EINVAL;
		*value = strtoull(line, NULL, 0);
		return 0;
	}
	return -ENOENT;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

uint64_t random_seed(void)
{
	const char *seed = getenv("MEMVIEW_TEST_SEED");

	return seed ? strtoull(seed, NULL, 0) : now_ns();
}

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

int run_on_cpu(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) ? -errno : 0;
}

static void *ready_main(void *arg)
{
	struct ready *ready = arg;

	if (ready->cpu >= 0)
		run_on_cpu(ready->cpu);
	ready->tid = gettid();
	while (!ready->begin)
		sched_yield();
	ready->work(ready->arg);
	ready->done = true;
	return NULL;
}

int ready_start(struct ready *ready, void (*work)(void *arg), void *arg, int cpu)
{
	int err;

	*ready = (struct ready){ .work = work, .arg = arg, .cpu = cpu };
	err = -pthread_create(&ready->thread, NULL, ready_main, ready);
	while (!err && !ready->tid)
		sched_yield();
	return err;
}

void ready_begin(struct ready *ready)
{
	ready->begin = true;
}

void ready_join(struct ready *ready)
{
	pthread_join(ready->thread, NULL);
}

unsigned int count_mapped(const char *addr, unsigned int n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int i, mapped = 0;
	uint64_t entry;

	for (i = 0; i < n; i++) {
		if (pread(fd, &entry, 8, ((uintptr_t)addr / PAGE + i) * 8) != 8)
			abort();
		mapped += entry >> 63;
	}
	close(fd);
	return mapped;
}

unsigned int scaled(unsigned int n)
{
	const char *scale = getenv("MEMVIEW_TEST_SCALE");
	unsigned int percent = scale ? strtoul(scale, NULL, 10) : 100;

	n = (uint64_t)n * percent / 100;
	return n ? n : 1;
}

unsigned int slowness(void)
{
	return scaled(100) < 100 ? 8 : 1;
}

int load_module(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "modprobe -q %s", name);
	return system(command) ? -ENODEV : 0;
}

int memview_unload(void)
{
	return syscall(SYS_delete_module, "memview", O_NONBLOCK) ? -errno : 0;
}

int open_built(const char *name)
{
	char path[PATH_MAX + 32], *slash;
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	int i;

	if (n < 0)
		return -errno;
	path[n] = 0;
	for (i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		if (!slash)
			return -ENOENT;
		*slash = 0;
	}
	strncat(path, name, sizeof(path) - strlen(path) - 1);
	n = open(path, O_RDONLY | O_CLOEXEC);
	return n < 0 ? -errno : n;
}

int memview_open_module(void)
{
	return open_built("/module/memview.ko");
}

int memview_load(int file)
{
	return syscall(SYS_finit_module, file, "", 0) ? -errno : 0;
}
