// SPDX-License-Identifier: GPL-2.0
/*
 * policy_allow_path - only files from one place
 *
 * A file server such as virtiofsd maps files of the tree that it serves into
 * the view of a guest. Should it be talked into opening a file outside of that
 * tree, this policy keeps the file out of the view: the source must lie below
 * a directory, or on a file system, or both.
 *
 * The path is as the requesting process sees it. A process that has its own
 * mount namespace, or another root, chooses what its paths mean: name the
 * device as well, or instead, where that matters. A hard link or bind mount
 * below the directory is below the directory. Files that have no path, such
 * as a memfd ("/memfd:NAME"), are refused like any other outside.
 *
 * Not configured, it allows nothing.
 *
 * Configuration:
 *   prefix  the directory, or the file itself ("": any path)
 *   major   device number of the file system, as in /proc/self/mountinfo
 *   minor     (-1: any device)
 *   error   errno of a refusal (EACCES)
 */
#include "kfuncs.h"

char _license[] SEC("license") = "GPL";

#define PATH_MAX 4096

const volatile char prefix[256] = "";
const volatile __s32 major = -1;
const volatile __s32 minor = -1;
const volatile __u16 error = EACCES;

#define BUFFERS 256

/*
 * Where a path is put while it is looked at. A buffer a CPU would be shared by
 * who is preempted and who comes next; one of these is taken by one request at
 * a time. Only where so many are preempted at this very point is there none
 * left, and the request is refused.
 */
struct buffer {
	__u32 taken;
	char path[PATH_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUFFERS);
	__type(key, __u32);
	__type(value, struct buffer);
} buffers SEC(".maps");

static struct buffer *take_buffer(void)
{
	__u32 first = bpf_get_smp_processor_id(), i;

	bpf_for(i, 0, BUFFERS)
	{
		__u32 key = (first + i) % BUFFERS;
		struct buffer *buffer = bpf_map_lookup_elem(&buffers, &key);

		if (buffer &&
		    !__sync_val_compare_and_swap(&buffer->taken, 0, 1))
			return buffer;
	}
	return NULL;
}

static void give_buffer(struct buffer *buffer)
{
	__sync_val_compare_and_swap(&buffer->taken, 1, 0);
}

/* Is it @prefix, or below it? */
static bool is_below(const char *path)
{
	char last = '/';
	__u32 i;

	bpf_for(i, 0, sizeof(prefix))
	{
		if (!prefix[i])
			return last == '/' || !path[i] || path[i] == '/';
		if (path[i] != prefix[i])
			return false;
		last = prefix[i];
	}
	return false;
}

static bool is_path_allowed(struct file *file)
{
	struct buffer *buffer = take_buffer();
	bool allowed;

	if (!buffer)
		return false;
	allowed = bpf_memview_source_path(file, buffer->path, PATH_MAX) >= 0 &&
		  is_below(buffer->path);
	give_buffer(buffer);
	return allowed;
}

/* Device numbers in the kernel: 12 bits major, 20 bits minor. */
static bool is_device_allowed(struct file *file)
{
	struct memview_source_info source;

	bpf_memview_get_source_info(file, &source);
	return (major < 0 || source.dev >> 20 == major) &&
	       (minor < 0 || (source.dev & 0xfffff) == minor);
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	if (!prefix[0] && major < 0 && minor < 0)
		return -error;
	if (!is_device_allowed(file))
		return -error;
	if (prefix[0] && !is_path_allowed(file))
		return -error;
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops allow_path = {
	.map_fd = (void *)map_fd,
	.priority = 100,
	.name = "allow-path",
};
