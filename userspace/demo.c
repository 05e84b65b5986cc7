// SPDX-License-Identifier: GPL-2.0
/*
 * memview-demo - one view from its making to its end, with a client in another
 * process and real data, step by step.
 *
 * This file parses, checks that the machine can run the demo, and walks the
 * tables of steps: demo_lend.c, demo_change.c, demo_take.c, demo_policy.c,
 * demo_account.c.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "demo.h"

#define DEVICE "/dev/memory-view"
#define LEAST_FILE (100 * MIB)
#define MOST_REPLACED 1000000

/* Exit status: a step failed, or nothing could be run. */
#define STATUS_FAILED 1
#define STATUS_UNABLE 2

struct options {
	const char *file;
	const char *dir;
	const char *color;
	const char *bpf;
	unsigned int replacements;
	bool json;
	int client;
};

static const char doc[] =
	"Lend memory and a file to another process, change it under its hands, "
	"and take it back; then let an operator say what may be lent, and take "
	"it back from outside, with memviewctl: each step is checked and "
	"timed.\v"
	"FILE is any file of 100 MiB or more; the demo works on a copy, which "
	"has no name and is gone when the demo ends. On a terminal, long steps "
	"show their progress.\n"
	"\n"
	"The steps with memviewctl load a BPF policy that holds for every view "
	"of the machine while they run. --bpf=auto skips them, and says why, "
	"where BPF cannot work or where there are other views; --bpf=always "
	"does not run at all there.\n"
	"\n"
	"Exit status: 0 if each step that was not skipped saw what was expected, "
	"1 if not, 2 if the demo could not run.\n"
	"\n"
	"EXAMPLES\n"
	"  memview-demo /usr/lib/x86_64-linux-gnu/libLLVM.so.19.1\n"
	"  memview-demo --dir=/mnt/ext4 --replacements=10000 big.iso\n"
	"  memview-demo --json big.iso | jq -r 'select(.ok == false)'\n"
	"\n"
	"scripts/demo runs it in a virtual machine.\n";

enum {
	KEY_CLIENT = 0x100,
};

static const struct argp_option argp_options[] = {
	{ "dir", 'd', "DIR", 0,
	  "Where the copy of FILE goes (default: $TMPDIR or /var/tmp)", 0 },
	{ "replacements", 'n', "N", 0,
	  "How often to replace a range under the reader (default: 1000)", 0 },
	{ "json", 'j', NULL, 0, "One JSON object a line instead of text", 0 },
	{ "color", 'c', "WHEN", 0, "auto (default), always or never", 0 },
	{ "bpf", 'b', "WHEN", 0,
	  "Steps with memviewctl: auto (default), always or never", 0 },
	{ "client", KEY_CLIENT, "FD", OPTION_HIDDEN, NULL, 0 },
	{}
};

static unsigned int parse_positive(struct argp_state *state, const char *text,
				   unsigned int most)
{
	uint64_t number;

	if (parse_integer(text, most, &number) || !number)
		argp_error(state, "'%s' is not a number from 1 to %u", text,
			   most);
	return number;
}

static const char *parse_when(struct argp_state *state, const char *option,
			      const char *when)
{
	if (strcmp(when, "auto") && strcmp(when, "always") &&
	    strcmp(when, "never"))
		argp_error(state, "--%s=%s: it is auto, always or never",
			   option, when);
	return when;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'd':
		options->dir = arg;
		return 0;
	case 'n':
		options->replacements =
			parse_positive(state, arg, MOST_REPLACED);
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'c':
		options->color = parse_when(state, "color", arg);
		return 0;
	case 'b':
		options->bpf = parse_when(state, "bpf", arg);
		return 0;
	case KEY_CLIENT:
		options->client = parse_positive(state, arg, 1024);
		return 0;
	case ARGP_KEY_ARG:
		if (options->file)
			argp_error(state, "one FILE, please");
		options->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!options->file && options->client < 0)
			argp_error(state, "name a FILE of 100 MiB or more");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "FILE",
	.doc = doc,
};

static void open_device(struct demo *demo)
{
	demo->control = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (demo->control >= 0)
		return;
	if (errno == EACCES || errno == EPERM)
		errx(STATUS_UNABLE,
		     "%s: you may not open it. It belongs to the group kvm: "
		     "run this as root, or 'usermod -aG kvm $USER' and log in "
		     "again",
		     DEVICE);
	if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
		errx(STATUS_UNABLE,
		     "%s: %s. The module memview is not loaded: 'modprobe "
		     "memview' if it is installed, 'insmod "
		     "build/$(uname -r)/module/memview.ko' if it is built, or use "
		     "scripts/demo, which boots a virtual machine with it",
		     DEVICE, strerror(errno));
	err(STATUS_UNABLE, "%s", DEVICE);
}

/* Is the source fit, and is there room for its copy? */
static void check_files(struct demo *demo)
{
	struct statvfs fs;
	struct stat stat;
	int fd = open(demo->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &stat))
		err(STATUS_UNABLE, "%s", demo->source);
	close(fd);
	if (!S_ISREG(stat.st_mode))
		errx(STATUS_UNABLE, "%s: not a regular file", demo->source);
	demo->file_size = stat.st_size;
	if (demo->file_size < LEAST_FILE)
		errx(STATUS_UNABLE,
		     "%s: only %s; name a file of 100 MiB or more ('find /usr "
		     "-size +100M' may know one)",
		     demo->source, size_text(demo->file_size));
	if (statvfs(demo->dir, &fs))
		err(STATUS_UNABLE, "%s", demo->dir);
	if (fs.f_bavail * fs.f_frsize < demo->file_size + 16 * MIB)
		errx(STATUS_UNABLE,
		     "%s: too little room for a copy of %s; name another "
		     "directory with --dir",
		     demo->dir, demo->source);
}

static void open_copy(struct demo *demo)
{
	demo->file = open(demo->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (demo->file < 0)
		errx(STATUS_UNABLE,
		     "%s: cannot make a file without a name there (%s); name "
		     "another directory with --dir",
		     demo->dir, strerror(errno));
}

/* A memfd of size bytes, mapped here as well. */
static int make_memfd(const char *name, uint64_t size, void *at)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	void *map;

	if (fd < 0 || ftruncate(fd, size))
		err(STATUS_UNABLE, "memfd of %s", size_text(size));
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(STATUS_UNABLE, "mmap of a memfd of %s", size_text(size));
	memcpy(at, &map, sizeof(map));
	return fd;
}

static void fill_random(void *to, size_t size)
{
	ssize_t got;

	for (char *at = to; size; at += got, size -= got) {
		got = getrandom(at, size, 0);
		if (got < 0)
			err(STATUS_UNABLE, "getrandom");
	}
}

static void prepare(struct demo *demo)
{
	void *unused;

	open_device(demo);
	check_files(demo);
	open_copy(demo);
	demo->memfd = make_memfd("memview-demo", MEMFD_SIZE, &demo->shared);
	fill_random(demo->shared + 1, MEMFD_SIZE - sizeof(*demo->shared));
	demo->code = make_memfd("memview-demo-code", PAGE, &unused);
	for (int i = 0; i < 2; i++)
		demo->swap[i] = make_memfd("memview-demo-swap", SWAP_SIZE,
					   &demo->swap_words[i]);
	demo->view_size = GIB;
	while (demo->view_size < FILE_AT + demo->file_size + PAGE)
		demo->view_size *= 2;
	demo->samples = calloc(demo->replacements, sizeof(*demo->samples));
	if (!demo->samples)
		err(STATUS_UNABLE, "memory for %u samples", demo->replacements);
}

/* With the view that this demo has made, and before the first step. */
static void prepare_bpf(struct demo *demo, const char *when)
{
	if (!strcmp(when, "never"))
		snprintf(demo->no_bpf, sizeof(demo->no_bpf), "--bpf=never");
	else
		operator_check(demo->no_bpf, sizeof(demo->no_bpf));
	if (demo->no_bpf[0] && !strcmp(when, "always"))
		errx(STATUS_UNABLE, "--bpf=always: %s", demo->no_bpf);
}

/* Runs one step. False: the rest makes no sense. */
static bool run_step(struct demo *demo, const struct step *step, uint64_t epoch)
{
	struct outcome outcome = { .figures = json_object_new_object() };
	uint64_t start = now_ns(), took;
	bool ok;

	if (step->bpf && demo->no_bpf[0]) {
		output_skip(demo->output, step, start - epoch, demo->no_bpf);
		json_object_put(outcome.figures);
		return true;
	}
	expect(&outcome, "%s", step->expected ? step->expected : "");
	output_begin(demo->output, step, start - epoch);
	step->run(demo, &outcome);
	took = outcome.took ? outcome.took : now_ns() - start;
	ok = output_end(demo->output, step, &outcome, start - epoch, took);
	json_object_put(outcome.figures);
	return ok || !(step->vital || demo->client.lost[0]);
}

static bool run_steps(struct demo *demo)
{
	const struct step_table *tables[] = {
		&lend_steps,   &change_steps,  &take_steps,
		&policy_steps, &account_steps,
	};
	uint64_t epoch = now_ns();
	unsigned int total = 0;
	bool going = true;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		total += tables[i]->nr;
		for (unsigned int j = 0; going && j < tables[i]->nr; j++)
			going = run_step(demo, &tables[i]->steps[j], epoch);
	}
	client_kill(&demo->client);
	tool_end(&demo->events);
	tool_end(&demo->policy);
	tool_end(&demo->hist);
	output_samples(demo->output, demo->samples, demo->nr_samples);
	output_hists(demo->output, demo->hists);
	return output_summary(demo->output, total);
}

int main(int argc, char **argv)
{
	struct options options = {
		.dir = getenv("TMPDIR") ?: "/var/tmp",
		.color = "auto",
		.bpf = "auto",
		.replacements = 1000,
		.client = -1,
	};
	static struct demo demo;

	setlocale(LC_ALL, "");
	argp_err_exit_status = STATUS_UNABLE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.client >= 0)
		return client_main(options.client);
	demo.source = options.file;
	demo.dir = options.dir;
	demo.replacements = options.replacements;
	prepare(&demo);
	prepare_bpf(&demo, options.bpf);
	demo.output = output_open(options.json, options.color);
	return run_steps(&demo) ? EXIT_SUCCESS : STATUS_FAILED;
}
