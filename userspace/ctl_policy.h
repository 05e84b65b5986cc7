/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ctl_policy.h - policies: as objects in files, as links in the kernel
 */
#ifndef MEMVIEW_CTL_POLICY_H
#define MEMVIEW_CTL_POLICY_H

#include <bpf/btf.h>
#include <json-c/json.h>
#include <limits.h>

#include "ctl.h"

struct bpf_map;
struct bpf_object;

#define POLICY_NAME_LEN 16
#define POLICY_AUDIT 1 /* MEMVIEW_POLICY_AUDIT */
#define PIN_DIR "/sys/fs/bpf/memview"
#define PROGRAMS_MAX 8

/* ctl_policy_object.c */

/**
 * struct policy_object - a policy in a file
 * @path: Of the file.
 * @object: What is in it.
 * @map: The policy among that.
 * @ops: Type of the policy.
 */
struct policy_object {
	const char *path;
	struct bpf_object *object;
	struct bpf_map *map;
	const struct btf_type *ops;
};

bool find_policy_object(const char *name, char *path, size_t size);
int open_policy(const char *path, bool has_name, struct policy_object *policy);
int get_policy_member(const struct policy_object *policy, const char *member,
		      void *value, size_t size);
int set_policy_member(struct policy_object *policy, const char *member,
		      const void *value, size_t size);
int set_policy_config(struct policy_object *policy, const char *setting);

/* ctl_policy_var.c */

/**
 * struct var - a global variable of a BPF object
 * @name: Its name.
 * @type: Without const and volatile and typedefs.
 * @data: Its value.
 */
struct var {
	const char *name;
	const struct btf_type *type;
	void *data;
};

/* Return other than 0 to end. */
typedef int (*visit_var)(const struct var *var, void *arg);

int visit_vars(const struct btf *btf, uint32_t section, void *data,
	       visit_var visit, void *arg);
int visit_map_vars(int map, visit_var visit, void *arg);
int set_var(const struct var *var, const char *text);
struct json_object *get_var(const struct var *var);
void describe_var(const struct var *var, char *text, size_t size);

/* ctl_policy_link.c */

/**
 * struct policy_program - a program of an attached policy
 * @callback: Which one of struct memview_policy_ops.
 * @id: Of the program.
 */
struct policy_program {
	char callback[24];
	uint32_t id;
};

/**
 * struct policy - an attached policy
 * @name: Its name.
 * @link: ID of its BPF link.
 * @map: ID of its struct_ops map.
 * @priority: Lower is asked earlier.
 * @flags: POLICY_AUDIT.
 * @pin: Where it is pinned, "" if it is not.
 * @program: Its programs.
 * @nr_programs: How many.
 */
struct policy {
	char name[POLICY_NAME_LEN];
	uint32_t link;
	uint32_t map;
	uint32_t priority;
	uint32_t flags;
	char pin[PATH_MAX];
	struct policy_program program[PROGRAMS_MAX];
	unsigned int nr_programs;
};

int list_policies(struct policy **policies, unsigned int *nr);
int pick_policy(const char *name, struct policy *policy);

/* ctl_policy_load.c, ctl_policy_show.c */
int run_policy_load(int argc, char **argv);
int run_policy_show(int argc, char **argv);
int run_policy_watch(int argc, char **argv);

/* ctl_policy_record.c */

/**
 * struct policy_maps - what a policy writes to; file descriptors, -1 for none
 * @records: Ring buffer of records.
 * @state: Its variables; "lost" among them counts the records lost.
 */
struct policy_maps {
	int records;
	int state;
};

void note_map(struct policy_maps *maps, int fd);
int follow_policy(const struct policy_maps *maps, int link, const char *name,
		  bool unread_ends);

#endif /* MEMVIEW_CTL_POLICY_H */
