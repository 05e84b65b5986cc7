/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_user.h - what the parts of memview-vhost-user share.
 *
 * The main process listens. Each frontend that connects gets a process of its
 * own, a *session*, with a connection of its own to the backend: whatever
 * happens to one, be it that a peer is stuck or sends nonsense, is no business
 * of the others.
 */
#ifndef MEMVIEW_VHOST_USER_H
#define MEMVIEW_VHOST_USER_H

#include <libmemview.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "vhost_user_codec.h"

/**
 * struct options - of the command line
 * @frontend: Where to listen for frontends.
 * @backend: Where the backend listens.
 * @control: Where to listen for operators, or NULL.
 * @policy: Must be attached, or there is no session; or NULL.
 * @state: File in which the operators' spans outlive the proxy, or NULL.
 * @grace: Milliseconds for the backend to end by itself.
 * @timeout: Milliseconds in which a peer that connects must send a request; 0:
 *	it may take any time.
 * @verbose: Report each message.
 */
struct options {
	const char *frontend;
	const char *backend;
	const char *control;
	const char *policy;
	const char *state;
	unsigned int grace;
	unsigned int timeout;
	bool verbose;
};

/**
 * struct arguments - what is parsed
 * @words: The command for a memview-vhost-user that runs.
 */
struct arguments {
	struct options options;
	char **words;
	int nr_words;
};

/* vhost_user_options.c */
void parse_arguments(int argc, char **argv, struct arguments *arguments);

/* vhost_user_log.c */
int log_start(void);
void log_forked(void);
void log_end(void);
bool log_is_news(const char *text);
void say(unsigned int session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* vhost_user_link.c */

/**
 * struct link - one way on which messages go, one at a time
 * @from: Socket to read from, or -1.
 * @to: Socket to write to.
 * @done: How many bytes of the message are read; when @full, written.
 * @full: The message is read, and may go.
 */
struct link {
	int from;
	int to;
	size_t done;
	bool full;
	struct vu_message message;
};

enum link_state {
	LINK_WAITS,
	LINK_READY,
	LINK_CLOSED,
	LINK_BROKEN,
};

enum link_state link_read(struct link *link, enum vu_way way,
			  char why[VU_WHY_MAX]);
enum link_state link_write(struct link *link, char why[VU_WHY_MAX]);
void link_drop(struct link *link);
void close_fds(struct vu_message *message);

/* vhost_user_spans.c */

/**
 * enum span_mode - what the backend may do with a span of guest memory
 */
enum span_mode {
	SPAN_RESTORED,
	SPAN_READ_ONLY,
	SPAN_REVOKED,
};

/* By &enum span_mode, as operators write and read it. */
extern const char *const span_names[];

/* How many an operator can have in effect. */
#define SPANS_MAX 64

/**
 * struct span - what an operator has said of a span
 * @start: Guest physical address.
 * @end: The first address behind it.
 */
struct span {
	uint64_t start;
	uint64_t end;
	enum span_mode mode;
};

/**
 * struct spans - all that operators have said of a frontend's memory
 * @nr: How many of @span. The last one that covers a page counts.
 */
struct spans {
	unsigned int nr;
	struct span span[SPANS_MAX];
};

enum span_mode spans_mode(const struct spans *spans, uint64_t at,
			  uint64_t *end);
bool spans_put(struct spans *spans, const struct span *span);

/* vhost_user_memory.c */

/* The protocol's: 509 slots of KVM are the most that a frontend has. */
#define REGIONS_MAX 512

/**
 * struct region - of guest memory, and the view that the backend has of it
 * @span: As the frontend announced it.
 * @source: The file of the frontend.
 * @dev: Which file that is...
 * @ino: ...
 * @view: Control fd; -1 if the view had to be closed to hide the region. The
 *	view is as long as the backend must believe the file to be, and what the
 *	region is of it is at the same offset.
 * @error: Negative errno if the latest change of the view failed, and it shows
 *	less than the operators allow; or 0.
 * @ticket: The how manieth ADD_MEM_REG that the backend is to answer to it came
 *	with; 0: with none.
 */
struct region {
	struct vu_region span;
	int source;
	dev_t dev;
	ino_t ino;
	int view;
	int error;
	uint64_t ticket;
};

/**
 * struct memory - all that a session lends
 * @nr: How many regions there are.
 * @nr_old: How many of @old: replaced, and the backend may still be at it.
 * @spans: What operators have said.
 * @asked: How many ADD_MEM_REG the backend is to answer to.
 * @answered: How many of them it has.
 * @resting: The device was reset: nothing is mapped until a ring is set up, be
 *	it announced before or after.
 */
struct memory {
	unsigned int nr;
	struct region regions[REGIONS_MAX];
	unsigned int nr_old;
	struct region old[VU_REGIONS_MAX];
	struct spans spans;
	uint64_t asked;
	uint64_t answered;
	bool resting;
};

bool memory_set_table(struct memory *memory, struct vu_message *message,
		      char why[VU_WHY_MAX]);
bool memory_add(struct memory *memory, struct vu_message *message,
		char why[VU_WHY_MAX]);
void memory_answered(struct memory *memory, const struct vu_message *message);
void memory_remove(struct memory *memory, struct vu_message *message);
bool memory_owns(const struct memory *memory, int fd);
void memory_forget_old(struct memory *memory);
void memory_rest(struct memory *memory);
bool memory_resume(struct memory *memory, char why[VU_WHY_MAX]);
int memory_restrict(struct memory *memory, const struct span *span);
uint64_t memory_take_back(struct memory *memory);

/* vhost_user_region.c */
#define PAGE 4096ULL

static inline uint64_t page_down(uint64_t value)
{
	return value & ~(PAGE - 1);
}

static inline uint64_t page_up(uint64_t value)
{
	return page_down(value + PAGE - 1);
}

void region_hide(struct region *region);
uint64_t region_drop(struct region *region);
int region_show(const struct memory *memory, struct region *region,
		uint64_t start, uint64_t end);
bool region_make(const struct memory *memory, struct region *region,
		 const struct vu_region *span, int *fd, char why[VU_WHY_MAX]);
bool region_again(const struct region *region, const struct vu_region *span,
		  int *fd);
const char *map_advice(int error);
uint64_t view_id(int view);

/* vhost_user_socket.c */
int connect_to(const char *path, int type);
void explain_connect(const char *path, int error, char why[VU_WHY_MAX]);
int listen_at(const char *path, int type, char why[VU_WHY_MAX]);

/* vhost_user_session.c */
int64_t now_ms(void);
int session_run(const struct options *options, unsigned int id, int frontend,
		int control, const struct spans *spans);

/* vhost_user_control.c */

enum control_op {
	CONTROL_LIST,
	CONTROL_SET,
	/* The main process's own: end in good order. */
	CONTROL_END,
};

/**
 * struct control_request - of an operator
 * @op: Of &enum control_op.
 * @mode: Of &enum span_mode, with CONTROL_SET.
 * @session: 0 for all.
 * @all: Not the span alone, but everything.
 * @start: Guest physical address.
 * @end: Of the first byte behind.
 */
struct control_request {
	uint32_t op;
	uint32_t mode;
	uint32_t session;
	uint32_t all;
	uint64_t start;
	uint64_t end;
};

/**
 * struct control_answer - of one session, or of the main process
 * @failed: It was not done, or in part.
 * @session: Whose answer it is; 0 for the main process, which always answers.
 * @text: For people. A list of all that a session may have fits.
 */
struct control_answer {
	uint32_t failed;
	uint32_t session;
	char text[65536];
};

/**
 * enum control_heard - what came of the main process
 */
enum control_heard {
	CONTROL_SERVED,
	CONTROL_TOLD_TO_END,
	CONTROL_GONE,
};

struct span control_span(const struct control_request *request);
enum control_heard control_serve(struct memory *memory, unsigned int id,
				 int control);
void control_answer(int sock, unsigned int session, bool failed,
		    const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void print_spans(FILE *out, const struct spans *spans);

/* vhost_user_operator.c */
int control_main(const char *path, int argc, char **argv);

/* vhost_user_policy.c */

/**
 * struct policy_query - memviewctl is asked which policies are attached
 * @pid: Its process.
 * @output: To be polled; it does not wait.
 * @size: How much of @text there is.
 */
struct policy_query {
	pid_t pid;
	int output;
	size_t size;
	char text[65536];
};

int policy_ask(struct policy_query *query);
bool policy_answered(struct policy_query *query);
bool policy_holds(const struct policy_query *query, const char *name,
		  char why[VU_WHY_MAX]);

#endif /* MEMVIEW_VHOST_USER_H */
