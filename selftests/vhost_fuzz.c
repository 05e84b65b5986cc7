// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_fuzz.c - feed the codec and the relay of memview-vhost-user anything
 *
 * The input is what comes from a socket: whatever it is, memory is not touched
 * where it must not be, what is let through is what the protocol allows, and
 * what is relayed is what came. Run by libFuzzer, with AddressSanitizer; as a
 * test for a while, by hand with options and files of libFuzzer:
 *
 *	vhost_fuzz -max_total_time=3600 DIRECTORY
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user.h"

int LLVMFuzzerRunDriver(int *argc, char ***argv,
			int (*callback)(const uint8_t *data, size_t size));

#define REQUIRE(what)							\
	do {								\
		if (!(what)) {						\
			fprintf(stderr, "vhost_fuzz: not so: %s\n", #what); \
			abort();					\
		}							\
	} while (0)

/* Of what passed the checks, this must be true. */
static void check_passed(enum vu_way way, const struct vu_message *message)
{
	unsigned int i;

	REQUIRE((message->header.flags & VU_VERSION_MASK) == VU_VERSION);
	REQUIRE(message->header.size <= VU_PAYLOAD_MAX);
	if (way != VU_TO_BACKEND)
		return;
	REQUIRE(message->header.request < VU_POSTCOPY_ADVISE ||
		message->header.request > VU_POSTCOPY_END);
	if (message->header.request == VU_SET_MEM_TABLE) {
		REQUIRE(message->table.nr == message->nr_fds);
		REQUIRE(message->header.size >= 8 + message->table.nr * 32);
		for (i = 0; i < message->table.nr; i++) {
			const struct vu_region *region = &message->table.region[i];

			REQUIRE(region->guest + region->size > region->guest);
			REQUIRE(region->offset + region->size > region->offset);
		}
	}
	if (message->header.request == VU_ADD_MEM_REG)
		REQUIRE(message->nr_fds == 1 && message->header.size == 40);
}

/* As many file descriptors as the input says go with a piece. */
static void send_piece(int sock, const uint8_t *data, size_t size, unsigned int nr)
{
	char space[CMSG_SPACE(64 * sizeof(int))] = {};
	struct iovec iov = { (void *)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *header;
	unsigned int i;

	if (nr) {
		msg.msg_control = space;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		header = CMSG_FIRSTHDR(&msg);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(nr * sizeof(int));
		for (i = 0; i < nr; i++)
			memcpy(CMSG_DATA(header) + i * sizeof(int), &sock, sizeof(sock));
	}
	sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int count_fds(void)
{
	int i, n = 0;

	for (i = 3; i < 64; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

/* What comes out is a part of what went in. */
static void check_relayed(int sock, const uint8_t *data, size_t size)
{
	static uint8_t got[1 << 16];
	ssize_t n = recv(sock, got, sizeof(got), MSG_DONTWAIT);

	if (n > 0)
		REQUIRE((size_t)n <= size && !memcmp(got, data, n));
}

static int fuzz(const uint8_t *data, size_t size)
{
	static struct link link;
	enum link_state state = LINK_READY;
	int in[2], out[2], before = count_fds();
	char why[VU_WHY_MAX] = "";
	enum vu_way way;
	size_t piece;

	if (size < 3 || size > 16384)
		return 0;
	way = data[0] % VU_WAYS;
	piece = 1 + data[1] * 8;
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, in));
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, out));
	send_piece(in[0], data + 3, piece < size - 3 ? piece : size - 3, data[2] % 65);
	if (piece < size - 3)
		send_piece(in[0], data + 3 + piece, size - 3 - piece, 0);
	shutdown(in[0], SHUT_WR);
	link = (struct link){ .from = in[1], .to = out[0] };
	while (state == LINK_READY) {
		state = link.full ? link_write(&link, why) : link_read(&link, way, why);
		if (state == LINK_READY && link.full)
			check_passed(way, &link.message);
	}
	REQUIRE(state != LINK_BROKEN || *why);
	REQUIRE(state != LINK_WAITS);
	check_relayed(out[1], data + 3, size - 3);
	link_drop(&link);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	REQUIRE(count_fds() == before);
	return 0;
}

/* Each kind of message, right as it is: from there the fuzzer goes on. */
static void write_seeds(const char *dir)
{
	static const uint16_t sizes[] = { 0, 8, 12, 16, 20, 24, 32, 40, 72 };
	uint8_t seed[3 + 12 + 72] = {};
	struct vu_header header = { .flags = VU_VERSION };
	char path[256];
	size_t i;
	FILE *file;

	for (header.request = 1; header.request < 48; header.request++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			header.size = sizes[i];
			seed[1] = 255;
			seed[2] = header.request == VU_ADD_MEM_REG || i == 8;
			memcpy(seed + 3, &header, 12);
			memset(seed + 15, 1, 72);
			if (header.request == VU_SET_MEM_TABLE)
				memcpy(seed + 15, &(uint32_t[]){ seed[2], 0 }, 8);
			snprintf(path, sizeof(path), "%s/%u-%zu", dir, header.request, i);
			file = fopen(path, "w");
			if (!file)
				continue;
			fwrite(seed, 1, 15 + header.size, file);
			fclose(file);
		}
	}
}

static void report(void)
{
	printf("ok 1 vhost_fuzz.anything\n");
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/vhost-fuzz-XXXXXX", runs[64];
	const char *scale = getenv("MEMVIEW_TEST_SCALE");
	char *args[] = { argv[0], runs, "-max_len=8192", "-verbosity=0", "-timeout=30", dir, NULL };
	char **arguments = args;
	int count = 6;

	if (argc > 1)
		return LLVMFuzzerRunDriver(&argc, &argv, fuzz);
	REQUIRE(mkdtemp(dir));
	write_seeds(dir);
	snprintf(runs, sizeof(runs), "-runs=%d", 100 * (scale ? atoi(scale) : 100));
	printf("TAP version 13\n1..1\n");
	fflush(stdout);
	/* The driver ends the process: by exit() if it has found nothing. */
	atexit(report);
	return LLVMFuzzerRunDriver(&count, &arguments, fuzz);
}
