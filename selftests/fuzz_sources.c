// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_sources.c - file descriptors of all kinds for the fuzzer, and what the
 * files hold that can be mapped
 */
#include "fuzz.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define FILE_SIZE	(FILE_PAGES * PAGE)
#define CODE_OFFSET	2048

/* The content of a file that can be mapped, as it should be. */
static struct content {
	unsigned int pages;
	unsigned int seals;
	uint64_t word[FILE_PAGES];
	bool code[FILE_PAGES];
	bool dirty;
} contents[SRC_MAPPABLE];

static int fds[SOURCES];

static unsigned int content_of(unsigned int source)
{
	return source == SRC_RDONLY ? SRC_MEMFD : source;
}


int source_fd(unsigned int source)
{
	unsigned int i;

	for (i = 0; i < FUZZ_VIEWS; i++) {
		if (source == SRC_CONTROL && fuzz_views[i].control >= 0)
			return fuzz_views[i].control;
		if (source == SRC_VIEWFD && fuzz_views[i].viewfd[0] >= 0)
			return fuzz_views[i].viewfd[0];
	}
	return fds[source];
}

errnos source_errors(unsigned int source, uint32_t flags)
{
	bool write = flags & MEMVIEW_MAP_WRITE, exec = flags & MEMVIEW_MAP_EXEC;
	errnos errors = 0;

	if (source_fd(source) < 0 || source == SRC_CLOSED || source == SRC_OPATH)
		return ERR_BIT(EBADF);
	if (source == SRC_WRONLY)
		return ERR_BIT(EACCES);
	if (source >= SRC_MAPPABLE)
		return ERR_BIT(EOPNOTSUPP) | (write ? ERR_BIT(EACCES) | ERR_BIT(EPERM) : 0) |
		       (exec ? ERR_BIT(EPERM) : 0);
	if (write && (source == SRC_RDONLY || source == SRC_APPEND))
		errors |= ERR_BIT(EACCES);
	if (write && (contents[content_of(source)].seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		errors |= ERR_BIT(EPERM);
	if (exec && source == SRC_NOEXEC)
		errors |= ERR_BIT(EPERM);
	return errors;
}

int source_page(unsigned int source, uint64_t page, uint64_t *word, bool *has_code)
{
	const struct content *content = &contents[content_of(source)];

	if (page >= content->pages)
		return SIGBUS;
	*word = content->word[page];
	*has_code = content->code[page];
	return 0;
}

void source_written(unsigned int source, uint64_t page, uint64_t word)
{
	struct content *content = &contents[content_of(source)];

	content->word[page] = word;
	content->dirty = true;
}

/* ---- Making them ---- */

static void fill_page(unsigned int source, unsigned int page)
{
	struct content *content = &contents[source];
	uint64_t words[CODE_OFFSET / 8 + 1] = { page_tag(source + 1, page) };
	int fd = fds[source];

	put_code(&words[CODE_OFFSET / 8], page_tag(source + 1, page) ^ 0x5a5a5a5a);
	if (pwrite(fd, words, sizeof(words), page * PAGE) != sizeof(words))
		fuzz_fail("source %u: page %u cannot be written: %m", source, page);
	content->word[page] = words[0];
	content->code[page] = true;
}

static void fill(unsigned int source)
{
	struct content *content = &contents[source];
	unsigned int page;

	if (ftruncate(fds[source], FILE_SIZE))
		fuzz_fail("source %u cannot be extended: %m", source);
	content->pages = FILE_PAGES;
	for (page = 0; page < FILE_PAGES; page++)
		fill_page(source, page);
	content->dirty = false;
}

static int open_memfd(void)
{
	return memfd_create("memview-fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int open_in(const char *dir)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/fuzz-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int open_kind(enum source_kind kind)
{
	char missing[128];
	const char *dir = source_dir(kind, missing, sizeof(missing));

	return dir ? open_in(dir) : -1;
}

/* Sealed for writing, and what it held is there. */
static int open_sealed(void)
{
	fds[SRC_SEALED] = open_memfd();
	fill(SRC_SEALED);
	fcntl(fds[SRC_SEALED], F_ADD_SEALS, F_SEAL_WRITE);
	contents[SRC_SEALED].seals = F_SEAL_WRITE;
	return fds[SRC_SEALED];
}

static int open_append(void)
{
	int flags = 0;

	fds[SRC_APPEND] = open_kind(SOURCE_TMPFS);
	if (fds[SRC_APPEND] < 0)
		return -1;
	fill(SRC_APPEND);
	if (ioctl(fds[SRC_APPEND], FS_IOC_GETFLAGS, &flags))
		return -1;
	flags |= FS_APPEND_FL;
	return ioctl(fds[SRC_APPEND], FS_IOC_SETFLAGS, &flags) ? -1 : fds[SRC_APPEND];
}

static int reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static void open_others(void)
{
	int pair[2];

	fds[SRC_RDONLY] = reopen(fds[SRC_MEMFD], O_RDONLY);
	fds[SRC_WRONLY] = reopen(fds[SRC_MEMFD], O_WRONLY);
	fds[SRC_OPATH] = reopen(fds[SRC_MEMFD], O_PATH);
	fds[SRC_PIPE] = pipe2(pair, O_CLOEXEC) ? -1 : pair[0];
	fds[SRC_SOCKET] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[SRC_EVENTFD] = eventfd(0, EFD_CLOEXEC);
	fds[SRC_DIR] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[SRC_ZERO] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[SRC_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[SRC_PROC] = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	fds[SRC_SYSFS] = open("/sys/kernel/notes", O_RDONLY | O_CLOEXEC);
	fds[SRC_HUGETLB] = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	fds[SRC_SECRETMEM] = syscall(SYS_memfd_secret, O_CLOEXEC);
	fds[SRC_CLOSED] = 1000;
	fds[SRC_NEGATIVE] = fds[SRC_CONTROL] = fds[SRC_VIEWFD] = -1;
}

void sources_open(void)
{
	unsigned int i;

	fds[SRC_MEMFD] = open_memfd();
	fds[SRC_MEMFD2] = open_memfd();
	fds[SRC_TMPFS] = open_kind(SOURCE_TMPFS);
	fds[SRC_EXT4] = open_kind(SOURCE_EXT4);
	fds[SRC_NOEXEC] = open_in("/mnt/noexec");
	for (i = 0; i < SRC_MAPPABLE; i++)
		if (fds[i] >= 0 && (i <= SRC_EXT4 || i == SRC_NOEXEC))
			fill(i);
	fds[SRC_SEALED] = open_sealed();
	fds[SRC_APPEND] = open_append();
	open_others();
}

void sources_reset(void)
{
	unsigned int i;

	for (i = 0; i < SRC_MAPPABLE; i++) {
		if (!contents[i].dirty)
			continue;
		if (i == SRC_MEMFD2 && contents[i].seals) {
			close(fds[i]);
			fds[i] = open_memfd();
			contents[i].seals = 0;
		}
		fill(i);
	}
}

/* ---- Changing them ---- */

/* One of those that may be changed and are there. */
static unsigned int changed_source(const struct fuzz_op *op)
{
	unsigned int source = op->fd % (SRC_EXT4 + 1);

	return fds[source] < 0 ? SRC_MEMFD : source;
}

int source_truncate(const struct fuzz_op *op)
{
	unsigned int source = changed_source(op), pages = op->num[0] % (FILE_PAGES + 1), page;
	struct content *content = &contents[source];

	if (ftruncate(fds[source], pages * PAGE))
		fuzz_fail("source %u: truncate: %m", source);
	for (page = 0; page < FILE_PAGES; page++) {
		if (page < pages && page < content->pages)
			continue;
		content->word[page] = 0;
		content->code[page] = false;
	}
	content->pages = pages;
	content->dirty = true;
	return 0;
}

int source_punch(const struct fuzz_op *op)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	unsigned int source = changed_source(op), first = op->num[0] % FILE_PAGES;
	unsigned int n = 1 + op->num[1] % (FILE_PAGES - first), page;
	struct content *content = &contents[source];

	if (fallocate(fds[source], mode, first * PAGE, n * PAGE)) {
		if (errno != EPERM || !content->seals)
			fuzz_fail("source %u: punch: %m", source);
		return EPERM;
	}
	for (page = first; page < first + n; page++) {
		content->word[page] = 0;
		content->code[page] = false;
	}
	content->dirty = true;
	return 0;
}

int source_refill(const struct fuzz_op *op)
{
	unsigned int source = changed_source(op);

	if (!contents[source].seals)
		fill(source);
	return 0;
}

/* No F_SEAL_WRITE while a range may be written. */
int source_seal(const struct fuzz_op *op)
{
	struct content *content = &contents[SRC_MEMFD2];
	int seal = op->flags & 1 ? F_SEAL_FUTURE_WRITE : F_SEAL_WRITE;
	bool busy = false;
	unsigned int v, i;
	int err;

	for (v = 0; v < FUZZ_VIEWS; v++)
		for (i = 0; i < fuzz_views[v].n; i++)
			busy |= fuzz_views[v].range[i].source == SRC_MEMFD2 &&
				(fuzz_views[v].range[i].flags & MEMVIEW_MAP_WRITE);
	err = fcntl(fds[SRC_MEMFD2], F_ADD_SEALS, seal) ? errno : 0;
	busy &= seal == F_SEAL_WRITE && !(content->seals & F_SEAL_WRITE);
	if (err != (busy ? EBUSY : 0))
		fuzz_fail("seal %#x: errno %d, there is %s range that may be written", seal, err,
			  busy ? "a" : "no");
	if (!err)
		content->seals |= seal;
	content->dirty = true;
	return err;
}
