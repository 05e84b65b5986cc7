// SPDX-License-Identifier: GPL-2.0
/*
 * demo_client.c - the process that is lent memory.
 *
 * It is an unprivileged process (user nobody, if the demo runs as root) that
 * holds a socket and, once attached, a view fd. Every access to the view is
 * guarded: a SIGBUS or SIGSEGV is an answer like any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/memview.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

#define NOBODY 65534
#define HASH_CHUNK (512 * KIB)

/**
 * struct watcher - the reader thread
 * @started: It has read once.
 * @stop: It shall end.
 * @newest: The newest generation that it saw anywhere.
 * @newest_of: The newest that it saw in each page.
 */
struct watcher {
	pthread_t thread;
	bool running;
	bool started;
	bool stop;
	const char *at;
	uint64_t pages;
	uint64_t newest;
	uint64_t newest_of[SWAP_SIZE / PAGE];
	struct demo_watched watched;
};

/**
 * struct state - all that the client has
 * @base: Where the view is mapped, read-write.
 * @code: Where the page at CODE_AT is mapped a second time, executable.
 */
struct state {
	int sock;
	int view;
	char *base;
	void *code;
	uint64_t size;
	struct watcher watcher;
};

/* Where a signal of this thread continues, and which it was. */
static __thread sigjmp_buf *recovery;
static __thread int caught;

static void on_signal(int signal)
{
	if (!recovery) {
		/* Not an access to the view: a bug. Die of it. */
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL },
			  NULL);
		return;
	}
	caught = signal;
	siglongjmp(*recovery, 1);
}

static void catch_signals(void)
{
	/* Not blocked while handled: sigsetjmp() need not save the mask. */
	struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_NODEFER,
	};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* Calls touch and returns the signal that it ended in, or 0. */
static int guarded(void (*touch)(void *arg), void *arg)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		recovery = NULL;
		return caught;
	}
	recovery = &here;
	touch(arg);
	recovery = NULL;
	return 0;
}

struct access {
	uint64_t *at;
	uint64_t value;
};

static void touch_read(void *arg)
{
	struct access *access = arg;

	access->value = __atomic_load_n(access->at, __ATOMIC_RELAXED);
}

static void touch_write(void *arg)
{
	struct access *access = arg;

	__atomic_store_n(access->at, access->value, __ATOMIC_SEQ_CST);
	access->value = __atomic_load_n(access->at, __ATOMIC_SEQ_CST);
}

static void touch_call(void *arg)
{
	struct access *access = arg;
	int (*function)(void);

	memcpy(&function, &access->at, sizeof(function));
	access->value = function();
}

static void do_access(struct state *state, const struct demo_request *request,
		      struct demo_answer *answer)
{
	struct access access = {
		.at = (void *)(state->base + request->offset),
		.value = request->value,
	};
	void (*touch)(void *arg) = touch_read;

	if (request->op == OP_WRITE)
		touch = touch_write;
	if (request->op == OP_CALL) {
		touch = touch_call;
		access.at = state->code;
	}
	answer->signal = guarded(touch, &access);
	answer->value = access.value;
}

static void do_attach(struct state *state, const struct demo_request *request,
		      struct demo_answer *answer, int fd)
{
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat)) {
		answer->error = fd < 0 ? EBADF : errno;
		return;
	}
	state->view = fd;
	state->size = request->length;
	state->base = mmap(NULL, request->length, PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
	state->code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd,
			   CODE_AT);
	if (state->base == MAP_FAILED || state->code == MAP_FAILED)
		answer->error = errno;
	answer->value = stat.st_size;
	snprintf(answer->text, sizeof(answer->text), "uid %d, pid %d", getuid(),
		 getpid());
}

/* What worked, each with a blank, although none of it may. */
static void do_misuse(struct state *state, struct demo_answer *answer)
{
	struct memview_map_fd_info info = {
		.fd = state->view,
		.flags = MEMVIEW_MAP_READ,
		.size = PAGE,
	};
	int view = state->view;
	char path[40], byte = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", view);
	const struct {
		const char *name;
		bool worked;
	} tries[] = {
		{ "read", read(view, &byte, 1) >= 0 },
		{ "write", write(view, &byte, 1) >= 0 },
		{ "MAP_FD", ioctl(view, MEMVIEW_MAP_FD, &info) >= 0 },
		{ "GET_VIEWFD", ioctl(view, MEMVIEW_GET_VIEWFD) >= 0 },
		{ "ftruncate", ftruncate(view, state->size / 2) >= 0 },
		{ "fallocate", fallocate(view, 0, 0, PAGE) >= 0 },
		{ "fchmod", fchmod(view, 0777) >= 0 },
		{ "reopen", open(path, O_RDWR | O_CLOEXEC) >= 0 },
		{ "MAP_PRIVATE", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, view,
				      0) != MAP_FAILED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		if (!tries[i].worked)
			continue;
		strcat(answer->text, tries[i].name);
		strcat(answer->text, " ");
	}
	answer->value = ARRAY_SIZE(tries);
}

static void do_probe(struct state *state, const struct demo_request *request,
		     struct demo_answer *answer)
{
	uint64_t pages = request->length / PAGE;
	struct demo_probes *probes = &answer->probes;

	for (uint64_t i = 0; i < request->value; i++) {
		uint64_t page = i * pages / request->value;
		struct access access = {
			.at = (void *)(state->base + request->offset +
				       page * PAGE),
		};

		switch (guarded(touch_read, &access)) {
		case 0:
			probes->fine++;
			break;
		case SIGBUS:
			probes->sigbus++;
			break;
		default:
			probes->sigsegv++;
		}
	}
}

struct chunk {
	EVP_MD_CTX *context;
	const char *at;
	size_t size;
};

static void touch_hash(void *arg)
{
	struct chunk *chunk = arg;

	EVP_DigestUpdate(chunk->context, chunk->at, chunk->size);
}

static void do_hash(struct state *state, const struct demo_request *request,
		    struct demo_answer *answer)
{
	struct chunk chunk = { .context = EVP_MD_CTX_new() };
	struct demo_answer progress = { .op = request->op, .progress = true };
	uint64_t done = 0;

	EVP_DigestInit_ex(chunk.context, EVP_sha256(), NULL);
	while (done < request->length && !answer->signal) {
		chunk.at = state->base + request->offset + done;
		chunk.size = request->length - done;
		if (chunk.size > HASH_CHUNK)
			chunk.size = HASH_CHUNK;
		answer->signal = guarded(touch_hash, &chunk);
		done += chunk.size;
		progress.value = done;
		memview_send(state->sock, -1, &progress, sizeof(progress));
	}
	EVP_DigestFinal_ex(chunk.context, answer->digest, NULL);
	EVP_MD_CTX_free(chunk.context);
	answer->value = done;
}

static void touch_echo(void *arg)
{
	struct access *access = arg;
	struct demo_shared *shared = (void *)access->at;
	const struct timespec limit = { .tv_sec = 5 };
	uint32_t turn;

	for (uint64_t left = access->value; left;) {
		turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
		if (turn & 1) {
			__atomic_store_n(&shared->turn, turn + 1,
					 __ATOMIC_RELEASE);
			syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1);
			left--;
		} else if (syscall(SYS_futex, &shared->turn, FUTEX_WAIT, turn,
				   &limit) &&
			   errno != EAGAIN && errno != EINTR) {
			access->value = errno;
			return;
		}
	}
	access->value = 0;
}

static void do_echo(struct state *state, const struct demo_request *request,
		    struct demo_answer *answer)
{
	struct access access = {
		.at = (void *)(state->base + MEMFD_AT),
		.value = request->value,
	};

	answer->signal = guarded(touch_echo, &access);
	answer->error = answer->signal ? 0 : access.value;
}

/*
 * Judge one word against what the controller said about it: it announces a
 * generation before the replacement that brings it, and confirms it after.
 * While the request runs, one page may be new and another old still, as with
 * mmap(MAP_FIXED); but no page turns old again.
 */
static void judge(struct watcher *watcher, uint64_t page, uint64_t word,
		  uint64_t oldest, uint64_t newest)
{
	struct demo_watched *watched = &watcher->watched;

	watched->reads++;
	watched->stale += word < oldest;
	watched->early += word > newest;
	watched->backward += word < watcher->newest_of[page];
	watcher->newest_of[page] = word;
	if (word > watcher->newest) {
		watched->generations++;
		watcher->newest = word;
	}
}

static void touch_watch(void *arg)
{
	struct state *state = arg;
	struct watcher *watcher = &state->watcher;
	struct demo_shared *shared = (void *)(state->base + MEMFD_AT);
	uint32_t random = 1;

	while (!__atomic_load_n(&watcher->stop, __ATOMIC_RELAXED)) {
		uint64_t oldest, word, newest, page;

		random = random * 1664525 + 1013904223;
		page = (random >> 8) % watcher->pages;
		oldest = __atomic_load_n(&shared->installed, __ATOMIC_SEQ_CST);
		word = __atomic_load_n((uint64_t *)(watcher->at + page * PAGE),
				       __ATOMIC_SEQ_CST);
		newest = __atomic_load_n(&shared->published, __ATOMIC_SEQ_CST);
		judge(watcher, page, word, oldest, newest);
		if (shared->seen != watcher->newest)
			__atomic_store_n(&shared->seen, watcher->newest,
					 __ATOMIC_RELEASE);
		__atomic_store_n(&watcher->started, true, __ATOMIC_RELEASE);
	}
}

static void *watch(void *arg)
{
	struct state *state = arg;
	struct watcher *watcher = &state->watcher;

	while (!__atomic_load_n(&watcher->stop, __ATOMIC_RELAXED)) {
		if (guarded(touch_watch, state))
			watcher->watched.signals++;
		__atomic_store_n(&watcher->started, true, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void do_watch(struct state *state, const struct demo_request *request,
		     struct demo_answer *answer)
{
	struct watcher *watcher = &state->watcher;

	*watcher = (struct watcher){
		.at = state->base + request->offset,
		.pages = request->length / PAGE,
	};
	answer->error = pthread_create(&watcher->thread, NULL, watch, state);
	if (answer->error)
		return;
	watcher->running = true;
	while (!__atomic_load_n(&watcher->started, __ATOMIC_ACQUIRE))
		usleep(100);
}

static void do_watched(struct state *state, struct demo_answer *answer)
{
	struct watcher *watcher = &state->watcher;

	if (!watcher->running) {
		answer->error = ESRCH;
		return;
	}
	__atomic_store_n(&watcher->stop, true, __ATOMIC_RELAXED);
	pthread_join(watcher->thread, NULL);
	watcher->running = false;
	answer->watched = watcher->watched;
}

static void obey(struct state *state, const struct demo_request *request,
		 struct demo_answer *answer, int fd)
{
	switch ((enum demo_op)request->op) {
	case OP_ATTACH:
		do_attach(state, request, answer, fd);
		break;
	case OP_MISUSE:
		do_misuse(state, answer);
		break;
	case OP_READ:
	case OP_WRITE:
	case OP_CALL:
		do_access(state, request, answer);
		break;
	case OP_PROBE:
		do_probe(state, request, answer);
		break;
	case OP_HASH:
		do_hash(state, request, answer);
		break;
	case OP_ECHO:
		do_echo(state, request, answer);
		break;
	case OP_WATCH:
		do_watch(state, request, answer);
		break;
	case OP_WATCHED:
		do_watched(state, answer);
		break;
	}
}

static int become_nobody(void)
{
	if (geteuid())
		return 0;
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

/* The client's main function: serve requests until the controller goes. */
int client_main(int sock)
{
	struct state state = { .sock = sock, .view = -1 };
	struct demo_request request;
	int fd, error;

	error = become_nobody();
	if (error)
		return -error;
	prctl(PR_SET_NAME, "memview-client");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	catch_signals();
	while (!memview_receive(sock, &fd, &request, sizeof(request))) {
		struct demo_answer answer = { .op = request.op };

		obey(&state, &request, &answer, fd);
		if (memview_send(sock, -1, &answer, sizeof(answer)))
			break;
	}
	return 0;
}
