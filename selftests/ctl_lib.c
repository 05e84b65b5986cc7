// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_lib.c - helpers of the tests of memviewctl; ctl.h describes them
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "ctl.h"

#include <ctype.h>
#include <inttypes.h>
#include <json-c/json_pointer.h>
#include <stdarg.h>
#include <sys/prctl.h>

#define PATIENCE (1200 * slowness()) /* times 50 ms */

static char build[PATH_MAX], top[PATH_MAX];

static void parent_dir(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = 0;
}

/* The memviewctl that was built with this test comes first. */
static void __attribute__((constructor)) find_build(void)
{
	char path[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", build, sizeof(build) - 1);

	if (n < 0)
		return;
	build[n] = 0;
	parent_dir(build);
	parent_dir(build);
	strcpy(top, build);
	parent_dir(top);
	parent_dir(top);
	snprintf(path, sizeof(path), "%s/bin:%s", build, getenv("PATH") ? getenv("PATH") : "");
	setenv("PATH", path, 1);
}

const char *build_dir(void)
{
	return build;
}

const char *top_dir(void)
{
	return top;
}

static char *slurp(int fd)
{
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st))
		return strdup("");
	text = calloc(1, st.st_size + 1);
	if (!text || pread(fd, text, st.st_size, 0) < 0)
		abort();
	return text;
}

static int start(struct job *job, const char *format, va_list args)
{
	char *command;

	job->out = memfd_create("out", MFD_CLOEXEC);
	job->err = memfd_create("err", MFD_CLOEXEC);
	if (job->out < 0 || job->err < 0 || vasprintf(&command, format, args) < 0)
		return -errno;
	fflush(NULL);
	job->pid = fork();
	if (job->pid < 0)
		return -errno;
	if (!job->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_RDONLY), 0);
		/* Appending, so that a program that prints and this one never overwrite. */
		fcntl(job->out, F_SETFL, O_APPEND);
		fcntl(job->err, F_SETFL, O_APPEND);
		dup2(job->out, 1);
		dup2(job->err, 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	free(command);
	return 0;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int finish(struct job *job, struct said *said)
{
	int status;

	if (waitpid(job->pid, &status, 0) != job->pid)
		return -errno;
	job->pid = 0;
	said->status = status_of(status);
	said->out = slurp(job->out);
	said->err = slurp(job->err);
	close(job->out);
	close(job->err);
	return said->status;
}

int run(struct said *said, const char *format, ...)
{
	struct job job;
	va_list args;
	int err;

	*said = (struct said){ .status = -1, .out = "", .err = "" };
	va_start(args, format);
	err = start(&job, format, args);
	va_end(args);
	return err ? err : finish(&job, said);
}

struct json_object *ctl_json(const char *format, ...)
{
	struct json_object *json;
	char *arguments;
	struct said said;
	va_list args;

	va_start(args, format);
	if (vasprintf(&arguments, format, args) < 0)
		abort();
	va_end(args);
	if (run(&said, "memviewctl --json %s", arguments)) {
		printf("# memviewctl --json %s: %d: %s\n", arguments, said.status, said.err);
		return NULL;
	}
	json = json_tokener_parse(said.out);
	if (!json)
		printf("# memviewctl --json %s is no JSON: %s\n", arguments, said.out);
	return json;
}

static bool has_said(const struct job *job, const char *text)
{
	char *out = slurp(job->out), *err = slurp(job->err);
	bool found = strstr(out, text) || strstr(err, text);

	free(out);
	free(err);
	return found;
}

int job_says(struct job *job, const char *text)
{
	int i;

	for (i = 0; i < PATIENCE; i++) {
		if (has_said(job, text))
			return 0;
		sleep_ms(50);
	}
	return -ETIMEDOUT;
}

int job_start(struct job *job, const char *ready, const char *format, ...)
{
	int err, i, status;
	va_list args;

	va_start(args, format);
	err = start(job, format, args);
	va_end(args);
	for (i = 0; !err && i < PATIENCE; i++) {
		if (has_said(job, ready))
			return 0;
		if (waitpid(job->pid, &status, WNOHANG) == job->pid) {
			printf("# ended, %d: %s%s\n", status_of(status), slurp(job->out),
			       slurp(job->err));
			return -ECHILD;
		}
		sleep_ms(20);
	}
	return err ? err : -ETIMEDOUT;
}

int job_end(struct job *job, int sig, struct said *said)
{
	*said = (struct said){ .status = -1, .out = "", .err = "" };
	if (sig && kill(job->pid, sig))
		return -errno;
	return finish(job, said);
}

struct json_object *json_lines(const char *text)
{
	struct json_object *array = json_object_new_array(), *line;
	char *copy = strdup(text), *rest = copy, *each;

	while ((each = strsep(&rest, "\n"))) {
		if (!*each)
			continue;
		line = json_tokener_parse(each);
		if (!line) {
			printf("# no JSON: %s\n", each);
			return NULL;
		}
		json_object_array_add(array, line);
	}
	free(copy);
	return array;
}

static struct json_object *find(struct json_object *json, const char *pointer)
{
	struct json_object *value = NULL;

	return json_pointer_get(json, pointer, &value) ? NULL : value;
}

uint64_t get_u64(struct json_object *json, const char *pointer)
{
	struct json_object *value = find(json, pointer);

	return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : ~0ULL;
}

const char *get_str(struct json_object *json, const char *pointer)
{
	struct json_object *value = find(json, pointer);

	return value ? json_object_get_string(value) : "";
}

size_t get_len(struct json_object *json, const char *pointer)
{
	struct json_object *value = find(json, pointer);

	return json_object_is_type(value, json_type_array) ? json_object_array_length(value) :
							     (size_t)-1;
}

struct json_object *pick_nth(struct json_object *array, const char *member, const char *value,
			     unsigned int n)
{
	struct json_object *each, *found;
	size_t i;

	for (i = 0; i < json_object_array_length(array); i++) {
		each = json_object_array_get_idx(array, i);
		found = json_object_object_get(each, member);
		if (found && !strcmp(json_object_get_string(found), value) && !n--)
			return each;
	}
	return NULL;
}

unsigned int count_of(struct json_object *array, const char *member, const char *value)
{
	struct json_object *found;
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < json_object_array_length(array); i++) {
		found = json_object_object_get(json_object_array_get_idx(array, i), member);
		n += found && !strcmp(json_object_get_string(found), value);
	}
	return n;
}

static bool is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *at = list;

	while ((at = strstr(at, word))) {
		if ((at == list || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
		at += len;
	}
	return false;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *at = text;

	while ((at = strstr(at, word))) {
		if ((at == text || isspace(at[-1]) || strchr("=,(", at[-1])) &&
		    (!at[len] || isspace(at[len]) || strchr(",)", at[len])))
			return true;
		at++;
	}
	return false;
}

/* In one of the ways in which people see a number. */
static bool has_number(const char *text, uint64_t number)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int unit = 0;
	char word[64];

	snprintf(word, sizeof(word), "%" PRIu64, number);
	if (has_word(text, word))
		return true;
	snprintf(word, sizeof(word), "%#" PRIx64, number);
	if (has_word(text, word))
		return true;
	while (number && number % 1024 == 0 && unit < ARRAY_SIZE(units) - 1) {
		number /= 1024;
		unit++;
	}
	snprintf(word, sizeof(word), "%" PRIu64 " %s", number, units[unit]);
	return has_word(text, word);
}

static const char *scalar_lacks(const char *text, struct json_object *json)
{
	switch (json_object_get_type(json)) {
	case json_type_int:
		return has_number(text, json_object_get_uint64(json)) ?
			       NULL :
			       json_object_get_string(json);
	case json_type_boolean:
		return has_word(text, json_object_get_boolean(json) ? "yes" : "no") ?
			       NULL :
			       json_object_get_string(json);
	case json_type_string:
		return strstr(text, json_object_get_string(json)) ? NULL :
								    json_object_get_string(json);
	default:
		return NULL;
	}
}

const char *text_lacks(const char *text, struct json_object *json, const char *except)
{
	const char *lacks = NULL;
	size_t i;

	if (json_object_is_type(json, json_type_array)) {
		for (i = 0; !lacks && i < json_object_array_length(json); i++)
			lacks = text_lacks(text, json_object_array_get_idx(json, i), except);
		return lacks;
	}
	if (!json_object_is_type(json, json_type_object))
		return scalar_lacks(text, json);
	json_object_object_foreach(json, key, value) {
		if (!lacks && !is_listed(except, key))
			lacks = text_lacks(text, value, except) ? key : NULL;
	}
	return lacks;
}

uint64_t ctl_view_id(int fd)
{
	struct view_info info = {};

	return view_info(fd, &info) ? 0 : info.id;
}

/* Programs are let go of some time after their last user. */
int module_unload(void)
{
	unsigned int i;

	for (i = 0; i < PATIENCE; i++) {
		if (!syscall(SYS_delete_module, "memview", O_NONBLOCK))
			return 0;
		sleep_ms(50);
	}
	return -errno;
}

int module_load(void)
{
	char path[PATH_MAX + 32];
	int fd, err;

	snprintf(path, sizeof(path), "%s/module/memview.ko", build);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

int policies_left(void)
{
	struct json_object *list = NULL;
	unsigned int i;

	for (i = 0; i < PATIENCE; i++) {
		list = ctl_json("policy list");
		if (list && !json_object_array_length(list))
			return 0;
		sleep_ms(50);
	}
	return list ? json_object_array_length(list) : -1;
}

/* ---- What documentation says ---- */

static bool is_time(const char *unit, size_t len)
{
	return (len == 2 && strchr("num", unit[0]) && unit[1] == 's') || (len == 1 && *unit == 's');
}

/* Numbers become "N", times "T", bars "*", any space one. */
static char *pattern_of(const char *text)
{
	char *pattern = calloc(1, strlen(text) + 1), *to = pattern;
	const char *unit;

	while (*text) {
		if (isdigit(*text)) {
			text += strspn(text, "0123456789abcdefx.");
			/* "2.0 us ..": the dots are the text's. */
			unit = text + (*text == ' ');
			if (is_time(unit, strcspn(unit, " ,\n"))) {
				*to++ = 'T';
				text = unit + strcspn(unit, " ,\n");
			} else {
				*to++ = 'N';
			}
		} else if (isblank(*text) || *text == '*') {
			*to++ = isblank(*text) ? ' ' : '*';
			text += strspn(text, isblank(*text) ? " \t" : "*");
		} else {
			*to++ = *text++;
		}
	}
	while (to > pattern && isblank(to[-1]))
		*--to = 0;
	return pattern;
}

const char *lacks_line(const char *out, char *const *lines, int n)
{
	char *pattern = pattern_of(out), *want, *at = pattern;
	int i;

	for (i = 0; i < n; i++) {
		/* The first column is as wide as it needs to be. */
		want = pattern_of(lines[i] + strspn(lines[i], " "));
		at = strstr(at, want);
		if (!at)
			return lines[i];
		at += strlen(want);
	}
	return NULL;
}
