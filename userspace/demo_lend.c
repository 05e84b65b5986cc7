// SPDX-License-Identifier: GPL-2.0
/*
 * demo_lend.c - the first half of the demo: make a view, lend memory and a
 * file through it, narrow and widen what the client may do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define ECHO_ROUNDS 1000

/* A view */

static void copy_source(struct demo *demo, struct outcome *outcome)
{
	int from = open(demo->source, O_RDONLY | O_CLOEXEC);
	int error = from < 0 ? -errno : copy_file(demo, from);
	const char *name = strrchr(demo->source, '/');
	struct stat stat;

	figure_text(outcome, "file", name ? name + 1 : demo->source);
	figure(outcome, "cached_bytes", cached_bytes(demo->file));
	expect(outcome, "%s", size_text(demo->file_size));
	if (error || fstat(demo->file, &stat))
		see_errno(outcome, error ? error : -errno);
	else
		see(outcome, "%s", size_text(stat.st_size));
	if (from >= 0)
		close(from);
}

static void size_view(struct demo *demo, struct outcome *outcome)
{
	int error = resize_view(demo, demo->view_size);
	struct stat stat;

	expect(outcome, "%s", size_text(demo->view_size));
	if (error || fstat(demo->control, &stat))
		see_errno(outcome, error ? error : -errno);
	else
		see(outcome, "%s", size_text(stat.st_size));
}

static void attach_client(struct demo *demo, struct outcome *outcome)
{
	attach(demo, outcome);
}

static void try_misuse(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = { .op = OP_MISUSE };
	struct demo_answer answer;

	if (!asked(demo, outcome, &request, -1, &answer))
		return;
	if (answer.text[0])
		see(outcome, "worked: %s", answer.text);
	else
		see(outcome, "all refused");
	figure(outcome, "tried", answer.value);
}

static void read_memfd(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, MEMFD_AT, 0);
}

/* Lend */

static void lend_memfd(struct demo *demo, struct outcome *outcome)
{
	demo->shared->word = word("A: hello");
	see_errno(outcome, map_range(demo, demo->memfd, MEMFD_AT, MEMFD_SIZE,
				     READ_WRITE));
}

/* The client writes through the view, the controller looks at its memfd. */
static void write_memfd(struct demo *demo, struct outcome *outcome,
			const char *text)
{
	expect(outcome, "%s", word_text(word(text)));
	if (access_word(demo, outcome, OP_WRITE, MEMFD_AT, word(text)))
		see(outcome, "%s", word_text(demo->shared->word));
}

static void write_hello(struct demo *demo, struct outcome *outcome)
{
	write_memfd(demo, outcome, "B: hello");
}

/* One round: the client's turn, then wait until it is mine again. */
static int pass_futex(uint32_t *turn, uint32_t round)
{
	const struct timespec limit = { .tv_sec = 5 };

	__atomic_store_n(turn, 2 * round + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, turn, FUTEX_WAKE, 1);
	while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == 2 * round + 1) {
		if (syscall(SYS_futex, turn, FUTEX_WAIT, 2 * round + 1,
			    &limit) &&
		    errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

static void echo_futex(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = { .op = OP_ECHO, .value = ECHO_ROUNDS };
	struct demo_answer answer = {};
	uint64_t start = now_ns();
	uint32_t round = 0;
	int error = 0;

	expect(outcome, "%d rounds", ECHO_ROUNDS);
	if (tell(demo, &request, -1)) {
		while (round < ECHO_ROUNDS && !error)
			error = pass_futex(&demo->shared->turn, round++);
		hear(demo, &answer);
	}
	if (demo->client.lost[0])
		see(outcome, "%s", demo->client.lost);
	else if (answer.signal)
		see(outcome, "%s", signal_text(answer.signal));
	else if (error || answer.error)
		see(outcome, "%s in round %u",
		    strerrorname_np(error ? -error : answer.error), round);
	else
		see(outcome, "%u rounds", round);
	figure(outcome, "round_us", (now_ns() - start) / 1000 / ECHO_ROUNDS);
}

static void lend_file(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome,
		  map_range(demo, demo->file, FILE_AT, demo->file_size, READ));
}

static void hash_file(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = {
		.op = OP_HASH,
		.offset = FILE_AT,
		.length = demo->file_size,
	};
	uint64_t start = now_ns(), middle;
	char text[2 * DIGEST_SIZE + 1];
	struct demo_answer answer;

	if (!asked(demo, outcome, &request, -1, &answer))
		return;
	middle = now_ns();
	outcome->took = middle - start;
	digest_text(text, answer.digest);
	see(outcome, "%s", answer.signal ? signal_text(answer.signal) : text);
	if (run_sha256sum(demo->source, text))
		snprintf(text, sizeof(text), "(sha256sum failed)");
	expect(outcome, "%s", text);
	figure(outcome, "sha256sum_took_us", (now_ns() - middle) / 1000);
	figure(outcome, "cached_bytes", cached_bytes(demo->file));
}

/* Narrow and widen */

static void narrow_memfd(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome,
		  map_range(demo, demo->memfd, MEMFD_AT, MEMFD_SIZE, READ));
}

static void write_never(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_WRITE, MEMFD_AT, word("B: never"));
}

static void widen_memfd(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, map_range(demo, demo->memfd, MEMFD_AT, MEMFD_SIZE,
				     READ_WRITE));
}

static void write_again(struct demo *demo, struct outcome *outcome)
{
	write_memfd(demo, outcome, "B: again");
}

static void lend_code(struct demo *demo, struct outcome *outcome)
{
	/* mov $42, %eax; ret; nop; nop */
	static const unsigned char code[sizeof(uint64_t)] = {
		0xb8, 42, 0, 0, 0, 0xc3, 0x90, 0x90,
	};

	errno = EIO; /* in case of a short write */
	if (pwrite(demo->code, code, sizeof(code), 0) != sizeof(code))
		see_errno(outcome, -errno);
	else
		see_errno(outcome, map_range(demo, demo->code, CODE_AT, PAGE,
					     READ_EXEC));
}

static void call_code(struct demo *demo, struct outcome *outcome)
{
	uint64_t value = 0;

	if (access_value(demo, outcome, OP_CALL, CODE_AT, &value))
		see(outcome, "returned %ju", (uintmax_t)value);
}

static void narrow_code(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, map_range(demo, demo->code, CODE_AT, PAGE, READ));
}

static void read_code(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, CODE_AT, 0);
}

static const struct step steps[] = {
	{
		.chapter = "A view",
		.actor = CONTROLLER,
		.title = "copies a file to the disk",
		.run = copy_source,
		.vital = true,
	},
	{
		.actor = CONTROLLER,
		.title = "sets the size of the new view",
		.run = size_view,
		.vital = true,
	},
	{
		.actor = OPERATOR,
		.title = "begins to measure its faults",
		.run = measure_faults,
		.expected = "measuring",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "gets a view fd and maps it",
		.run = attach_client,
		.vital = true,
	},
	{
		.actor = CLIENT,
		.title = "tries what else an fd is good for",
		.run = try_misuse,
		.expected = "all refused",
	},
	{
		.actor = CLIENT,
		.title = "reads where nothing is",
		.run = read_memfd,
		.expected = "SIGBUS",
	},
	{
		.chapter = "Lend",
		.actor = CONTROLLER,
		.title = "maps a memfd, read-write",
		.run = lend_memfd,
		.expected = "done",
		.vital = true,
	},
	{
		.actor = CLIENT,
		.title = "reads what the controller wrote",
		.run = read_memfd,
		.expected = "\"A: hello\"",
	},
	{
		.actor = CLIENT,
		.title = "writes; the controller looks",
		.run = write_hello,
	},
	{
		.actor = BOTH,
		.title = "pass a futex to and fro",
		.run = echo_futex,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the file, read-only",
		.run = lend_file,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "SHA-256 of the file, as sha256sum's",
		.run = hash_file,
	},
	{
		.chapter = "Narrow and widen",
		.actor = CONTROLLER,
		.title = "makes the memfd read-only",
		.run = narrow_memfd,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "writes",
		.run = write_never,
		.expected = "SIGSEGV",
	},
	{
		.actor = CLIENT,
		.title = "reads",
		.run = read_memfd,
		.expected = "\"B: hello\"",
	},
	{
		.actor = CONTROLLER,
		.title = "makes it read-write again",
		.run = widen_memfd,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "writes; the controller looks",
		.run = write_again,
	},
	{
		.actor = CONTROLLER,
		.title = "maps a page of code, executable",
		.run = lend_code,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "calls it",
		.run = call_code,
		.expected = "returned 42",
	},
	{
		.actor = CONTROLLER,
		.title = "takes the right to execute away",
		.run = narrow_code,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "calls it",
		.run = call_code,
		.expected = "SIGSEGV",
	},
	{
		.actor = CLIENT,
		.title = "reads it",
		.run = read_code,
		.expected = "0x9090c30000002ab8",
	},
};

const struct step_table lend_steps = { steps, ARRAY_SIZE(steps) };
