/* SPDX-License-Identifier: GPL-2.0 */
/*
 * demo.h - what the parts of memview-demo share.
 *
 * Two processes: the *controller* owns the view and walks through a table of
 * steps; the *client* has nothing but a socket, over which it is told what to
 * touch and answers with what it saw: to one request one answer, after any
 * number of progress messages. The view fd travels with OP_ATTACH. The
 * *operator* of the machine is a child process for each thing that is done
 * from outside: see demo_operator.c.
 */
#ifndef MEMVIEW_DEMO_H
#define MEMVIEW_DEMO_H

#include <libmemview.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "number.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ULL
#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

/* Where things lie in the view, bytes. The file comes last: its size varies. */
#define MEMFD_AT 0ULL
#define MEMFD_SIZE (4 * MIB)
#define CODE_AT (32 * MIB)
#define SWAP_AT (48 * MIB)
#define SWAP_SIZE (1 * MIB)
#define FILE_AT (64 * MIB)

#define DIGEST_SIZE 32

#define READ MEMVIEW_MAP_READ
#define READ_WRITE (MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE)
#define READ_EXEC (MEMVIEW_MAP_READ | MEMVIEW_MAP_EXEC)

/**
 * struct demo_shared - the head of the memfd that both sides write, by pages
 * @word: What one side leaves for the other.
 * @turn: A futex: odd when it is the client's turn, even when the controller's.
 * @published: The newest generation that a replacement may already show.
 * @installed: The oldest generation that the last replacement still allows.
 * @seen: The newest generation that the client's reader saw.
 */
struct demo_shared {
	uint64_t word;
	char gap1[PAGE - sizeof(uint64_t)];
	uint32_t turn;
	char gap2[PAGE - sizeof(uint32_t)];
	uint64_t published;
	uint64_t installed;
	char gap3[PAGE - 2 * sizeof(uint64_t)];
	uint64_t seen;
	char gap4[PAGE - sizeof(uint64_t)];
};

/**
 * enum demo_op - what the client is told to do
 * @OP_ATTACH: Map the view fd that comes with the request, length bytes.
 * @OP_MISUSE: Try everything but mmap() on the view fd.
 * @OP_READ: Read the word at offset.
 * @OP_WRITE: Write value there, then read it back.
 * @OP_CALL: Call the function at offset.
 * @OP_PROBE: Read value pages, evenly spread over offset and length.
 * @OP_HASH: SHA-256 of offset and length; answers with progress meanwhile.
 * @OP_ECHO: Pass the futex back value times.
 * @OP_WATCH: Start a thread that reads offset and length in a loop.
 * @OP_WATCHED: Stop it and tell what it saw.
 */
enum demo_op {
	OP_ATTACH,
	OP_MISUSE,
	OP_READ,
	OP_WRITE,
	OP_CALL,
	OP_PROBE,
	OP_HASH,
	OP_ECHO,
	OP_WATCH,
	OP_WATCHED,
};

struct demo_request {
	uint32_t op;
	uint32_t reserved;
	uint64_t offset;
	uint64_t length;
	uint64_t value;
};

/**
 * struct demo_probes - how a number of accesses ended
 */
struct demo_probes {
	uint64_t fine;
	uint64_t sigbus;
	uint64_t sigsegv;
};

/**
 * struct demo_watched - what the reader thread saw
 * @reads: Words read.
 * @generations: How often a newer one appeared.
 * @stale: Words older than what was surely installed before the read began.
 * @early: Words newer than what was published when the read had ended.
 * @backward: Words older than one read earlier in the same page.
 * @signals: Reads that ended in a signal.
 */
struct demo_watched {
	uint64_t reads;
	uint64_t generations;
	uint64_t stale;
	uint64_t early;
	uint64_t backward;
	uint64_t signals;
};

/**
 * struct demo_answer - what the client saw
 * @op: The request's.
 * @progress: Not the answer yet: @value bytes are done.
 * @signal: The signal that the access ended in, or 0.
 * @error: The errno that it ended in, or 0.
 * @value: Word read, value returned, or count.
 */
struct demo_answer {
	uint32_t op;
	uint32_t progress;
	int32_t signal;
	int32_t error;
	uint64_t value;
	union {
		struct demo_probes probes;
		struct demo_watched watched;
		unsigned char digest[DIGEST_SIZE];
		char text[120];
	};
};

/* demo_client.c */
int client_main(int sock);

struct demo;
struct outcome;

enum actor {
	CONTROLLER,
	CLIENT,
	BOTH,
	OPERATOR,
};

/**
 * struct step - one line of the timeline
 * @chapter: Printed above the step, if it opens one.
 * @actor: Who does it.
 * @title: What is done.
 * @expected: What must be seen, unless @run computes that.
 * @vital: Nothing after it makes sense if it fails.
 * @bpf: Needs memviewctl: skipped on a machine where that cannot work.
 * @run: Does it and says what was seen.
 */
struct step {
	const char *chapter;
	enum actor actor;
	const char *title;
	const char *expected;
	bool vital;
	bool bpf;
	void (*run)(struct demo *demo, struct outcome *outcome);
};

/**
 * struct outcome - what a step saw, what it should have seen, and figures
 * @took: Nanoseconds, if other than the step's whole duration.
 */
struct outcome {
	char saw[128];
	char expected[128];
	uint64_t took;
	struct json_object *figures;
};

/**
 * struct client - the controller's handle of the client
 * @lost: Why it answers no more, or empty.
 */
struct client {
	pid_t pid;
	int sock;
	char lost[64];
};

/**
 * struct stream - what a tool has said, and nobody has read yet
 */
struct stream {
	int fd;
	size_t used;
	char text[16384];
};

/**
 * struct tool - a memviewctl that runs
 * @pid: 0 if it does not.
 */
struct tool {
	pid_t pid;
	struct stream out;
	struct stream err;
};

/**
 * struct demo - the controller's state
 * @source: The file that the user named.
 * @dir: Where its copy goes.
 * @replacements: How often to replace a range under the reader.
 * @control: Control fd of the view.
 * @file: The copy, unlinked.
 * @memfd: What both sides write; mapped at @shared.
 * @swap: Two memfds that take turns under the reader; mapped at @swap_words.
 * @digest: Of the memfd, before everything is taken away.
 * @no_bpf: Why memviewctl cannot work here, or empty.
 * @hist: Measures faults, all the time.
 * @events: Watches verdicts.
 * @policy: Holds the policy that is loaded.
 * @hists: The histograms that @hist has made.
 * @changes: Map, unmap and resize requests that succeeded.
 * @samples: Duration of each replacement, nanoseconds.
 */
struct demo {
	const char *source;
	const char *dir;
	unsigned int replacements;
	struct output *output;

	int control;
	int file;
	int memfd;
	int code;
	int swap[2];
	struct demo_shared *shared;
	uint64_t *swap_words[2];
	uint64_t view_size;
	uint64_t file_size;
	unsigned char digest[DIGEST_SIZE];
	struct client client;

	char no_bpf[160];
	struct tool hist;
	struct tool events;
	struct tool policy;
	struct json_object *hists;

	uint64_t changes;
	uint64_t *samples;
	unsigned int nr_samples;
};

/* demo_lend.c and so on: the steps, in this order */
struct step_table {
	const struct step *steps;
	unsigned int nr;
};

extern const struct step_table lend_steps, change_steps, take_steps,
	policy_steps, account_steps;

bool start_watch(struct demo *demo, struct outcome *outcome);
void read_head(struct demo *demo, struct outcome *outcome);
void measure_faults(struct demo *demo, struct outcome *outcome);

/* demo_control.c: the controller's verbs */
[[gnu::format(printf, 2, 3)]]
void see(struct outcome *outcome, const char *format, ...);
[[gnu::format(printf, 2, 3)]]
void expect(struct outcome *outcome, const char *format, ...);
void see_errno(struct outcome *outcome, int error);
void figure(struct outcome *outcome, const char *name, uint64_t value);
void figure_text(struct outcome *outcome, const char *name, const char *value);
uint64_t word(const char text[8]);
const char *word_text(uint64_t word);
const char *size_text(uint64_t bytes);
const char *signal_text(int signal);
void digest_text(char text[2 * DIGEST_SIZE + 1], const unsigned char *digest);
uint64_t now_ns(void);

int map_range(struct demo *demo, int fd, uint64_t at, uint64_t size,
	      uint32_t flags);
int unmap_range(struct demo *demo, uint64_t at, uint64_t size);
int resize_view(struct demo *demo, uint64_t size);
int64_t view_counter(struct demo *demo, const char *name);
void figure_counters(struct demo *demo, struct outcome *outcome);
uint64_t cached_bytes(int fd);
int copy_file(struct demo *demo, int from);
int run_sha256sum(const char *path, char text[2 * DIGEST_SIZE + 1]);

/* demo_peer.c: the controller's side of the client */
int client_start(struct client *client);
void client_kill(struct client *client);
bool tell(struct demo *demo, const struct demo_request *request, int fd);
bool hear(struct demo *demo, struct demo_answer *answer);
bool asked(struct demo *demo, struct outcome *outcome,
	   const struct demo_request *request, int fd,
	   struct demo_answer *answer);
bool access_value(struct demo *demo, struct outcome *outcome, enum demo_op op,
		  uint64_t at, uint64_t *value);
bool access_word(struct demo *demo, struct outcome *outcome, enum demo_op op,
		 uint64_t at, uint64_t value);
void probe(struct demo *demo, struct outcome *outcome, uint64_t at,
	   uint64_t length, uint64_t pages);
bool attach(struct demo *demo, struct outcome *outcome);

/* demo_operator.c */
[[gnu::format(printf, 3, 4)]]
bool tool_start(struct tool *tool, struct outcome *outcome, const char *format,
		...);
bool tool_ready(struct tool *tool, struct outcome *outcome, const char *word);
struct json_object *tool_record(struct tool *tool, struct outcome *outcome);
struct json_object *tool_finish(struct tool *tool, struct outcome *outcome,
				int signal);
void tool_end(struct tool *tool);
void operator_check(char *reason, size_t size);

/* demo_output.c */
struct output *output_open(bool json, const char *color);
void output_begin(struct output *out, const struct step *step, uint64_t time);
void output_progress(struct output *out, uint64_t done, uint64_t total);
bool output_end(struct output *out, const struct step *step,
		struct outcome *outcome, uint64_t time, uint64_t took);
void output_skip(struct output *out, const struct step *step, uint64_t time,
		 const char *reason);
void output_samples(struct output *out, uint64_t *samples, unsigned int nr);
void output_hists(struct output *out, struct json_object *hists);
bool output_summary(struct output *out, unsigned int total);

/* demo_histogram.c */
const char *grouped(uint64_t number);
void print_histogram(bool color, bool utf8, const uint64_t *ns, unsigned int nr,
		     const unsigned int *cuts, unsigned int nr_cuts);
void print_measured(bool color, bool utf8, struct json_object *hist);

#endif /* MEMVIEW_DEMO_H */
