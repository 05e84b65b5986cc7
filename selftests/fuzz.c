// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz.c - a coverage-guided fuzzer over sequences of calls: P2, P3, P5 to P9
 *
 * libFuzzer makes the inputs (fuzz.h says what is in them) and is told by
 * fuzz_cover.c which of them are new: where the kernel has KCOV, by the blocks
 * of the module that were run, otherwise by what the calls came to and by the
 * shape of the layout. An input fails if anything is not as the model says, or
 * if the kernel warns. The fuzzer runs in a child, and its parent reports.
 *
 * Usage: fuzz --quick N                          N inputs, always the same
 *        fuzz [--seeds] OPTION... [DIRECTORY...]  as libFuzzer has it, and with
 *                                                 --seeds the seeds in addition
 *        fuzz FILE...                             these inputs again
 *
 * $FUZZ_CURRENT names a file that each input is written to before it is run:
 * what is there after a crash of the kernel is what has crashed it.
 */
#include "fuzz.h"

#include <stdarg.h>

extern int LLVMFuzzerRunDriver(int *argc, char ***argv,
			       int (*run)(const uint8_t *data, size_t size));
extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* For the parent. */
static struct progress {
	uint64_t inputs, calls;
	uint64_t per_call[CALLS];
	unsigned int blocks;
	char failure[512];
} *progress;

static struct klog klog;
static int kmsg = -1, current = -1;

void fuzz_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(progress->failure, sizeof(progress->failure), format, args);
	va_end(args);
	fprintf(stderr, "fuzz: %s\n", progress->failure);
	abort();
}

/* Most of the time there is nothing to read. */
static void check_kernel_log(void)
{
	char record[8192], line[256] = "";
	ssize_t n = read(kmsg, record, sizeof(record));

	if (n < 0 && errno == EAGAIN)
		return;
	if (klog_splats(&klog, line, sizeof(line)))
		fuzz_fail("kernel log: %s", line);
	if (klog_start(&klog))
		fuzz_fail("/dev/kmsg: %m");
	lseek(kmsg, 0, SEEK_END);
}

static void keep_current(const uint8_t *data, size_t size)
{
	if (current < 0)
		return;
	if (pwrite(current, data, size, 0) != (ssize_t)size || ftruncate(current, size))
		fuzz_fail("the current input cannot be kept: %m");
}

static int run_input(const uint8_t *data, size_t size)
{
	size_t i, n = size / sizeof(struct fuzz_op);
	struct fuzz_op op;

	keep_current(data, size);
	sources_reset();
	cover_start();
	for (i = 0; i < n && i < FUZZ_OPS_MAX; i++) {
		memcpy(&op, data + i * sizeof(op), sizeof(op));
		fuzz_run(&op);
		progress->per_call[op.op % CALLS]++;
		progress->calls++;
	}
	fuzz_end();
	check_kernel_log();
	progress->inputs++;
	progress->blocks = cover_blocks();
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t done = seed % 2 ? fuzz_mutate(data, size, max, seed) : 0;

	return done ?: LLVMFuzzerMutate(data, size, max);
}

static int fuzzer(int argc, char **argv)
{
	const char *file = getenv("FUZZ_CURRENT");

	if (file)
		current = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (klog_start(&klog) || kmsg < 0)
		return 1;
	lseek(kmsg, 0, SEEK_END);
	calls_init();
	sources_open();
	cover_open(false);
	fflush(stdout);
	return LLVMFuzzerRunDriver(&argc, &argv, run_input);
}

static void show_end(const char *path)
{
	char text[65536], *line = text;
	int n = read_file(path, text, sizeof(text));

	if (n > 2000)
		line = text + n - 2000;
	if (n > 0)
		for (line = strtok(line, "\n"); line; line = strtok(NULL, "\n"))
			printf("# %s\n", line);
}

static void show_progress(uint64_t start)
{
	printf("# %ju s: %ju inputs, %ju calls", (uintmax_t)(now_ns() - start) / 1000000000,
	       (uintmax_t)progress->inputs, (uintmax_t)progress->calls);
	if (progress->blocks)
		printf(", %u blocks of the module", progress->blocks);
	printf("\n");
	fflush(stdout);
}

/* Wait for the fuzzer, and say now and then how far it is: its status. */
static int wait_for(pid_t pid, uint64_t start)
{
	uint64_t shown = start;
	int status, ret;

	while (!(ret = waitpid(pid, &status, WNOHANG))) {
		sleep_ms(20);
		if (now_ns() - shown < 30000000000ULL)
			continue;
		shown = now_ns();
		show_progress(start);
	}
	show_progress(start);
	return ret == pid ? status : -1;
}

static void report(int status, const char *log)
{
	bool ok = WIFEXITED(status) && !WEXITSTATUS(status) && progress->inputs;

	if (!ok) {
		show_end(log);
		printf("# status %#x: %s\n", status, progress->failure);
	}
	printf("%s 1 fuzz\n", ok ? "ok" : "not ok");
	exit(!ok);
}

struct args {
	int n;
	char *arg[64];
};

static void args_add(struct args *args, int n, char **more)
{
	int i;

	for (i = 0; i < n && args->n < (int)ARRAY_SIZE(args->arg) - 1; i++)
		args->arg[args->n++] = more[i];
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/memview-fuzz-XXXXXX", log[64] = "", runs[32], *quick[] = {
		"-seed=1", runs, "-max_len=1024", "-artifact_prefix=/tmp/", dir,
	};
	struct args args = {
		.n = 6,
		/* Signals are ours: an access may raise them. */
		.arg = { argv[0], "-handle_segv=0", "-handle_bus=0", "-handle_ill=0",
			 "-rss_limit_mb=0", "-detect_leaks=0" },
	};
	uint64_t start = now_ns();
	pid_t pid;

	printf("TAP version 13\n1..1\n");
	progress = shared_alloc(sizeof(*progress));
	if (!progress || !mkdtemp(dir) || seeds_write(dir))
		return 1;
	if (argc == 3 && !strcmp(argv[1], "--quick")) {
		snprintf(runs, sizeof(runs), "-runs=%u", scaled(strtoul(argv[2], NULL, 0)));
		snprintf(log, sizeof(log), "%s.log", dir);
		args_add(&args, ARRAY_SIZE(quick), quick);
	} else if (argc > 1 && !strcmp(argv[1], "--seeds")) {
		args_add(&args, argc - 2, argv + 2);
		args_add(&args, 1, (char *[]){ dir });
	} else {
		args_add(&args, argc - 1, argv + 1);
	}
	fflush(NULL);
	pid = fork();
	if (!pid && log[0] && !freopen(log, "w", stderr))
		exit(1);
	if (!pid)
		exit(fuzzer(args.n, args.arg));
	if (pid < 0)
		return 1;
	report(wait_for(pid, start), log);
}
