/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ctl.h - what the parts of memviewctl share
 */
#ifndef MEMVIEW_CTL_H
#define MEMVIEW_CTL_H

#include <argp.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "number.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/**
 * enum ctl_exit - the exit status, as the man page has it
 * @CTL_OK: Done.
 * @CTL_FAILED: Not done.
 * @CTL_USAGE: The command line is wrong.
 * @CTL_ENV: Something is missing on this machine: module, BTF, privileges.
 */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_ENV = 3,
};

/**
 * struct command - a line of a command table
 * @name: As typed.
 * @run: Gets the arguments from the command's name on.
 * @help: One line.
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

/* memviewctl.c */
const struct command *find_command(const struct command *commands,
				   const char *name);
int parse(const struct argp *argp, int argc, char **argv, void *input);
bool is_global_option(const char *arg);

/* ctl_*.c, each with its table of commands, which ends with an empty line */
extern const struct command view_commands[];
extern const struct command stats_commands[];
extern const struct command event_commands[];
extern const struct command hist_commands[];
extern const struct command policy_commands[];
extern const struct command doctor_commands[];

/* ctl_env.c */
int ctl_error(int status, const char *what_to_do, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int need_bpf(void);
bool have_module(void);
bool have_btf(const char *name);
bool have_privileges(void);
bool have_bpffs(void);
bool is_initial_namespace(const char *kind);
const char *errno_name(int err);

/* ctl_log.c */
extern bool ctl_debug;
void log_start(void);
void log_explain(void);
const char *error_text(int err);
int load_failed(int err, const char *what);

/* ctl_proc.c */
struct json_object *get_mappers(uint64_t id);
void get_owner_comm(pid_t pid, char *comm, size_t size);
struct open_files *list_files(pid_t pid);
const char *find_path(const struct open_files *files, uint32_t dev,
		      uint64_t ino);
void free_files(struct open_files *files);

/**
 * struct link_holder - a BPF link, and the process that holds it
 * @link: Its ID.
 * @pid: A process that has it open; 0 for none.
 */
struct link_holder {
	uint32_t link;
	pid_t pid;
};

void find_link_holders(struct link_holder *links, size_t nr);

/* names.c; by enum event_access and enum event_cause */
extern const char *const access_names[];
extern const char *const cause_names[];
#define SEALS_MAX 6
#define DEVICE_LEN 24
const char *flags_text(uint32_t flags, char text[4]);
unsigned int list_seals(uint32_t seals, const char *list[SEALS_MAX]);
const char *device_text(uint32_t dev, char text[DEVICE_LEN]);
const char *kind_text(uint32_t kind);
const char *op_text(uint32_t op);
struct json_object *name_flags(uint32_t flags);
struct json_object *name_view_flags(uint32_t flags);
struct json_object *name_seals(uint32_t seals);
struct json_object *name_device(uint32_t dev);
struct json_object *name_kind(uint32_t kind);

#endif /* MEMVIEW_CTL_H */
