// SPDX-License-Identifier: GPL-2.0
/*
 * soak.c - everything at once, for as long as you like: P1 to P9
 *
 * Controllers, clients, keepers of files and disturbers do at random all that
 * they can do, in many processes, and check what they see against a model of
 * the views and files (soak.h). Processes are killed. Every few seconds all
 * stop, and everything is compared exactly. A round is a new world from a new
 * seed; the same seed gives the same requests again, if not in the same order.
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <getopt.h>
#include <sys/utsname.h>

static struct {
	unsigned int seconds, round, rounds, progress;
	uint64_t seed, without;
} options = { .seconds = 60, .round = 10, .rounds = ~0U, .progress = 30 };

/* Of all rounds. */
static struct {
	uint64_t start, shown;
	uint64_t ops[OPS];
	uint64_t checked[CHECKS];
} total;

/* ---- Words ---- */

static void usage(FILE *out)
{
	int i;

	fprintf(out, "Usage: soak [OPTION...]\n"
		"  --seconds N       how long (60)\n"
		"  --round N         seconds of a round (10)\n"
		"  --rounds N        how many rounds, at most\n"
		"  --seed N          of the first round ($MEMVIEW_TEST_SEED, or the clock)\n"
		"  --progress N      seconds between lines of progress (30)\n"
		"  --unpatched       leave out what patches the code of the kernel: policy, delay\n"
		"  --without NAME    leave that out; may be repeated. NAME is one of\n ");
	for (i = 0; i < OPS; i++)
		fprintf(out, " %s", op_names[i]);
	fprintf(out, "\n  or a kind of file:");
	for (i = 1; i < SOURCE_KINDS; i++)
		fprintf(out, " %s", source_name(i));
	fprintf(out, "\n");
}

static bool leave_out(const char *name)
{
	int i;

	for (i = 0; i < OPS; i++) {
		if (strcmp(name, op_names[i]))
			continue;
		options.without |= 1ULL << i;
		return true;
	}
	for (i = 1; i < SOURCE_KINDS; i++) {
		if (strcmp(name, source_name(i)))
			continue;
		soak_kind_off[i] = true;
		return true;
	}
	return false;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "round", required_argument, NULL, 'r' },
		{ "rounds", required_argument, NULL, 'R' },
		{ "seed", required_argument, NULL, 'S' },
		{ "progress", required_argument, NULL, 'p' },
		{ "unpatched", no_argument, NULL, 'u' },
		{ "without", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	options.seed = random_seed();
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		if (c == 'h') {
			usage(stdout);
			exit(0);
		} else if (c == 's') {
			options.seconds = strtoul(optarg, NULL, 0);
		} else if (c == 'r') {
			options.round = strtoul(optarg, NULL, 0);
		} else if (c == 'R') {
			options.rounds = strtoul(optarg, NULL, 0);
		} else if (c == 'S') {
			options.seed = strtoull(optarg, NULL, 0);
		} else if (c == 'p') {
			options.progress = strtoul(optarg, NULL, 0);
		} else if (c == 'u') {
			options.without |= 1ULL << OP_POLICY | 1ULL << OP_DELAY;
		} else if (c != 'w' || !leave_out(optarg)) {
			usage(stderr);
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

/* ---- Reports ---- */

static void sum_up(uint64_t ops[OPS], uint64_t checked[CHECKS])
{
	const struct soak_thread *thread;
	int op, check;

	for (thread = world->thread; thread < world->thread + SOAK_THREADS; thread++) {
		for (op = 0; op < OPS; op++)
			ops[op] += atomic_load(&thread->count[op]);
		for (check = 0; check < CHECKS; check++)
			checked[check] += atomic_load(&thread->checked[check]);
	}
}

static uint64_t sum_of(const uint64_t ops[OPS], enum op first, enum op last)
{
	uint64_t sum = 0;
	int op;

	for (op = first; op <= (int)last; op++)
		sum += ops[op];
	return sum;
}

static void show_progress(unsigned int round)
{
	uint64_t ops[OPS], checked[CHECKS] = { 0 }, now = now_ns();

	if (now - total.shown < options.progress * 1000000000ULL)
		return;
	total.shown = now;
	memcpy(ops, total.ops, sizeof(ops));
	sum_up(ops, checked);
	printf("# %llu s: round %u, seed %#llx; %llu requests, %llu accesses, %llu kills, %llu comparisons\n",
	       (unsigned long long)((now - total.start) / 1000000000), round,
	       (unsigned long long)world->seed,
	       (unsigned long long)sum_of(ops, OP_MAP, OP_BAD),
	       (unsigned long long)sum_of(ops, OP_READ, OP_GUP_WRITE),
	       (unsigned long long)sum_of(ops, OP_KILL_CLIENT, OP_KILL_KEEPER),
	       (unsigned long long)ops[OP_COMPARE]);
	fflush(stdout);
}

static int by_time(const void *a, const void *b)
{
	const struct log_entry *const *x = a, *const *y = b;

	return ((*x)->time > (*y)->time) - ((*x)->time < (*y)->time);
}

static void show_entry(const struct log_entry *entry)
{
	const struct soak_thread *thread = world->thread;
	char ret[16] = "...";

	while (entry >= thread->log + LOG_SIZE)
		thread++;
	if (entry->ret != LOG_RUNNING)
		snprintf(ret, sizeof(ret), "%d", entry->ret);
	printf("#   %10.6f thread %-2u %-15s view %u page %u+%u file %u page %u flags %u: %s\n",
	       (entry->time - world->start) / 1e9, thread->index, op_names[entry->op], entry->view,
	       entry->page, entry->n, entry->file, entry->file_page, entry->flags, ret);
}

/* What all threads did last, in the order of time; what still goes on, too. */
static void show_log(unsigned int tail)
{
	static const struct log_entry *sorted[SOAK_THREADS * LOG_SIZE];
	unsigned int t, i, n = 0;

	for (t = 0; t < SOAK_THREADS; t++)
		for (i = 0; i < LOG_SIZE; i++)
			if (world->thread[t].log[i].time)
				sorted[n++] = &world->thread[t].log[i];
	qsort(sorted, n, sizeof(sorted[0]), by_time);
	for (i = 0; i < n; i++)
		if (i + tail >= n || sorted[i]->ret == LOG_RUNNING)
			show_entry(sorted[i]);
}

static void show_failure(unsigned int round)
{
	printf("# round %u failed: %s\n", round, world->failure);
	printf("# again: soak --seed %#llx --rounds 1\n# what was done last:\n",
	       (unsigned long long)world->seed);
	show_log(80);
}

static void show_summary(unsigned int rounds)
{
	struct utsname name = { 0 };
	int op;

	uname(&name);
	printf("# %s: %u rounds from seed %#llx in %llu s\n", name.release, rounds,
	       (unsigned long long)options.seed,
	       (unsigned long long)((now_ns() - total.start) / 1000000000));
	for (op = 0; op < OPS; op++)
		printf("#   %-16s %llu\n", op_names[op], (unsigned long long)total.ops[op]);
	printf("# accesses checked exactly: %llu, against a change in progress: %llu, too late to tell: %llu\n",
	       (unsigned long long)total.checked[EXACT], (unsigned long long)total.checked[AMONG],
	       (unsigned long long)total.checked[UNCHECKED]);
	if (total.checked[STALE])
		printf("# code that the emulator had kept, run again: %llu\n",
		       (unsigned long long)total.checked[STALE]);
}

/* ---- Rounds ---- */

static uint64_t seed_of(unsigned int round)
{
	return options.seed + round * 0x9e3779b97f4a7c15ULL;
}

static bool run_round(unsigned int round, uint64_t end)
{
	uint64_t compare = 0;
	struct klog klog;
	char line[256];
	int err;

	if (klog_start(&klog))
		return false;
	world_beat();
	err = world_open(seed_of(round), options.without);
	if (err)
		soak_fail("the world cannot be opened: %d", err);
	while (!atomic_load(&world->stop) && now_ns() < end) {
		sleep_ms(20 + soak_below(100));
		world_beat();
		world_check();
		if (!soak_below(4))
			world_kill();
		if (now_ns() >= compare) {
			world_compare();
			compare = now_ns() + 1000000000ULL + soak_below(2000) * 1000000ULL;
		}
		show_progress(round);
	}
	if (!atomic_load(&world->stop))
		world_compare();
	world_beat();
	world_close();
	if (klog_splats(&klog, line, sizeof(line)))
		soak_fail("kernel log: %s", line);
	sum_up(total.ops, total.checked);
	if (atomic_load(&world->failed))
		show_failure(round);
	err = atomic_load(&world->failed);
	world_free();
	return !err;
}

int main(int argc, char **argv)
{
	uint64_t end, round_end;
	unsigned int round = 0;
	bool ok = true;

	if (parse(argc, argv))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..1\n# MEMVIEW_TEST_SEED=%#llx\n", (unsigned long long)options.seed);
	if (world_watch())
		return 2;
	total.start = total.shown = now_ns();
	end = total.start + options.seconds * 1000000000ULL;
	while (ok && round < options.rounds && now_ns() < end) {
		round_end = now_ns() + options.round * 1000000000ULL;
		ok = run_round(round++, round_end < end ? round_end : end);
	}
	show_summary(round);
	printf("%s 1 soak\n", ok ? "ok" : "not ok");
	return !ok;
}
