// SPDX-License-Identifier: GPL-2.0
/*
 * observe.c - what the tracepoints tell is what happened
 *
 * Each test has a trace instance of its own.
 */
#include "memview_test.h"

#include <ctype.h>
#include <glob.h>
#include <sys/sysmacros.h>

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	31
#define TRACING	"/sys/kernel/tracing"

FIXTURE(events)
{
	char dir[64];
	char text[65536];
	int memfd;
	int control;
	uint64_t id;
};

static int instance_write(FIXTURE_DATA(events) *self, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", self->dir, file);
	return write_file(path, text);
}

FIXTURE_SETUP(events)
{
	struct view_info info;

	snprintf(self->dir, sizeof(self->dir), TRACING "/instances/memview-%d", getpid());
	if (mkdir(self->dir, 0700))
		SKIP(return, "missing: trace instances in tracefs (%s)", strerror(errno));
	ASSERT_EQ(0, instance_write(self, "events/memview/enable", "1"));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_info(self->control, &info));
	self->id = info.id;
}

/* Whatever becomes of the test. */
FIXTURE_TEARDOWN_PARENT(events)
{
	EXPECT_EQ(0, instance_write(self, "events/memview/enable", "0"));
	EXPECT_EQ(0, rmdir(self->dir));
}

/*
 * The fields of the n-th event of that name of this view, from "view=" on; NULL
 * if there are not so many. Tracing stops while the trace is read.
 */
static const char *event(FIXTURE_DATA(events) *self, const char *name, unsigned int n)
{
	char path[160], start[96];
	char *at;

	snprintf(path, sizeof(path), "%s/trace", self->dir);
	if (read_file(path, self->text, sizeof(self->text)) < 0)
		return NULL;
	snprintf(start, sizeof(start), " memview_%s: view=%llu ", name,
		 (unsigned long long)self->id);
	/* "view=7" may be all there is in the line. */
	for (at = self->text; *at; at++)
		if (*at == '\n')
			*at = ' ';
	for (at = strstr(self->text, start); at && n; n--)
		at = strstr(at + 1, start);
	return at ? at + strlen(" memview_") + strlen(name) + 2 : NULL;
}

/* The value of a field of an event: what follows "name=", up to a space. */
static const char *field(const char *event, const char *name)
{
	static char values[8][64];
	static unsigned int next;
	char *value = values[next++ % ARRAY_SIZE(values)];
	char key[32];
	const char *at;

	snprintf(key, sizeof(key), " %s=", name);
	at = event ? strstr(event, key) : NULL;
	if (!at)
		return "(missing)";
	at += strlen(key);
	snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at, " "), at);
	return value;
}

static uint64_t number(const char *event, const char *name)
{
	const char *value = field(event, name);
	char *end;
	uint64_t n = strtoull(value, &end, 0);

	return *end || !*value ? ~0ULL : n;
}

TEST_F(events, create_and_destroy)
{
	EXPECT_NE(NULL, event(self, "create", 0));
	EXPECT_EQ(NULL, event(self, "destroy", 0));
	close(self->control);
	EXPECT_NE(NULL, event(self, "destroy", 0));
	EXPECT_EQ(NULL, event(self, "destroy", 1));
}

TEST_F(events, resize)
{
	const char *e;

	ASSERT_EQ(0, view_resize(self->control, 3 * PAGE + 1));
	e = event(self, "resize", 1);
	EXPECT_EQ(SIZE, number(e, "old_size"));
	EXPECT_EQ(3 * PAGE + 1, number(e, "size"));
	EXPECT_STREQ("0", field(e, "err"));
}

TEST_F(events, map)
{
	int pipes[2];
	struct stat st;
	const char *e;
	char dev[32];

	ASSERT_EQ(0, fstat(self->memfd, &st));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 3 * PAGE, 2 * PAGE, 5 * PAGE, MAP_RW));
	e = event(self, "map", 0);
	EXPECT_EQ(5 * PAGE, number(e, "offset"));
	EXPECT_EQ(2 * PAGE, number(e, "size"));
	EXPECT_EQ(3 * PAGE, number(e, "fd_offset"));
	EXPECT_EQ(st.st_ino, number(e, "ino"));
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	EXPECT_STREQ(dev, field(e, "dev"));
	EXPECT_STREQ("READ|WRITE", field(e, "flags"));
	EXPECT_STREQ("0", field(e, "err"));

	/* A request that fails is an event, too. */
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	EXPECT_EQ(-EOPNOTSUPP, view_map(self->control, pipes[0], 0, PAGE, 0, MAP_RX));
	e = event(self, "map", 1);
	EXPECT_STREQ("READ|EXEC", field(e, "flags"));
	EXPECT_STREQ("-95", field(e, "err"));
}

TEST_F(events, unmap)
{
	const char *e;

	ASSERT_EQ(0, view_unmap(self->control, 2 * PAGE, PAGE));
	e = event(self, "unmap", 0);
	EXPECT_EQ(2 * PAGE, number(e, "offset"));
	EXPECT_EQ(PAGE, number(e, "size"));
	EXPECT_STREQ("0", field(e, "err"));
	EXPECT_EQ(-EINVAL, view_unmap(self->control, SIZE, PAGE));
	e = event(self, "unmap", 1);
	EXPECT_EQ(SIZE, number(e, "offset"));
	EXPECT_STREQ("-22", field(e, "err"));
}

TEST_F(events, set_flags)
{
	const char *e;

	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(-EINVAL, view_set_flags(self->control, 1 << 7));
	e = event(self, "set_flags", 0);
	EXPECT_STREQ("", field(e, "old_flags"));
	EXPECT_STREQ("REVOKE_ON_CLOSE", field(e, "flags"));
	EXPECT_STREQ("0", field(e, "err"));
	e = event(self, "set_flags", 1);
	EXPECT_STREQ("REVOKE_ON_CLOSE", field(e, "old_flags"));
	EXPECT_STREQ("-22", field(e, "err"));
}

TEST_F(events, get_viewfd)
{
	int fd = view_get_fd(self->control);

	EXPECT_EQ(fd, number(event(self, "get_viewfd", 0), "fd"));
}

TEST_F(events, mmap)
{
	static const char *const prots[] = {
		"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx",
	};
	int fd = view_get_fd(self->control);
	const char *e;
	int prot;
	char *mem;

	for (prot = 0; prot < 8; prot++) {
		mem = view_mmap(fd, (1 + prot) * PAGE, prot, 2 * PAGE);
		ASSERT_NE(MAP_FAILED, mem);
		e = event(self, "mmap", prot);
		EXPECT_EQ((uintptr_t)mem, number(e, "addr"));
		EXPECT_EQ(2 * PAGE, number(e, "offset"));
		EXPECT_EQ((1 + prot) * PAGE, number(e, "size"));
		EXPECT_STREQ(prots[prot], field(e, "prot"));
	}
}

static void expect_fault(struct __test_metadata *_metadata, FIXTURE_DATA(events) *self,
			 unsigned int n, char *addr, uint64_t offset, const char *access)
{
	const char *e = event(self, "fault", n);

	ASSERT_NE(NULL, e) TH_LOG("no fault event %u: %s", n, access);
	EXPECT_EQ(offset, number(e, "offset"));
	EXPECT_EQ((uintptr_t)addr, number(e, "addr") & ~(PAGE - 1));
	EXPECT_STREQ(access, field(e, "access"));
	EXPECT_GT(60000000000ULL, number(e, "latency"));
}

TEST_F(events, fault)
{
	char *mem = view_mmap_by_page(view_get_fd(self->control), SIZE, PROT_RW | PROT_EXEC, 0);
	uint32_t answer;
	uint64_t word;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 2 * PAGE, PAGE, MAP_RW));
	ASSERT_EQ(0, probe_write(mem + 2 * PAGE, 1));
	expect_fault(_metadata, self, 0, mem + 2 * PAGE, 2 * PAGE, "write");
	/* It stays mapped for reading when its range allows more. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_R));
	ASSERT_EQ(0, probe_read(mem + PAGE, &word));
	expect_fault(_metadata, self, 1, mem + PAGE, PAGE, "read");
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_RW));
	ASSERT_EQ(0, probe_write(mem + PAGE, 1));
	expect_fault(_metadata, self, 2, mem + PAGE, PAGE, "upgrade");
	EXPECT_EQ(NULL, strstr(field(event(self, "fault", 2), "result"), "SIG"));
	ASSERT_EQ(SIGBUS, probe_exec(mem + 3 * PAGE, &answer));
	expect_fault(_metadata, self, 3, mem + 3 * PAGE, 3 * PAGE, "exec");
	EXPECT_NE(NULL, strstr(field(event(self, "fault", 3), "result"), "SIGBUS"));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(SIGSEGV, probe_write(mem, 1));
	EXPECT_NE(NULL, strstr(field(event(self, "fault", 4), "result"), "SIGSEGV"));
}

/* While the event is enabled. The clock may be coarse: one fault is not enough. */
TEST_F(events, latency_is_measured)
{
	char *mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	unsigned int round, i, measured = 0;
	uint64_t word, latency;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	for (round = 0; round < 200 && !measured; round++) {
		ASSERT_EQ(0, instance_write(self, "trace", " "));
		for (i = 0; i < 64; i++) {
			ASSERT_EQ(0, probe_read(mem, &word));
			ASSERT_EQ(0, madvise(mem, PAGE, MADV_DONTNEED));
		}
		for (i = 0; i < 64 && !measured; i++) {
			latency = number(event(self, "fault", i), "latency");
			ASSERT_GT(60000000000ULL, latency);
			measured += latency > 0;
		}
	}
	EXPECT_LT(0, measured);
}

static void expect_zap(struct __test_metadata *_metadata, FIXTURE_DATA(events) *self,
		       unsigned int n, uint64_t offset, const char *cause)
{
	const char *e = event(self, "zap", n);

	ASSERT_NE(NULL, e) TH_LOG("no zap event %u: %s", n, cause);
	EXPECT_EQ(offset, number(e, "offset"));
	EXPECT_STREQ(cause, field(e, "cause"));
	EXPECT_GT(60000000000ULL, number(e, "time"));
}

TEST_F(events, zap)
{
	char *mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	uint64_t word;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	EXPECT_EQ(NULL, event(self, "zap", 0));
	ASSERT_EQ(0, probe_read(mem + PAGE, &word));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 2 * PAGE, PAGE, MAP_RW));
	expect_zap(_metadata, self, 0, PAGE, "map");
	EXPECT_EQ(2, number(event(self, "zap", 0), "pages"));
	ASSERT_EQ(0, probe_read(mem + PAGE, &word));
	ASSERT_EQ(0, view_unmap(self->control, PAGE, PAGE));
	expect_zap(_metadata, self, 1, PAGE, "unmap");
	EXPECT_EQ(1, number(event(self, "zap", 1), "pages"));
	ASSERT_EQ(0, probe_read(mem + 4 * PAGE, &word));
	ASSERT_EQ(0, view_resize(self->control, 3 * PAGE));
	expect_zap(_metadata, self, 2, 3 * PAGE, "resize");
}

/* A hole in the source: what the module hears, and what it does about it. */
TEST_F(events, invalidate)
{
	char *mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	struct stat st;
	const char *e;
	uint64_t word, pages;

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, fstat(self->memfd, &st));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 4 * PAGE, 4 * PAGE, 8 * PAGE, MAP_RW));
	ASSERT_EQ(0, probe_read(mem + 9 * PAGE, &word));
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * PAGE,
			       PAGE));
	e = event(self, "invalidate", 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(st.st_ino, number(e, "ino"));
	EXPECT_STREQ("unmap_file", field(e, "cause"));
	/* The page that goes is among those told. */
	pages = number(e, "pages");
	EXPECT_LE(number(e, "fd_offset"), 5 * PAGE);
	EXPECT_GE(number(e, "fd_offset") + pages * PAGE, 6 * PAGE);
	e = event(self, "zap", 0);
	ASSERT_NE(NULL, e);
	EXPECT_STREQ("unmap_file", field(e, "cause"));
	EXPECT_LE(number(e, "offset"), 9 * PAGE);
	EXPECT_GE(number(e, "offset") + number(e, "pages") * PAGE, 10 * PAGE);
}

/* The names of the fields are an interface for programs. */
TEST(formats)
{
	static const struct {
		const char *event, *fields[9];
	} formats[] = {
		{ "memview_create", { "id" } },
		{ "memview_destroy", { "id" } },
		{ "memview_resize", { "id", "old_size", "size", "err" } },
		{ "memview_map",
		  { "id", "dev", "ino", "fd_offset", "offset", "size", "flags", "err" } },
		{ "memview_unmap", { "id", "offset", "size", "err" } },
		{ "memview_set_flags", { "id", "old_flags", "flags", "err" } },
		{ "memview_get_viewfd", { "id", "fd" } },
		{ "memview_mmap", { "id", "addr", "offset", "size", "vm_flags" } },
		{ "memview_fault", { "id", "offset", "addr", "flags", "result", "kind", "latency" } },
		{ "memview_zap", { "id", "offset", "pages", "cause", "time" } },
		{ "memview_invalidate", { "id", "dev", "ino", "fd_offset", "pages", "cause" } },
	};
	char path[128], text[8192], name[40];
	unsigned int i;
	int j;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(path, sizeof(path), TRACING "/events/memview/%s/format",
			 formats[i].event);
		ASSERT_LT(0, read_file(path, text, sizeof(text))) TH_LOG("%s", path);
		for (j = 0; formats[i].fields[j]; j++) {
			snprintf(name, sizeof(name), " %s;", formats[i].fields[j]);
			EXPECT_NE(NULL, strstr(text, name)) TH_LOG("%s:%s", formats[i].event, name);
		}
	}
}

/* The first word in capitals that is no string's, of those that say how to print an event. */
static const char *find_constant(const char *text, char name[64])
{
	bool quoted = false;
	size_t len;

	for (; *text; text++) {
		if (*text == '"')
			quoted = !quoted;
		len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
		if (quoted || !isupper(*text) || isalnum(text[-1]) || text[-1] == '_')
			continue;
		snprintf(name, 64, "%.*s", (int)len, text);
		if (strcmp(name, "REC"))
			return name;
	}
	return NULL;
}

/*
 * perf and trace-cmd know numbers: a name of the kernel's own that was left in
 * the format is nothing to them, and they print nothing for it.
 */
TEST(formats_have_no_names_of_the_kernel)
{
	char text[8192], name[64];
	const char *print;
	unsigned int n = 0;
	glob_t found;
	size_t i;

	ASSERT_EQ(0, glob(TRACING "/events/memview/*/format", 0, NULL, &found));
	for (i = 0; i < found.gl_pathc; i++) {
		ASSERT_LT(0, read_file(found.gl_pathv[i], text, sizeof(text)));
		print = strstr(text, "print fmt:");
		ASSERT_NE(NULL, print);
		n++;
		EXPECT_EQ(NULL, find_constant(print, name)) TH_LOG("%s: %s", found.gl_pathv[i], name);
	}
	EXPECT_LT(10, n);
	globfree(&found);
}

TEST_HARNESS_MAIN
