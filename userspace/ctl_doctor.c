// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_doctor.c - is everything there that memviewctl needs?
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "ctl_walk.h"
#include "output.h"

#define DEVICE "/dev/memory-view"

/* The rows of the table, and whether one of them is bad. */
struct findings {
	struct json_object *rows;
	bool bad;
};

static void find(struct findings *findings, bool good, const char *check,
		 const char *found, const char *what_to_do)
{
	struct json_object *row = json_object_new_object();

	put_string(row, "result", good ? "ok" : "BAD");
	put_string(row, "check", check);
	put_string(row, "found", found);
	put_string(row, "what_to_do", good ? "nothing" : what_to_do);
	json_object_array_add(findings->rows, row);
	if (!good)
		findings->bad = true;
}

/* The first line of a file. */
static bool read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool good;

	if (!file)
		return false;
	good = fgets(line, size, file);
	if (good)
		line[strcspn(line, "\n")] = 0;
	fclose(file);
	return good;
}

static void check_kernel(struct findings *f)
{
	unsigned int major = 0, minor = 0, patch = 0;
	struct utsname name;
	bool good;

	uname(&name);
	if (sscanf(name.release, "%u.%u.%u", &major, &minor, &patch) < 2)
		major = 0;
	/* As module/compat.h has it, which says why. */
	good = (major == 6 && minor == 12 && patch >= 115) ||
	       (major == 7 && minor >= 3) || major > 7;
	find(f, good, "kernel", name.release,
	     "Boot Linux 6.12.115 or later of 6.12, or 7.3 or later: others lack fixes.");
	find(f, have_btf("vmlinux"), "kernel BTF",
	     have_btf("vmlinux") ? "/sys/kernel/btf/vmlinux" : "none",
	     "Boot a kernel that has CONFIG_DEBUG_INFO_BTF=y.");
}

static void check_jit(struct findings *f)
{
	char line[16] = "";

	/* Without the file, the JIT cannot be turned off, or is not there. */
	if (!read_line("/proc/sys/net/core/bpf_jit_enable", line, sizeof(line)))
		return;
	find(f, line[0] != '0', "BPF JIT", line[0] != '0' ? "on" : "off",
	     "Turn it on: sysctl net.core.bpf_jit_enable=1");
}

static void check_lockdown(struct findings *f)
{
	char line[64] = "";

	if (!read_line("/sys/kernel/security/lockdown", line, sizeof(line)))
		return;
	find(f, !strstr(line, "[confidentiality]"), "lockdown", line,
	     "Boot without lockdown=confidentiality: it forbids BPF to read kernel memory.");
}

static void check_module(struct findings *f)
{
	const char *access_text = "can be opened";
	bool good = !access(DEVICE, R_OK | W_OK);

	if (!good)
		access_text = access(DEVICE, F_OK) ? "is missing" :
						     "cannot be opened";
	find(f, have_module(), "module",
	     have_module() ? "loaded" : "not loaded",
	     "Load it: modprobe memview");
	find(f, have_btf("memview"), "module BTF",
	     have_btf("memview") ? "/sys/kernel/btf/memview" : "none",
	     have_module() ?
		     "Build the module with pahole installed and the kernel's vmlinux beside its headers." :
		     "Load the module.");
	find(f, good, DEVICE, access_text,
	     have_module() ?
		     "Give yourself access to it, for example by its group." :
		     "Load the module.");
}

static void check_rights(struct findings *f)
{
	bool good = have_privileges();

	find(f, good, "privileges", good ? "CAP_SYS_ADMIN" : "no CAP_SYS_ADMIN",
	     "Run memviewctl as root, outside of containers.");
	find(f, have_bpffs(), "bpffs",
	     have_bpffs() ? "/sys/fs/bpf" : "not mounted",
	     "Mount it, for policy load --pin: mount -t bpf none /sys/fs/bpf");
}

static void check_policies(struct findings *f)
{
	char path[PATH_MAX], real[PATH_MAX] = "";
	bool good = find_policy_object("deny-exec", path, sizeof(path)) &&
		    realpath(path, real);

	find(f, good, "policies", good ? real : "not found",
	     "Run make install, or set MEMVIEW_BPF_DIR.");
}

/* The proof: load programs that call the module, and run one. */
static void check_programs(struct findings *f)
{
	const struct view_record *views;
	struct walk *walk = NULL;
	char text[48] = "";
	uint32_t nr;
	bool good;

	if (!have_privileges() || !have_module() || !have_btf("memview")) {
		find(f, false, "programs", "not tried",
		     "See to what is bad above.");
		return;
	}
	good = !walk_open(&walk) && !walk_views(&walk, &views, &nr);
	if (good)
		snprintf(text, sizeof(text), "loaded; views: %u", nr);
	walk_close(walk);
	find(f, good, "programs", good ? text : "cannot be loaded",
	     "Read the message; build memviewctl against this kernel and module.");
}

static const struct out_column columns[] = { { "result", "RESULT", OUT_PLAIN },
					     { "check", "CHECK", OUT_PLAIN },
					     { "found", "FOUND", OUT_PLAIN },
					     { "what_to_do", "WHAT TO DO",
					       OUT_PLAIN },
					     {} };

static int run_doctor(int argc, char **argv)
{
	const struct argp argp = {
		.doc = "Check that this machine has what memviewctl needs, and say what to do.\v"
		       "Exit status: 0 if all is well, 3 if not.",
	};
	struct findings findings = { json_object_new_array(), false };

	parse(&argp, argc, argv, NULL);
	check_kernel(&findings);
	check_jit(&findings);
	check_lockdown(&findings);
	check_module(&findings);
	check_rights(&findings);
	check_policies(&findings);
	check_programs(&findings);
	out_table(findings.rows, columns, "");
	return findings.bad ? CTL_ENV : CTL_OK;
}

const struct command doctor_commands[] = {
	{ "doctor", run_doctor, "is everything there that this needs?" },
	{}
};
