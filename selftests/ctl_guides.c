// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_guides.c - the guides are true: all their commands are run, each guide in
 * a shell of its own and in a new directory, and say what they say there
 *
 * A block "sh" is commands, a block "text" after it what they print.
 */
#include "ctl.h"

#define STEPS	16
#define LINES	16
#define MARK	"\001"

/* A block of commands. */
struct step {
	char *commands;
	char *output[LINES];
	int lines;
};

FIXTURE(guide)
{
	struct klog klog;
	char dir[32];
	struct step steps[STEPS];
	int n;
};

FIXTURE_VARIANT(guide)
{
	const char *name;
};

#define GUIDE(id, file)                                        \
	FIXTURE_VARIANT_ADD(guide, id)                         \
	{                                                      \
		.name = file                                   \
	}

GUIDE(lending, "lending");
GUIDE(policies, "policies");
GUIDE(tracing, "tracing");
GUIDE(vhost_user, "vhost-user");

/* What packages install, in a directory: the library; and the checkout beside it. */
FIXTURE_SETUP(guide)
{
	struct said said;

	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_RUN(0, &said, "rm -rf /sys/fs/bpf/memview/*");
	strcpy(self->dir, "/tmp/memview-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_RUN(0, &said, "cd %s && ln -s %s/userspace %s/bpf . && "
		   "make -s -C userspace/libmemview install PREFIX=$PWD/usr BUILD=%s && "
		   "install -D -m 644 %s/include/uapi/linux/memview.h usr/include/linux/memview.h",
		   self->dir, top_dir(), top_dir(), build_dir(), top_dir());
}

FIXTURE_TEARDOWN(guide)
{
	struct said said;

	EXPECT_RUN(0, &said, "rm -rf /sys/fs/bpf/memview/* %s", self->dir);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static char *append(char *text, const char *line)
{
	char *longer = NULL;

	return asprintf(&longer, "%s%s\n", text, line) < 0 ? text : longer;
}

/* Return: 0, or -EINVAL if there is more than there is room for. */
static int read_steps(FIXTURE_DATA(guide) *self, const char *name)
{
	char path[PATH_MAX + 64], *guide = malloc(1 << 16), *rest = guide, *line;
	enum { WORDS, COMMANDS, OUTPUT } in = WORDS;
	struct step *step = NULL;

	snprintf(path, sizeof(path), "%s/userspace/guides/%s.md", top_dir(), name);
	if (read_file(path, guide, 1 << 16) < 0)
		return -errno;
	while ((line = strsep(&rest, "\n"))) {
		if (!strcmp(line, "```sh")) {
			if (self->n == STEPS)
				return -EINVAL;
			in = COMMANDS;
			step = &self->steps[self->n++];
			step->commands = "";
		} else if (!strcmp(line, "```text")) {
			in = OUTPUT;
		} else if (!strncmp(line, "```", 3)) {
			in = WORDS;
		} else if (in == COMMANDS) {
			step->commands = append(step->commands, line);
		} else if (in == OUTPUT) {
			if (!step || step->lines == LINES)
				return -EINVAL;
			step->output[step->lines++] = line;
		}
	}
	return 0;
}

/* One script; before each step, and at the end, a line with MARK. */
static int write_script(FIXTURE_DATA(guide) *self)
{
	char path[64];
	FILE *file;
	int i;

	snprintf(path, sizeof(path), "%s/script", self->dir);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "set -eu\n"
		"trap 'exec 3>&-; kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n"
		"export PKG_CONFIG_PATH=$PWD/usr/lib/pkgconfig LD_LIBRARY_PATH=$PWD/usr/lib\n");
	for (i = 0; i < self->n; i++)
		fprintf(file, "echo '" MARK "'\n%s", self->steps[i].commands);
	fprintf(file, "echo '" MARK "'\n");
	return fclose(file) ? -errno : 0;
}

TEST_F_TIMEOUT(guide, commands, 300)
{
	struct said said;
	char *rest, *out;
	const char *lacks;
	int i;

	ASSERT_EQ(0, read_steps(self, variant->name));
	ASSERT_LE(3, self->n);
	ASSERT_EQ(0, write_script(self));
	/* Into a file: what begins a process here has no memfd of the test's. */
	run(&said, "cd %s && timeout -k 5 250 bash script >out 2>&1 </dev/null", self->dir);
	EXPECT_EQ(0, said.status);
	EXPECT_EQ(0, run(&said, "cat %s/out", self->dir));
	rest = said.out;
	strsep(&rest, MARK);
	for (i = 0; i < self->n; i++) {
		out = strsep(&rest, MARK);
		/* After the last step there is another mark. */
		ASSERT_NE(NULL, rest) TH_LOG("step %d:\n%s%s", i + 1, self->steps[i].commands, out);
		lacks = lacks_line(out, self->steps[i].output, self->steps[i].lines);
		EXPECT_EQ(NULL, lacks) TH_LOG("no '%s' in %s", lacks, out);
	}
}

TEST_HARNESS_MAIN
