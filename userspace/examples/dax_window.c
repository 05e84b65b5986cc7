// SPDX-License-Identifier: MIT
/*
 * dax_window - a vhost-user device whose DAX window is one view.
 *
 * A virtio device may have a window: memory of the device into which it maps
 * files, for the guest to load and store in them. A vhost-user device has the
 * VMM do that: each file range is a SHMEM_MAP with its file descriptor and, when
 * it goes, a SHMEM_UNMAP, and the VMM builds the guest's memory anew each time.
 * Here the VMM gets one view, once, as large as the window. From then on the
 * device changes the view, by one system call each, and the VMM is not asked and
 * never holds a file of the device. QEMU 11 is such a VMM:
 *
 *	cc dax_window.c $(pkg-config --cflags --libs libmemview) -o dax_window
 *	./dax_window --size 64 /tmp/sock
 *	qemu-system-x86_64 ... -object memory-backend-memfd,id=mem,size=1G,share=on \
 *		-machine q35,memory-backend=mem -chardev socket,id=c,path=/tmp/sock \
 *		-device vhost-user-test-device-pci,chardev=c,virtio-id=26
 *
 * A real device maps what the guest's driver asks for over a ring; this one does
 * what it reads from its standard input.
 *
 * Where a view has no range, an access is a SIGBUS, of which QEMU dies. No guest
 * should be able to do that to itself by touching what was just taken away. So
 * there are no holes: where no file is, there is scratch memory, zeros at first.
 * What a guest writes there it may find again wherever no file is; nobody else
 * sees it. QEMU still dies of a store to a range that is read-only, by SIGSEGV,
 * and, as with any mmap, by SIGBUS of an access to what has been truncated: so map
 * files that nobody shrinks, such as sealed memfds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libmemview.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MIB (1UL << 20)
/* Of scratch memory, in the window: so many ranges are what an empty one has. */
#define PIECES 1024
#define READ_WRITE (MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE)

/* Of the protocol, what this device needs: QEMU's docs/interop/vhost-user.rst. */
enum {
	GET_FEATURES = 1,
	GET_VRING_BASE = 11,
	GET_PROTOCOL_FEATURES = 15,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_SHMEM_CONFIG = 44,

	/* ...and what it requests. */
	SHMEM_MAP = 9,
	SHMEM_UNMAP = 10,
};

#define FLAG_VERSION 1
#define FLAG_REPLY (1 << 2)
#define FLAG_NEED_REPLY (1 << 3)

#define FEATURES (1ULL << 32 | 1ULL << 30) /* VERSION_1, PROTOCOL_FEATURES */
/* Without memory slots: QEMU 11.1 dies with them, when a device with a window is reset. */
#define PROTOCOL_FEATURES                                          \
	(1ULL << 3 /* REPLY_ACK */ | 1ULL << 5 /* BACKEND_REQ */ | \
	 1ULL << 10 /* BACKEND_SEND_FD */ | 1ULL << 22 /* SHMEM */)

struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t u64;
		struct {
			uint32_t nr;
			uint32_t padding;
			uint64_t sizes[256];
		} config;
		struct {
			uint8_t id;
			uint8_t padding[7];
			uint64_t fd_offset;
			uint64_t offset;
			uint64_t size;
			uint64_t flags;
		} map;
		char space[4096];
	};
} __attribute__((packed));

#define HEADER_SIZE offsetof(struct message, u64)

static struct {
	uint64_t size; /* of the window, bytes */
	bool compare, revoke;
	int view, viewfd;
	int scratch; /* memfd */
	uint64_t piece; /* its size: so much at a time */
	int sock; /* where the frontend asks */
	int requests; /* where this device does, or -1 */
	bool running; /* a ring is: the guest's driver has started the device */
	bool due; /* since then the frontend has not been handed the view */
	bool handed_out; /* once, at least */
} dev = { .size = 64 * MIB, .requests = -1 };

static int check(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(EXIT_FAILURE, "%s", what);
	}
	return result;
}

/* A span of the window shows scratch memory, and no file any more: one change. */
static int show_scratch(uint64_t offset, uint64_t size)
{
	static struct memview_batch_op ops[PIECES];
	uint64_t end = offset + size, at, next;
	unsigned int nr = 0;

	if (!size || size > dev.size || offset > dev.size - size)
		return -EINVAL;
	for (at = offset; at < end; at = next) {
		next = at - at % dev.piece + dev.piece;
		if (next > end)
			next = end;
		ops[nr++] = (struct memview_batch_op){
			.op = MEMVIEW_BATCH_MAP,
			.fd = dev.scratch,
			.flags = READ_WRITE,
			.fd_offset = at % dev.piece,
			.size = next - at,
			.mem_offset = at,
		};
	}
	return memview_batch(dev.view, ops, nr, NULL);
}

static void open_window(void)
{
	dev.piece = 2 * MIB;
	while (dev.piece < dev.size / PIECES)
		dev.piece *= 2;
	dev.scratch = memfd_create("scratch", MFD_CLOEXEC);
	if (dev.scratch < 0 || ftruncate(dev.scratch, dev.piece))
		err(EXIT_FAILURE, "memfd");
	dev.view = check(memview_open(dev.size), "/dev/memory-view");
	if (dev.revoke)
		check(memview_set_flags(dev.view, MEMVIEW_REVOKE_ON_CLOSE),
		      "view");
	dev.viewfd = check(memview_get_viewfd(dev.view), "view fd");
	check(show_scratch(0, dev.size), "scratch memory");
}

/* ---- The frontend ---- */

static int accept_one(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), sock;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    (int)sizeof(address.sun_path))
		errx(EXIT_FAILURE, "%s: too long for a socket", path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 1))
		err(EXIT_FAILURE, "%s", path);
	puts("listening");
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (sock < 0)
		err(EXIT_FAILURE, "%s", path);
	unlink(path);
	close(listener);
	return sock;
}

static void read_all(int sock, void *to, size_t size)
{
	ssize_t got = recv(sock, to, size, MSG_WAITALL);

	if (!got || (got < 0 && errno == ECONNRESET)) {
		puts("the frontend has gone");
		exit(EXIT_SUCCESS);
	}
	if ((size_t)got != size)
		err(EXIT_FAILURE, "receive");
}

/*
 * A message; of the file descriptors that come along only the one that @fd is
 * for. Guest memory, and the eventfds of rings, are of no use to this device:
 * recv() does not take them. What a short message lacks reads as zeroes.
 */
static void receive(int sock, struct message *message, int *fd)
{
	uint32_t next;
	int old;

	memset(message, 0, sizeof(*message));
	if (fd &&
	    recv(sock, &next, sizeof(next), MSG_PEEK | MSG_WAITALL) ==
		    sizeof(next) &&
	    next == SET_BACKEND_REQ_FD) {
		old = *fd;
		check(memview_receive(sock, fd, message, HEADER_SIZE),
		      "receive");
		if (old >= 0)
			close(old);
	} else {
		read_all(sock, message, HEADER_SIZE);
	}
	if (message->size > sizeof(message->space))
		errx(EXIT_FAILURE, "message %u has %u bytes", message->request,
		     message->size);
	if (message->size)
		read_all(sock, message->space, message->size);
}

static void reply(struct message *message, uint32_t size)
{
	message->flags = FLAG_VERSION | FLAG_REPLY;
	message->size = size;
	check(memview_send(dev.sock, -1, message, HEADER_SIZE + size), "reply");
}

static void reply_u64(struct message *message, uint64_t value)
{
	message->u64 = value;
	reply(message, sizeof(value));
}

static void reply_config(struct message *message)
{
	memset(&message->config, 0, sizeof(message->config));
	message->config.nr = 1 + dev.compare;
	message->config.sizes[0] = dev.size;
	message->config.sizes[1] = dev.compare ? dev.size : 0;
	reply(message, sizeof(message->config));
}

/* One request of the frontend. */
static void serve(void)
{
	struct message message;

	receive(dev.sock, &message, &dev.requests);
	switch (message.request) {
	case GET_FEATURES:
		reply_u64(&message, FEATURES);
		return;
	case GET_PROTOCOL_FEATURES:
		reply_u64(&message, PROTOCOL_FEATURES);
		return;
	case GET_SHMEM_CONFIG:
		reply_config(&message);
		return;
	case GET_VRING_BASE:
		dev.running = false;
		reply_u64(&message, (uint32_t)message.u64);
		return;
	case SET_VRING_ENABLE:
		dev.due |= !dev.running && message.u64 >> 32;
		dev.running = message.u64 >> 32;
		break;
	}
	if (message.flags & FLAG_NEED_REPLY)
		reply_u64(&message, 0);
}

/*
 * Ask the frontend to map a file into all of a window, or to unmap it, and wait
 * for its answer. While it does that it has questions of its own: it announces
 * the changed memory.
 */
static int ask(uint32_t request, uint8_t id, uint64_t size, int fd)
{
	struct pollfd fds[] = {
		{ .fd = dev.requests, .events = POLLIN },
		{ .fd = dev.sock, .events = POLLIN },
	};
	struct message message = {
		.request = request,
		.flags = FLAG_VERSION | FLAG_NEED_REPLY,
		.size = sizeof(message.map),
		/* Writable: the view says where. */
		.map = { .id = id, .size = size, .flags = 1 },
	};

	check(memview_send(dev.requests, fd, &message,
			   HEADER_SIZE + message.size),
	      "ask");
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			err(EXIT_FAILURE, "poll");
		if (fds[1].revents)
			serve();
		if (!fds[0].revents)
			continue;
		receive(dev.requests, &message, NULL);
		if (message.request != request ||
		    message.size != sizeof(message.u64))
			errx(EXIT_FAILURE,
			     "the frontend answers something else");
		return message.u64 ? -EIO : 0;
	}
}

/*
 * The guest's driver has started the device. A device that is reset loses its
 * window, one that is paused does not, and neither is told to the device: so it
 * is made anew.
 */
static void hand_out(void)
{
	dev.due = false;
	if (dev.handed_out)
		ask(SHMEM_UNMAP, 0, dev.size, -1);
	if (dev.requests < 0 || ask(SHMEM_MAP, 0, dev.size, dev.viewfd))
		errx(EXIT_FAILURE, "the frontend does not map the window");
	dev.handed_out = true;
	puts("started");
}

/* ---- Whoever says what is in the window ---- */

/* Not beyond the end of the file, where an access would be a SIGBUS, too. */
static int map(uint64_t offset, const char *path, uint64_t fd_offset,
	       uint64_t size, bool writable)
{
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC), result;
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) || fd_offset >= (uint64_t)stat.st_size ||
	    size > stat.st_size - fd_offset + 4095)
		result = -EINVAL;
	else
		result = memview_map(dev.view, offset, fd, fd_offset, size,
				     writable ? READ_WRITE : MEMVIEW_MAP_READ);
	close(fd);
	return result;
}

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/*
 * What a range costs that comes and goes, in ns: by the view, and by asking the
 * frontend, which has a second window for that.
 */
static int compare(uint64_t rounds, uint64_t size)
{
	int file = memfd_create("file", MFD_CLOEXEC), result = 0;
	uint64_t view_rounds = 20 * rounds, i; /* they are short */
	double start, middle, by_view, by_frontend;

	if (!dev.compare || !dev.handed_out || rounds - 1 > UINT16_MAX ||
	    size > dev.size)
		return -EINVAL;
	if (file < 0 || ftruncate(file, size))
		return -errno;
	start = now_ns();
	for (i = 0; i < view_rounds && !result; i++)
		result = memview_map(dev.view, 0, file, 0, size, READ_WRITE) ?:
				 show_scratch(0, size);
	middle = now_ns();
	for (i = 0; i < rounds && !result; i++)
		result = ask(SHMEM_MAP, 1, size, file) ?:
				 ask(SHMEM_UNMAP, 1, size, -1);
	by_view = (middle - start) / view_rounds;
	by_frontend = (now_ns() - middle) / rounds;
	close(file);
	if (!result)
		printf("view %.0f frontend %.0f\n", by_view, by_frontend);
	return result;
}

/* As 4096 or 0x1000, less than 2^43; or UINT64_MAX, which fits nowhere. */
static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, text[1] == 'x' ? 16 : 10);

	return *text < '0' || *text > '9' || *end || value >> 43 ? -1UL : value;
}

static void obey(const char *line)
{
	char path[1024], a[24], b[24], size[24], how[8] = "";
	int result = -ENOTSUP;

	if (sscanf(line, "map %23s %1023s %23s %23s %7s", a, path, b, size,
		   how) >= 4)
		result = map(number(a), path, number(b), number(size),
			     !strcmp(how, "write"));
	else if (sscanf(line, "unmap %23s %23s", a, size) == 2)
		result = show_scratch(number(a), number(size));
	else if (sscanf(line, "compare %23s %23s", a, size) == 2)
		result = compare(number(a), number(size));
	if (result)
		printf("error: %s\n", strerror(-result));
	else
		puts("ok");
}

static void run(void)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = dev.sock, .events = POLLIN },
	};
	char line[2048];

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			err(EXIT_FAILURE, "poll");
		if (fds[1].revents)
			serve();
		if (dev.due)
			hand_out();
		if (!fds[0].revents)
			continue;
		if (fgets(line, sizeof(line), stdin))
			obey(line);
		else
			fds[0].fd = -1;
	}
}

static const char help[] =
	"Usage: dax_window [OPTION...] SOCKET\n"
	"\n"
	"Is a vhost-user device with a DAX window, which is a memory view, for the\n"
	"frontend (QEMU 11) that connects to SOCKET. Ends when that does.\n"
	"\n"
	"  -s, --size MIB   of the window (default 64); a power of two\n"
	"  -c, --compare    a second window, that the frontend is asked to map and unmap\n"
	"  -r, --revoke     take everything away when this process ends: QEMU dies of SIGBUS\n"
	"                   if its guest touches the window then. Otherwise it stays as it is\n"
	"  -h, --help       this text\n"
	"\n"
	"On the standard input, one a line; answered with \"ok\" or \"error: ...\":\n"
	"  map OFFSET FILE FILE_OFFSET SIZE [write]\n"
	"                   put a range of a file into the window, instead of what is there\n"
	"  unmap OFFSET SIZE\n"
	"                   take it away: the guest finds zeros\n"
	"  compare ROUNDS SIZE\n"
	"                   what it costs to map and unmap so many bytes, in ns: by the view,\n"
	"                   and by asking the frontend\n"
	"\n"
	"Prints \"started\" when a driver has started the device, and the window is in place.\n"
	"Offsets and sizes are bytes, whole pages, as 4096 or 0x1000.\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "compare", no_argument, NULL, 'c' },
		{ "revoke", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int option;

	while ((option = getopt_long(argc, argv, "s:crh", options, NULL)) !=
	       -1) {
		switch (option) {
		case 's':
			dev.size = number(optarg) * MIB;
			break;
		case 'c':
			dev.compare = true;
			break;
		case 'r':
			dev.revoke = true;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			errx(EXIT_FAILURE, "see --help");
		}
	}
	if (argc != optind + 1)
		errx(EXIT_FAILURE, "name one socket; see --help");
	if (!dev.size || dev.size & (dev.size - 1))
		errx(EXIT_FAILURE, "--size: a power of two, in MiB");
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	open_window();
	dev.sock = accept_one(argv[optind]);
	run();
}
