// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_arena.c - clients that hammer a view; revoke.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "revoke.h"

#include <sys/prctl.h>

/* ---- The clients ---- */

static _Atomic(char *) view_base;
static struct arena_shared *shared;

static void leak(struct racer *racer, enum access access, unsigned int page,
		 uint64_t value)
{
	if (atomic_fetch_add(&racer->leaks, 1))
		return;
	racer->leak_access = access;
	racer->leak_page = page;
	racer->leak_value = value;
}

static int access_page(struct racer *racer, struct face *face,
		       unsigned int page, enum access access)
{
	uint64_t value = 0;
	uint32_t code = 0;
	int sig = 0;

	switch (access) {
	case READ:
		sig = probe_read(&face->word, &value);
		if (!sig && (value & SECRET_MASK) == SECRET)
			leak(racer, access, page, value);
		break;
	case UPGRADE: /* of a PTE that a read has made read-only */
		sig = probe_read(&face->slot, &value);
		if (sig)
			break;
		/* fall through */
	case WRITE:
		sig = probe_write(&face->slot, page);
		break;
	case EXEC:
		sig = probe_exec(face->code, &code);
		if (!sig && (code & SECRET_CODE_MASK) == SECRET_CODE)
			leak(racer, access, page, code);
		break;
	default:
		break;
	}
	return sig;
}

static void hit(struct racer *racer, unsigned int page, enum access access)
{
	char *base = atomic_load(&view_base);

	if (access_page(racer, (struct face *)(base + page * PAGE), page, access))
		atomic_fetch_add(&racer->refused[access], 1);
	else
		atomic_fetch_add(&racer->done[access], 1);
}

static void *hammer(void *arg)
{
	struct racer *racer = arg;
	uint64_t seed = random_seed() + (uintptr_t)arg, r;

	while (!atomic_load(&shared->stop)) {
		r = random_next(&seed);
		hit(racer, r % ARENA_PAGES, (r >> 32) % ACCESSES);
	}
	return NULL;
}

static void hit_all(struct racer *racer)
{
	unsigned int i;

	for (i = 0; i < ARENA_PAGES * ACCESSES; i++)
		hit(racer, i / ACCESSES, i % ACCESSES);
}

/* Children that inherit the PTEs of the moment, some to use them later. */
static void mover_fork(struct racer *racer)
{
	pid_t pid[2];
	int i;

	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		if (i)
			sleep_ms(2);
		hit_all(racer);
		_exit(0);
	}
	for (i = 0; i < 2; i++)
		if (pid[i] > 0 && waitpid(pid[i], NULL, 0) == pid[i])
			atomic_fetch_add(&shared->moves, 1);
}

/* Move the mapping, and keep what it leaves from being used by others. */
static int mover_mremap(char *place[2])
{
	char *from = atomic_load(&view_base);
	char *to = from == place[0] ? place[1] : place[0];

	if (mremap(from, ARENA_SIZE, ARENA_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to) != to)
		return -errno;
	atomic_store(&view_base, to);
	atomic_fetch_add(&shared->moves, 1);
	if (mmap(from, ARENA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static int mover_mprotect(uint64_t *seed)
{
	static const int prot[] = {
		PROT_NONE,
		PROT_READ,
		PROT_RW,
		PROT_READ | PROT_EXEC,
		PROT_RW | PROT_EXEC,
		PROT_RW | PROT_EXEC,
	};
	uint64_t r = random_next(seed);
	unsigned int page = r % ARENA_PAGES;
	unsigned int n = 1 + (r >> 8) % (ARENA_PAGES - page);

	if (mprotect(atomic_load(&view_base) + page * PAGE, n * PAGE,
		     prot[(r >> 16) % ARRAY_SIZE(prot)]))
		return -errno;
	atomic_fetch_add(&shared->moves, 1);
	return 0;
}

static int client_move(enum mover mover, struct racer *racer, char *place[2])
{
	uint64_t seed = random_seed();
	int err = 0;

	while (!err && !atomic_load(&shared->stop)) {
		switch (mover) {
		case FORK:
			mover_fork(racer);
			break;
		case MREMAP:
			err = mover_mremap(place);
			break;
		case MPROTECT:
			err = mover_mprotect(&seed);
			break;
		default:
			sleep_ms(5);
		}
	}
	return err;
}

/* The life of a client: its exit status is 0, or the errno of what failed. */
static int client_main(int viewfd, int threads, enum mover mover,
		       struct racer *racer)
{
	pthread_t thread[ARENA_RACERS];
	char *place[2];
	int i, err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < 2; i++) {
		place[i] = mmap(NULL, ARENA_SIZE, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (place[i] == MAP_FAILED)
			return errno;
	}
	if (mmap(place[0], ARENA_SIZE, PROT_RW | PROT_EXEC,
		 MAP_SHARED | MAP_FIXED, viewfd, 0) == MAP_FAILED)
		return errno;
	atomic_store(&view_base, place[0]);
	hit_all(racer);
	atomic_fetch_add(&shared->ready, 1);

	for (i = 0; i < threads; i++) {
		err = pthread_create(&thread[i], NULL, hammer, racer + 1 + i);
		if (err)
			return err;
	}
	err = -client_move(mover, racer, place);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return err;
}

/* ---- The controller ---- */

static void arm(struct arena *arena, int file, unsigned int page, uint32_t what)
{
	struct face *face = arena_face(arena, file, page);
	uint64_t generation = atomic_fetch_add(&arena->generation, 1);

	if (what & MEMVIEW_MAP_READ)
		atomic_store(&face->word, SECRET | generation);
	if (what & MEMVIEW_MAP_WRITE) {
		arena->marker[file][page] = MARKER | generation;
		atomic_store(&face->slot, MARKER | generation);
	}
	if (what & MEMVIEW_MAP_EXEC)
		*(volatile uint32_t *)(face->code + 1) =
			SECRET_CODE | (generation & ~SECRET_CODE_MASK);
}

static void check_marker(struct arena *arena, int file, unsigned int page)
{
	struct face *face = arena_face(arena, file, page);

	if (atomic_load(&face->slot) != arena->marker[file][page])
		atomic_fetch_add(&arena->overwritten, 1);
}

static void disarm(struct arena *arena, int file, unsigned int page,
		   uint32_t what)
{
	struct face *face = arena_face(arena, file, page);

	if (what & MEMVIEW_MAP_READ)
		atomic_store(&face->word, PUBLIC);
	if (what & MEMVIEW_MAP_WRITE)
		check_marker(arena, file, page);
	if (what & MEMVIEW_MAP_EXEC)
		*(volatile uint32_t *)(face->code + 1) = PUBLIC_CODE;
}

/* The view shows @file in these pages: arm what that has taken away. */
static void settle(struct arena *arena, unsigned int page, unsigned int n,
		   int file, uint32_t flags)
{
	uint32_t now, lost, lost_any = 0;
	int f;

	for (; n; page++, n--) {
		for (f = 0; f < ARENA_FILES; f++) {
			now = f == file ? flags : 0;
			lost = arena->allowed[f][page] & ~now;
			arena->allowed[f][page] = now;
			lost_any |= lost;
			arm(arena, f, page, lost);
		}
	}
	if (lost_any)
		atomic_fetch_add(&arena->revokes, 1);
}

int arena_set(struct arena *arena, unsigned int page, unsigned int n, int file,
	      uint32_t flags)
{
	unsigned int i;
	int err;

	if (file == NO_FILE) {
		err = view_unmap(arena->control, page * PAGE, n * PAGE);
	} else {
		for (i = page; i < page + n; i++)
			disarm(arena, file, i,
			       flags & ~arena->allowed[file][i]);
		err = view_map(arena->control, arena->file[file].fd,
			       page * PAGE, n * PAGE, page * PAGE, flags);
	}
	if (!err)
		settle(arena, page, n, file, file == NO_FILE ? 0 : flags);
	return err;
}

int arena_truncate(struct arena *arena, unsigned int pages)
{
	int err = view_resize(arena->control, pages * PAGE);

	if (err)
		return err;
	settle(arena, pages, ARENA_PAGES - pages, NO_FILE, 0);
	return view_resize(arena->control, ARENA_SIZE);
}

int arena_step(struct arena *arena, uint64_t *seed, unsigned int first,
	       unsigned int last)
{
	static const uint32_t flags[] = {
		0, 0, MAP_R, MAP_RW, MAP_RX, MAP_RWX, MAP_RWX, MAP_RWX,
	};
	uint64_t r = random_next(seed);
	unsigned int page = first + r % (last - first);
	unsigned int n = 1 + (r >> 8) % 4;
	uint32_t now = flags[(r >> 16) % ARRAY_SIZE(flags)];

	if (n > last - page)
		n = last - page;
	return arena_set(arena, page, n, now ? (int)(r >> 32 & 1) : NO_FILE,
			 now);
}

int arena_open(struct arena *arena, enum source_kind kind)
{
	unsigned int page;
	int f, err;

	memset(arena, 0, sizeof(*arena));
	arena->control = arena->viewfd = arena->file[1].fd = -1;
	for (f = 0; f < ARENA_FILES; f++) {
		err = source_open(&arena->file[f], kind, ARENA_SIZE);
		if (err)
			return err;
		arena->own[f] = mmap(NULL, ARENA_SIZE, PROT_RW, MAP_SHARED,
				     arena->file[f].fd, 0);
		if (arena->own[f] == MAP_FAILED)
			return -errno;
		for (page = 0; page < ARENA_PAGES; page++) {
			put_code(arena_face(arena, f, page)->code, 0);
			arm(arena, f, page, MAP_RWX);
		}
	}
	arena->shared = shared_alloc(sizeof(*arena->shared));
	if (!arena->shared)
		return -ENOMEM;
	arena->control = view_create(ARENA_SIZE);
	if (arena->control < 0)
		return arena->control;
	arena->viewfd = view_get_fd(arena->control);
	return arena->viewfd < 0 ? arena->viewfd : 0;
}

int arena_client(struct arena *arena, int threads, enum mover mover)
{
	struct racer *racer = &arena->shared->racer[arena->racers];
	pid_t pid;

	if (arena->racers + threads + 1 > ARENA_RACERS ||
	    arena->clients == ARRAY_SIZE(arena->client))
		return -E2BIG;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		shared = arena->shared;
		_exit(client_main(arena->viewfd, threads, mover, racer));
	}
	arena->racers += threads + 1;
	arena->client[arena->clients++] = pid;
	return 0;
}

int arena_wait_ready(struct arena *arena)
{
	int i;

	arena->deadline = now_ns() + 100000000000ULL;
	for (i = 0; i < 3000; i++) {
		if (atomic_load(&arena->shared->ready) == arena->clients)
			return 0;
		sleep_ms(10);
	}
	return -ETIMEDOUT;
}

int arena_stop(struct arena *arena)
{
	int i, status, err = 0;

	atomic_store(&arena->shared->stop, 1);
	for (i = 0; i < arena->clients; i++)
		if (waitpid(arena->client[i], &status, 0) < 0 || status)
			err = -ECHILD;
	arena->clients = 0;
	return err;
}

void arena_check_markers(struct arena *arena)
{
	unsigned int page;
	int f;

	for (f = 0; f < ARENA_FILES; f++)
		for (page = 0; page < ARENA_PAGES; page++)
			if (!(arena->allowed[f][page] & MEMVIEW_MAP_WRITE))
				check_marker(arena, f, page);
}

uint64_t arena_leaks(const struct arena *arena, const struct racer **first)
{
	const struct racer *racer;
	uint64_t leaks = 0;
	int i;

	for (i = 0; i < arena->racers; i++) {
		racer = &arena->shared->racer[i];
		if (!leaks)
			*first = racer;
		leaks += atomic_load(&racer->leaks);
	}
	return leaks;
}

static uint64_t sum(const struct arena *arena, bool refused, enum access access)
{
	const struct racer *racer = arena->shared->racer;
	uint64_t total = 0;
	int i;

	for (i = 0; i < arena->racers; i++)
		total += atomic_load(refused ? &racer[i].refused[access] :
					       &racer[i].done[access]);
	return total;
}

bool arena_raced(const struct arena *arena)
{
	const uint64_t least = scaled(20);
	int access;

	for (access = 0; access < ACCESSES; access++)
		if (sum(arena, false, access) < least ||
		    sum(arena, true, access) < least)
			return false;
	return true;
}

bool arena_go_on(const struct arena *arena, bool more)
{
	const struct racer *first;

	if (atomic_load(&arena->overwritten) || arena_leaks(arena, &first) ||
	    now_ns() > arena->deadline)
		return false;
	return more || !arena_raced(arena);
}

void arena_close(struct arena *arena)
{
	int f;

	for (f = 0; f < ARENA_FILES; f++) {
		if (arena->own[f] && arena->own[f] != MAP_FAILED)
			munmap(arena->own[f], ARENA_SIZE);
		source_close(&arena->file[f]);
	}
	if (arena->viewfd >= 0)
		close(arena->viewfd);
	if (arena->control >= 0)
		close(arena->control);
}
