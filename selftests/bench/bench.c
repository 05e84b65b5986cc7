// SPDX-License-Identifier: GPL-2.0
/*
 * memview-bench - measure views against what they replace
 *
 * Made for a machine whose clock counts instructions, with one CPU and with
 * nothing else to do; scripts/bench boots one. $MEMVIEW_TEST_MNT/ext4 is where
 * the files on a disk go.
 */
#include "bench.h"

#include <err.h>
#include <stdarg.h>
#include <sys/prctl.h>

static const struct {
	const char *name;
	const struct row *rows;
} groups[] = {
	{ "touch", touch_rows },
	{ "change", change_rows },
};

static uint64_t clock_cost;

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

void source_must(struct source *src, enum source_kind kind, uint64_t size)
{
	int err = source_open(src, kind, size);

	if (err == -ENODEV)
		fail("missing: %s", src->missing);
	must(err, "making a file");
}

void source_settle(struct source *src)
{
	must_errno(fsync(src->fd), "fsync");
}

uint64_t clock_start(void)
{
	return now_ns();
}

uint64_t clock_stop(uint64_t start)
{
	return now_ns() - start - clock_cost;
}

void clock_calibrate(void)
{
	uint64_t start, took;
	unsigned int i;

	clock_cost = 0;
	for (i = 0; i < 1000; i++) {
		start = clock_start();
		took = clock_stop(start);
		if (!i || took < clock_cost)
			clock_cost = took;
	}
}

double lowest(const uint64_t *values, unsigned int n)
{
	uint64_t low = values[0];
	unsigned int i;

	for (i = 1; i < n; i++)
		if (values[i] < low)
			low = values[i];
	return low;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double median(uint64_t *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

void emit(const char *row, enum source_kind source, const char *way, const char *unit, double value)
{
	printf("{\"row\":\"%s\",\"source\":\"%s\",\"way\":\"%s\",\"unit\":\"%s\",\"value\":%.3f}\n", row,
	       source_name(source), way, unit, value);
	fflush(stdout);
}

/* In a process of its own, so that none meets what the one before left. */
static void run(const struct row *row, unsigned int way, enum source_kind source)
{
	int status;
	pid_t pid;

	pid = must_errno(fork(), "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		row->run(row, ways[way], source);
		exit(0);
	}
	must_errno(waitpid(pid, &status, 0), "waitpid");
	if (status)
		fail("'%s' of %s by %s ended with status %#x", row->name, source_name(source),
		     ways[way]->name, status);
}

static void run_rows(const struct row *row)
{
	const enum source_kind sources[] = { SOURCE_MEMFD, SOURCE_EXT4 };
	unsigned int s, way;

	for (; row->name; row++)
		for (s = 0; s < ARRAY_SIZE(sources); s++)
			for (way = 0; way < ARRAY_SIZE(ways); way++)
				if (row->sources & ON(sources[s]) && row->ways & ON(way) &&
				    !(way == WAY_UFFD && sources[s] != SOURCE_MEMFD))
					run(row, way, sources[s]);
}

int main(int argc, char **argv)
{
	unsigned int i;
	int arg;

	if (argc < 2)
		errx(2, "usage: memview-bench GROUP...");
	clock_calibrate();
	for (arg = 1; arg < argc; arg++) {
		for (i = 0; i < ARRAY_SIZE(groups); i++)
			if (!strcmp(argv[arg], groups[i].name))
				break;
		if (i == ARRAY_SIZE(groups))
			errx(2, "no group '%s'", argv[arg]);
		run_rows(groups[i].rows);
	}
	return 0;
}
