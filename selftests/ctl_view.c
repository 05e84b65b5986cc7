// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_view.c - memviewctl list, show, revoke, stats and top tell what is there,
 * exactly, in text and in JSON; revoke takes it away
 */
#include "ctl.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#define PAGES	64
#define SIZE	(PAGES * PAGE)
#define READS	5
#define WRITES	3
#define BAD	2

FIXTURE(ctl_view)
{
	struct klog klog;
	struct source file;
	struct client client;
	int memfd, control, viewfd;
	uint64_t id;
};

static long client_touches(void *arg)
{
	char *mem = view_mmap_by_page(client_viewfd, SIZE, PROT_RW, 0);
	uint64_t word;
	int i;

	if (mem == MAP_FAILED)
		return -errno;
	for (i = 0; i < READS; i++)
		if (probe_read(mem + i * PAGE, &word))
			return -EFAULT;
	for (i = 0; i < WRITES; i++)
		if (probe_write(mem + (16 + i) * PAGE, 1))
			return -EFAULT;
	for (i = 0; i < BAD; i++)
		if (probe_read(mem + (50 + i) * PAGE, &word) != SIGBUS)
			return -ENOTRECOVERABLE;
	*(char **)arg = mem;
	return 0;
}

static long client_reads(void *arg)
{
	char *mem = *(char **)arg;
	uint64_t word;

	return probe_read(mem, &word);
}

/* Pages 0 to 7 of a memfd, 16 to 19 of a file, twice; the rest is empty. */
FIXTURE_SETUP(ctl_view)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->file, SOURCE_EXT4, 8 * PAGE);
	self->memfd = memfd_filled(8 * PAGE, 1);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 8 * PAGE, 0, MAP_RX));
	ASSERT_EQ(0, view_map(self->control, self->file.fd, PAGE, 4 * PAGE, 16 * PAGE, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	self->id = ctl_view_id(self->control);
	ASSERT_EQ(0, client_start(&self->client, self->viewfd));
}

FIXTURE_TEARDOWN(ctl_view)
{
	client_kill(&self->client);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/*
 * The client touches its pages. What it has written goes to disk, or that would take its pages
 * away later, while a test compares the counters.
 */
static void touch(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_view) *self, char **mem)
{
	struct view_info info = {};

	ASSERT_EQ(0, client_call(&self->client, client_touches, mem, sizeof(*mem)));
	ASSERT_EQ(0, fsync(self->file.fd));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_LT(0, info.zaps);
	EXPECT_LT(0, info.invalidates);
}

/* The row of a view. */
static struct json_object *row_of(struct json_object *list, uint64_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return pick_nth(list, "id", text, 0);
}

static void check_view(struct __test_metadata *_metadata, struct json_object *view, int control)
{
	struct view_info info = {};

	ASSERT_NE(NULL, view);
	ASSERT_EQ(0, view_info(control, &info));
	EXPECT_EQ(info.id, get_u64(view, "/id"));
	EXPECT_EQ(info.size, get_u64(view, "/size"));
	EXPECT_EQ(info.bytes, get_u64(view, "/mapped"));
	EXPECT_EQ(info.ranges, get_u64(view, "/ranges"));
	EXPECT_EQ(info.mappings, get_u64(view, "/mappings"));
	EXPECT_EQ(info.faults, get_u64(view, "/faults"));
	EXPECT_EQ(info.fault_errors, get_u64(view, "/fault_errors"));
	EXPECT_EQ(info.changes, get_u64(view, "/changes"));
	EXPECT_EQ(info.zaps, get_u64(view, "/zaps"));
	EXPECT_EQ(info.invalidates, get_u64(view, "/invalidates"));
	EXPECT_EQ(getpid(), get_u64(view, "/owner_pid"));
	EXPECT_EQ(0, get_u64(view, "/owner_uid"));
}

TEST_F(ctl_view, list)
{
	int small = view_create(3 * PAGE), empty = view_create(0);
	struct json_object *list, *view;
	char comm[16] = "";
	struct said said;
	const char *lacks;
	char *mem;

	touch(_metadata, self, &mem);
	list = ctl_json("list");
	ASSERT_NE(NULL, list);
	view = row_of(list, self->id);
	check_view(_metadata, view, self->control);
	/* What this test has done, not only what the kernel says. */
	EXPECT_EQ(SIZE, get_u64(view, "/size"));
	EXPECT_EQ(12 * PAGE, get_u64(view, "/mapped"));
	EXPECT_EQ(2, get_u64(view, "/ranges"));
	EXPECT_EQ(1, get_u64(view, "/mappings"));
	EXPECT_EQ(READS + WRITES, get_u64(view, "/faults"));
	EXPECT_EQ(BAD, get_u64(view, "/fault_errors"));
	check_view(_metadata, row_of(list, ctl_view_id(small)), small);
	check_view(_metadata, row_of(list, ctl_view_id(empty)), empty);
	prctl(PR_GET_NAME, comm);
	EXPECT_STREQ(comm, get_str(view, "/owner_comm"));

	ASSERT_RUN(0, &said, "memviewctl list");
	lacks = text_lacks(said.out, list, "changes zaps invalidates owner_cgroup");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, said.out);
}

static void check_ranges(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_view) *self,
			 struct json_object *show)
{
	struct stat memfd, file;
	char dev[32];

	ASSERT_EQ(0, fstat(self->memfd, &memfd));
	ASSERT_EQ(0, fstat(self->file.fd, &file));
	ASSERT_EQ(2, get_len(show, "/ranges"));
	EXPECT_EQ(0, get_u64(show, "/ranges/0/offset"));
	EXPECT_EQ(8 * PAGE, get_u64(show, "/ranges/0/size"));
	EXPECT_EQ(0, get_u64(show, "/ranges/0/fd_offset"));
	EXPECT_STREQ("r-x", get_str(show, "/ranges/0/flags"));
	EXPECT_STREQ("memfd", get_str(show, "/ranges/0/kind"));
	EXPECT_STREQ("shrink", get_str(show, "/ranges/0/seals/0"));
	EXPECT_STREQ("grow", get_str(show, "/ranges/0/seals/1"));
	EXPECT_EQ(2, get_len(show, "/ranges/0/seals"));
	EXPECT_EQ(memfd.st_ino, get_u64(show, "/ranges/0/ino"));
	EXPECT_EQ(8 * PAGE, get_u64(show, "/ranges/0/file_size"));
	EXPECT_STREQ("/memfd:memview-test (deleted)", get_str(show, "/ranges/0/path"));
	EXPECT_EQ(16 * PAGE, get_u64(show, "/ranges/1/offset"));
	EXPECT_EQ(4 * PAGE, get_u64(show, "/ranges/1/size"));
	EXPECT_EQ(PAGE, get_u64(show, "/ranges/1/fd_offset"));
	EXPECT_STREQ("rw-", get_str(show, "/ranges/1/flags"));
	EXPECT_STREQ("file", get_str(show, "/ranges/1/kind"));
	EXPECT_EQ(0, get_len(show, "/ranges/1/seals"));
	EXPECT_EQ(file.st_ino, get_u64(show, "/ranges/1/ino"));
	EXPECT_STREQ("true", get_str(show, "/ranges/1/file_writable"));
	snprintf(dev, sizeof(dev), "%u:%u", major(file.st_dev), minor(file.st_dev));
	EXPECT_STREQ(dev, get_str(show, "/ranges/1/dev"));
	EXPECT_EQ(0, strncmp("/mnt/ext4/memview-", get_str(show, "/ranges/1/path"), 18));
}

TEST_F(ctl_view, show)
{
	struct json_object *show;
	struct said said;
	const char *lacks;
	char *mem;

	touch(_metadata, self, &mem);
	show = ctl_json("show %llu", (unsigned long long)self->id);
	ASSERT_NE(NULL, show);
	check_view(_metadata, json_object_object_get(show, "view"), self->control);
	check_ranges(_metadata, self, show);
	ASSERT_EQ(1, get_len(show, "/mapped_by"));
	EXPECT_EQ(self->client.pid, get_u64(show, "/mapped_by/0/pid"));
	EXPECT_EQ((uintptr_t)mem, get_u64(show, "/mapped_by/0/address"));
	EXPECT_EQ(0, get_u64(show, "/mapped_by/0/offset"));
	EXPECT_EQ(SIZE, get_u64(show, "/mapped_by/0/size"));
	EXPECT_STREQ("rw-", get_str(show, "/mapped_by/0/protection"));

	ASSERT_RUN(0, &said, "memviewctl show %llu", (unsigned long long)self->id);
	lacks = text_lacks(said.out, show, "file_size file_writable");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, said.out);
	EXPECT_SAYS(said.out, "shrink,grow");
}

/* No view of another name, and nothing whose path only looks like one. */
TEST_F(ctl_view, show_only_its_mappings)
{
	char name[64], *mem;
	int ten[12], i, fd;

	for (i = 0; i < 12; i++)
		ten[i] = view_create(PAGE);
	snprintf(name, sizeof(name), "/tmp/memory-view:view:%llu", (unsigned long long)self->id);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	mem = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	unlink(name);
	mem = view_mmap(view_get_fd(ten[11]), PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, get_len(ctl_json("show %llu", (unsigned long long)self->id), "/mapped_by"));
	/* Of IDs that begin alike. */
	for (i = 0; i < 12; i += 11)
		EXPECT_EQ(i == 11, get_len(ctl_json("show %llu",
					   (unsigned long long)ctl_view_id(ten[i])), "/mapped_by"));
}

TEST_F(ctl_view, show_flags)
{
	struct json_object *show = ctl_json("show %llu", (unsigned long long)self->id);

	EXPECT_EQ(0, get_len(show, "/view/flags"));
	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	show = ctl_json("show %llu", (unsigned long long)self->id);
	EXPECT_EQ(1, get_len(show, "/view/flags"));
	EXPECT_STREQ("revoke-on-close", get_str(show, "/view/flags/0"));
}

static long owner_leaves(void *arg)
{
	int fd = view_create(2 * PAGE), m = memfd_filled(PAGE, 1);

	if (fd < 0 || view_map(fd, m, 0, PAGE, 0, MAP_R))
		return -EIO;
	return send_fd(*(int *)arg, fd);
}

/* The view lives on with who has got it. */
TEST_F(ctl_view, owner_gone)
{
	struct json_object *show;
	struct client owner;
	int pair[2], fd;
	uint64_t id;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	/* The client has 3 and the view fd only; it is sent this one in its stead. */
	ASSERT_EQ(0, client_start(&owner, pair[1]));
	fd = 4;
	ASSERT_EQ(0, client_call(&owner, owner_leaves, &fd, sizeof(fd)));
	fd = recv_fd(pair[0]);
	ASSERT_LE(0, fd);
	client_stop(&owner);
	id = ctl_view_id(fd);
	show = ctl_json("show %llu", (unsigned long long)id);
	EXPECT_EQ(owner.pid, get_u64(show, "/view/owner_pid"));
	EXPECT_STREQ("-", get_str(show, "/view/owner_comm"));
	EXPECT_EQ(1, get_len(show, "/ranges"));
	EXPECT_STREQ("", get_str(show, "/ranges/0/path"));
	EXPECT_STREQ("-", get_str(row_of(ctl_json("list"), id), "/owner_comm"));
	EXPECT_STREQ("true", get_str(ctl_json("revoke %llu", (unsigned long long)id), "/whole"));
}

/* Names that others choose neither break JSON nor move the cursor. */
TEST_F(ctl_view, hostile_names)
{
	struct json_object *list, *show;
	struct said said;
	int m, fd;

	prctl(PR_SET_NAME, "\033[2J\xff\n|\xc3\xa9");
	m = memfd_create("\n# \033]0;x\a", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(m, PAGE));
	fd = view_create(PAGE);
	ASSERT_EQ(0, view_map(fd, m, 0, PAGE, 0, MAP_R));
	list = ctl_json("list");
	ASSERT_NE(NULL, list);
	EXPECT_STREQ("\033[2J\xef\xbf\xbd", get_str(row_of(list, ctl_view_id(fd)), "/owner_comm"));
	show = ctl_json("show %llu", (unsigned long long)ctl_view_id(fd));
	EXPECT_EQ(1, get_len(show, "/ranges"));
	ASSERT_RUN(0, &said, "memviewctl show %llu", (unsigned long long)ctl_view_id(fd));
	EXPECT_EQ(NULL, strpbrk(said.out, "\033\a")) TH_LOG("%s", said.out);
	EXPECT_SAYS(said.out, "/memfd:\\012# \\033]0;x\\007");
}

/* More than fits at first, of both. */
TEST_F(ctl_view, many)
{
	enum { VIEWS = 700, RANGES = 3000 };
	struct json_object *list, *show;
	struct said said;
	int control, i;

	for (i = 0; i < VIEWS; i++)
		ASSERT_LE(0, view_create(PAGE));
	list = ctl_json("list");
	EXPECT_LE(VIEWS, json_object_array_length(list));
	for (i = 1; i < VIEWS; i++)
		ASSERT_LT(get_u64(json_object_array_get_idx(list, i - 1), "/id"),
			  get_u64(json_object_array_get_idx(list, i), "/id"));
	control = view_create(2 * RANGES * PAGE);
	for (i = 0; i < RANGES; i++)
		ASSERT_EQ(0, view_map(control, self->memfd, 0, PAGE, 2 * i * PAGE, MAP_R));
	show = ctl_json("show %llu", (unsigned long long)ctl_view_id(control));
	ASSERT_EQ(RANGES, get_len(show, "/ranges"));
	for (i = 0; i < RANGES; i++)
		ASSERT_EQ(2 * i * PAGE, get_u64(json_object_array_get_idx(
			json_object_object_get(show, "ranges"), i), "/offset"));
	/* People are told that this is not all. */
	ASSERT_RUN(0, &said, "memviewctl top --count 1 --interval 0.1");
	EXPECT_SAYS(said.out, "The 20 that fault most:");
}

TEST_F(ctl_view, revoke)
{
	unsigned long long id = self->id;
	struct json_object *json;
	struct view_info info;
	struct said said;
	char *mem;

	touch(_metadata, self, &mem);
	ASSERT_RUN(0, &said, "memviewctl revoke %llu 0 4K", id);
	EXPECT_SAYS(said.out, ": revoked 0x1000 bytes at 0.\n");
	EXPECT_EQ(SIGBUS, client_call(&self->client, client_reads, &mem, sizeof(mem)));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(11 * PAGE, info.bytes);
	json = ctl_json("revoke %llu 0x11000 8192", id);
	EXPECT_EQ(id, get_u64(json, "/revoked"));
	EXPECT_EQ(17 * PAGE, get_u64(json, "/offset"));
	EXPECT_EQ(2 * PAGE, get_u64(json, "/size"));
	EXPECT_STREQ("false", get_str(json, "/whole"));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(9 * PAGE, info.bytes);
	EXPECT_EQ(3, info.ranges);
	ASSERT_RUN(0, &said, "memviewctl revoke %llu", id);
	EXPECT_SAYS(said.out, ": revoked all of it.\n");
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(0, info.bytes);
	/* Not for ever: the controller may map again. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(0, client_call(&self->client, client_reads, &mem, sizeof(mem)));
}

TEST_F(ctl_view, revoke_refused)
{
	unsigned long long id = self->id;
	struct view_info info;
	struct said said;

	EXPECT_RUN(CTL_FAILED, &said, "memviewctl revoke %llu 1 4096", id);
	EXPECT_SAYS(said.err, "multiples of the page size");
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl revoke 999999");
	EXPECT_SAYS(said.err, "there is no view 999999");
	EXPECT_SAYS(said.err, "memviewctl list");
	EXPECT_RUN(CTL_USAGE, &said, "memviewctl revoke %llu 0 0", id);
	EXPECT_SAYS(said.err, "give its ID alone");
	EXPECT_RUN(CTL_USAGE, &said, "memviewctl revoke %llu 0", id);
	EXPECT_SAYS(said.err, "an offset needs a size");
	EXPECT_RUN(CTL_USAGE, &said, "memviewctl revoke %llu -- -4096 4096", id);
	EXPECT_RUN(CTL_USAGE, &said, "memviewctl revoke %llu 0 99999999T", id);
	EXPECT_RUN(CTL_USAGE, &said, "memviewctl revoke");
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(12 * PAGE, info.bytes);
}

TEST_F(ctl_view, stats)
{
	struct json_object *list, *stats, *lines, *line;
	static const char *const counters[] = { "/faults", "/fault_errors", "/changes", "/zaps",
						"/size", "/mapped", "/ranges", "/mappings" };
	struct said said;
	const char *lacks;
	char *mem, key[64];
	size_t i, n;

	touch(_metadata, self, &mem);
	list = ctl_json("list");
	stats = ctl_json("stats");
	ASSERT_NE(NULL, stats);
	EXPECT_EQ(json_object_array_length(list), get_u64(stats, "/stats/views"));
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		uint64_t sum = 0;

		for (n = 0; n < json_object_array_length(list); n++)
			sum += get_u64(json_object_array_get_idx(list, n), counters[i]);
		snprintf(key, sizeof(key), "/stats%s", counters[i]);
		EXPECT_EQ(sum, get_u64(stats, key)) TH_LOG("%s", key);
	}
	ASSERT_RUN(0, &said, "memviewctl stats");
	lacks = text_lacks(said.out, stats, "");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, said.out);

	ASSERT_RUN(0, &said, "memviewctl stats --watch --interval 0.05 --count 3 --json");
	lines = json_lines(said.out);
	ASSERT_EQ(3, json_object_array_length(lines));
	line = json_object_array_get_idx(lines, 2);
	EXPECT_EQ(0, get_u64(line, "/faults"));
	EXPECT_EQ(get_u64(stats, "/stats/mapped"), get_u64(line, "/mapped"));
	ASSERT_RUN(0, &said, "memviewctl stats --watch --interval 0.05 --count 1");
	EXPECT_SAYS(said.out, "per second:");
}

static long client_works(void *arg)
{
	char *mem = view_mmap_by_page(client_viewfd, SIZE, PROT_RW, 0);
	uint64_t word, end = now_ns() + *(uint64_t *)arg;

	if (mem == MAP_FAILED)
		return -errno;
	while (now_ns() < end) {
		probe_read(mem + 60 * PAGE, &word);
		sleep_ms(5);
	}
	return 0;
}

/* Who is busy stands on top. */
TEST_F(ctl_view, top)
{
	uint64_t time = 3000000000ULL;
	struct json_object *line;
	int other = view_create(PAGE);
	struct said said;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, client_post(&self->client, client_works, &time, sizeof(time)));
	ASSERT_RUN(0, &said, "memviewctl top --json --count 1 --interval 0.5");
	line = json_tokener_parse(said.out);
	ASSERT_NE(NULL, line);
	EXPECT_EQ(0, get_u64(line, "/top/0/faults"));
	EXPECT_LT(0, get_u64(row_of(ctl_json("list"), self->id), "/fault_errors"));
	EXPECT_EQ(get_u64(ctl_json("stats"), "/stats/views"), get_len(line, "/top"));
	ASSERT_RUN(0, &said, "memviewctl top --count 1 --interval 0.1");
	EXPECT_SAYS(said.out, "Views: ");
	EXPECT_SAYS(said.out, "FAULTS/s");
	EXPECT_EQ(0, client_result(&self->client, &time, sizeof(time)));
}

TEST_F(ctl_view, wrong_command_lines)
{
	static const char *const lines[] = {
		"", "--json", "lists", "list 1", "show", "show x", "show 1 2", "show 1M1", "show -1",
		"list --no-such", "stats --interval 0", "stats --interval x", "stats --count 0",
		"top 1", "events --view 0", "events --event maps", "events --pid -1",
		"events --pid 4294967296", "events --count x", "events --duration -1",
		"events --buffer 5000", "events --buffer 1K", "hist --view x", "hist --duration 0",
		"policy", "policy loads", "policy load", "policy load a b", "policy load a --set b",
		"policy load a --set =b", "policy load a --priority -1",
		"policy load a --priority 4294967296", "policy load a --name 1234567890123456",
		"policy load a --name a/b", "policy load a --name .a", "policy load a --replace",
		"stats --interval nan", "stats --interval 0x1p1", "stats --interval 1e0",
		"top --count 1 --interval +1", "events --duration 1e-9", "events --duration 0.1s",
		"events --duration .", "hist --duration 1.", "hist --duration 00.1",
		"hist --duration inf", "hist --duration 1e-9",
		"policy show", "policy unload", "policy watch", "policy list x", "doctor x",
	};
	struct said said;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		EXPECT_RUN(CTL_USAGE, &said, "memviewctl %s", lines[i]);
		EXPECT_LT(0, strlen(said.err)) TH_LOG("silent: %s", lines[i]);
	}
	EXPECT_RUN(0, &said, "memviewctl --help");
	EXPECT_RUN(0, &said, "memviewctl policy --help");
	EXPECT_RUN(0, &said, "memviewctl policy load --help");
	EXPECT_RUN(0, &said, "memviewctl --version");
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl list >/dev/full");
	EXPECT_SAYS(said.err, "cannot write all of the output");
}

TEST_HARNESS_MAIN
