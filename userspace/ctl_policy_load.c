// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_load.c - policy load: from a file into the kernel
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "ctl_signal.h"
#include "output.h"

#define SETTINGS_MAX 32

/**
 * struct load_args - what to load, and how
 * @policy: Name or path.
 * @setting: KEY=VALUE of each --set.
 * @nr_settings: How many.
 * @name: Instead of the policy's own name.
 * @priority: Instead of the policy's own, if @has_priority.
 * @audit: Record the verdicts, do not enforce them.
 * @pin: Leave it in the kernel.
 * @replace: In place of the one that is pinned under its name.
 */
struct load_args {
	const char *policy;
	const char *setting[SETTINGS_MAX];
	unsigned int nr_settings;
	const char *name;
	uint32_t priority;
	bool has_priority;
	bool audit;
	bool pin;
	bool replace;
};

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (!len || len >= POLICY_NAME_LEN || text[0] == '.')
		return false;
	for (; *text; text++)
		if (!isalnum(*text) && !strchr("_.-", *text))
			return false;
	return true;
}

static error_t parse_load(int key, char *arg, struct argp_state *state)
{
	struct load_args *args = state->input;
	uint64_t number;

	switch (key) {
	case 's':
		if (!strchr(arg, '=') || arg[0] == '=')
			argp_error(state, "--set takes KEY=VALUE, not '%s'",
				   arg);
		if (args->nr_settings == SETTINGS_MAX)
			argp_error(state, "too many --set");
		args->setting[args->nr_settings++] = arg;
		return 0;
	case 'a':
		args->audit = true;
		return 0;
	case 'p':
		if (parse_number(arg, &number) || number > UINT32_MAX)
			argp_error(state, "'%s' is no priority", arg);
		args->priority = number;
		args->has_priority = true;
		return 0;
	case 'n':
		if (!is_name(arg))
			argp_error(
				state,
				"'%s' is no name: up to %d letters, digits, '_', '.' and '-'",
				arg, POLICY_NAME_LEN - 1);
		args->name = arg;
		return 0;
	case 'P':
		args->pin = true;
		return 0;
	case 'r':
		args->replace = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args->policy)
			argp_error(state, "too many arguments: '%s'", arg);
		args->policy = arg;
		return 0;
	case ARGP_KEY_END:
		if (!args->policy)
			argp_error(state,
				   "which policy? Give its name or file");
		if (args->replace && !args->pin)
			argp_error(state, "--replace needs --pin");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int set_members(struct policy_object *object,
		       const struct load_args *args)
{
	char name[POLICY_NAME_LEN] = "";
	uint32_t flags = 0;
	int status = 0;

	if (args->name) {
		snprintf(name, sizeof(name), "%s", args->name);
		status = set_policy_member(object, "name", name, sizeof(name));
	}
	if (!status && args->has_priority)
		status = set_policy_member(object, "priority", &args->priority,
					   sizeof(args->priority));
	if (!status && args->audit) {
		status = get_policy_member(object, "flags", &flags,
					   sizeof(flags));
		flags |= POLICY_AUDIT;
		status = status ?:
				  set_policy_member(object, "flags", &flags,
						    sizeof(flags));
	}
	return status;
}

static int configure(struct policy_object *object, const struct load_args *args)
{
	int status = set_members(object, args);
	unsigned int i;

	for (i = 0; !status && i < args->nr_settings; i++)
		status = set_policy_config(object, args->setting[i]);
	return status;
}

static int read_members(const struct policy_object *object,
			struct policy *policy)
{
	int status = get_policy_member(object, "name", policy->name,
				       sizeof(policy->name));

	policy->name[sizeof(policy->name) - 1] = 0;
	return status ?:
		       get_policy_member(object, "flags", &policy->flags, sizeof(policy->flags)) ?:
		       get_policy_member(object, "priority", &policy->priority,
					 sizeof(policy->priority));
}

static int attach_failed(int err, const char *name)
{
	const char *what_to_do = NULL;

	if (err == -E2BIG)
		what_to_do =
			"As many as can be are attached: unload one, see memviewctl policy list.";
	else if (err == -EINVAL)
		what_to_do =
			"The module refuses its name or its flags: letters, digits, '_', '.' and '-'; MEMVIEW_POLICY_AUDIT.";
	ctl_error(CTL_FAILED, what_to_do, "cannot attach policy %s: %s", name,
		  error_text(err));
	log_explain();
	return CTL_FAILED;
}

/* Where it will be pinned; nothing is loaded if it cannot be. */
static int prepare_pin(const struct load_args *args, struct policy *policy)
{
	char *p;

	snprintf(policy->pin, sizeof(policy->pin), PIN_DIR "/%s", policy->name);
	/* bpffs has no dots in names. */
	for (p = policy->pin; *p; p++)
		if (*p == '.')
			*p = '_';
	if (!have_bpffs())
		return ctl_error(
			CTL_ENV, "Mount it: mount -t bpf none /sys/fs/bpf",
			"cannot pin policy %s: there is no bpffs at /sys/fs/bpf",
			policy->name);
	if (mkdir(PIN_DIR, 0700) && errno != EEXIST)
		return ctl_error(CTL_FAILED, NULL, "cannot make %s: %s",
				 PIN_DIR, strerror(errno));
	if (!access(policy->pin, F_OK) && !args->replace)
		return ctl_error(
			CTL_FAILED,
			"Unload it first, give --replace, or another name by --name.",
			"a policy %s is pinned already", policy->name);
	return 0;
}

static void report_attached(const struct policy *policy, bool pinned)
{
	struct json_object *record = json_object_new_object();
	bool audit = policy->flags & POLICY_AUDIT;

	put_string(record, "attached", policy->name);
	put_u64(record, "link", policy->link);
	put_u64(record, "priority", policy->priority);
	put_bool(record, "audit", audit);
	if (pinned)
		put_string(record, "pinned", policy->pin);
	out_record(record, "Policy %s is attached (link %u, %s). %s%s\n",
		   policy->name, policy->link,
		   audit ? "audit only" : "enforced",
		   pinned ? "Pinned at " : "Ctrl-C ends it.",
		   pinned ? policy->pin : "");
}

/* Stay until a signal comes, or somebody detaches the policy. */
static int stay(struct bpf_object *object, const struct bpf_link *link,
		const struct policy *policy)
{
	struct policy_maps maps = { -1, -1 };
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		note_map(&maps, bpf_map__fd(map));
	return follow_policy(&maps, bpf_link__fd(link), policy->name, false);
}

static uint32_t link_id(int fd)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	return bpf_link_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

/*
 * The pinned link gets another policy; no request finds neither. The kernel
 * wants that policy to be complete, and libbpf completes it by attaching it:
 * for a moment both are asked.
 */
static int replace_pinned(struct bpf_link *link, const struct bpf_map *map,
			  struct policy *policy)
{
	int fd = bpf_obj_get(policy->pin);
	int err;

	if (fd < 0)
		return fd;
	err = bpf_link__detach(link);
	if (!err)
		err = bpf_link_update(fd, bpf_map__fd(map), NULL);
	policy->link = link_id(fd);
	close(fd);
	return err;
}

static int pin(struct bpf_link *link, const struct bpf_map *map,
	       struct policy *policy)
{
	int err;

	if (access(policy->pin, F_OK))
		err = bpf_link__pin(link, policy->pin);
	else
		err = replace_pinned(link, map, policy);
	if (err)
		return ctl_error(CTL_FAILED, NULL,
				 "cannot put policy %s at %s: %s", policy->name,
				 policy->pin, error_text(err));
	return 0;
}

static int attach(const struct policy_object *object,
		  const struct load_args *args, struct policy *policy)
{
	struct bpf_link *link;
	int status = 0;

	link = bpf_map__attach_struct_ops(object->map);
	if (!link)
		return attach_failed(-errno, policy->name);
	policy->link = link_id(bpf_link__fd(link));
	if (args->pin)
		status = pin(link, object->map, policy);
	if (!status) {
		report_attached(policy, args->pin);
		if (!args->pin)
			status = stay(object->object, link, policy);
	}
	bpf_link__destroy(link);
	return status;
}

static int load(const struct load_args *args, const char *path)
{
	struct policy_object object;
	struct policy policy = {};
	int status, err;

	status = open_policy(path, args->name, &object);
	if (status)
		return status;
	status = configure(&object, args) ?: read_members(&object, &policy);
	if (!status && args->pin)
		status = prepare_pin(args, &policy);
	if (!status) {
		err = bpf_object__load(object.object);
		status = err ? load_failed(err, path) :
			       attach(&object, args, &policy);
	}
	bpf_object__close(object.object);
	return status;
}

int run_policy_load(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "set", 's', "KEY=VALUE", 0, "configure the policy", 0 },
		{ "audit", 'a', NULL, 0,
		  "record its verdicts, do not enforce them", 0 },
		{ "priority", 'p', "N", 0, "lower is asked earlier", 0 },
		{ "name", 'n', "NAME", 0, "instead of its own name", 0 },
		{ "pin", 'P', NULL, 0, "leave it in the kernel, under " PIN_DIR,
		  0 },
		{ "replace", 'r', NULL, 0,
		  "with --pin: in place of the one of its name", 0 },
		{}
	};
	const struct argp argp = {
		.options = options,
		.args_doc = "POLICY",
		.doc = "Load a policy: a sample by its name, or an object file.\v"
		       "Without --pin it stays in the foreground, and the policy ends with it. "
		       "Samples: deny-exec, memfd-only, sealed-only, quota, allow-path, audit-all; memviewctl(8) says more.",
		.parser = parse_load,
	};
	struct load_args args = {};
	char path[PATH_MAX];
	int status;

	parse(&argp, argc, argv, &args);
	status = need_bpf();
	if (status)
		return status;
	catch_signals();
	if (!find_policy_object(args.policy, path, sizeof(path)))
		return ctl_error(
			CTL_FAILED,
			"Samples are looked for in $MEMVIEW_BPF_DIR or, if it is not set, in ../bpf and ../lib/memview/bpf beside memviewctl.",
			"there is no policy '%s'", args.policy);
	return load(&args, path);
}
