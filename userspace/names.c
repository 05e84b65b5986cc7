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
 * flags_text - permissions of a range or a mapping
 * @flags: Of enum memview_map_flags; PROT_* are the same.
 * @text: Set, such as "rw-".
 *
 * Return: @text.
 */
const char *flags_text(uint32_t flags, char text[4])
{
	text[0] = flags & 1 ? 'r' : '-';
	text[1] = flags & 2 ? 'w' : '-';
	text[2] = flags & 4 ? 'x' : '-';
	text[3] = 0;
	return text;
}

struct json_object *name_flags(uint32_t flags)
{
	char text[4];

	return json_object_new_string(flags_text(flags, text));
}

static unsigned int list_bits(uint32_t bits, const struct bit_name *names,
			      size_t n, const char **list)
{
	unsigned int nr = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (bits & names[i].bit)
			list[nr++] = names[i].name;
	return nr;
}

static struct json_object *make_array(const char *const *list, unsigned int nr)
{
	struct json_object *array = json_object_new_array();
	unsigned int i;

	for (i = 0; i < nr; i++)
		json_object_array_add(array, json_object_new_string(list[i]));
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
	const char *list[ARRAY_SIZE(names)];

	return make_array(list,
			  list_bits(flags, names, ARRAY_SIZE(names), list));
}

/**
 * list_seals - the names of F_SEAL_*
 * @seals: As fcntl(F_GET_SEALS) has them.
 * @list: Set, as many as there are.
 *
 * Return: How many.
 */
unsigned int list_seals(uint32_t seals, const char *list[SEALS_MAX])
{
	static const struct bit_name names[SEALS_MAX] = {
		{ 0x01, "seal" },  { 0x02, "shrink" },	     { 0x04, "grow" },
		{ 0x08, "write" }, { 0x10, "future-write" }, { 0x20, "exec" },
	};

	return list_bits(seals, names, ARRAY_SIZE(names), list);
}

struct json_object *name_seals(uint32_t seals)
{
	const char *list[SEALS_MAX];

	return make_array(list, list_seals(seals, list));
}

/**
 * device_text - a device number as in /proc/self/mountinfo
 * @dev: As the kernel has it: 12 bits major, 20 bits minor.
 * @text: Set.
 *
 * Return: @text.
 */
const char *device_text(uint32_t dev, char text[DEVICE_LEN])
{
	snprintf(text, DEVICE_LEN, "%u:%u", dev >> 20, dev & 0xfffff);
	return text;
}

struct json_object *name_device(uint32_t dev)
{
	char text[DEVICE_LEN];

	return json_object_new_string(device_text(dev, text));
}

const char *errno_name(int err)
{
	return strerrorname_np(err) ?: "unknown error";
}

static const char *pick(const char *const *names, uint32_t n, uint32_t i)
{
	return i < n ? names[i] : "unknown";
}

/* kind_text - @kind: of enum memview_source_kind */
const char *kind_text(uint32_t kind)
{
	static const char *const names[] = { "file", "memfd", "tmpfs", "none" };

	return pick(names, ARRAY_SIZE(names), kind);
}

struct json_object *name_kind(uint32_t kind)
{
	return json_object_new_string(kind_text(kind));
}

/* op_text - @op: of enum memview_policy_op, or enum audit_op */
const char *op_text(uint32_t op)
{
	static const char *const names[] = { "map_fd", "get_viewfd", "mmap",
					     "unmap_fd", "denied" };

	return pick(names, ARRAY_SIZE(names), op);
}
