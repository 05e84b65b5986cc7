// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_proc.c - what /proc knows: who maps a view, and who is who
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctl.h"
#include "output.h"

/* Return true to end. */
typedef bool (*visit_process)(pid_t pid, void *arg);
typedef bool (*visit_fd)(int dir, const char *name, void *arg);

static void visit_processes(visit_process visit, void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return;
	while ((entry = readdir(proc)))
		if (isdigit(entry->d_name[0]) &&
		    visit(atoi(entry->d_name), arg))
			break;
	closedir(proc);
}

/* The name of a process, "-" if it is gone. */
static void get_comm(pid_t pid, char *comm, size_t size)
{
	char path[32];
	FILE *file;

	snprintf(comm, size, "-");
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(comm, size, file))
		comm[strcspn(comm, "\n")] = 0;
	fclose(file);
}

/**
 * get_owner_comm - the name of a view's owner
 * @pid: Its ID, in the initial namespace, as all that the module tells.
 * @comm: Where to put it: "-" if it is gone, or if that namespace is not ours.
 * @size: Of @comm.
 */
void get_owner_comm(pid_t pid, char *comm, size_t size)
{
	if (is_initial_namespace("pid"))
		get_comm(pid, comm, size);
	else
		snprintf(comm, size, "-");
}

static int get_uid(pid_t pid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &st) ? -1 : (int)st.st_uid;
}

/* The view's name in /proc/PID/maps, and the mappings of that name. */
struct mappers {
	char name[48];
	struct json_object *array;
};

static void add_mapping(struct mappers *mappers, pid_t pid, const char *line)
{
	uint64_t start, end, offset;
	struct json_object *mapping;
	char perms[5], comm[32];
	int name = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %*s %n",
		   &start, &end, perms, &offset, &name) != 4 ||
	    !name || strcmp(line + name, mappers->name))
		return;
	mapping = json_object_new_object();
	get_comm(pid, comm, sizeof(comm));
	put_u64(mapping, "pid", pid);
	put_string(mapping, "comm", comm);
	json_object_object_add(mapping, "uid",
			       json_object_new_int(get_uid(pid)));
	put_u64(mapping, "address", start);
	put_u64(mapping, "offset", offset);
	put_u64(mapping, "size", end - start);
	perms[3] = 0;
	put_string(mapping, "protection", perms);
	json_object_array_add(mappers->array, mapping);
}

static bool find_mappings(pid_t pid, void *arg)
{
	struct mappers *mappers = arg;
	char path[32], *line = NULL;
	size_t size = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (getline(&line, &size, maps) > 0)
		add_mapping(mappers, pid, line);
	free(line);
	fclose(maps);
	return false;
}

/**
 * get_mappers - who maps a view
 * @id: Its ID.
 *
 * Return: An array of an object for each mapping.
 */
struct json_object *get_mappers(uint64_t id)
{
	struct mappers mappers = { .array = json_object_new_array() };

	snprintf(mappers.name, sizeof(mappers.name),
		 "/memory-view:view:%" PRIu64 " (deleted)\n", id);
	visit_processes(find_mappings, &mappers);
	return mappers.array;
}

/* Return: whether @visit has returned true. */
static bool visit_fds(pid_t pid, visit_fd visit, void *arg)
{
	struct dirent *entry;
	bool found = false;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			found = visit(dirfd(dir), entry->d_name, arg);
	closedir(dir);
	return found;
}

/* A file that a process has open. */
struct open_file {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct open_files {
	struct open_file *file;
	size_t nr;
};

static int by_inode(const void *a, const void *b)
{
	const struct open_file *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Return: true to end, for want of memory. */
static bool add_file(int dir, const char *name, void *arg)
{
	struct open_files *files = arg;
	struct open_file *more;
	char path[PATH_MAX];
	struct statx st;
	ssize_t len;

	len = readlinkat(dir, name, path, sizeof(path) - 1);
	/* Not to wait for a server that does not answer. */
	if (len < 0 || statx(dir, name, AT_STATX_DONT_SYNC, STATX_INO, &st))
		return false;
	path[len] = 0;
	more = realloc(files->file, (files->nr + 1) * sizeof(*more));
	if (!more)
		return true;
	files->file = more;
	more += files->nr;
	*more = (struct open_file){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.ino = st.stx_ino,
		.path = strdup(path),
	};
	files->nr += !!more->path;
	return !more->path;
}

/**
 * list_files - the files that a process has open
 * @pid: The process, in the initial namespace.
 *
 * Return: To be given to free_files(); NULL for want of memory, or if that
 * namespace is not ours.
 */
struct open_files *list_files(pid_t pid)
{
	struct open_files *files;

	if (!is_initial_namespace("pid"))
		return NULL;
	files = calloc(1, sizeof(*files));
	if (!files)
		return NULL;
	visit_fds(pid, add_file, files);
	if (files->nr)
		qsort(files->file, files->nr, sizeof(*files->file), by_inode);
	return files;
}

/**
 * find_path - the path of a file
 * @files: The files to look among; may be NULL.
 * @dev: Device number, as the kernel has it.
 * @ino: Inode number.
 *
 * Return: The path, or NULL if it is not among them.
 */
const char *find_path(const struct open_files *files, uint32_t dev,
		      uint64_t ino)
{
	const struct open_file key = {
		.dev = makedev(dev >> 20, dev & 0xfffff),
		.ino = ino,
	};
	const struct open_file *file;

	if (!files || !files->nr)
		return NULL;
	file = bsearch(&key, files->file, files->nr, sizeof(key), by_inode);
	return file ? file->path : NULL;
}

void free_files(struct open_files *files)
{
	size_t i;

	if (!files)
		return;
	for (i = 0; i < files->nr; i++)
		free(files->file[i].path);
	free(files->file);
	free(files);
}

/* The links whose holders are wanted, and those that are not found yet. */
struct wanted_links {
	struct link_holder *links;
	size_t nr, missing;
	pid_t pid;
};

/* Return: the ID of the BPF link that is open as @name in @dir; 0 if it is none. */
static uint32_t get_link_id(int dir, const char *name, pid_t pid)
{
	char path[64], text[64];
	unsigned int id = 0;
	ssize_t len;
	FILE *info;

	len = readlinkat(dir, name, text, sizeof(text) - 1);
	if (len < 0)
		return 0;
	text[len] = 0;
	if (!strstr(text, "bpf_link") && !strstr(text, "bpf-link"))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, name);
	info = fopen(path, "re");
	if (!info)
		return 0;
	while (fgets(text, sizeof(text), info))
		if (sscanf(text, "link_id: %u", &id) == 1)
			break;
	fclose(info);
	return id;
}

static bool note_link(int dir, const char *name, void *arg)
{
	struct wanted_links *wanted = arg;
	uint32_t id = get_link_id(dir, name, wanted->pid);
	size_t i;

	for (i = 0; id && i < wanted->nr; i++) {
		if (wanted->links[i].link != id || wanted->links[i].pid)
			continue;
		wanted->links[i].pid = wanted->pid;
		wanted->missing--;
	}
	return !wanted->missing;
}

static bool note_links(pid_t pid, void *arg)
{
	struct wanted_links *wanted = arg;

	wanted->pid = pid;
	return pid != getpid() && visit_fds(pid, note_link, wanted);
}

/**
 * find_link_holders - the processes that have BPF links open
 * @links: Of each, @pid is set: to 0 if no process is found.
 * @nr: How many links.
 *
 * Looks once at every file descriptor of the machine, however many links there
 * are: that takes a second where there are many processes.
 */
void find_link_holders(struct link_holder *links, size_t nr)
{
	struct wanted_links wanted = {
		.links = links,
		.nr = nr,
		.missing = nr,
	};
	size_t i;

	for (i = 0; i < nr; i++)
		links[i].pid = 0;
	if (nr)
		visit_processes(note_links, &wanted);
}
