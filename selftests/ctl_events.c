// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_events.c - memviewctl events and hist report what has happened: each
 * event once, with its figures, and what is lost
 */
#include "ctl.h"

#define PAGES	32
#define SIZE	(PAGES * PAGE)

FIXTURE(ctl_events)
{
	struct klog klog;
	struct source file;
	struct job job;
	int reader; /* of the file, and no writer */
	int memfd, control, viewfd;
	char *mem;
	unsigned long long id;
};

FIXTURE_SETUP(ctl_events)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->file, SOURCE_EXT4, 4 * PAGE);
	ASSERT_EQ(0, source_fill(&self->file, 2));
	/* Writeback takes pages away. */
	ASSERT_EQ(0, fsync(self->file.fd));
	self->reader = source_reopen(&self->file, O_RDONLY);
	ASSERT_LE(0, self->reader);
	self->memfd = memfd_filled(SIZE, 1);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 20 * PAGE, 0, MAP_R));
	ASSERT_EQ(0, view_map(self->control, self->file.fd, 0, 2 * PAGE, 20 * PAGE, MAP_R));
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap_by_page(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->id = ctl_view_id(self->control);
}

FIXTURE_TEARDOWN(ctl_events)
{
	if (self->job.pid)
		kill(self->job.pid, SIGKILL);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* One that is done, and one whose last entry is at fault. */
static void live_batches(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_events) *self,
			 int control)
{
	const struct memview_batch_op ops[] = {
		batch_map(self->memfd, 0, 2 * PAGE, 20 * PAGE, MAP_RW),
		batch_unmap(21 * PAGE, PAGE),
		batch_map(self->reader, 0, PAGE, 0, MAP_RW),
	};

	ASSERT_EQ(0, view_batch(control, ops, 2, NULL));
	ASSERT_EQ(-EACCES, view_batch(control, ops, 3, NULL));
}

/* Everything that can happen to a view but a verdict. */
static void live(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_events) *self)
{
	int control = view_create(SIZE), viewfd;
	uint64_t word;
	char *mem;

	ASSERT_EQ(0, view_map(control, self->memfd, PAGE, 8 * PAGE, 0, MAP_R));
	ASSERT_EQ(0, view_map(control, self->file.fd, 0, 2 * PAGE, 8 * PAGE, MAP_R));
	ASSERT_EQ(-EACCES, view_map(control, self->reader, 0, PAGE, 0, MAP_RW));
	ASSERT_EQ(0, view_set_flags(control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(0, view_set_flags(control, 0));
	viewfd = view_get_fd(control);
	mem = view_mmap_by_page(viewfd, 16 * PAGE, PROT_RW, PAGE);
	ASSERT_EQ(0, probe_read(mem, &word));
	ASSERT_EQ(0, view_map(control, self->memfd, PAGE, 8 * PAGE, 0, MAP_RW));
	ASSERT_EQ(0, probe_write(mem, 1));
	ASSERT_EQ(0, probe_write(mem + PAGE, 1));
	ASSERT_EQ(0, probe_read(mem + 7 * PAGE, &word));
	ASSERT_EQ(SIGSEGV, probe_write(mem + 7 * PAGE, 1));
	ASSERT_EQ(SIGBUS, probe_read(mem + 12 * PAGE, &word));
	ASSERT_EQ(0, view_unmap(control, 0, PAGE));
	live_batches(_metadata, self, control);
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       2 * PAGE, PAGE));
	ASSERT_EQ(0, view_resize(control, 4 * PAGE));
	munmap(mem, 16 * PAGE);
	close(viewfd);
	close(control);
}

static struct json_object *of_view(struct json_object *all, uint64_t id)
{
	struct json_object *some = json_object_new_array(), *each;
	size_t i;

	for (i = 0; i < json_object_array_length(all); i++) {
		each = json_object_array_get_idx(all, i);
		if (get_u64(each, "/view") == id)
			json_object_array_add(some, json_object_get(each));
	}
	return some;
}

static void check_batches(struct __test_metadata *_metadata, struct json_object *all)
{
	struct json_object *e;

	EXPECT_EQ(2, count_of(all, "event", "batch"));
	e = pick_nth(all, "event", "batch", 0);
	EXPECT_EQ(2, get_u64(e, "/entries"));
	EXPECT_EQ(~0ULL, get_u64(e, "/failed_entry"));
	EXPECT_STREQ("", get_str(e, "/error"));
	/* Its entries, and of the other one that which is at fault. */
	e = pick_nth(all, "event", "map", 4);
	EXPECT_EQ(20 * PAGE, get_u64(e, "/offset"));
	EXPECT_STREQ("", get_str(e, "/error"));
	e = pick_nth(all, "event", "unmap", 1);
	EXPECT_EQ(21 * PAGE, get_u64(e, "/offset"));
	e = pick_nth(all, "event", "batch", 1);
	EXPECT_EQ(3, get_u64(e, "/entries"));
	EXPECT_EQ(2, get_u64(e, "/failed_entry"));
	EXPECT_STREQ("EACCES", get_str(e, "/error"));
	e = pick_nth(all, "event", "map", 5);
	EXPECT_STREQ("EACCES", get_str(e, "/error"));
}

static void check_changes(struct __test_metadata *_metadata, struct json_object *all)
{
	struct json_object *e;

	EXPECT_EQ(1, count_of(all, "event", "create"));
	EXPECT_EQ(1, count_of(all, "event", "destroy"));
	EXPECT_EQ(2, count_of(all, "event", "resize"));
	e = pick_nth(all, "event", "resize", 1);
	EXPECT_EQ(SIZE, get_u64(e, "/old_size"));
	EXPECT_EQ(4 * PAGE, get_u64(e, "/size"));
	EXPECT_EQ(6, count_of(all, "event", "map"));
	e = pick_nth(all, "event", "map", 0);
	EXPECT_EQ(0, get_u64(e, "/offset"));
	EXPECT_EQ(8 * PAGE, get_u64(e, "/size"));
	EXPECT_EQ(PAGE, get_u64(e, "/fd_offset"));
	EXPECT_STREQ("r--", get_str(e, "/flags"));
	EXPECT_STREQ("memfd", get_str(e, "/kind"));
	EXPECT_STREQ("", get_str(e, "/error"));
	e = pick_nth(all, "event", "map", 1);
	EXPECT_STREQ("file", get_str(e, "/kind"));
	e = pick_nth(all, "event", "map", 2);
	EXPECT_STREQ("EACCES", get_str(e, "/error"));
	e = pick_nth(all, "event", "map", 3);
	EXPECT_STREQ("rw-", get_str(e, "/flags"));
	check_batches(_metadata, all);
	EXPECT_EQ(2, count_of(all, "event", "unmap"));
	e = pick_nth(all, "event", "unmap", 0);
	EXPECT_EQ(0, get_u64(e, "/offset"));
	EXPECT_EQ(PAGE, get_u64(e, "/size"));
	EXPECT_EQ(2, count_of(all, "event", "set_flags"));
	e = pick_nth(all, "event", "set_flags", 0);
	EXPECT_STREQ("none", get_str(e, "/old_flags"));
	EXPECT_STREQ("revoke-on-close", get_str(e, "/flags"));
	EXPECT_EQ(1, count_of(all, "event", "get_viewfd"));
	EXPECT_EQ(1, count_of(all, "event", "mmap"));
	e = pick_nth(all, "event", "mmap", 0);
	EXPECT_EQ(PAGE, get_u64(e, "/offset"));
	EXPECT_EQ(16 * PAGE, get_u64(e, "/size"));
	EXPECT_STREQ("rw-", get_str(e, "/protection"));
	e = pick_nth(all, "event", "invalidate", 0);
	EXPECT_EQ(2 * PAGE, get_u64(e, "/fd_offset"));
	EXPECT_EQ(PAGE, get_u64(e, "/size"));
	EXPECT_STREQ("unmap_file", get_str(e, "/cause"));
	/* Where the view shows the hole. */
	e = pick_nth(all, "cause", "unmap_file", 1);
	EXPECT_STREQ("zap", get_str(e, "/event"));
	EXPECT_EQ(PAGE, get_u64(e, "/offset"));
	e = pick_nth(all, "cause", "resize", 0);
	EXPECT_EQ(4 * PAGE, get_u64(e, "/offset"));
	EXPECT_EQ(SIZE - 4 * PAGE, get_u64(e, "/size"));
}

static void check_fault(struct __test_metadata *_metadata, struct json_object *all, int n,
			int page, const char *access, const char *kind, const char *result)
{
	struct json_object *e = pick_nth(all, "event", "fault", n);

	ASSERT_NE(NULL, e);
	EXPECT_EQ(page * PAGE, get_u64(e, "/offset"));
	EXPECT_STREQ(access, get_str(e, "/access"));
	EXPECT_STREQ(kind, get_str(e, "/kind"));
	EXPECT_STREQ(result, get_str(e, "/result"));
	EXPECT_NE(~0ULL, get_u64(e, "/latency_ns"));
}

static void check_faults(struct __test_metadata *_metadata, struct json_object *all)
{
	EXPECT_EQ(6, count_of(all, "event", "fault"));
	check_fault(_metadata, all, 0, 1, "read", "memfd", "ok");
	check_fault(_metadata, all, 1, 1, "upgrade", "memfd", "ok");
	check_fault(_metadata, all, 2, 2, "write", "memfd", "ok");
	check_fault(_metadata, all, 3, 8, "read", "file", "ok");
	check_fault(_metadata, all, 4, 8, "upgrade", "none", "SIGSEGV");
	check_fault(_metadata, all, 5, 13, "read", "none", "SIGBUS");
}

/* Of this process alone: the others of the machine may do what they like. */
TEST_F(ctl_events, all)
{
	struct json_object *all;
	struct said said;
	size_t i;

	ASSERT_EQ(0, job_start(&self->job, "watching", "exec memviewctl events --json --pid %d",
			       getpid()));
	live(_metadata, self);
	ASSERT_EQ(0, job_says(&self->job, "\"destroy\""));
	ASSERT_EQ(0, job_end(&self->job, SIGTERM, &said));
	all = json_lines(said.out);
	ASSERT_NE(NULL, all);
	for (i = 0; i < json_object_array_length(all); i++)
		EXPECT_EQ(getpid(), get_u64(json_object_array_get_idx(all, i), "/pid"));
	EXPECT_EQ(0, count_of(all, "event", "lost"));
	/* Of the other view, only that it has lost a page of the source, too. */
	EXPECT_EQ(2, json_object_array_length(of_view(all, self->id)));
	all = of_view(all, get_u64(pick_nth(all, "event", "create", 0), "/view"));
	check_changes(_metadata, all);
	check_faults(_metadata, all);
}

/* The same as text: every event has its line, with its figures. */
TEST_F(ctl_events, text)
{
	struct job text = {}, json = {};
	struct said said_text, said_json;
	struct json_object *all, *each;
	char *rest, *line;
	const char *lacks;
	size_t i = 0;

	ASSERT_EQ(0, job_start(&text, "watching", "exec memviewctl events --pid %d", getpid()));
	ASSERT_EQ(0, job_start(&json, "watching", "exec memviewctl -j events --pid %d", getpid()));
	live(_metadata, self);
	ASSERT_EQ(0, job_says(&text, " destroy view="));
	ASSERT_EQ(0, job_says(&json, "\"destroy\""));
	ASSERT_EQ(0, job_end(&text, SIGINT, &said_text));
	ASSERT_EQ(0, job_end(&json, SIGINT, &said_json));
	all = json_lines(said_json.out);
	ASSERT_NE(NULL, all);
	for (rest = said_text.out; (line = strsep(&rest, "\n")) && *line; i++) {
		each = json_object_array_get_idx(all, i);
		ASSERT_NE(NULL, each) TH_LOG("%s", line);
		lacks = text_lacks(line, each, "time_ns tid latency_ns");
		EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, line);
	}
	EXPECT_EQ(json_object_array_length(all), i);
}

TEST_F(ctl_events, filters)
{
	struct job view = {}, failed = {}, name = {};
	struct json_object *all;
	struct said said;
	uint64_t word;

	ASSERT_EQ(0, job_start(&view, "watching", "exec memviewctl events -j --view %llu", self->id));
	ASSERT_EQ(0, job_start(&failed, "watching",
			       "exec memviewctl events -j --failed --pid %d", getpid()));
	ASSERT_EQ(0, job_start(&name, "watching",
			       "exec memviewctl events -j -e map,destroy --event unmap --count 5"));
	live(_metadata, self);
	ASSERT_EQ(0, probe_read(self->mem, &word));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));

	/* Ends by itself: four maps and one unmap come first. */
	ASSERT_EQ(0, job_end(&name, 0, &said));
	all = json_lines(said.out);
	EXPECT_EQ(5, json_object_array_length(all));
	EXPECT_EQ(4, count_of(all, "event", "map"));
	EXPECT_EQ(1, count_of(all, "event", "unmap"));

	ASSERT_EQ(0, job_says(&view, "\"unmap\""));
	ASSERT_EQ(0, job_end(&view, SIGTERM, &said));
	all = json_lines(said.out);
	EXPECT_EQ(1, count_of(all, "event", "fault"));
	EXPECT_EQ(0, count_of(all, "event", "map"));
	EXPECT_EQ(0, count_of(all, "event", "destroy"));

	ASSERT_EQ(0, job_says(&failed, "SIGBUS"));
	ASSERT_EQ(0, job_end(&failed, SIGTERM, &said));
	all = json_lines(said.out);
	EXPECT_EQ(5, json_object_array_length(all)) TH_LOG("%s", said.out);
	EXPECT_EQ(3, count_of(all, "error", "EACCES"));
	EXPECT_EQ(1, count_of(all, "result", "SIGSEGV"));
	EXPECT_EQ(1, count_of(all, "result", "SIGBUS"));
}

/* With a buffer of one page that nobody empties, most are lost, and every one is accounted for. */
TEST_F(ctl_events, lost)
{
	enum { STORM = 2000 };
	struct json_object *all, *lost;
	uint64_t missing = 0;
	struct said said;
	unsigned int i;

	ASSERT_EQ(0, job_start(&self->job, "watching",
			       "exec memviewctl events -j -e unmap --buffer 4K --pid %d", getpid()));
	ASSERT_EQ(0, kill(self->job.pid, SIGSTOP));
	for (i = 0; i < STORM; i++)
		ASSERT_EQ(0, view_unmap(self->control, 30 * PAGE, PAGE));
	ASSERT_EQ(0, kill(self->job.pid, SIGCONT));
	ASSERT_EQ(0, job_says(&self->job, "lost"));
	ASSERT_EQ(0, job_end(&self->job, SIGTERM, &said));
	all = json_lines(said.out);
	ASSERT_NE(NULL, all);
	for (i = 0; (lost = pick_nth(all, "event", "lost", i)); i++)
		missing += get_u64(lost, "/count");
	EXPECT_LT(STORM / 2, missing);
	EXPECT_EQ(STORM, missing + count_of(all, "event", "unmap"));
	EXPECT_SAYS(said.err, "give --buffer a larger size");
}

/* How many system calls a process has made to write. */
static uint64_t count_writes(pid_t pid)
{
	char path[64], text[512] = "", *at;

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	if (read_file(path, text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "syscw: ");
	return at ? strtoull(at + 7, NULL, 10) : 0;
}

static off_t size_of_output(struct job *job)
{
	struct stat st;

	return fstat(job->out, &st) ? 0 : st.st_size;
}

/* What waits in the buffer is written in large pieces: a system call for each event loses the next ones. */
TEST_F(ctl_events, backlog)
{
	enum { STORM = 5000 };
	struct json_object *all;
	struct said said;
	uint64_t writes;
	off_t line;
	int i;

	ASSERT_EQ(0, job_start(&self->job, "watching",
			       "exec memviewctl events -j -e unmap --pid %d", getpid()));
	ASSERT_EQ(0, view_unmap(self->control, 30 * PAGE, PAGE));
	ASSERT_EQ(0, job_says(&self->job, "unmap"));
	line = size_of_output(&self->job);
	ASSERT_EQ(0, kill(self->job.pid, SIGSTOP));
	for (i = 1; i < STORM; i++)
		ASSERT_EQ(0, view_unmap(self->control, 30 * PAGE, PAGE));
	writes = count_writes(self->job.pid);
	ASSERT_LT(0, writes);
	ASSERT_EQ(0, kill(self->job.pid, SIGCONT));
	/* All but for digits that the time has no more. */
	for (i = 0; i < 600 && size_of_output(&self->job) < STORM * (line - 8); i++)
		sleep_ms(50);
	writes = count_writes(self->job.pid) - writes;
	EXPECT_GT(STORM / 20, writes);
	ASSERT_EQ(0, job_end(&self->job, SIGTERM, &said));
	all = json_lines(said.out);
	ASSERT_NE(NULL, all);
	EXPECT_EQ(STORM, count_of(all, "event", "unmap"));
	EXPECT_EQ(0, count_of(all, "event", "lost"));
}

/* Several at once that do nothing else. */
static void *unmap_often(void *arg)
{
	int i;

	for (i = 0; i < 4000; i++)
		if (view_unmap(*(int *)arg, 30 * PAGE, PAGE))
			return (void *)1;
	return NULL;
}

/* While they come as fast as they can, none is unaccounted for. */
TEST_F(ctl_events, burst)
{
	unsigned long long missing = 0, seen;
	struct json_object *all, *lost;
	pthread_t threads[2];
	struct said said;
	void *failed;
	int i;

	ASSERT_EQ(0, job_start(&self->job, "watching",
			       "exec memviewctl events -j -e unmap --buffer 256K --pid %d", getpid()));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, unmap_often, &self->control));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
	ASSERT_EQ(0, job_end(&self->job, SIGTERM, &said));
	all = json_lines(said.out);
	ASSERT_NE(NULL, all);
	for (i = 0; (lost = pick_nth(all, "event", "lost", i)); i++)
		missing += get_u64(lost, "/count");
	seen = count_of(all, "event", "unmap");
	TH_LOG("seen %llu, lost %llu", seen, missing);
	EXPECT_EQ(2 * 4000, seen + missing);
}

TEST_F(ctl_events, duration)
{
	uint64_t start = now_ns();
	struct said said;

	ASSERT_RUN(0, &said, "memviewctl events --duration 0.5 --view 999999");
	EXPECT_LT(500000000ULL, now_ns() - start);
	EXPECT_STREQ("", said.out);
}

/* The sum over the slots of a histogram. */
static uint64_t sum_slots(struct json_object *hist)
{
	struct json_object *slots = json_object_object_get(hist, "slots");
	uint64_t sum = 0, last = 0;
	size_t i;

	for (i = 0; i < json_object_array_length(slots); i++) {
		struct json_object *slot = json_object_array_get_idx(slots, i);

		if (i && get_u64(slot, "/from_ns") != last)
			return ~0ULL;
		last = get_u64(slot, "/below_ns");
		sum += get_u64(slot, "/count");
	}
	return sum;
}

static struct json_object *hist_of(struct json_object *document, uint64_t view, const char *kind,
				   const char *member, const char *value)
{
	struct json_object *all = json_object_object_get(document, "histograms"), *each;
	unsigned int i;

	for (i = 0; (each = pick_nth(all, "kind", kind, i)); i++)
		if (get_u64(each, "/view") == view &&
		    (!member || !strcmp(value, json_object_get_string(
							json_object_object_get(each, member)))))
			return each;
	return NULL;
}

/* 20 pages read, 7 of them written; 3 accesses to nothing; 2 unmapped, 1 replaced. */
static void work(struct __test_metadata *_metadata, FIXTURE_DATA(ctl_events) *self)
{
	uint64_t word;
	int i;

	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, probe_read(self->mem + i * PAGE, &word));
	/* They stay mapped as they are. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 7 * PAGE, 0, MAP_RW));
	for (i = 0; i < 7; i++)
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE, 1));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(SIGBUS, probe_read(self->mem + 30 * PAGE, &word));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, view_unmap(self->control, i * PAGE, PAGE));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 2 * PAGE, MAP_R));
}

TEST_F(ctl_events, hist)
{
	struct view_info before, after;
	struct json_object *doc, *fault, *zap;
	struct said said;

	ASSERT_EQ(0, job_start(&self->job, "measuring", "exec memviewctl hist --json"));
	ASSERT_EQ(0, view_info(self->control, &before));
	work(_metadata, self);
	ASSERT_EQ(0, view_info(self->control, &after));
	ASSERT_EQ(0, job_end(&self->job, SIGINT, &said));
	doc = json_tokener_parse(said.out);
	fault = hist_of(doc, self->id, "fault", NULL, NULL);
	zap = hist_of(doc, self->id, "zap", NULL, NULL);
	ASSERT_NE(NULL, fault);
	ASSERT_NE(NULL, zap);
	EXPECT_EQ(30, get_u64(fault, "/count"));
	EXPECT_EQ(3, get_u64(fault, "/errors"));
	EXPECT_EQ(30, sum_slots(fault));
	EXPECT_EQ(30, after.faults - before.faults + after.fault_errors - before.fault_errors);
	EXPECT_EQ(3, get_u64(zap, "/count"));
	EXPECT_EQ(3, sum_slots(zap));
	EXPECT_EQ(after.zaps - before.zaps, sum_slots(zap));
	EXPECT_EQ(0, get_u64(doc, "/lost"));
	EXPECT_LE(get_u64(fault, "/max_ns"), get_u64(fault, "/sum_ns"));
}

/* The parts make up the whole; text has the same figures. */
TEST_F(ctl_events, hist_split)
{
	struct job text = {};
	struct json_object *doc;
	struct said said, said_text;
	char line[96];

	ASSERT_EQ(0, job_start(&self->job, "measuring", "exec memviewctl hist -j -s -v %llu",
			       self->id));
	ASSERT_EQ(0, job_start(&text, "measuring", "exec memviewctl hist --split --view %llu",
			       self->id));
	work(_metadata, self);
	live(_metadata, self);
	ASSERT_EQ(0, job_end(&self->job, SIGINT, &said));
	ASSERT_EQ(0, job_end(&text, SIGINT, &said_text));
	doc = json_tokener_parse(said.out);
	EXPECT_EQ(23, sum_slots(hist_of(doc, self->id, "fault", "access", "read")));
	EXPECT_EQ(7, sum_slots(hist_of(doc, self->id, "fault", "access", "upgrade")));
	EXPECT_EQ(NULL, hist_of(doc, self->id, "fault", "access", "write"));
	EXPECT_EQ(2, sum_slots(hist_of(doc, self->id, "zap", "cause", "unmap")));
	EXPECT_EQ(1, sum_slots(hist_of(doc, self->id, "zap", "cause", "map")));
	/* Of this view only. */
	EXPECT_EQ(count_of(json_object_object_get(doc, "histograms"), "view",
			   get_str(doc, "/histograms/0/view")), get_len(doc, "/histograms"));
	snprintf(line, sizeof(line), "View %llu, fault read: 23 (3 failed), mean ", self->id);
	EXPECT_SAYS(said_text.out, line);
	snprintf(line, sizeof(line), "View %llu, fault upgrade: 7 (0 failed), mean ", self->id);
	EXPECT_SAYS(said_text.out, line);
	snprintf(line, sizeof(line), "View %llu, zap map: 1 (0 failed), mean ", self->id);
	EXPECT_SAYS(said_text.out, line);
	ASSERT_RUN(0, &said, "memviewctl hist --view 999999 --duration 0.01");
	EXPECT_SAYS(said.out, "No fault and no zap.");
}

TEST_HARNESS_MAIN
