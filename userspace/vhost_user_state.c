// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_state.c - what operators have said outlives the main process
 *
 * The file is text, one item a line:
 *
 *	memview-vhost-user 1
 *	boot 0e3cbd1c-6b4f-4d43-8d0c-c4a2a1c4bdf3
 *	frontend 166 40217
 *	revoked 0x40000000 0x44000000
 *	end
 *
 * A frontend is a process ID and when it started, which mean nothing once the
 * machine has started anew. Behind it come its spans, as first and end address, in
 * the order in which they were said.
 *
 * What cannot be read whole is refused: to begin without what it should say is
 * to lend what was revoked.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "number.h"
#include "vhost_user_proxy.h"

#define MAGIC "memview-vhost-user 1"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define LINE_MAX_SIZE 128

/**
 * struct reader - a state file that is read
 * @proxy: What is read goes there.
 * @frontend: The latest that was named, or NULL.
 * @line: Without its newline.
 * @number: Of the line.
 * @why: What is wrong.
 */
struct reader {
	struct proxy *proxy;
	struct frontend *frontend;
	FILE *file;
	char line[LINE_MAX_SIZE];
	unsigned int number;
	char *why;
};

#define WRONG(reader, format, ...)                               \
	(snprintf((reader)->why, VU_WHY_MAX, "line %u: " format, \
		  (reader)->number, ##__VA_ARGS__),              \
	 false)

static bool read_boot(char boot[LINE_MAX_SIZE])
{
	FILE *file = fopen(BOOT_ID, "re");
	bool ok = file && fgets(boot, LINE_MAX_SIZE, file);

	if (file)
		fclose(file);
	if (ok)
		boot[strcspn(boot, "\n")] = '\0';
	return ok;
}

static bool next_line(struct reader *reader)
{
	size_t length;

	reader->number++;
	if (!fgets(reader->line, sizeof(reader->line), reader->file))
		return WRONG(reader, "it ends here, and not with 'end'");
	length = strlen(reader->line);
	if (!length || reader->line[length - 1] != '\n')
		return WRONG(reader, "it is too long, or not whole");
	reader->line[length - 1] = '\0';
	return true;
}

/* Two numbers, with one space before each. */
static bool parse_two(const struct reader *reader, const char *text,
		      uint64_t *first, uint64_t *second)
{
	char copy[LINE_MAX_SIZE], *space;

	if (*text != ' ')
		return WRONG(reader, "two numbers are missing");
	snprintf(copy, sizeof(copy), "%s", text + 1);
	space = strchr(copy, ' ');
	if (!space)
		return WRONG(reader, "a number is missing");
	*space = '\0';
	if (parse_integer(copy, UINT64_MAX, first) ||
	    parse_integer(space + 1, UINT64_MAX, second))
		return WRONG(reader, "'%.40s' are not two numbers", text + 1);
	return true;
}

static bool parse_frontend(struct reader *reader, const char *text)
{
	uint64_t pid, start;
	unsigned int i;

	if (!parse_two(reader, text, &pid, &start))
		return false;
	if (pid > INT_MAX)
		return WRONG(reader, "%" PRIu64 " is no process", pid);
	for (i = 0; i < FRONTENDS_MAX; i++)
		if (reader->proxy->frontends[i].used &&
		    reader->proxy->frontends[i].pid == (pid_t)pid &&
		    reader->proxy->frontends[i].start == start)
			return WRONG(reader, "a frontend is there twice");
	reader->frontend = frontend_add(reader->proxy, pid, start);
	return reader->frontend ||
	       WRONG(reader, "more than %d frontends", FRONTENDS_MAX);
}

static bool parse_span(struct reader *reader, enum span_mode mode,
		       const char *text)
{
	struct span span = { .mode = mode };
	struct spans *spans;

	if (!reader->frontend)
		return WRONG(reader, "a span of no frontend");
	if (!parse_two(reader, text, &span.start, &span.end))
		return false;
	if (span.start >= span.end || span.start & (PAGE - 1) ||
	    (span.end & (PAGE - 1) && span.end != UINT64_MAX))
		return WRONG(reader, "'%.40s' is no span of pages", text + 1);
	spans = &reader->frontend->spans;
	if (spans->nr == SPANS_MAX)
		return WRONG(reader, "more than %d spans", SPANS_MAX);
	spans->span[spans->nr++] = span;
	return true;
}

static bool parse_line(struct reader *reader)
{
	size_t word = strcspn(reader->line, " ");
	enum span_mode mode;

	if (!strncmp(reader->line, "frontend", word) && word == 8)
		return parse_frontend(reader, reader->line + word);
	for (mode = SPAN_RESTORED; mode <= SPAN_REVOKED; mode++)
		if (strlen(span_names[mode]) == word &&
		    !strncmp(reader->line, span_names[mode], word))
			return parse_span(reader, mode, reader->line + word);
	return WRONG(reader, "'%.40s' means nothing", reader->line);
}

/* False: it is wrong. What is of an earlier start of the machine is forgotten. */
static bool read_file(struct reader *reader)
{
	char boot[LINE_MAX_SIZE] = "";
	unsigned int i;
	bool same;

	if (!next_line(reader))
		return false;
	if (strcmp(reader->line, MAGIC))
		return WRONG(reader, "it does not begin with '" MAGIC "'");
	if (!next_line(reader))
		return false;
	if (strncmp(reader->line, "boot ", 5))
		return WRONG(reader, "'boot' is missing");
	same = read_boot(boot) && !strcmp(reader->line + 5, boot);
	while (next_line(reader) && strcmp(reader->line, "end"))
		if (!parse_line(reader))
			return false;
	if (strcmp(reader->line, "end"))
		return false;
	if (getc(reader->file) != EOF)
		return WRONG(reader, "something follows 'end'");
	if (same)
		return true;
	say(0, "the state is of before the machine was started: forgotten");
	for (i = 0; i < FRONTENDS_MAX; i++)
		reader->proxy->frontends[i].used = false;
	return true;
}

/* A file that others can write to is not what the operators have said. */
static int open_state(const char *path, char why[VU_WHY_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat stat;

	if (fd < 0) {
		snprintf(why, VU_WHY_MAX, "%s",
			 errno == ELOOP ? "it is a symbolic link" :
					  strerror(errno));
		return -errno;
	}
	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode))
		snprintf(why, VU_WHY_MAX, "it is no regular file");
	else if (stat.st_uid != geteuid() && stat.st_uid)
		snprintf(why, VU_WHY_MAX, "it belongs to another user");
	else if (stat.st_mode & 022)
		snprintf(why, VU_WHY_MAX, "others may write to it");
	else
		return fd;
	close(fd);
	return -EINVAL;
}

/* One process at a time: the lock goes with it, whatever ends it. */
static bool lock_beside(const char *path, char why[VU_WHY_MAX])
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[PATH_MAX];
	int fd;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && !fcntl(fd, F_SETLK, &whole))
		return true;
	snprintf(why, VU_WHY_MAX, "%s",
		 fd >= 0 && (errno == EAGAIN || errno == EACCES) ?
			 "another memview-vhost-user uses it" :
			 strerror(errno));
	return false;
}

/**
 * state_load - begin with what was kept
 * @proxy: The main process, which has no frontends yet.
 * @why: If that cannot be told, why. There must be no session then.
 *
 * A file that does not exist is made, to see early whether that can be done.
 */
bool state_load(struct proxy *proxy, char why[VU_WHY_MAX])
{
	struct reader reader = { .proxy = proxy, .why = why };
	const char *path = proxy->options.state;
	bool ok;
	int fd;

	if (!path)
		return true;
	if (!lock_beside(path, why))
		return false;
	fd = open_state(path, why);
	if (fd == -ENOENT)
		return state_save(proxy, why);
	if (fd < 0)
		return false;
	reader.file = fdopen(fd, "r");
	ok = reader.file && read_file(&reader);
	if (reader.file)
		fclose(reader.file);
	if (!ok)
		return false;
	frontends_prune(proxy);
	return state_save(proxy, why);
}

static bool write_file(const struct proxy *proxy, FILE *file)
{
	char boot[LINE_MAX_SIZE] = "";
	unsigned int i, n;

	if (!read_boot(boot))
		return false;
	fprintf(file, MAGIC "\nboot %s\n", boot);
	for (i = 0; i < FRONTENDS_MAX; i++) {
		const struct frontend *frontend = &proxy->frontends[i];

		if (!frontend->used || !frontend->spans.nr)
			continue;
		fprintf(file, "frontend %d %" PRIu64 "\n", frontend->pid,
			frontend->start);
		for (n = 0; n < frontend->spans.nr; n++) {
			const struct span *span = &frontend->spans.span[n];

			fprintf(file, "%s %#" PRIx64 " %#" PRIx64 "\n",
				span_names[span->mode], span->start, span->end);
		}
	}
	fprintf(file, "end\n");
	return !fflush(file) && !ferror(file) && !fsync(fileno(file));
}

/* The name must last, too. */
static bool sync_directory(const char *path)
{
	char directory[PATH_MAX], *slash;
	bool ok;
	int fd;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 && (!fsync(fd) || errno == EINVAL);
	if (fd >= 0)
		close(fd);
	return ok;
}

/**
 * state_save - keep what operators have said
 * @proxy: The main process.
 * @why: If it cannot be kept, why; the file is as it was then.
 */
bool state_save(struct proxy *proxy, char why[VU_WHY_MAX])
{
	const char *path = proxy->options.state;
	char temporary[PATH_MAX];
	FILE *file = NULL;
	bool ok;
	int fd;

	if (!path)
		return true;
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		file = fdopen(fd, "w");
	ok = file && write_file(proxy, file) && !rename(temporary, path) &&
	     sync_directory(path);
	if (!ok)
		snprintf(why, VU_WHY_MAX, "%.100s: %s", path, strerror(errno));
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	if (!ok)
		unlink(temporary);
	return ok;
}
