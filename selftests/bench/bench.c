// SPDX-License-Identifier: GPL-2.0
/*
 * memview-bench - measure views against what they replace
 *
 * Made for a machine that has nothing else to do, and whose clock counts
 * instructions unless --time is given; scripts/bench boots such machines.
 * $MEMVIEW_TEST_MNT/ext4 is where the files on a disk go.
 */
#include "bench.h"

#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <sys/prctl.h>

static const struct {
	const char *name;
	const struct row *rows;
} groups[] = {
	{ "touch", touch_rows },   { "change", change_rows },
	{ "batch", batch_rows },   { "ranges", ranges_rows },
	{ "bpf", bpf_rows },	   { "load", load_rows },
};

bool timed;
static uint64_t clock_cost;
static const char *only_row, *only_source, *only_way; /* NULL: all */
static unsigned int more_rounds; /* 0: as many as a row says */
static bool marked; /* for a profiler: rename the thread while the clock runs */

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "memview-bench: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

int must(int ret, const char *what)
{
	if (ret < 0)
		fail("%s: %s", what, strerror(-ret));
	return ret;
}

int must_errno(int ret, const char *what)
{
	return must(ret < 0 ? -errno : ret, what);
}

/* ---- Figures ---- */

static void mark(const char *name)
{
	if (marked)
		must_errno(prctl(PR_SET_NAME, name), "PR_SET_NAME");
}

uint64_t clock_start(void)
{
	mark("clock-runs");
	return now_ns();
}

uint64_t clock_stop(uint64_t start)
{
	uint64_t took = now_ns() - start;

	mark("memview-bench");
	return took > clock_cost ? took - clock_cost : 0;
}

bool samples_more(struct samples *s, unsigned int rounds)
{
	uint64_t limit = s->limit ? s->limit : 333000000;

	if (!timed)
		return s->n < (more_rounds ?: rounds);
	if (!s->n)
		s->began = now_ns();
	return s->n < 3 * rounds && (!s->n || now_ns() - s->began < limit);
}

void samples_add(struct samples *s, uint64_t took)
{
	if (s->n == SAMPLES_MAX)
		fail("too many rounds");
	s->took[s->n++] = took;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double samples_rank(struct samples *s, unsigned int permille)
{
	qsort(s->took, s->n, sizeof(*s->took), compare);
	return s->took[(s->n - 1) * permille / 1000];
}

double samples_median(struct samples *s)
{
	return samples_rank(s, 500);
}

double samples_lowest(const struct samples *s)
{
	uint64_t low = s->took[0];
	unsigned int i;

	for (i = 1; i < s->n; i++)
		if (s->took[i] < low)
			low = s->took[i];
	return low;
}

static void calibrate(void)
{
	struct samples s = { 0 };

	while (s.n < 100)
		samples_add(&s, clock_stop(clock_start()));
	clock_cost = samples_lowest(&s);
}

/* A loop of two instructions; now and then a timer interrupt adds its own. */
static void check_clock(void)
{
	uint64_t start, took, n, i;

	for (i = 0; i < 20; i++) {
		n = 500000;
		start = clock_start();
		asm volatile("1: dec %0; jnz 1b" : "+r"(n));
		took = clock_stop(start);
		if (took > 999000 && took < 1001000)
			return;
	}
	fail("the clock does not count instructions: 1,000,000 took %lu; see qemu -icount",
	     took);
}

void emit(const char *row, const struct source *src, const char *way,
	  double value, const char *unit)
{
	printf("{\"row\":\"%s\",\"source\":\"%s\",\"way\":\"%s\",\"unit\":\"%s\",\"value\":%.3f}\n",
	       row, source_name(src->kind), way, unit, value);
	fflush(stdout);
}

void emit_cost(const char *row, const struct source *src, const char *way,
	       double cost, const char *per)
{
	char unit[32];

	snprintf(unit, sizeof(unit), "%s%s", timed ? "ns" : "instructions",
		 per);
	emit(row, src, way, cost, unit);
}

/* ---- Rows ---- */

/* In a process of its own, so that none meets what the one before left. */
static void run(const struct row *row, const struct way *way,
		struct source *src)
{
	int status;
	pid_t pid;

	pid = must_errno(fork(), "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		row->run(row, way, src);
		exit(0);
	}
	must_errno(waitpid(pid, &status, 0), "waitpid");
	if (status)
		fail("'%s' of %s by %s ended with status %#x", row->name,
		     source_name(src->kind), way->name, status);
}

static bool is_chosen(const char *only, const char *name)
{
	return !only || !strcmp(only, name);
}

static void run_source(const struct row *row, enum source_kind kind)
{
	struct source src[2] = { { .fd = -1 }, { .fd = -1 } };
	unsigned int way;

	if (!(row->sources & ON(kind)) || (timed && row->untimed) ||
	    !is_chosen(only_source, source_name(kind)))
		return;
	row->prepare(row, src, kind);
	for (way = 0; way < ARRAY_SIZE(ways); way++)
		/* Minor faults are for files in memory. */
		if (row->ways & ON(way) && is_chosen(only_way, ways[way]->name) &&
		    (way != WAY_UFFD || kind == SOURCE_MEMFD))
			run(row, ways[way], src);
	source_close(&src[0]);
	source_close(&src[1]);
}

static void run_group(const char *name)
{
	const struct row *row;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		if (!strcmp(name, groups[i].name))
			break;
	if (i == ARRAY_SIZE(groups))
		errx(2, "no group '%s'", name);
	for (row = groups[i].rows; row->name; row++) {
		if (!is_chosen(only_row, row->name))
			continue;
		run_source(row, SOURCE_MEMFD);
		run_source(row, SOURCE_MEMFD_HUGE);
		run_source(row, SOURCE_EXT4);
	}
}

static const struct option options[] = {
	{ "time", no_argument, NULL, 't' },
	{ "row", required_argument, NULL, 'r' },
	{ "source", required_argument, NULL, 's' },
	{ "way", required_argument, NULL, 'w' },
	{ "rounds", required_argument, NULL, 'n' },
	{ "mark", no_argument, NULL, 'm' },
	{},
};

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't':
			timed = true;
			break;
		case 'r':
			only_row = optarg;
			break;
		case 's':
			only_source = optarg;
			break;
		case 'w':
			only_way = optarg;
			break;
		case 'n':
			more_rounds = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			marked = true;
			break;
		default:
			optind = argc;
		}
	}
	if (optind == argc)
		errx(2, "usage: memview-bench [--time] [--row ROW] [--source memfd|memfd_huge|ext4] [--way WAY] [--rounds N] [--mark] GROUP...");
}

int main(int argc, char **argv)
{
	int arg;

	parse(argc, argv);
	calibrate();
	if (!timed && !more_rounds)
		check_clock();
	for (arg = optind; arg < argc; arg++)
		run_group(argv[arg]);
	return 0;
}
