// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_man.c - the manual page is true: each of its examples is run, in its
 * order, and says what it says there; and the completion knows what there is
 */
#include "ctl.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define SIZE	(64 * MiB)
#define FAULTS	768

FIXTURE(ctl_man)
{
	struct klog klog;
	int memfd, control;
	char *mem;
	pid_t busy;
	char dir[64];
};

/* The view of the examples: 64 MiB, of which 4 ranges show 4 MiB. */
FIXTURE_SETUP(ctl_man)
{
	struct said said;
	uint64_t word;
	int i;

	/* A test before this one may have died. */
	ASSERT_RUN(0, &said, "rm -rf /sys/fs/bpf/memview/*");
	/* So that the first view has ID 1. */
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load());
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, prctl(PR_SET_NAME, "vmm"));
	self->memfd = memfd_filled(4 * MiB, 1);
	self->control = view_create(SIZE);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, view_map(self->control, self->memfd, i * MiB, MiB, 2 * i * MiB, MAP_RW));
	ASSERT_EQ(1, ctl_view_id(self->control));
	self->mem = view_mmap_by_page(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (i = 0; i < FAULTS; i++)
		ASSERT_EQ(0, probe_read(self->mem + i / 256 * 2 * MiB + i % 256 * PAGE, &word));
	/* A place for ./mine.bpf.o and /var/log/memview.json. */
	strcpy(self->dir, "/tmp/memview-man-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("none", "/var/log", "tmpfs", 0, NULL));
	ASSERT_EQ(0, chdir(self->dir));
}

FIXTURE_TEARDOWN(ctl_man)
{
	struct said said;

	if (self->busy)
		kill(self->busy, SIGKILL);
	run(&said, "rm -rf /sys/fs/bpf/memview/* %s", self->dir);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Requests, faults and refusals, for the commands that tell of such. */
static void be_busy(FIXTURE_DATA(ctl_man) *self)
{
	uint64_t word;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0;; i++) {
		view_map(self->control, self->memfd, 0, MiB, 32 * MiB, MAP_RW);
		probe_read(self->mem + 32 * MiB + i % 256 * PAGE, &word);
		probe_read(self->mem + 33 * MiB, &word);
		view_unmap(self->control, 32 * MiB, MiB);
		sleep_ms(20);
	}
}

/* What troff makes of a line. */
static void plain(char *line)
{
	char *to = line;

	for (; *line; line++) {
		if (!strncmp(line, "\\(aq", 4)) {
			*to++ = '\'';
			line += 3;
		} else if (*line == '\\') {
			*to++ = *++line;
		} else {
			*to++ = *line;
		}
	}
	*to = 0;
}

struct example {
	char *command;
	char *output[8];
	int lines;
};

/* Return: how many there are. */
static int read_examples(struct example *examples, int max)
{
	char path[PATH_MAX + 64], *page = malloc(1 << 16), *rest = page, *line;
	bool inside = false;
	int n = 0;

	snprintf(path, sizeof(path), "%s/userspace/man/memviewctl.8", top_dir());
	if (read_file(path, page, 1 << 16) < 0)
		return -errno;
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, ".EX", 3) || !strncmp(line, ".EE", 3)) {
			inside = line[2] == 'X';
			continue;
		}
		if (!inside)
			continue;
		plain(line);
		if ((*line == '#' || *line == '$') && line[1] == ' ' && n < max)
			examples[n++].command = line + 2;
		else if (n && examples[n - 1].lines < 8)
			examples[n - 1].output[examples[n - 1].lines++] = line;
	}
	return n;
}

/* Those that go on until a signal comes; they have something to say before. */
static bool is_endless(const char *command)
{
	return (strstr(command, "policy load") && !strstr(command, "--pin")) ||
	       strstr(command, "policy watch") || strstr(command, " events") ||
	       strstr(command, "--watch") || strstr(command, " top");
}

static const char *ready_text(const char *command)
{
	if (strstr(command, "policy load"))
		return "is attached";
	if (strstr(command, " events"))
		return strstr(command, "--failed") ? "SIGBUS" : " map ";
	return strstr(command, "--watch") ? "per second" : "Views:";
}

static int wait_for_text(const char *path)
{
	struct stat st;
	int i;

	for (i = 0; i < 600; i++) {
		if (!stat(path, &st) && st.st_size)
			return 0;
		sleep_ms(50);
	}
	return -ETIMEDOUT;
}

static int run_example(const char *command, struct said *said)
{
	char *quick = strdup(command);
	struct job job;
	char *file;
	int err;

	/* What takes 10 s in real life. */
	if (strstr(quick, "--duration 10"))
		*(strstr(quick, "--duration 10") + strlen("--duration 1")) = 0;
	if (strstr(quick, "--interval "))
		strcpy(strstr(quick, "--interval ") + strlen("--interval "), ".1");
	if (!is_endless(quick))
		return run(said, "%s", quick);
	file = strstr(quick, ">>");
	err = job_start(&job, file ? "" : ready_text(quick), "exec %s", quick);
	if (!err && file)
		err = wait_for_text(file + 2);
	return err ? err : job_end(&job, SIGINT, said);
}

TEST_F(ctl_man, examples)
{
	struct example examples[64] = {};
	struct said said;
	const char *lacks;
	int i, n;

	ASSERT_RUN(0, &said, "cp %s/selftests/small.bpf.o mine.bpf.o", build_dir());
	n = read_examples(examples, 64);
	ASSERT_LE(20, n);
	for (i = 0; i < n; i++) {
		/* The first shows how things were before anything happened. */
		if (i == 1) {
			self->busy = fork();
			if (!self->busy)
				be_busy(self);
		}
		TH_LOG("%s", examples[i].command);
		EXPECT_EQ(0, run_example(examples[i].command, &said)) TH_LOG("%s%s", said.out, said.err);
		lacks = lacks_line(said.out, examples[i].output, examples[i].lines);
		EXPECT_EQ(NULL, lacks) TH_LOG("no '%s' in %s", lacks, said.out);
	}
	EXPECT_RUN(0, &said, "grep -q '\"op\":\"[a-z_]*\"' /var/log/memview.json");
}

static const char *const commands[] = {
	"list", "show", "revoke", "policy load", "policy list", "policy show",
	"policy watch", "policy unload", "events", "stats", "hist", "top", "doctor",
};

/* Cut the next option, such as "--json", out of a text; "" if there is none. */
static char *next_option(char **text)
{
	char *option = *text ? strstr(*text, "--") : NULL;
	size_t size;

	while (option && !strspn(option + 2, "abcdefghijklmnopqrstuvwxyz"))
		option = strstr(option + 2, "--");
	if (!option)
		return "";
	size = 2 + strspn(option + 2, "abcdefghijklmnopqrstuvwxyz");
	*text = option[size] ? option + size + 1 : NULL;
	option[size] = 0;
	return option;
}

/* It renders without a complaint, and names every command and every option there is. */
TEST(tells_all)
{
	char *page, *option, *rest;
	struct said said, help;
	size_t i;

	ASSERT_RUN(0, &said, "MANWIDTH=100 man --warnings -E ascii -l -P cat "
		   "%s/userspace/man/memviewctl.8", top_dir());
	EXPECT_STREQ("", said.err);
	page = said.out;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_SAYS(page, commands[i]);
		ASSERT_RUN(0, &help, "exec memviewctl %s --help", commands[i]);
		for (rest = help.out; *(option = next_option(&rest));)
			EXPECT_TRUE(!strcmp(option, "--usage") || strstr(page, option))
				TH_LOG("%s of %s", option, commands[i]);
	}
}

/* What bash offers for the last word of each line of the file "lines". */
static int complete(struct said *said)
{
	return run(said, "bash -uc '. %s/userspace/completion/memviewctl; compopt() { :; }; "
		   "while IFS= read -ru 3 line; do read -ra COMP_WORDS <<<\"$line\"; "
		   "[[ $line != *\" \" ]] || COMP_WORDS+=(\"\"); "
		   "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _memviewctl; echo \"${COMPREPLY[*]}\"; "
		   "done' 3<lines", top_dir());
}

TEST_F(ctl_man, completion)
{
	static const struct {
		const char *line, *offers;
	} cases[] = {
		{ "memviewctl ", "list show revoke policy events stats top hist doctor" },
		{ "memviewctl s", "show stats" },
		{ "memviewctl --json po", "policy" },
		{ "memviewctl policy ", "load list show watch unload" },
		{ "memviewctl policy load ", "allow-path audit-all deny-exec memfd-only quota sealed-only" },
		{ "memviewctl policy load mem", "memfd-only" },
		{ "memviewctl policy load quota --set li", "limit=" },
		{ "memviewctl policy unload ", "quota" },
		{ "memviewctl policy show q", "quota" },
		{ "memviewctl show ", "1" },
		{ "memviewctl revoke ", "1" },
		{ "memviewctl events --view ", "1" },
		{ "memviewctl events --event get", "get_viewfd" },
		{ "memviewctl events --du", "--duration" },
		{ "memviewctl hist --s", "--split" },
	};
	char *rest, *offered;
	struct said said;
	FILE *lines;
	size_t i;

	ASSERT_RUN(0, &said, "memviewctl policy load quota --pin");
	lines = fopen("lines", "w");
	ASSERT_NE(NULL, lines);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		fprintf(lines, "%s\n", cases[i].line);
	fclose(lines);
	EXPECT_EQ(0, complete(&said)) TH_LOG("%s", said.err);
	for (i = 0, rest = said.out; i < ARRAY_SIZE(cases); i++) {
		offered = strsep(&rest, "\n");
		ASSERT_NE(NULL, offered) TH_LOG("%s: %s", cases[i].line, said.err);
		EXPECT_STREQ(cases[i].offers, offered) TH_LOG("%s", cases[i].line);
	}
}

/* @offered: between blanks. */
static void expect_options(struct __test_metadata *_metadata, const char *command, char *help,
			   char *offered)
{
	char *option, word[64], known[1024] = " ";

	while (*(option = next_option(&help))) {
		if (!strcmp(option, "--version"))
			continue;
		snprintf(word, sizeof(word), " %s ", option);
		EXPECT_NE(NULL, strstr(offered, word)) TH_LOG("%s: no %s", command, option);
		strncat(known, word + 1, sizeof(known) - strlen(known) - 1);
	}
	while (*(option = next_option(&offered))) {
		snprintf(word, sizeof(word), " %s ", option);
		EXPECT_NE(NULL, strstr(known, word)) TH_LOG("%s has no %s", command, option);
	}
}

/* Every option of every command is offered, and nothing that there is not. */
TEST(completion_of_options)
{
	struct said help, offered;
	char *line, *rest;
	size_t i;

	/* A line each, between blanks. */
	ASSERT_RUN(0, &offered, "bash -c '. %s/userspace/completion/memviewctl; "
		   "for i in \"$@\"; do echo \"\" $(_memviewctl_options \"$i\") \"\"; done' bash "
		   "list show revoke \"policy load\" \"policy list\" \"policy show\" \"policy watch\" "
		   "\"policy unload\" events stats hist top doctor", top_dir());
	for (i = 0, rest = offered.out; i < ARRAY_SIZE(commands); i++) {
		line = strsep(&rest, "\n");
		ASSERT_NE(NULL, line);
		ASSERT_RUN(0, &help, "exec memviewctl %s --help", commands[i]);
		expect_options(_metadata, commands[i], help.out, line);
	}
}

TEST_HARNESS_MAIN
