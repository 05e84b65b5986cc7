// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_samples.c - each sample policy lets through what it says, and nothing
 * else, as it is configured
 */
#include "ctl.h"
#include "revoke_fuse.h"

#include <linux/limits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#define SIZE	(16 * PAGE)
#define PIN	"/sys/fs/bpf/memview/"

FIXTURE(ctl_samples)
{
	struct klog klog;
	struct source file, tmpfs;
	int memfd, control, viewfd;
	unsigned long long id;
	char dir[64];
};

FIXTURE_SETUP(ctl_samples)
{
	struct said said;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->file, SOURCE_EXT4, SIZE);
	SOURCE_OPEN_OR_SKIP(&self->tmpfs, SOURCE_TMPFS, SIZE);
	self->memfd = memfd_filled(SIZE, 1);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	self->id = ctl_view_id(self->control);
	/* A test before this one may have died. */
	ASSERT_RUN(0, &said, "rm -f " PIN "*");
	ASSERT_EQ(0, policies_left());
}

FIXTURE_TEARDOWN(ctl_samples)
{
	struct said said;

	run(&said, "rm -f " PIN "*");
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define LOAD(...)							\
	do {								\
		struct said load_said;					\
									\
		ASSERT_RUN(0, &load_said, "memviewctl policy load --pin --replace " __VA_ARGS__); \
	} while (0)

/* A setting that is not one: nothing is loaded, and the message says what there is. */
#define REFUSED(policy, setting, words)					\
	do {								\
		struct said refused_said;				\
									\
		EXPECT_RUN(CTL_USAGE, &refused_said,			\
			   "memviewctl policy load " policy " --pin --set " setting); \
		EXPECT_SAYS(refused_said.err, words);			\
	} while (0)

static int map_one(FIXTURE_DATA(ctl_samples) *self, int fd, uint32_t flags)
{
	return view_map(self->control, fd, 0, PAGE, 0, flags);
}

TEST_F(ctl_samples, deny_exec)
{
	char *mem;

	REFUSED("deny-exec", "error=65536", "a number of 16 bits");
	REFUSED("deny-exec", "err=1", "error=13 (a number of 16 bits)");
	LOAD("deny-exec");
	EXPECT_EQ(0, map_one(self, self->memfd, MAP_RW));
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_RX));
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_RWX));
	mem = view_mmap(self->viewfd, PAGE, PROT_RW, 0);
	EXPECT_NE(MAP_FAILED, mem);
	EXPECT_EQ(MAP_FAILED, view_mmap(self->viewfd, PAGE, PROT_READ | PROT_EXEC, 0));
	EXPECT_EQ(EACCES, errno);
	/* The essay's claim: mprotect() is not asked about, and gains nothing. */
	if (!mprotect(mem, PAGE, PROT_READ | PROT_EXEC)) {
		uint32_t value;

		EXPECT_EQ(SIGSEGV, probe_exec(mem, &value));
	}
	LOAD("deny-exec --set error=1");
	EXPECT_EQ(-EPERM, map_one(self, self->memfd, MAP_RX));
	EXPECT_EQ(MAP_FAILED, view_mmap(self->viewfd, PAGE, PROT_EXEC, 0));
	EXPECT_EQ(EPERM, errno);
}

TEST_F(ctl_samples, memfd_only)
{
	REFUSED("memfd-only", "allow_tmpfs=2", "true or false");
	LOAD("memfd-only");
	EXPECT_EQ(0, map_one(self, self->memfd, MAP_RW));
	EXPECT_EQ(-EACCES, map_one(self, self->file.fd, MAP_R));
	EXPECT_EQ(-EACCES, map_one(self, self->tmpfs.fd, MAP_R));
	LOAD("memfd-only --set allow_tmpfs=true --set error=95");
	EXPECT_EQ(0, map_one(self, self->memfd, MAP_RW));
	EXPECT_EQ(0, map_one(self, self->tmpfs.fd, MAP_RW));
	EXPECT_EQ(-EOPNOTSUPP, map_one(self, self->file.fd, MAP_R));
}

TEST_F(ctl_samples, sealed_only)
{
	REFUSED("sealed-only", "seals=shrink", "a number of 32 bits");
	LOAD("sealed-only");
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_RW));
	EXPECT_EQ(-EACCES, map_one(self, self->file.fd, MAP_R));
	EXPECT_EQ(-EACCES, map_one(self, self->tmpfs.fd, MAP_R));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	EXPECT_EQ(0, map_one(self, self->memfd, MAP_RW));
	LOAD("sealed-only --set seals=6 --set error=1");
	EXPECT_EQ(-EPERM, map_one(self, self->memfd, MAP_RW));
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_GROW));
	EXPECT_EQ(0, map_one(self, self->memfd, MAP_RW));
	/* No seal wanted: any memfd, and still no file. */
	LOAD("sealed-only --set seals=0");
	EXPECT_EQ(-EACCES, map_one(self, self->tmpfs.fd, MAP_R));
}

/* In a process of that user, or of that cgroup: two views, and what they may show together. */
struct lender {
	uid_t uid;
	const char *cgroup;
	int result[6];
};

static int lend(struct lender *lender)
{
	int memfd = memfd_filled(SIZE, 1), a, b;

	if (lender->cgroup && write_file(lender->cgroup, "0"))
		return -EIO;
	/* The view is the real user's. */
	if (setresuid(lender->uid, 0, 0))
		return -errno;
	a = view_create(SIZE);
	b = view_create(SIZE);
	if (a < 0 || b < 0)
		return -EBADF;
	lender->result[0] = view_map(a, memfd, 0, 3 * PAGE, 0, MAP_R);
	lender->result[1] = view_map(b, memfd, 0, 2 * PAGE, 0, MAP_R);
	lender->result[2] = view_map(b, memfd, 0, PAGE, 0, MAP_R);
	/* What it replaces does not count twice. */
	lender->result[3] = view_map(a, memfd, PAGE, 3 * PAGE, 0, MAP_R);
	lender->result[4] = view_map(a, memfd, 0, 4 * PAGE, 0, MAP_R);
	view_unmap(a, 0, 2 * PAGE);
	lender->result[5] = view_map(b, memfd, 0, 3 * PAGE, 0, MAP_R);
	return 0;
}

static long lend_in_client(void *arg)
{
	return lend(arg);
}

static void check_quota(struct __test_metadata *_metadata, struct lender lender, bool limited)
{
	static const int with_limit[6] = { 0, -EDQUOT, 0, 0, -EDQUOT, 0 };
	struct client client;
	int i;

	ASSERT_EQ(0, client_start(&client, -1));
	ASSERT_EQ(0, client_call(&client, lend_in_client, &lender, sizeof(lender)));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(limited ? with_limit[i] : 0, lender.result[i]) TH_LOG("request %d", i);
	client_stop(&client);
}

TEST_F(ctl_samples, quota_by_user)
{
	REFUSED("quota", "limit=-1", "a number of 64 bits");
	REFUSED("quota", "only=x", "a signed number of 64 bits");
	LOAD("quota --set limit=16K");
	check_quota(_metadata, (struct lender){ .uid = 1001 }, true);
	check_quota(_metadata, (struct lender){ .uid = 1002 }, true);
	LOAD("quota --set limit=16K --set only=1001");
	check_quota(_metadata, (struct lender){ .uid = 1001 }, true);
	check_quota(_metadata, (struct lender){ .uid = 1002 }, false);
	LOAD("quota --set limit=0 --set error=28");
	EXPECT_EQ(-ENOSPC, map_one(self, self->memfd, MAP_R));
}

/* Each map of a batch counts for the next one, before any of them is done. */
TEST_F(ctl_samples, quota_of_a_batch)
{
	struct memview_batch_op ops[5];
	int control = view_create(SIZE);
	uint32_t failed;
	int i;

	LOAD("quota --set limit=16K");
	for (i = 0; i < 5; i++)
		ops[i] = batch_map(self->memfd, 0, PAGE, i * PAGE, MAP_R);
	EXPECT_EQ(-EDQUOT, view_batch(control, ops, 5, &failed));
	EXPECT_EQ(4, failed);
	EXPECT_EQ(0, view_batch(control, ops, 4, NULL));
	/* What they replace does not count twice. */
	for (i = 0; i < 4; i++)
		ops[i] = batch_map(self->memfd, PAGE, PAGE, i * PAGE, MAP_R);
	EXPECT_EQ(0, view_batch(control, ops, 4, NULL));
	/* Nothing of what was refused, or is done, counts for the next one. */
	EXPECT_EQ(-EDQUOT, view_map(control, self->memfd, 0, PAGE, 4 * PAGE, MAP_R));
	EXPECT_EQ(0, view_unmap(control, 0, PAGE));
	EXPECT_EQ(0, view_map(control, self->memfd, 0, PAGE, 4 * PAGE, MAP_R));
	close(control);
}

struct slow_request {
	int control, fd, err;
	char *mem; /* of a client that waits for a page of the same file */
};

static void *read_page(void *arg)
{
	struct slow_request *r = arg;
	uint64_t word;

	probe_read(r->mem, &word);
	return NULL;
}

static void *map_slowly(void *arg)
{
	struct slow_request *r = arg;

	r->err = view_map(r->control, r->fd, 0, 3 * PAGE, 8 * PAGE, MAP_R);
	return NULL;
}

/* A map that waits for a FUSE server, see revoke_slow_map.c, has been let in. */
TEST_F(ctl_samples, quota_of_requests_in_flight)
{
	struct slow_request r = { .control = self->control };
	pthread_t reader, mapper;
	struct view_info info;
	struct slow_fs fs;
	char path[96];
	int i;

	if (slow_fs_start(&fs) == -ENODEV)
		SKIP(return, "FUSE is not in this kernel");
	ASSERT_EQ(0, view_map(self->control, fs.fd, 0, PAGE, 0, MAP_R));
	r.mem = view_mmap(self->viewfd, SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, r.mem);
	fs.shared->direct = 1;
	snprintf(path, sizeof(path), "%s/file", fs.dir);
	r.fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, r.fd);
	LOAD("quota --set limit=20K");

	fs.shared->hold = 1;
	ASSERT_EQ(0, pthread_create(&reader, NULL, read_page, &r));
	for (i = 0; i < 1000 && !atomic_load(&fs.shared->held); i++)
		sleep_ms(10);
	ASSERT_EQ(0, pthread_create(&mapper, NULL, map_slowly, &r));
	sleep_ms(300);
	/* One page is there, three are on their way, one is left. */
	EXPECT_EQ(-EDQUOT, view_map(self->control, self->memfd, 0, 2 * PAGE, 4 * PAGE, MAP_R));
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 4 * PAGE, MAP_R));
	fs.shared->hold = 0;
	ASSERT_EQ(0, pthread_join(mapper, NULL));
	ASSERT_EQ(0, pthread_join(reader, NULL));
	EXPECT_EQ(0, r.err);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(5 * PAGE, info.bytes);
	EXPECT_EQ(-EDQUOT, view_map(self->control, self->memfd, 0, PAGE, 6 * PAGE, MAP_R));
	munmap(r.mem, SIZE);
	EXPECT_EQ(0, view_unmap(self->control, 0, SIZE));
	close(r.fd);
	slow_fs_stop(&fs);
}

TEST_F(ctl_samples, quota_by_cgroup)
{
	static const char a[] = "/sys/fs/cgroup/memview-a", b[] = "/sys/fs/cgroup/memview-b";
	struct stat st;

	ASSERT_TRUE(!mkdir(a, 0755) || errno == EEXIST);
	ASSERT_TRUE(!mkdir(b, 0755) || errno == EEXIST);
	LOAD("quota --set limit=16384 --set per_cgroup=yes");
	check_quota(_metadata, (struct lender){ .uid = 1001,
						.cgroup = "/sys/fs/cgroup/memview-a/cgroup.procs" },
		    true);
	/* The same user in another: another account. */
	check_quota(_metadata, (struct lender){ .uid = 1001,
						.cgroup = "/sys/fs/cgroup/memview-b/cgroup.procs" },
		    true);
	ASSERT_EQ(0, stat(a, &st));
	{
		struct said said;

		ASSERT_RUN(0, &said, "memviewctl policy load quota --pin --replace --set limit=16K "
			   "--set per_cgroup=1 --set only=%lu", st.st_ino);
	}
	check_quota(_metadata, (struct lender){ .cgroup = "/sys/fs/cgroup/memview-a/cgroup.procs" },
		    true);
	check_quota(_metadata, (struct lender){ .cgroup = "/sys/fs/cgroup/memview-b/cgroup.procs" },
		    false);
	EXPECT_EQ(0, rmdir(a));
	EXPECT_EQ(0, rmdir(b));
}

static int map_path(FIXTURE_DATA(ctl_samples) *self, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = map_one(self, fd, MAP_R);
	close(fd);
	return err;
}

static const char below[] = "/mnt/ext4/data/sub/file";
static const char beside[] = "/mnt/ext4/database/file";
static const char itself[] = "/mnt/ext4/data.img";

static void make_files(struct __test_metadata *_metadata)
{
	struct said said;

	ASSERT_RUN(0, &said, "cd /mnt/ext4 && mkdir -p data/sub database && "
		   "for f in data/sub/file database/file data.img; do head -c 4096 /dev/zero >$f; done");
}

/* A directory, not a beginning of names. */
TEST_F(ctl_samples, allow_path_prefix)
{
	make_files(_metadata);
	LOAD("allow-path");
	EXPECT_EQ(-EACCES, map_path(self, below));
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_R));
	LOAD("allow-path --set prefix=/mnt/ext4/data");
	EXPECT_EQ(0, map_path(self, below));
	EXPECT_EQ(0, map_path(self, "/mnt/ext4/data/../data/sub/file"));
	EXPECT_EQ(-EACCES, map_path(self, beside));
	EXPECT_EQ(-EACCES, map_path(self, itself));
	EXPECT_EQ(-EACCES, map_path(self, "/mnt/ext4/data/../database/file"));
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_R));
	LOAD("allow-path --set prefix=/mnt/ext4/data/ --set error=1");
	EXPECT_EQ(0, map_path(self, below));
	EXPECT_EQ(-EPERM, map_path(self, beside));
	EXPECT_EQ(-EPERM, map_path(self, itself));
	LOAD("allow-path --set prefix=/mnt/ext4/data.img");
	EXPECT_EQ(0, map_path(self, itself));
	EXPECT_EQ(-EACCES, map_path(self, below));
	LOAD("allow-path --set prefix=/");
	EXPECT_EQ(0, map_path(self, beside));
	REFUSED("allow-path", "prefix=$(printf %%0256d 0)", "a string of up to 255 bytes");
	LOAD("allow-path --set prefix=$(printf /%%0254d 0)");
	EXPECT_EQ(-EACCES, map_path(self, below));
}

/* Nothing is used up, by whatever answer. */
TEST_F(ctl_samples, allow_path_ever_again)
{
	int i;

	make_files(_metadata);
	LOAD("allow-path --set prefix=/mnt/ext4/data");
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, map_path(self, below)) TH_LOG("after %d", i);
		ASSERT_EQ(-EACCES, map_path(self, beside)) TH_LOG("after %d", i);
	}
}

/* A path that the process cannot name at length, and one that is gone. */
TEST_F(ctl_samples, allow_path_odd)
{
	char part[200], path[4096] = "/mnt/ext4/data";
	int fd, dir, i;

	make_files(_metadata);
	memset(part, 'p', sizeof(part));
	part[sizeof(part) - 1] = 0;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < 25; i++) {
		int next;

		ASSERT_TRUE(!mkdirat(dir, part, 0700) || errno == EEXIST);
		next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		ASSERT_LE(0, next);
		close(dir);
		dir = next;
	}
	fd = openat(dir, "far", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	LOAD("allow-path --set prefix=/mnt/ext4/data");
	EXPECT_EQ(-EACCES, map_one(self, fd, MAP_R));
	/* Deleted: still where it was, and told so. */
	fd = open("/mnt/ext4/data/gone", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	unlink("/mnt/ext4/data/gone");
	EXPECT_EQ(0, map_one(self, fd, MAP_R));
	ASSERT_EQ(0, system("rm -rf /mnt/ext4/data/ppp*"));
}

TEST_F(ctl_samples, allow_path_device)
{
	struct stat st;
	struct said said;

	make_files(_metadata);
	ASSERT_EQ(0, fstat(self->file.fd, &st));
	REFUSED("allow-path", "major=x", "a signed number of 32 bits");
	ASSERT_RUN(0, &said, "memviewctl policy load allow-path -P -s major=%u -s minor=%u",
		   major(st.st_dev), minor(st.st_dev));
	EXPECT_EQ(0, map_path(self, below));
	EXPECT_EQ(0, map_path(self, beside));
	EXPECT_EQ(-EACCES, map_one(self, self->tmpfs.fd, MAP_R));
	EXPECT_EQ(-EACCES, map_one(self, self->memfd, MAP_R));
	ASSERT_RUN(0, &said, "memviewctl policy load allow-path -P -r -s major=%u -s minor=%u",
		   major(st.st_dev), minor(st.st_dev) + 1);
	EXPECT_EQ(-EACCES, map_path(self, below));
	/* Both: on that device, below that directory. */
	ASSERT_RUN(0, &said, "memviewctl policy load allow-path -P -r -s major=%u -s minor=%u "
		   "-s prefix=/mnt/ext4/data", major(st.st_dev), minor(st.st_dev));
	EXPECT_EQ(0, map_path(self, below));
	EXPECT_EQ(-EACCES, map_path(self, beside));
	ASSERT_RUN(0, &said, "memviewctl policy load allow-path -P -r -s major=%u",
		   major(st.st_dev) + 1);
	EXPECT_EQ(-EACCES, map_path(self, below));
}

static void check_record(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_samples) *self,
			 struct json_object *r, const char *op)
{
	char comm[16] = "";

	prctl(PR_GET_NAME, comm);
	ASSERT_NE(NULL, r) TH_LOG("%s", op);
	EXPECT_STREQ(op, get_str(r, "/op"));
	EXPECT_EQ(self->id, get_u64(r, "/view"));
	EXPECT_EQ(getpid(), get_u64(r, "/pid"));
	EXPECT_EQ(getpid(), get_u64(r, "/tid"));
	EXPECT_STREQ(comm, get_str(r, "/comm"));
	EXPECT_EQ(0, get_u64(r, "/uid"));
	EXPECT_EQ(SIZE, get_u64(r, "/view_size"));
	EXPECT_EQ(getpid(), get_u64(r, "/owner_pid"));
	EXPECT_EQ(0, get_u64(r, "/owner_uid"));
}

static void check_map_record(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_samples) *self,
			     struct json_object *r)
{
	struct stat st;
	char dev[32];

	ASSERT_EQ(0, fstat(self->file.fd, &st));
	EXPECT_EQ(4 * PAGE, get_u64(r, "/offset"));
	EXPECT_EQ(2 * PAGE, get_u64(r, "/size"));
	EXPECT_EQ(PAGE, get_u64(r, "/fd_offset"));
	EXPECT_STREQ("rw-", get_str(r, "/flags"));
	EXPECT_STREQ("file", get_str(r, "/kind"));
	EXPECT_EQ(0, get_len(r, "/seals"));
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	EXPECT_STREQ(dev, get_str(r, "/dev"));
	EXPECT_EQ(st.st_ino, get_u64(r, "/ino"));
	EXPECT_EQ(SIZE, get_u64(r, "/file_size"));
	EXPECT_EQ(0, strncmp("/mnt/ext4/memview-", get_str(r, "/path"), 18));
	EXPECT_EQ(0, get_u64(r, "/view_mapped"));
}

/* A record of each request, those that another policy refuses included. */
TEST_F(ctl_samples, audit_all)
{
	struct json_object *all, *r;
	struct said said;
	struct job job;

	LOAD("deny-exec");
	ASSERT_EQ(0, job_start(&job, "attached", "exec memviewctl policy load audit-all --json"));
	ASSERT_EQ(0, view_map(self->control, self->file.fd, PAGE, 2 * PAGE, 4 * PAGE, MAP_RW));
	ASSERT_LE(0, view_get_fd(self->control));
	ASSERT_NE(MAP_FAILED, view_mmap(self->viewfd, 3 * PAGE, PROT_RW, PAGE));
	ASSERT_EQ(-EACCES, map_one(self, self->memfd, MAP_RX));
	ASSERT_EQ(0, view_unmap(self->control, 5 * PAGE, PAGE));
	ASSERT_EQ(0, job_says(&job, "\"unmap_fd\""));
	ASSERT_EQ(0, job_end(&job, SIGTERM, &said));
	all = json_lines(said.out);
	/* The first line says that it is attached. */
	ASSERT_EQ(7, json_object_array_length(all)) TH_LOG("%s", said.out);
	r = json_object_array_get_idx(all, 1);
	check_record(_metadata, self, r, "map_fd");
	check_map_record(_metadata, self, r);
	check_record(_metadata, self, json_object_array_get_idx(all, 2), "get_viewfd");
	r = json_object_array_get_idx(all, 3);
	check_record(_metadata, self, r, "mmap");
	EXPECT_EQ(PAGE, get_u64(r, "/offset"));
	EXPECT_EQ(3 * PAGE, get_u64(r, "/size"));
	EXPECT_STREQ("rw-", get_str(r, "/protection"));
	EXPECT_EQ(2 * PAGE, get_u64(r, "/view_mapped"));
	r = json_object_array_get_idx(all, 4);
	check_record(_metadata, self, r, "map_fd");
	EXPECT_STREQ("r-x", get_str(r, "/flags"));
	EXPECT_STREQ("memfd", get_str(r, "/kind"));
	EXPECT_STREQ("/memfd:memview-test (deleted)", get_str(r, "/path"));
	r = json_object_array_get_idx(all, 5);
	check_record(_metadata, self, r, "denied");
	EXPECT_STREQ("map_fd", get_str(r, "/denied"));
	EXPECT_STREQ("EACCES", get_str(r, "/error"));
	r = json_object_array_get_idx(all, 6);
	check_record(_metadata, self, r, "unmap_fd");
	EXPECT_EQ(5 * PAGE, get_u64(r, "/offset"));
	EXPECT_EQ(PAGE, get_u64(r, "/size"));
}

/* Pinned, its records wait; what found no room is told, and nothing is refused. */
TEST_F(ctl_samples, audit_all_watched)
{
	enum { STORM = 4000 };
	struct json_object *all, *state, *r;
	uint64_t lost = 0, mmaps = 0, maps = 0;
	struct said said;
	struct job job;
	unsigned int i;

	LOAD("audit-all --set mappings=false");
	for (i = 0; i < STORM; i++)
		ASSERT_EQ(0, map_one(self, self->memfd, MAP_R));
	ASSERT_NE(MAP_FAILED, view_mmap(self->viewfd, PAGE, PROT_READ, 0));
	ASSERT_EQ(0, job_start(&job, "lost", "exec memviewctl policy watch audit-all --json"));
	ASSERT_EQ(0, map_one(self, self->memfd, MAP_RW));
	ASSERT_EQ(0, job_says(&job, "\"rw-\""));
	state = json_object_object_get(ctl_json("policy show audit-all"), "state");
	ASSERT_RUN(0, &said, "memviewctl policy unload audit-all");
	ASSERT_EQ(CTL_FAILED, job_end(&job, 0, &said));
	EXPECT_SAYS(said.err, "was unloaded by somebody else");
	all = json_lines(said.out);
	for (i = 0; i < json_object_array_length(all); i++) {
		r = json_object_array_get_idx(all, i);
		if (!strcmp(get_str(r, "/op"), "lost"))
			lost += get_u64(r, "/count");
		mmaps += !strcmp(get_str(r, "/op"), "mmap");
		maps += !strcmp(get_str(r, "/op"), "map_fd");
	}
	EXPECT_LT(0, lost);
	EXPECT_EQ(lost, get_u64(pick_nth(state, "key", "lost", 0), "/value"));
	EXPECT_EQ(0, mmaps);
	EXPECT_EQ(STORM + 1, maps + lost);
}

/* As text: a line for each, with the figures of the record. */
TEST_F(ctl_samples, audit_all_text)
{
	struct said said;
	struct job job;
	char line[128];

	ASSERT_EQ(0, job_start(&job, "is attached", "exec memviewctl policy load audit-all"));
	ASSERT_EQ(0, view_map(self->control, self->memfd, PAGE, 2 * PAGE, 4 * PAGE, MAP_RW));
	ASSERT_EQ(0, job_says(&job, " map_fd view="));
	ASSERT_EQ(0, job_end(&job, SIGINT, &said));
	snprintf(line, sizeof(line), " map_fd view=%llu pid=%d comm=", self->id, getpid());
	EXPECT_SAYS(said.out, line);
	EXPECT_SAYS(said.out, " offset=0x4000 size=0x2000 flags=rw- kind=memfd ");
	EXPECT_SAYS(said.out, " from=0x1000 path=/memfd:memview-test (deleted)");
}

TEST_HARNESS_MAIN
