// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_link.c - the policies that are attached
 *
 * Found among the kernel's BPF links, whoever has attached them. What a policy
 * is called and which programs it has is in the value of its struct_ops map,
 * which the module's BTF describes.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"

#define VALUE_TYPE "bpf_struct_ops_memview_policy_ops"

/**
 * struct lookup - what is needed to understand a link
 * @base: The kernel's BTF.
 * @btf: The module's.
 * @value: Type ID of the map's value in @btf.
 * @ops: The policy in that value.
 * @offset: Where, bytes.
 */
struct lookup {
	struct btf *base;
	struct btf *btf;
	int value;
	const struct btf_type *ops;
	uint32_t offset;
};

static void end_lookup(struct lookup *lookup)
{
	btf__free(lookup->btf);
	btf__free(lookup->base);
}

static int begin_lookup(struct lookup *lookup)
{
	const struct btf_type *value;
	const struct btf_member *m;
	int i;

	*lookup = (struct lookup){ .base = btf__load_vmlinux_btf() };
	if (lookup->base)
		lookup->btf = btf__load_module_btf("memview", lookup->base);
	if (!lookup->btf)
		goto failed;
	lookup->value = btf__find_by_name_kind(lookup->btf, VALUE_TYPE,
					       BTF_KIND_STRUCT);
	if (lookup->value < 0)
		goto failed;
	value = btf__type_by_id(lookup->btf, lookup->value);
	m = btf_members(value);
	for (i = 0; i < btf_vlen(value); i++) {
		if (strcmp(btf__name_by_offset(lookup->btf, m[i].name_off),
			   "data"))
			continue;
		lookup->ops = btf__type_by_id(lookup->btf, m[i].type);
		lookup->offset = btf_member_bit_offset(value, i) / 8;
		return 0;
	}
failed:
	end_lookup(lookup);
	return ctl_error(CTL_ENV, "memviewctl doctor says more.",
			 "cannot read the BTF of the module memview");
}

static void read_member(const struct lookup *lookup, int i, const char *data,
			struct policy *policy)
{
	const struct btf_member *member = &btf_members(lookup->ops)[i];
	const char *name = btf__name_by_offset(lookup->btf, member->name_off);
	const struct btf_type *type =
		btf__type_by_id(lookup->btf, member->type);
	struct policy_program *program;
	uint64_t id;

	data += btf_member_bit_offset(lookup->ops, i) / 8;
	if (!strcmp(name, "name")) {
		snprintf(policy->name, sizeof(policy->name), "%s", data);
	} else if (!strcmp(name, "priority")) {
		memcpy(&policy->priority, data, sizeof(policy->priority));
	} else if (!strcmp(name, "flags")) {
		memcpy(&policy->flags, data, sizeof(policy->flags));
	} else if (btf_is_ptr(type) && policy->nr_programs < PROGRAMS_MAX) {
		/* Where the programs were, the kernel tells their IDs. */
		memcpy(&id, data, sizeof(id));
		if (!id)
			return;
		program = &policy->program[policy->nr_programs++];
		snprintf(program->callback, sizeof(program->callback), "%s",
			 name);
		program->id = id;
	}
}

static int read_map(const struct lookup *lookup, int fd, uint32_t size,
		    struct policy *policy)
{
	char *value = calloc(1, size);
	__u32 zero = 0;
	int i, err;

	if (!value)
		return -ENOMEM;
	err = bpf_map_lookup_elem(fd, &zero, value);
	for (i = 0; !err && i < btf_vlen(lookup->ops); i++)
		read_member(lookup, i, value + lookup->offset, policy);
	free(value);
	return err;
}

/* Return: 0 if the link is a policy's, and @policy is filled in. */
static int read_link(const struct lookup *lookup, uint32_t id,
		     struct policy *policy)
{
	struct bpf_link_info link = {};
	struct bpf_map_info map = {};
	__u32 size = sizeof(link);
	int fd, err;

	fd = bpf_link_get_fd_by_id(id);
	if (fd < 0)
		return fd;
	err = bpf_link_get_info_by_fd(fd, &link, &size);
	close(fd);
	if (err || link.type != BPF_LINK_TYPE_STRUCT_OPS ||
	    !link.struct_ops.map_id)
		return -ENOENT;
	fd = bpf_map_get_fd_by_id(link.struct_ops.map_id);
	if (fd < 0)
		return fd;
	size = sizeof(map);
	err = bpf_map_get_info_by_fd(fd, &map, &size);
	if (!err && (int)map.btf_vmlinux_value_type_id != lookup->value)
		err = -ENOENT;
	if (!err) {
		*policy = (struct policy){ .link = id, .map = map.id };
		err = read_map(lookup, fd, map.value_size, policy);
	}
	close(fd);
	return err;
}

static void note_pin(const char *path, struct policy *policies, unsigned int nr)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	unsigned int i;
	int fd;

	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	if (!bpf_link_get_info_by_fd(fd, &info, &size) &&
	    info.type == BPF_LINK_TYPE_STRUCT_OPS)
		for (i = 0; i < nr; i++)
			if (policies[i].link == info.id)
				snprintf(policies[i].pin,
					 sizeof(policies[i].pin), "%s", path);
	close(fd);
}

static void find_pins(struct policy *policies, unsigned int nr)
{
	DIR *dir = opendir(PIN_DIR);
	struct dirent *entry;
	char path[PATH_MAX];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), PIN_DIR "/%s", entry->d_name);
		note_pin(path, policies, nr);
	}
	closedir(dir);
}

/* In the order in which they are asked; of one priority, in that of attaching. */
static int by_priority(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->link < y->link ? -1 : x->link > y->link;
}

/**
 * list_policies - all policies that are attached
 * @policies: Set; to be freed.
 * @nr: Set: how many.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int list_policies(struct policy **policies, unsigned int *nr)
{
	struct policy *array = NULL, *more;
	struct lookup lookup;
	unsigned int n = 0;
	__u32 id = 0;
	int status;

	status = begin_lookup(&lookup);
	if (status)
		return status;
	while (!bpf_link_get_next_id(id, &id)) {
		more = realloc(array, (n + 1) * sizeof(*more));
		if (!more)
			break;
		array = more;
		if (!read_link(&lookup, id, &array[n]))
			n++;
	}
	status = errno == ENOENT ? 0 :
				   ctl_error(CTL_FAILED, NULL,
					     "cannot list the BPF links: %s",
					     strerror(errno));
	end_lookup(&lookup);
	if (status) {
		free(array);
		return status;
	}
	find_pins(array, n);
	if (n)
		qsort(array, n, sizeof(*array), by_priority);
	*policies = array;
	*nr = n;
	return 0;
}

static bool is_meant(const struct policy *policy, const char *name)
{
	uint64_t id;

	return !strcmp(policy->name, name) ||
	       (!parse_number(name, &id) && policy->link == id);
}

/**
 * pick_policy - the one attached policy of a name
 * @name: Its name, or the ID of its link.
 * @policy: Filled in.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int pick_policy(const char *name, struct policy *policy)
{
	unsigned int nr, i, found = 0;
	struct policy *policies;
	int status;

	status = list_policies(&policies, &nr);
	if (status)
		return status;
	for (i = 0; i < nr; i++) {
		if (!is_meant(&policies[i], name))
			continue;
		*policy = policies[i];
		found++;
	}
	free(policies);
	if (!found)
		return ctl_error(
			CTL_FAILED,
			"memviewctl policy list shows those there are.",
			"no policy '%s' is attached", name);
	if (found > 1)
		return ctl_error(
			CTL_FAILED,
			"Give the ID of the link instead: memviewctl policy list shows it.",
			"there are %u policies '%s'", found, name);
	return 0;
}
