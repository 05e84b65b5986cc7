// SPDX-License-Identifier: GPL-2.0
/*
 * demo_control.c - the controller's verbs: changing the view, looking at
 * files, and putting what was seen into words.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/mman.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

void see(struct outcome *outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->saw, sizeof(outcome->saw), format, args);
	va_end(args);
}

void expect(struct outcome *outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome->expected, sizeof(outcome->expected), format, args);
	va_end(args);
}

/* What a system call of either side said: 0 or a negative errno. */
void see_errno(struct outcome *outcome, int error)
{
	see(outcome, "%s", error ? strerrorname_np(-error) : "done");
}

/* A figure is shown beside the outcome and is not compared with anything. */
void figure(struct outcome *outcome, const char *name, uint64_t value)
{
	json_object_object_add(outcome->figures, name,
			       json_object_new_uint64(value));
}

void figure_text(struct outcome *outcome, const char *name, const char *value)
{
	json_object_object_add(outcome->figures, name,
			       json_object_new_string(value));
}

/* Eight characters that are recognised where they turn up. */
uint64_t word(const char text[8])
{
	uint64_t word;

	memcpy(&word, text, sizeof(word));
	return word;
}

/* Eight characters if it is text, else a number. Valid until the next call. */
const char *word_text(uint64_t word)
{
	static char text[24];
	unsigned char bytes[sizeof(word)];
	bool printable = true;

	memcpy(bytes, &word, sizeof(word));
	for (size_t i = 0; i < sizeof(bytes); i++)
		printable &= isprint(bytes[i]) != 0;
	if (printable)
		snprintf(text, sizeof(text), "\"%.8s\"", (char *)bytes);
	else
		snprintf(text, sizeof(text), word ? "%#018jx" : "%jx",
			 (uintmax_t)word);
	return text;
}

/* Valid until the next call. */
const char *size_text(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static char text[24];
	double size = bytes;
	size_t unit = 0;

	while (size >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		size /= 1024;
		unit++;
	}
	snprintf(text, sizeof(text), "%.*f %s", unit ? 1 : 0, size,
		 units[unit]);
	return text;
}

const char *signal_text(int signal)
{
	static char text[24];
	const char *name = sigabbrev_np(signal);

	snprintf(text, sizeof(text), "SIG%s", name ? name : "?");
	return text;
}

void digest_text(char text[2 * DIGEST_SIZE + 1], const unsigned char *digest)
{
	for (size_t i = 0; i < DIGEST_SIZE; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* The three requests that change a view. They return 0 or a negative errno. */
int map_range(struct demo *demo, int fd, uint64_t at, uint64_t size,
	      uint32_t flags)
{
	int error = memview_map(demo->control, at, fd, 0,
				(size + PAGE - 1) & ~(PAGE - 1), flags);

	demo->changes += !error;
	return error;
}

int unmap_range(struct demo *demo, uint64_t at, uint64_t size)
{
	int error = memview_unmap(demo->control, at, size);

	demo->changes += !error;
	return error;
}

int resize_view(struct demo *demo, uint64_t size)
{
	int error = memview_resize(demo->control, size);

	demo->changes += !error;
	return error;
}

/* Calls back for each "memview-NAME:\tVALUE" in the control fd's fdinfo. */
static int each_counter(struct demo *demo, void *arg,
			void (*found)(void *arg, const char *name,
				      const char *value))
{
	char path[48], line[128], name[64], value[64];
	FILE *fdinfo;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", demo->control);
	fdinfo = fopen(path, "re");
	if (!fdinfo)
		return -errno;
	while (fgets(line, sizeof(line), fdinfo)) {
		if (sscanf(line, "memview-%63[^:]: %63s", name, value) == 2)
			found(arg, name, value);
	}
	fclose(fdinfo);
	return 0;
}

struct wanted {
	const char *name;
	int64_t value;
};

static void match_counter(void *arg, const char *name, const char *value)
{
	struct wanted *wanted = arg;

	if (!strcmp(name, wanted->name))
		sscanf(value, "%jd", (intmax_t *)&wanted->value);
}

/* A counter of the view, or -1 if there is none of that name. */
int64_t view_counter(struct demo *demo, const char *name)
{
	struct wanted wanted = { .name = name, .value = -1 };

	each_counter(demo, &wanted, match_counter);
	return wanted.value;
}

static void keep_counter(void *arg, const char *name, const char *value)
{
	char key[64];
	uintmax_t number;

	snprintf(key, sizeof(key), "%s", name);
	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;

	if (sscanf(value, "%ju", &number) == 1)
		figure(arg, key, number);
}

void figure_counters(struct demo *demo, struct outcome *outcome)
{
	each_counter(demo, outcome, keep_counter);
}

/* How much of a file is in the page cache, bytes. */
uint64_t cached_bytes(int fd)
{
	struct cachestat_range all = {};
	struct cachestat pages = {};

	if (syscall(SYS_cachestat, fd, &all, &pages, 0))
		return 0;
	return pages.nr_cache * PAGE;
}

/*
 * Copies from into demo->file, writes it to the disk and drops it from the
 * page cache: whoever reads it next, reads the disk. Returns 0 or a negative errno.
 */
int copy_file(struct demo *demo, int from)
{
	static char buffer[1 * MIB];
	uint64_t done = 0;
	ssize_t got;

	while ((got = read(from, buffer, sizeof(buffer))) > 0) {
		for (ssize_t put = 0, part; put < got; put += part) {
			part = write(demo->file, buffer + put, got - put);
			if (part < 0)
				return -errno;
		}
		done += got;
		output_progress(demo->output, done, demo->file_size);
	}
	if (got < 0 || fdatasync(demo->file))
		return -errno;
	return -posix_fadvise(demo->file, 0, 0, POSIX_FADV_DONTNEED);
}

/* What the program sha256sum says of a file. Returns 0 or -1. */
int run_sha256sum(const char *path, char text[2 * DIGEST_SIZE + 1])
{
	int ends[2], status = -1;
	pid_t pid;
	FILE *from;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		execlp("sha256sum", "sha256sum", "--", path, NULL);
		_exit(127);
	}
	close(ends[1]);
	from = fdopen(ends[0], "r");
	if (!from || fscanf(from, "%64[0-9a-f]", text) != 1)
		text[0] = '\0';
	if (from)
		fclose(from);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return status || strlen(text) != 2 * DIGEST_SIZE ? -1 : 0;
}
