// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_object.c - a policy in a file: find it, open it, configure it
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "output.h"

#define OPS_TYPE "memview_policy_ops"

static bool try_dir(const char *dir, const char *name, char *path, size_t size)
{
	char *p;
	int dir_len = snprintf(path, size, "%s/", dir);

	if (dir_len < 0 || (size_t)dir_len >= size)
		return false;
	snprintf(path + dir_len, size - dir_len, "policy_%s.bpf.o", name);
	/* People write deny-exec, files are called deny_exec. */
	for (p = path + dir_len; *p; p++)
		if (*p == '-')
			*p = '_';
	return !access(path, R_OK);
}

static bool is_path(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 2 && !strcmp(name + len - 2, ".o"));
}

/**
 * find_policy_object - the file of a policy
 * @name: A path, if there is a slash in it or .o at its end; or a sample's name.
 * @path: Where to put it.
 * @size: Of @path.
 *
 * Return: whether there is one.
 */
bool find_policy_object(const char *name, char *path, size_t size)
{
	static const char *const beside[] = { "../bpf", "../lib/memview/bpf" };
	const char *dir = getenv("MEMVIEW_BPF_DIR");
	char self[PATH_MAX], found[PATH_MAX + 32];
	ssize_t len;
	size_t i;

	if (is_path(name)) {
		snprintf(path, size, "%s", name);
		return true;
	}
	if (dir)
		return try_dir(dir, name, path, size);
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	for (i = 0; len > 0 && i < ARRAY_SIZE(beside); i++) {
		self[len] = 0;
		snprintf(found, sizeof(found), "%.*s%s",
			 (int)(strrchr(self, '/') - self + 1), self, beside[i]);
		if (try_dir(found, name, path, size))
			return true;
	}
	return false;
}

static const struct btf_type *ops_type(const struct bpf_map *map,
				       const struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_type *type;

	if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
		return NULL;
	type = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	if (!type || strcmp(btf__name_by_offset(btf, type->name_off), OPS_TYPE))
		return NULL;
	return type;
}

static int check_policy(const struct policy_object *policy,
			unsigned int policies, bool has_name)
{
	char name[POLICY_NAME_LEN] = "";

	if (!policies)
		return ctl_error(CTL_FAILED,
				 "A policy has a variable struct " OPS_TYPE
				 " in SEC(\".struct_ops.link\").",
				 "%s is a BPF object, but not a policy",
				 policy->path);
	if (policies > 1)
		return ctl_error(CTL_FAILED, "Put each into its own object.",
				 "%s holds %u policies, not one", policy->path,
				 policies);
	if (!(bpf_map__map_flags(policy->map) & BPF_F_LINK))
		return ctl_error(
			CTL_FAILED,
			"Put it into SEC(\".struct_ops.link\"), so that it can be taken away again.",
			"the policy in %s is in SEC(\".struct_ops\")",
			policy->path);
	get_policy_member(policy, "name", name, sizeof(name));
	if (!name[0] && !has_name)
		return ctl_error(CTL_FAILED,
				 "Set .name, or give one: --name NAME.",
				 "the policy in %s has no name", policy->path);
	return 0;
}

/**
 * open_policy - open the object of a policy
 * @path: Its file.
 * @has_name: It will be given a name.
 * @policy: Filled in; its object is to be closed by the caller.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int open_policy(const char *path, bool has_name, struct policy_object *policy)
{
	const struct btf_type *ops;
	unsigned int policies = 0;
	struct bpf_map *map;
	int status;

	*policy = (struct policy_object){ .path = path };
	policy->object = bpf_object__open_file(path, NULL);
	if (!policy->object) {
		status = ctl_error(
			CTL_FAILED,
			"Give the object file of a policy, as clang -target bpf -g makes it.",
			"cannot open %s as a BPF object: %s", path,
			error_text(-errno));
		log_explain();
		return status;
	}
	bpf_object__for_each_map(map, policy->object) {
		ops = ops_type(map, policy->object);
		if (!ops)
			continue;
		policy->map = map;
		policy->ops = ops;
		policies++;
	}
	status = check_policy(policy, policies, has_name);
	if (status)
		bpf_object__close(policy->object);
	return status;
}

static void *find_member(const struct policy_object *policy, const char *name,
			 size_t size)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	const struct btf_member *member = btf_members(policy->ops);
	size_t all;
	char *data = bpf_map__initial_value(policy->map, &all);
	uint32_t offset;
	int i;

	for (i = 0; data && i < btf_vlen(policy->ops); i++) {
		if (strcmp(btf__name_by_offset(btf, member[i].name_off), name))
			continue;
		offset = btf_member_bit_offset(policy->ops, i) / 8;
		return offset + size <= all ? data + offset : NULL;
	}
	return NULL;
}

static int no_member(const struct policy_object *policy, const char *member)
{
	return ctl_error(CTL_FAILED,
			 "Compile it against the types of this module.",
			 "the policy in %s has no member '%s'", policy->path,
			 member);
}

/**
 * get_policy_member - read a member of an opened policy
 * @policy: From open_policy().
 * @member: Its name.
 * @value: Set.
 * @size: Of the member.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int get_policy_member(const struct policy_object *policy, const char *member,
		      void *value, size_t size)
{
	const void *data = find_member(policy, member, size);

	if (!data)
		return no_member(policy, member);
	memcpy(value, data, size);
	return 0;
}

/**
 * set_policy_member - write a member of a policy that is not loaded yet
 * @policy: From open_policy().
 * @member: Its name.
 * @value: The value.
 * @size: Of the member.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int set_policy_member(struct policy_object *policy, const char *member,
		      const void *value, size_t size)
{
	void *data = find_member(policy, member, size);

	if (!data)
		return no_member(policy, member);
	memcpy(data, value, size);
	return 0;
}

struct setting {
	const char *key;
	size_t key_len;
	const char *value;
	bool found;
	char takes[64];
};

static int apply(const struct var *var, void *arg)
{
	struct setting *setting = arg;

	if (strlen(var->name) != setting->key_len ||
	    strncmp(var->name, setting->key, setting->key_len))
		return 0;
	setting->found = true;
	describe_var(var, setting->takes, sizeof(setting->takes));
	return set_var(var, setting->value) ?: 1;
}

static int print_var(const struct var *var, void *arg)
{
	struct json_object *value = get_var(var);
	char takes[64];

	(void)arg;
	describe_var(var, takes, sizeof(takes));
	fprintf(stderr, "    %s=%s (%s)\n", var->name,
		json_object_get_string(value), takes);
	json_object_put(value);
	return 0;
}

/* The section of constants. */
static struct bpf_map *find_config(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		if (bpf_map__is_internal(map) &&
		    strstr(bpf_map__name(map), ".rodata"))
			return map;
	return NULL;
}

/**
 * set_policy_config - --set KEY=VALUE
 * @policy: From open_policy().
 * @setting: "KEY=VALUE".
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int set_policy_config(struct policy_object *policy, const char *setting)
{
	struct bpf_map *map = find_config(policy->object);
	const struct btf *btf = bpf_object__btf(policy->object);
	struct setting s = { .key = setting, .key_len = strcspn(setting, "=") };
	size_t size;
	void *data = map ? bpf_map__initial_value(map, &size) : NULL;
	int err;

	s.value = setting + s.key_len + 1;
	if (!data)
		return ctl_error(
			CTL_USAGE, NULL,
			"cannot set %s: the policy has no configuration",
			setting);
	err = visit_vars(btf, bpf_map__btf_value_type_id(map), data, apply, &s);
	if (!s.found) {
		ctl_error(
			CTL_USAGE, "It has:",
			"cannot set %.*s: the policy has nothing of that name",
			(int)s.key_len, setting);
		visit_vars(btf, bpf_map__btf_value_type_id(map), data,
			   print_var, NULL);
		return CTL_USAGE;
	}
	if (err < 0)
		return ctl_error(CTL_USAGE, NULL,
				 "cannot set %.*s to '%s': it takes %s",
				 (int)s.key_len, setting, s.value, s.takes);
	return 0;
}
