/* SPDX-License-Identifier: GPL-2.0 */
/*
 * soak.h - the world of the soak test: a model of views and files which many
 * processes share, which tells at any time what an access may meet
 *
 * Each page of a view and each page of a file has a *stamp*: a ring of the
 * states that it has been in, numbered, and two numbers. The page is in one of
 * the states from @lo to @hi. Before a change the new state is added and @hi
 * goes up; when the change has returned, @lo follows. One process at a time
 * changes a page: it holds the lock of the region of the view, or of the file.
 *
 * Who accesses a page looks at @lo before and at @hi after. What it has seen
 * must fit one of the states in between; when nothing happened meanwhile, that
 * is the one state, exactly.
 *
 * A page of a file begins with a tag: which file, which page, and which
 * generation of its content. So a page that left the file and is still mapped
 * somewhere is told from the one that took its place. Behind the tag each
 * thread has a word to write to, and the upper half holds code that returns a
 * hash of the tag.
 */
#ifndef SOAK_H
#define SOAK_H

#include "memview_test.h"

#include <stdatomic.h>

#define SOAK_VIEWS	2
#define SOAK_PAGES	256 /* of a view */
#define SOAK_REGIONS	4
#define REGION_PAGES	(SOAK_PAGES / SOAK_REGIONS)
#define SOAK_SIZE	(SOAK_PAGES * PAGE)
#define SOAK_FILES	7
#define FILE_PAGES_MAX	1024
#define SOAK_THREADS	24
#define SOAK_WORKERS	8
#define RING		16
#define LOG_SIZE	64

/* Words of a page: 0 is the tag, then one for each thread. */
#define SLOT_OF(thread)	(1 + (thread))
#define SLOT_CHILD	63 /* of those who may outlive their parent: not looked at */
#define CODE_OFFSET	2048

enum op {
	/* controllers */
	OP_MAP, OP_REMAP, OP_UNMAP, OP_BATCH, OP_RESIZE, OP_VIEWFD, OP_PRIVATE, OP_LEND, OP_BAD,
	/* clients */
	OP_READ, OP_WRITE, OP_UPGRADE, OP_EXEC, OP_KREAD, OP_KWRITE, OP_GUP_READ,
	OP_GUP_WRITE, OP_MMAP, OP_MUNMAP, OP_MPROTECT, OP_MREMAP, OP_MADVISE, OP_FORK,
	/* keepers of files */
	OP_PUNCH, OP_TRUNCATE, OP_EXTEND, OP_FILL, OP_SYNC, OP_COLLAPSE, OP_PAGEOUT,
	/* disturbers */
	OP_PRESSURE, OP_RECLAIM, OP_COMPACT, OP_SPLIT, OP_DROP_CACHES, OP_POLICY, OP_DELAY,
	/* the main process */
	OP_KILL_CLIENT, OP_KILL_CONTROLLER, OP_KILL_KEEPER, OP_COMPARE,
	OPS,
};

extern const char *const op_names[OPS];

/* What a page of a view shows. */
struct shows {
	uint8_t file; /* 1 and up; 0: no range */
	uint8_t flags;
	uint32_t page;
};

/* What a page of a file is like. */
enum content { TAGGED, ZEROED, ABSENT };

struct holds {
	enum content content;
	uint32_t generation; /* of the tag */
};

struct stamp {
	_Atomic uint64_t lo, hi;
	_Atomic uint64_t state[RING];
};

struct soak_view {
	int control, viewfd;
	uint64_t size; /* bytes; changed by who has the locks of all regions */
	pthread_mutex_t lock[SOAK_REGIONS];
	uint32_t id[SOAK_PAGES]; /* of the map request, under the lock */
	_Atomic uint32_t ids;
	_Atomic unsigned int hot; /* where the latest change begins: a good place to look */
	struct stamp stamp[SOAK_PAGES];
};

/* What a thread has written to its word of a page of a file. */
struct written {
	uint64_t value;
	uint64_t version; /* of the page at that time */
	uint32_t epoch; /* of the thread; 0: not known */
};

struct soak_file {
	struct source src;
	bool present;
	bool steady; /* its content stays */
	unsigned int pages;
	char *own; /* a mapping that all processes inherit */
	pthread_mutex_t lock;
	uint32_t generation;
	_Atomic uint64_t begun, ended; /* changes of its content */
	struct stamp stamp[FILE_PAGES_MAX];
	struct written written[FILE_PAGES_MAX][SOAK_THREADS];
};

struct log_entry {
	uint64_t time;
	enum op op;
	unsigned int view, page, n, file, file_page, flags;
	int ret; /* LOG_RUNNING while it does */
};

#define LOG_RUNNING	INT_MIN

/* How an access was checked. */
enum check {
	EXACT,
	AMONG, /* several states, of a change in progress */
	UNCHECKED, /* it took too long */
	STALE, /* the first time, for code that the emulator had kept */
	CHECKS,
};

enum role { CONTROLLER, CLIENT, KEEPER, DISTURBER, ROLES };

struct soak_thread {
	enum role role;
	unsigned int index;
	pid_t tid;
	uint64_t rng;
	uint32_t epoch; /* how often it was started */
	uint64_t writes;
	_Atomic uint64_t parked;
	_Atomic uint64_t count[OPS];
	_Atomic uint64_t checked[CHECKS];
	_Atomic uint64_t logged;
	struct log_entry log[LOG_SIZE];
};

/* A process, with threads [@first, @first + @n). */
struct soak_worker {
	enum role role;
	pid_t pid;
	unsigned int first, n;
};

/* Whether a policy refuses MAP_FD: the lower bits of world->policy. */
enum policy_mode { POLICY_NONE, POLICY_CHANGING, POLICY_REFUSES };

#define POLICY_ERR	(-EL2HLT) /* an errno that nobody else gives */

struct soak_world {
	uint64_t seed;
	uint64_t start;
	uint64_t without; /* ops, by bit */
	unsigned int width; /* pages in the middle of a view where most happens */
	_Atomic int stop;
	_Atomic uint64_t pause; /* odd: all threads shall park */
	_Atomic uint64_t policy;
	_Atomic int failed;
	char failure[768];
	char cgroup[128];
	struct soak_view view[SOAK_VIEWS];
	struct soak_file file[SOAK_FILES + 1]; /* 0 is not used */
	struct soak_thread thread[SOAK_THREADS];
	struct soak_worker worker[SOAK_WORKERS];
	unsigned int threads, workers;
};

extern struct soak_world *world;
extern __thread struct soak_thread *self;

/* ---- soak_model.c ---- */

static inline bool op_enabled(enum op op)
{
	return !(world->without >> op & 1);
}

static inline uint64_t soak_random(void)
{
	return random_next(&self->rng);
}

/* Of [0, @n). */
static inline unsigned int soak_below(unsigned int n)
{
	return soak_random() % n;
}

/* A page of a view, of those where most happens. */
static inline unsigned int soak_view_page(void)
{
	return (SOAK_PAGES - world->width) / 2 + soak_below(world->width);
}

/* What went wrong first; the world ends. */
void soak_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct log_entry *log_begin(enum op op);
void log_end(struct log_entry *entry, int ret);
/* For processes that may be killed. */
void soak_mutex_init(pthread_mutex_t *mutex);
/* Wait while the main process looks at the world. */
void soak_park(void);

void view_begin(struct soak_view *view, unsigned int page, struct shows shows);
void view_end(struct soak_view *view, unsigned int page);
struct shows view_now(const struct soak_view *view, unsigned int page);
void file_begin(struct soak_file *file, unsigned int page, struct holds holds);
void file_end(struct soak_file *file, unsigned int page);
struct holds file_now(const struct soak_file *file, unsigned int page);

uint64_t tag_of(unsigned int file, unsigned int page, uint32_t generation);
uint32_t code_of(uint64_t tag);

/* What is known of a page of a view before an access to it. */
struct sight {
	struct soak_view *view;
	unsigned int page;
	uint64_t lo, hi;
	struct shows shows; /* at @lo */
	uint64_t file_lo; /* of the page that it shows */
	uint64_t ended[SOAK_FILES + 1];
};

/* What an access met. */
struct met {
	enum op op;
	unsigned int prot; /* of the mapping */
	int sig; /* 0, a signal, or -1: an errno in place of one */
	uint64_t value; /* read, written, or returned by the code */
	unsigned int slot; /* written to */
};

void sight_begin(struct sight *sight, struct soak_view *view, unsigned int page);

enum verdict {
	FITS,
	FORBIDDEN, /* by the mapping, as it should be */
	TOO_LATE, /* what it may have met is not known any more */
	BAD,
};

/* Whether the access could meet that. */
enum verdict sight_judge(struct sight *sight, const struct met *met);
/* The same, to count it: the test fails if it could not. */
void sight_end(struct sight *sight, const struct met *met);

/* ---- soak_access.c ---- */

/* Of a forked child: it may outlive its thread, so nobody relies on its writes. */
extern bool soak_is_child;
/* One access of kind @op through @addr, which maps @page of @view with @prot. */
void soak_access(struct soak_view *view, unsigned int page, char *addr, unsigned int prot,
		 enum op op);
enum op soak_access_op(void);
/* Exactly what the model says, for all pages: nobody else is active. */
void soak_compare(void);

/* ---- soak_control.c ---- */

void region_lock(struct soak_view *view, unsigned int region);
void region_unlock(struct soak_view *view, unsigned int region);
void controller_step(void);

/* ---- soak_file.c ---- */

int soak_files_open(void);
void soak_files_close(void);
void file_lock(struct soak_file *file);
void file_unlock(struct soak_file *file);
void keeper_step(void);
struct soak_file *soak_random_file(void);

/* ---- soak_client.c ---- */

void client_step(void);

/* ---- soak_disturb.c ---- */

#define DISTURBERS	7

/* One disturbance, of the kind number @n, and a rest. */
void disturber_step(unsigned int n);
/* The processes of the test are in a memory cgroup, if there may be one. */
int soak_cgroup_enter(void);
void soak_cgroup_leave(void);

/* ---- soak_bpf.c ---- */

/* Attach a policy that refuses, wait, detach it: 0 or a negative errno. */
int policy_round(unsigned int ms);
/* Hold up some of the calls in the middle of faults and changes, for a while. */
int delay_round(unsigned int ms);

/* ---- soak_wait.c ---- */

/* In place of a pause: nobody is at rest. */
#define SOAK_ALL	(~0ULL)

/* A wait of the main process for others. */
struct soak_wait {
	uint64_t limit;
	unsigned int ms;
};

/* How long, in ns, before what does not happen has failed to. */
uint64_t soak_patience(void);
/* Whether it waits for the end of @pause, or for nothing but its own end. */
bool soak_is_parked(const struct soak_thread *thread, uint64_t pause);
/* Who gets the CPU last gets it like others: all that are not parked; those of a process. */
void soak_hurry(uint64_t pause);
void soak_hurry_worker(const struct soak_worker *worker);
void soak_wait_begin(struct soak_wait *wait);
/*
 * Wait a little for those who are not parked in @pause, and hurry them after a
 * while. False once patience has ended: then it has been said who does what.
 */
bool soak_wait_more(struct soak_wait *wait, uint64_t pause);
/* From now on say so, and end, if world_beat() is not called for longer than any wait may take. */
int world_watch(void);
void world_beat(void);

/* ---- soak_world.c ---- */

/* Kinds of files to leave out. */
extern bool soak_kind_off[SOURCE_KINDS];
/* 0 or a negative errno; @without: ops, by bit. */
int world_open(uint64_t seed, uint64_t without);
/* Whether a process has ended that should not have. */
void world_check(void);
/* Kill a process, and start another in its place. */
void world_kill(void);
/* Stop all, compare all, go on. */
void world_compare(void);
/* End all; nothing may be left. */
void world_close(void);
void world_free(void);

#endif /* SOAK_H */
