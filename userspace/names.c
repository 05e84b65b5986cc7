// SPDX-License-Identifier: GPL-2.0
/*
 * names.c - words for the numbers that the kernel gives
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include <linux/memview.h>

#include "ctl.h"
#include "../bpf/events.h"

const char *const access_names[] = {
	[ACCESS_READ] = "read",
	[ACCESS_WRITE] = "write",
	[ACCESS_UPGRADE] = "upgrade",
	[ACCESS_EXEC] = "exec",
};

const char *const cause_names[] = {
	[CAUSE_MAP] = "map",
	[CAUSE_UNMAP] = "unmap",
	[CAUSE_RESIZE] = "resize",
	[CAUSE_REVOKE] = "revoke",
	[CAUSE_UNMAP_FILE] = "unmap_file",
	[CAUSE_RECLAIM] = "reclaim",
	[CAUSE_WRITEBACK] = "writeback",
	[CAUSE_BATCH] = "batch",
};

struct bit_name {
	uint32_t bit;
	const char *name;
};

/**
 * name_flags - permissions of a range or a mapping
 * @flags: Of enum memview_map_flags; PROT_* are the same.
 */
struct json_object *name_flags(uint32_t flags)
{
	char text[4] = "---";

	if (flags & 1)
		text[0] = 'r';
	if (flags & 2)
		text[1] = 'w';
	if (flags & 4)
		text[2] = 'x';
	return json_object_new_string(text);
}

static struct json_object *name_bits(uint32_t bits,
				     const struct bit_name *names, size_t n)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		if (bits & names[i].bit)
			json_object_array_add(
				array, json_object_new_string(names[i].name));
	return array;
}

/**
 * name_view_flags - how a view behaves, as an array
 * @flags: Of enum memview_flags.
 */
struct json_object *name_view_flags(uint32_t flags)
{
	static const struct bit_name names[] = {
		{ MEMVIEW_REVOKE_ON_CLOSE, "revoke-on-close" },
	};

	return name_bits(flags, names, ARRAY_SIZE(names));
}

/**
 * name_seals - F_SEAL_* as an array
 * @seals: As fcntl(F_GET_SEALS) has them.
 */
struct json_object *name_seals(uint32_t seals)
{
	static const struct bit_name names[] = {
		{ 0x01, "seal" },  { 0x02, "shrink" },	     { 0x04, "grow" },
		{ 0x08, "write" }, { 0x10, "future-write" }, { 0x20, "exec" },
	};

	return name_bits(seals, names, ARRAY_SIZE(names));
}

/**
 * name_device - a device number as in /proc/self/mountinfo
 * @dev: As the kernel has it: 12 bits major, 20 bits minor.
 */
struct json_object *name_device(uint32_t dev)
{
	char text[24];

	snprintf(text, sizeof(text), "%u:%u", dev >> 20, dev & 0xfffff);
	return json_object_new_string(text);
}

const char *errno_name(int err)
{
	return strerrorname_np(err) ?: "unknown error";
}

/**
 * name_errno - the name of an error
 * @err: Negative errno, or 0: no error, NULL.
 */
struct json_object *name_errno(int err)
{
	return err ? json_object_new_string(errno_name(-err)) : NULL;
}

static struct json_object *pick(const char *const *names, uint32_t n,
				uint32_t i)
{
	return json_object_new_string(i < n ? names[i] : "unknown");
}

/** name_kind - @kind: of enum memview_source_kind */
struct json_object *name_kind(uint32_t kind)
{
	static const char *const names[] = { "file", "memfd", "tmpfs", "none" };

	return pick(names, ARRAY_SIZE(names), kind);
}

/** name_op - @op: of enum memview_policy_op, or enum audit_op */
struct json_object *name_op(uint32_t op)
{
	static const char *const names[] = { "map_fd", "get_viewfd", "mmap",
					     "unmap_fd", "denied" };

	return pick(names, ARRAY_SIZE(names), op);
}
