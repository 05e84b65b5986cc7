// SPDX-License-Identifier: GPL-2.0
/*
 * demo_change.c - the view changes under a running reader, and so does the
 * file that it shows.
 *
 * The reader is judged by generations. Two memfds take turns in one range of
 * the view; all words of a memfd are the number of the replacement that it
 * belongs to. The controller fills the memfd that is out of the view, says in
 * the shared memfd that the new generation is published, replaces the range,
 * and says that it is installed. So the reader knows at each read how old and
 * how new a word may be, and one stale page table entry would be noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "demo.h"

#define WAIT_SEEN_NS 5000000000ULL

/* Replace under a running reader */

static void fill_swap(struct demo *demo, uint64_t generation)
{
	uint64_t *words = demo->swap_words[generation % 2];

	for (uint64_t at = 0; at < SWAP_SIZE; at += PAGE)
		words[at / sizeof(*words)] = generation;
}

/* Stores the duration of the request in *took. Returns 0 or a negative errno. */
static int install_swap(struct demo *demo, uint64_t generation, uint64_t *took)
{
	struct demo_shared *shared = demo->shared;
	uint64_t start;
	int error;

	fill_swap(demo, generation);
	__atomic_store_n(&shared->published, generation, __ATOMIC_SEQ_CST);
	start = now_ns();
	error = map_range(demo, demo->swap[generation % 2], SWAP_AT, SWAP_SIZE,
			  READ);
	*took = now_ns() - start;
	if (!error)
		__atomic_store_n(&shared->installed, generation,
				 __ATOMIC_SEQ_CST);
	return error;
}

bool start_watch(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = {
		.op = OP_WATCH,
		.offset = SWAP_AT,
		.length = SWAP_SIZE,
	};
	struct demo_answer answer;
	uint64_t took;
	int error;

	demo->shared->seen = 0;
	demo->shared->installed = 0;
	error = install_swap(demo, 1, &took);
	if (!error) {
		if (!asked(demo, outcome, &request, -1, &answer))
			return false;
		error = -answer.error;
	}
	see_errno(outcome, error);
	return !error;
}

static void watch_swap(struct demo *demo, struct outcome *outcome)
{
	start_watch(demo, outcome);
}

/* Waits until the reader has seen a generation. False: it did not in time. */
static bool wait_seen(struct demo *demo, uint64_t generation)
{
	uint64_t limit = now_ns() + WAIT_SEEN_NS;

	while (__atomic_load_n(&demo->shared->seen, __ATOMIC_ACQUIRE) <
	       generation) {
		if (now_ns() > limit)
			return false;
		sched_yield();
	}
	return true;
}

/*
 * Every fourth replacement waits for the reader to see it; the others follow
 * one another as fast as they can. Returns 0 or a negative errno.
 */
static int replace_swap(struct demo *demo)
{
	int error;

	for (unsigned int i = 0; i < demo->replacements; i++) {
		uint64_t generation = i + 2;

		error = install_swap(demo, generation, &demo->samples[i]);
		if (error)
			return error;
		demo->nr_samples++;
		if (generation % 4 == 0 && !wait_seen(demo, generation))
			return -ETIMEDOUT;
		output_progress(demo->output, i + 1, demo->replacements);
	}
	return wait_seen(demo, demo->replacements + 1) ? 0 : -ETIMEDOUT;
}

static void replace_watched(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = { .op = OP_WATCHED };
	struct demo_answer answer;
	struct demo_watched *watched = &answer.watched;
	int error = replace_swap(demo);

	if (!asked(demo, outcome, &request, -1, &answer))
		return;
	if (error || answer.error) {
		see_errno(outcome, error ? error : -answer.error);
		return;
	}
	see(outcome, "%ju wrong, %ju signals",
	    (uintmax_t)(watched->stale + watched->early + watched->backward),
	    (uintmax_t)watched->signals);
	figure(outcome, "replacements", demo->replacements);
	figure(outcome, "reads", watched->reads);
	figure(outcome, "generations_seen", watched->generations);
	figure(outcome, "stale", watched->stale);
	figure(outcome, "early", watched->early);
	figure(outcome, "backward", watched->backward);
}

/* The file changes */

/* Where the client writes in the file: in its first half, page-aligned. */
static uint64_t mark_at(struct demo *demo)
{
	return demo->file_size / 4 & ~(PAGE - 1);
}

/* What the file loses when it is cut. */
static uint64_t cut_at(struct demo *demo)
{
	return demo->file_size / 2 & ~(PAGE - 1);
}

static void lend_file_writable(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, map_range(demo, demo->file, FILE_AT, demo->file_size,
				     READ_WRITE));
}

static void write_file(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_WRITE, FILE_AT + mark_at(demo),
		    word("B: saved"));
}

/* What is on the disk itself: the page cache does not answer. */
static void read_disk(struct demo *demo, struct outcome *outcome)
{
	uint64_t *page = aligned_alloc(PAGE, PAGE);
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", demo->file);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (!page || fd < 0 || fdatasync(demo->file) ||
	    pread(fd, page, PAGE, mark_at(demo)) != PAGE)
		see_errno(outcome, -errno);
	else
		see(outcome, "%s", word_text(*page));
	if (fd >= 0)
		close(fd);
	free(page);
}

static void punch_file(struct demo *demo, struct outcome *outcome)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	see_errno(outcome, fallocate(demo->file, mode, mark_at(demo), PAGE) ?
				   -errno :
				   0);
}

static void read_mark(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, FILE_AT + mark_at(demo), 0);
}

static void cut_file(struct demo *demo, struct outcome *outcome)
{
	/* So that the client has a page table entry to lose. */
	if (access_word(demo, outcome, OP_READ, FILE_AT + cut_at(demo), 0))
		see_errno(outcome,
			  ftruncate(demo->file, cut_at(demo)) ? -errno : 0);
}

static void read_beyond_cut(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, FILE_AT + cut_at(demo), 0);
}

void read_head(struct demo *demo, struct outcome *outcome)
{
	uint64_t head = 0;

	if (pread(demo->file, &head, sizeof(head), 0) != sizeof(head))
		expect(outcome, "the file to be readable");
	else
		expect(outcome, "%s", word_text(head));
	access_word(demo, outcome, OP_READ, FILE_AT, 0);
}

static void grow_file(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, ftruncate(demo->file, demo->file_size) ? -errno : 0);
}

static const struct step steps[] = {
	{
		.chapter = "Replace under a running reader",
		.actor = CLIENT,
		.title = "starts a thread that reads in a loop",
		.run = watch_swap,
		.expected = "done",
	},
	{
		.actor = CONTROLLER,
		.title = "replaces the range again and again",
		.run = replace_watched,
		.expected = "0 wrong, 0 signals",
	},
	{
		.chapter = "The file changes",
		.actor = CONTROLLER,
		.title = "maps the file, read-write",
		.run = lend_file_writable,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "writes into it",
		.run = write_file,
		.expected = "\"B: saved\"",
	},
	{
		.actor = CONTROLLER,
		.title = "reads that from the disk (O_DIRECT)",
		.run = read_disk,
		.expected = "\"B: saved\"",
	},
	{
		.actor = CONTROLLER,
		.title = "punches a hole there",
		.run = punch_file,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads there",
		.run = read_mark,
		.expected = "0",
	},
	{
		.actor = CONTROLLER,
		.title = "cuts the file to half its size",
		.run = cut_file,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads beyond its end",
		.run = read_beyond_cut,
		.expected = "SIGBUS",
	},
	{
		.actor = CLIENT,
		.title = "reads its first bytes",
		.run = read_head,
	},
	{
		.actor = CONTROLLER,
		.title = "lets the file grow again",
		.run = grow_file,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads what grew",
		.run = read_beyond_cut,
		.expected = "0",
	},
};

const struct step_table change_steps = { steps, ARRAY_SIZE(steps) };
