// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_env.c - what memviewctl needs of the machine, and how it says no
 */
#include <errno.h>
#include <linux/btf.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ctl.h"

#define CAP_SYS_ADMIN 21

/**
 * ctl_error - say what failed, and what to do about it
 * @status: Exit status, handed back.
 * @what_to_do: A line of advice, or NULL.
 * @format: What failed, on which object, why.
 *
 * Return: @status.
 */
int ctl_error(int status, const char *what_to_do, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	fputs("memviewctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	if (what_to_do)
		fprintf(stderr, "  %s\n", what_to_do);
	return status;
}

bool have_module(void)
{
	return !access("/sys/module/memview", F_OK);
}

bool have_btf(const char *name)
{
	uint16_t magic = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", name);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fread(&magic, sizeof(magic), 1, file) != 1)
		magic = 0;
	fclose(file);
	return magic == BTF_MAGIC;
}

/**
 * is_initial_namespace - is this process in the machine's own namespace?
 * @kind: As in /proc/self/ns: "pid" or "user".
 */
bool is_initial_namespace(const char *kind)
{
	/* Fixed numbers of the kernel's ABI. */
	ino_t ino = !strcmp(kind, "pid") ? 0xeffffffc : 0xeffffffd;
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	return !stat(path, &st) && st.st_ino == ino;
}

/*
 * The BTF of a module is given to CAP_SYS_ADMIN only, and that of a user
 * namespace does not count.
 */
bool have_privileges(void)
{
	unsigned long long caps = 0;
	char line[128];
	FILE *status;

	status = fopen("/proc/self/status", "re");
	if (!status)
		return false;
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(status);
	return caps >> CAP_SYS_ADMIN & 1 && is_initial_namespace("user");
}

bool have_bpffs(void)
{
	struct statfs fs;

	return !statfs("/sys/fs/bpf", &fs) && fs.f_type == BPF_FS_MAGIC;
}

/**
 * need_bpf - can this command work at all?
 *
 * Return: 0, or CTL_ENV, and it has been said why.
 */
int need_bpf(void)
{
	if (!have_privileges())
		return ctl_error(
			CTL_ENV, "Run it as root, outside of containers.",
			"not permitted: BPF needs CAP_SYS_ADMIN in the initial user namespace");
	if (!have_module())
		return ctl_error(CTL_ENV, "Load it: modprobe memview",
				 "the module memview is not loaded");
	if (!have_btf("vmlinux"))
		return ctl_error(
			CTL_ENV,
			"Boot a kernel that has CONFIG_DEBUG_INFO_BTF=y.",
			"this kernel has no BTF: /sys/kernel/btf/vmlinux is missing");
	if (!have_btf("memview"))
		return ctl_error(
			CTL_ENV,
			"Build the module again with pahole installed and the kernel's vmlinux beside its headers.",
			"the module memview has no BTF: /sys/kernel/btf/memview is missing");
	return 0;
}
