/* SPDX-License-Identifier: GPL-2.0 */
/*
 * revoke.h - the arena of the revoke tests: clients that hammer a view while
 * its controller changes it, and the bookkeeping that catches a broken P1
 *
 * Two files back a view of a few pages: page n of the view shows page n of
 * one of the files, or nothing. What a client must not reach is armed, after
 * the change has returned, through the controller's own mapping of the file:
 *
 * - a page that cannot be read holds a secret. It holds a public word again
 *   before it is mapped; so any client that ever reads a secret has read it
 *   through a translation that outlived its revoke.
 * - a page that cannot be written holds a marker in the word that clients
 *   write. It must still be there when the page is next made writable.
 * - a page that cannot be executed holds code that returns a secret.
 *
 * The controller walks at random, so a page stays as it is for as many changes
 * as there are pages: the clients have that long to fall into the trap.
 */
#ifndef REVOKE_H
#define REVOKE_H

#include "memview_test.h"

#include <stdatomic.h>

#define ARENA_PAGES	24
#define ARENA_FILES	2
#define ARENA_SIZE	(ARENA_PAGES * PAGE)
#define ARENA_RACERS	24
#define NO_FILE		-1

/* What begins every page. The operand of the code is aligned, so that one
 * store changes it.
 */
struct face {
	_Atomic uint64_t word; /* public or secret */
	_Atomic uint64_t slot; /* clients write here */
	uint8_t gap[51];
	uint8_t code[CODE_SIZE];
};

#define PUBLIC		0x600d600d600d600dULL
#define SECRET		0x5ec2e70000000000ULL
#define SECRET_MASK	0xffffff0000000000ULL
#define MARKER		0x3a2c000000000000ULL
#define PUBLIC_CODE	0x0600d000U
#define SECRET_CODE	0x5ec00000U
#define SECRET_CODE_MASK 0xfff00000U

enum access { READ, WRITE, UPGRADE, EXEC, ACCESSES };

/* One for each client thread, in shared memory. */
struct racer {
	_Atomic uint64_t done[ACCESSES];
	_Atomic uint64_t refused[ACCESSES];
	_Atomic uint64_t leaks;
	uint64_t leak_access, leak_page, leak_value; /* the first */
};

struct arena_shared {
	_Atomic int stop;
	_Atomic int ready; /* client processes that have touched the view */
	_Atomic uint64_t moves; /* what the movers have done */
	struct racer racer[ARENA_RACERS];
};

/* What a client process does besides hammering. */
enum mover { STAND_STILL, FORK, MREMAP, MPROTECT };

struct arena {
	int control;
	int viewfd;
	struct source file[ARENA_FILES];
	char *own[ARENA_FILES]; /* the controller's mapping of each */
	uint32_t allowed[ARENA_FILES][ARENA_PAGES]; /* of MEMVIEW_MAP_ */
	uint64_t marker[ARENA_FILES][ARENA_PAGES];
	uint64_t deadline; /* for the race to take place */
	_Atomic uint64_t generation;
	_Atomic uint64_t revokes; /* changes that took something away */
	_Atomic uint64_t overwritten; /* markers that did not stay */
	struct arena_shared *shared;
	int racers; /* used so far */
	int clients;
	pid_t client[8];
};

/* 0 or a negative errno; -ENODEV with arena->file[0].missing set. */
int arena_open(struct arena *arena, enum source_kind kind);
/* Fork a client with @threads hammering threads. */
int arena_client(struct arena *arena, int threads, enum mover mover);
/* Wait until every client has mapped the view. */
int arena_wait_ready(struct arena *arena);
/* Let the view show @file (or NO_FILE) in @n pages from @page. */
int arena_set(struct arena *arena, unsigned int page, unsigned int n, int file,
	      uint32_t flags);
int arena_truncate(struct arena *arena, unsigned int pages);
/* One random change in pages [@first, @last). */
int arena_step(struct arena *arena, uint64_t *seed, unsigned int first,
	       unsigned int last);
/* Stop the clients; -ECHILD if one did not end well. */
int arena_stop(struct arena *arena);
/* Markers that are gone, in pages that are armed now, are counted, too. */
void arena_check_markers(struct arena *arena);
uint64_t arena_leaks(const struct arena *arena, const struct racer **first);
/* The race took place: the clients got through, and were refused. */
bool arena_raced(const struct arena *arena);
/*
 * @more: The controller has more to do. If not: the race did not take place yet,
 * and there is time left. But if the promise is broken, that is enough.
 */
bool arena_go_on(const struct arena *arena, bool more);
void arena_close(struct arena *arena);

static inline struct face *arena_face(const struct arena *arena, int file,
				      unsigned int page)
{
	return (struct face *)(arena->own[file] + page * PAGE);
}

#define EXPECT_ARENA_HELD(arena)                                          \
	do {                                                              \
		const struct racer *leak_ = NULL;                         \
									  \
		arena_check_markers(arena);                               \
		EXPECT_EQ(0, arena_leaks(arena, &leak_)) {                \
			TH_LOG("P1: access %ju of page %ju saw %jx",      \
			       (uintmax_t)leak_->leak_access,             \
			       (uintmax_t)leak_->leak_page,               \
			       (uintmax_t)leak_->leak_value);             \
		}                                                         \
		EXPECT_EQ(0, (arena)->overwritten)                        \
			TH_LOG("P1: a write landed after its revoke");    \
	} while (0)

#endif /* REVOKE_H */
