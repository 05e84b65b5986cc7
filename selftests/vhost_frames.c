// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_frames.c - frames made and checked; vhost_frames.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "vhost_frames.h"

#include <poll.h>

#define PATIENCE_MS	120000 /* a process of DPDK takes long to start */
#define STEP_MS		300

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, longest, type;
};

static const struct file_header file_header = {
	.magic = 0xa1b2c3d4,
	.major = 2,
	.minor = 4,
	.longest = 65535,
	.type = 1, /* Ethernet */
};

struct frame {
	uint32_t seconds, fraction, kept, size;
	unsigned char data[FRAME_MAX + sizeof(uint64_t)];
};

#define FRAME_HEADER	offsetof(struct frame, data)

static void frame_make(uint64_t *random, struct frame *frame)
{
	uint64_t word;
	uint32_t i;

	frame->size = FRAME_MIN + random_next(random) % (FRAME_MAX - FRAME_MIN + 1);
	frame->kept = frame->size;
	for (i = 0; i < frame->size; i += sizeof(word)) {
		word = random_next(random);
		memcpy(frame->data + i, &word, sizeof(word));
	}
}

static bool stopped(struct frames *frames)
{
	return __atomic_load_n(&frames->stop, __ATOMIC_RELAXED);
}

/* Until the pipe can be read from or written to. What is in it is still read when told to stop. */
static int wait_pipe(struct frames *frames)
{
	struct pollfd fd = { frames->fd, frames->sender ? POLLOUT : POLLIN, 0 };
	unsigned int waited;

	for (waited = 0; waited < PATIENCE_MS * slowness(); waited += STEP_MS) {
		if (frames->sender && stopped(frames))
			return -ECANCELED;
		if (poll(&fd, 1, STEP_MS) == 1)
			return 0;
		if (stopped(frames))
			return -ECANCELED;
	}
	snprintf(frames->why, sizeof(frames->why), "nothing moves any more");
	return -ETIMEDOUT;
}

static int move(struct frames *frames, void *at, size_t size)
{
	ssize_t done;
	int err;

	while (size) {
		err = wait_pipe(frames);
		if (err)
			return err;
		done = frames->sender ? write(frames->fd, at, size) : read(frames->fd, at, size);
		if (done < 0 && errno == EAGAIN)
			continue;
		if (done <= 0)
			return done ? -errno : -EPIPE;
		at = (char *)at + done;
		size -= done;
	}
	return 0;
}

static void count_bytes(struct frames *frames, uint32_t size)
{
	__atomic_store_n(&frames->moved, frames->moved + size, __ATOMIC_RELAXED);
}

static int send_next(struct frames *frames, struct frame *frame)
{
	frame_make(&frames->random, frame);
	count_bytes(frames, frame->size);
	return move(frames, frame, FRAME_HEADER + frame->size);
}

static int check_next(struct frames *frames, struct frame *want)
{
	static __thread struct frame got;
	uint32_t i;
	int err;

	frame_make(&frames->random, want);
	err = move(frames, &got, FRAME_HEADER);
	if (err)
		return err;
	if (got.size != want->size || got.kept != want->size) {
		snprintf(frames->why, sizeof(frames->why), "it has %u bytes, %u are there, should be %u",
			 got.size, got.kept, want->size);
		return -EILSEQ;
	}
	err = move(frames, got.data, got.size);
	if (err)
		return err;
	for (i = 0; i < got.size && got.data[i] == want->data[i]; i++)
		;
	if (i < got.size) {
		snprintf(frames->why, sizeof(frames->why), "byte %u of %u is wrong", i, got.size);
		return -EILSEQ;
	}
	count_bytes(frames, got.size);
	return 0;
}

static int move_all(struct frames *frames)
{
	struct pollfd fd = { frames->fd, POLLIN, 0 };
	struct file_header header = file_header;
	struct frame *frame = calloc(1, sizeof(*frame));
	int err = move(frames, &header, sizeof(header));

	for (; !err && frames->moved < frames->bytes; frames->count += !err)
		err = frames->sender ? send_next(frames, frame) : check_next(frames, frame);
	if (!err && !frames->sender && poll(&fd, 1, STEP_MS)) {
		snprintf(frames->why, sizeof(frames->why), "more than was sent");
		err = -EOVERFLOW;
	}
	free(frame);
	return err;
}

static void *serve(void *arg)
{
	struct frames *frames = arg;

	frames->err = move_all(frames);
	/*
	 * Who reads a pipe that nobody writes to any more does not wait for the rest
	 * of a burst. The other kind stays open: who writes to it might die of it.
	 */
	if (frames->sender)
		close(frames->fd);
	return NULL;
}

static int begin(struct frames *frames, const char *path, uint64_t seed, uint64_t bytes, bool sender)
{
	*frames = (struct frames){ .sender = sender, .random = seed, .bytes = bytes };
	unlink(path);
	if (mkfifo(path, 0600))
		return -errno;
	/* Both ends, so that nobody waits for the other in open(). */
	frames->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (frames->fd < 0)
		return -errno;
	return -pthread_create(&frames->thread, NULL, serve, frames);
}

int frames_send(struct frames *frames, const char *path, uint64_t seed, uint64_t bytes)
{
	return begin(frames, path, seed, bytes, true);
}

int frames_check(struct frames *frames, const char *path, uint64_t seed, uint64_t bytes)
{
	return begin(frames, path, seed, bytes, false);
}

int frames_flow(struct frames *frames, uint64_t bytes)
{
	uint64_t start = __atomic_load_n(&frames->moved, __ATOMIC_RELAXED);
	unsigned int waited;

	for (waited = 0; waited < PATIENCE_MS * slowness(); waited += 10) {
		if (__atomic_load_n(&frames->moved, __ATOMIC_RELAXED) - start >= bytes)
			return 0;
		sleep_ms(10);
	}
	return -ETIMEDOUT;
}

int frames_end(struct frames *frames)
{
	pthread_join(frames->thread, NULL);
	if (frames->err)
		printf("# %s: frame %ju: %s (%d)\n", frames->sender ? "sending" : "checking",
		       (uintmax_t)frames->count, frames->why, frames->err);
	return frames->err;
}

int frames_stop(struct frames *frames)
{
	__atomic_store_n(&frames->stop, true, __ATOMIC_RELAXED);
	pthread_join(frames->thread, NULL);
	return frames->err == -ECANCELED ? 0 : frames->err;
}
