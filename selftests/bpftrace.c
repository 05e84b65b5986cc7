// SPDX-License-Identifier: GPL-2.0
/*
 * bpftrace.c - the bpftrace scripts of bpf/ tell what has happened
 *
 * A script runs until its command ends. The command reads from a pipe with a
 * name: once it has opened that, all probes are there; closing it is the end.
 */
#include "policy.h"

#define PAGES	64
#define SIZE	(PAGES * PAGE)
#define FILE_ID	5
#define PATIENCE 600 /* times 100 ms: under emulation a start takes 10 s */

FIXTURE(bpftrace)
{
	struct klog klog;
	char dir[64], script[PATH_MAX + 64], fifo[96], output[96];
	char text[65536];
	pid_t pid;
	int end; /* of the pipe */
	int memfd, control, viewfd;
	char *mem;
	u64 id;
};

FIXTURE_SETUP(bpftrace)
{
	unsigned int page;

	if (system("bpftrace --version >/dev/null 2>&1"))
		SKIP(return, "missing: bpftrace");
	if (access("/sys/kernel/tracing/events/memview", F_OK))
		SKIP(return, "missing: tracefs in /sys/kernel/tracing");
	ASSERT_EQ(0, klog_start(&self->klog));
	strcpy(self->dir, "/tmp/memview-bpftrace-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->fifo, sizeof(self->fifo), "%s/fifo", self->dir);
	snprintf(self->output, sizeof(self->output), "%s/output", self->dir);
	ASSERT_EQ(0, mkfifo(self->fifo, 0600));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	for (page = 0; page < PAGES; page++) {
		char code[CODE_SIZE];

		put_code(code, page);
		ASSERT_EQ(CODE_SIZE, pwrite(self->memfd, code, CODE_SIZE, page * PAGE + 64));
	}
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE - 4 * PAGE, 0, MAP_RWX));
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap_by_page(self->viewfd, SIZE, PROT_RW | PROT_EXEC, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->id = view_id(self->control);
}

FIXTURE_TEARDOWN(bpftrace)
{
	unlink(self->fifo);
	unlink(self->output);
	rmdir(self->dir);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The script lies in bpf/ of the tree that this program was built from. */
static int find_script(FIXTURE_DATA(bpftrace) *self, const char *name)
{
	ssize_t n = readlink("/proc/self/exe", self->script, PATH_MAX);
	char *slash;
	int i;

	if (n < 0)
		return -errno;
	self->script[n] = 0;
	for (i = 0; i < 4; i++) {
		slash = strrchr(self->script, '/');
		if (!slash)
			return -ENOENT;
		*slash = 0;
	}
	strcat(strcat(self->script, "/bpf/"), name);
	return access(self->script, R_OK) ? -errno : 0;
}

static void exec_script(FIXTURE_DATA(bpftrace) *self)
{
	char command[128];
	int fd = open(self->output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	snprintf(command, sizeof(command), "/bin/cat %s", self->fifo);
	dup2(fd, 1);
	dup2(fd, 2);
	execlp("bpftrace", "bpftrace", self->script, "-c", command, NULL);
	_exit(127);
}

/* Returns when all probes of the script are there. */
static int start(FIXTURE_DATA(bpftrace) *self, const char *name)
{
	int i, status, err = find_script(self, name);

	if (err)
		return err;
	self->pid = fork();
	if (!self->pid)
		exec_script(self);
	for (i = 0; i < PATIENCE; i++) {
		self->end = open(self->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (self->end >= 0)
			return 0;
		if (waitpid(self->pid, &status, WNOHANG) == self->pid)
			break;
		sleep_ms(100);
	}
	read_file(self->output, self->text, sizeof(self->text));
	return i < PATIENCE ? -ECHILD : -ETIMEDOUT;
}

/* Its output is in self->text. */
static int stop(FIXTURE_DATA(bpftrace) *self)
{
	int status, len;

	close(self->end);
	if (waitpid(self->pid, &status, 0) != self->pid)
		return -errno;
	len = read_file(self->output, self->text, sizeof(self->text));
	return len < 0 ? len : status;
}

#define START(name)							\
	ASSERT_EQ(0, start(self, name)) TH_LOG("%s", self->text)
#define STOP()								\
	ASSERT_EQ(0, stop(self)) TH_LOG("%s", self->text)

/* The number behind "@map[key]: "; 0 if there is none. */
static uint64_t number(FIXTURE_DATA(bpftrace) *self, const char *map, const char *key)
{
	char want[128];
	char *at;

	snprintf(want, sizeof(want), "@%s[%s]: ", map, key);
	at = strstr(self->text, want);
	return at ? strtoull(at + strlen(want), NULL, 10) : 0;
}

/* The sum of the histogram under "@us[key]:". */
static uint64_t histogram(FIXTURE_DATA(bpftrace) *self, const char *key)
{
	char want[128], *at;
	uint64_t sum = 0;

	snprintf(want, sizeof(want), "@us[%s]:\n", key);
	at = strstr(self->text, want);
	for (at = at ? at + strlen(want) : NULL; at && *at == '['; at = strchr(at, '\n') + 1) {
		char *count = strpbrk(at, ")]");

		if (!count || !strchr(at, '\n'))
			break;
		sum += strtoull(count + 1, NULL, 10);
	}
	return sum;
}

static const char *key_of(u64 id, const char *what)
{
	static char keys[8][64];
	static unsigned int next;
	char *key = keys[next++ % ARRAY_SIZE(keys)];

	snprintf(key, sizeof(keys[0]), "%llu, %s", id, what);
	return key;
}

TEST_F(bpftrace, faultlat)
{
	struct view_info info = {};
	struct source file;
	uint64_t word;
	uint32_t code;
	int i;

	SOURCE_OPEN_OR_SKIP(&file, SOURCE_EXT4, 2 * PAGE);
	ASSERT_EQ(0, source_fill(&file, FILE_ID));
	ASSERT_EQ(0, view_map(self->control, file.fd, 0, 2 * PAGE, SIZE - 4 * PAGE, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 20 * PAGE, 0, MAP_R));
	START("faultlat.bt");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, probe_read(self->mem + SIZE - (4 - i) * PAGE, &word));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, probe_read(self->mem + i * PAGE, &word));
	/* They stay mapped as they are. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 20 * PAGE, 0, MAP_RW));
	for (i = 0; i < 7; i++)
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE + 8, 1));
	for (i = 20; i < 33; i++)
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE + 8, 1));
	for (i = 40; i < 44; i++) {
		ASSERT_EQ(0, probe_exec(self->mem + i * PAGE + 64, &code));
		ASSERT_EQ(i, code);
	}
	for (i = 0; i < 3; i++)
		ASSERT_EQ(SIGBUS, probe_read(self->mem + SIZE - PAGE, &word));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 50 * PAGE, MAP_R));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(SIGSEGV, probe_write(self->mem + 50 * PAGE, 1));
	ASSERT_EQ(0, view_info(self->control, &info));
	STOP();

	EXPECT_EQ(20, number(self, "faults", key_of(self->id, "memfd, read")));
	EXPECT_EQ(7, number(self, "faults", key_of(self->id, "memfd, upgrade")));
	EXPECT_EQ(13, number(self, "faults", key_of(self->id, "memfd, write")));
	EXPECT_EQ(4, number(self, "faults", key_of(self->id, "memfd, exec")));
	EXPECT_EQ(2, number(self, "faults", key_of(self->id, "file, read")));
	EXPECT_EQ(2, histogram(self, key_of(self->id, "file, read")));
	EXPECT_EQ(20, histogram(self, key_of(self->id, "memfd, read")));
	EXPECT_EQ(7, histogram(self, key_of(self->id, "memfd, upgrade")));
	EXPECT_EQ(13, histogram(self, key_of(self->id, "memfd, write")));
	EXPECT_EQ(4, histogram(self, key_of(self->id, "memfd, exec")));
	EXPECT_EQ(3, number(self, "signals", key_of(self->id, "SIGBUS")));
	EXPECT_EQ(2, number(self, "signals", key_of(self->id, "SIGSEGV")));
	EXPECT_EQ(46, info.faults);
	EXPECT_EQ(NULL, strstr(self->text, "@kind")) TH_LOG("%s", self->text);
	EXPECT_EQ(5, info.fault_errors);
}

TEST_F(bpftrace, zaplat)
{
	struct view_info before = {}, after = {};
	uint64_t word, total = 0;
	int i;

	ASSERT_EQ(0, view_info(self->control, &before));
	START("zaplat.bt");
	for (i = 0; i < PAGES - 4; i++)
		ASSERT_EQ(0, probe_read(self->mem + i * PAGE, &word));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, view_unmap(self->control, i * 4 * PAGE, 4 * PAGE));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, (20 + i) * PAGE, MAP_R));
	ASSERT_EQ(0, view_resize(self->control, 50 * PAGE));
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 30 * PAGE,
			       PAGE));
	ASSERT_EQ(0, view_info(self->control, &after));
	STOP();

	EXPECT_EQ(3, number(self, "zaps", "unmap"));
	EXPECT_EQ(12, number(self, "pages", "unmap"));
	EXPECT_EQ(2, number(self, "zaps", "map"));
	EXPECT_EQ(2, number(self, "pages", "map"));
	EXPECT_EQ(1, number(self, "zaps", "resize"));
	EXPECT_LE(1, number(self, "zaps", "unmap_file"));
	EXPECT_EQ(3, histogram(self, "unmap"));
	EXPECT_EQ(2, histogram(self, "map"));
	EXPECT_EQ(NULL, strstr(self->text, "@cause")) TH_LOG("%s", self->text);
	total = number(self, "zaps", "unmap") + number(self, "zaps", "map") +
		number(self, "zaps", "resize") + number(self, "zaps", "unmap_file") +
		number(self, "zaps", "reclaim") + number(self, "zaps", "writeback");
	EXPECT_EQ(after.zaps - before.zaps, total) TH_LOG("%s", self->text);
}

TEST_F(bpftrace, verdicts)
{
	struct recorder *audits = recorder_new("audits", 0, MEMVIEW_POLICY_AUDIT);
	struct recorder *rules = recorder_new("fourteen.chars", 1, 0);
	struct bpf_link *links[2];
	char line[160], comm[32];
	int i;

	ASSERT_NE(NULL, audits);
	ASSERT_NE(NULL, rules);
	ASSERT_EQ(0, policy_attach(audits->maps.policy, &links[0]));
	ASSERT_EQ(0, policy_attach(rules->maps.policy, &links[1]));
	ASSERT_LT(0, read_file("/proc/self/comm", comm, sizeof(comm)));
	comm[strcspn(comm, "\n")] = 0;
	START("verdicts.bt");
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	recorder_answer(audits, -EDQUOT);
	recorder_answer(rules, EXPECT_POLICY_ERR);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(EXPECT_POLICY_ERR, view_get_fd(self->control));
	recorder_answer(rules, 77);
	ASSERT_EQ(MAP_FAILED, view_mmap(self->viewfd, PAGE, PROT_READ, 0));
	STOP();
	policy_detach(&links[0]);
	policy_detach(&links[1]);

	EXPECT_EQ(3, number(self, "verdicts", "audits, map_fd, 0"));
	EXPECT_EQ(3, number(self, "verdicts", "fourteen.chars, map_fd, 0"));
	EXPECT_EQ(2, number(self, "verdicts", "audits, get_viewfd, -122"));
	EXPECT_EQ(2, number(self, "verdicts", "fourteen.chars, get_viewfd, -51"));
	EXPECT_EQ(1, number(self, "verdicts", "fourteen.chars, mmap, -13"));
	snprintf(line, sizeof(line), " %-7d %-16s %-5llu %-15s %-10s %s\n", getpid(), comm,
		 self->id, "fourteen.chars", "get_viewfd", "-51");
	EXPECT_NE(NULL, strstr(self->text, line)) TH_LOG("%s%s", line, self->text);
	snprintf(line, sizeof(line), " %-7d %-16s %-5llu %-15s %-10s %s\n", getpid(), comm,
		 self->id, "audits", "get_viewfd", "(-122)");
	EXPECT_NE(NULL, strstr(self->text, line)) TH_LOG("%s%s", line, self->text);
	snprintf(line, sizeof(line), " %-15s %-10s %s\n", "fourteen.chars", "mmap",
		 "-13 returned 77");
	EXPECT_NE(NULL, strstr(self->text, line)) TH_LOG("%s%s", line, self->text);
}

/* As "client-N" read N pages. */
static long client_reads(void *arg)
{
	unsigned int i, n = *(unsigned int *)arg;
	char comm[16], *mem;
	uint64_t word;

	snprintf(comm, sizeof(comm), "client-%u", n);
	if (write_file("/proc/self/comm", comm))
		return -EIO;
	mem = view_mmap_by_page(client_viewfd, SIZE, PROT_READ, 0);
	if (mem == MAP_FAILED)
		return -errno;
	for (i = 0; i < n; i++)
		if (probe_read(mem + i * PAGE, &word))
			return -EFAULT;
	return 0;
}

/* A kernel without a usable clock counts ticks, and a fault takes less than one. */
static bool fine_clock(void)
{
	struct timespec ts;

	return !clock_getres(CLOCK_MONOTONIC, &ts) && !ts.tv_sec && ts.tv_nsec < 1000;
}

TEST_F(bpftrace, faulters)
{
	unsigned int n[2] = { 11, 29 }, i;
	struct client clients[2];
	char key[64];

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, client_start(&clients[i], self->viewfd));
	START("faulters.bt");
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, client_call(&clients[i], client_reads, &n[i], sizeof(n[i])));
	STOP();
	for (i = 0; i < 2; i++) {
		snprintf(key, sizeof(key), "client-%u, %d, %llu", n[i], clients[i].pid, self->id);
		EXPECT_EQ(n[i], number(self, "faults", key)) TH_LOG("%s", self->text);
		if (fine_clock()) {
			EXPECT_LT(0, number(self, "us", key)) TH_LOG("%s", self->text);
		}
		client_stop(&clients[i]);
	}
	/* The most is last. */
	EXPECT_LT(strstr(self->text, "@faults[client-11"), strstr(self->text, "@faults[client-29"));
}

TEST_HARNESS_MAIN
