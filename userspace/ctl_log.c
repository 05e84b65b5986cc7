// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_log.c - what libbpf and the verifier have to say, when it matters
 *
 * libbpf's messages are kept, and shown only when loading fails: of the
 * verifier's log the line of source it was at, the instruction, and the
 * reason.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define LINES_MAX 8
#define BEGIN_LOG "-- BEGIN PROG LOAD LOG --\n"

bool ctl_debug;

static char *verifier_log;
static char program[64];
static char *warnings[LINES_MAX];
static unsigned int nr_warnings;

static void keep_log(const char *message)
{
	const char *log = strstr(message, BEGIN_LOG);
	const char *name = strstr(message, "prog '");

	free(verifier_log);
	verifier_log = strdup(log + strlen(BEGIN_LOG));
	if (name)
		snprintf(program, sizeof(program), "%.*s",
			 (int)strcspn(name + 6, "'"), name + 6);
}

static void keep_warning(const char *message)
{
	if (nr_warnings == LINES_MAX)
		return;
	if (!strncmp(message, "libbpf: ", 8))
		message += 8;
	warnings[nr_warnings++] = strdup(message);
}

static int on_message(enum libbpf_print_level level, const char *format,
		      va_list args)
{
	char *message;
	int len;

	if (level == LIBBPF_DEBUG && !ctl_debug)
		return 0;
	len = vasprintf(&message, format, args);
	if (len < 0)
		return 0;
	if (ctl_debug)
		fputs(message, stderr);
	else if (strstr(message, BEGIN_LOG))
		keep_log(message);
	else if (level == LIBBPF_WARN)
		keep_warning(message);
	free(message);
	return len;
}

/**
 * log_start - keep what libbpf says from now on, and forget what it said
 */
void log_start(void)
{
	unsigned int i;

	libbpf_set_print(on_message);
	for (i = 0; i < nr_warnings; i++)
		free(warnings[i]);
	nr_warnings = 0;
	free(verifier_log);
	verifier_log = NULL;
}

/* "12: (85) call ...": an instruction. */
static bool is_instruction(const char *line)
{
	char *end;

	strtoul(line, &end, 10);
	return end != line && !strncmp(end, ": (", 3);
}

/* What is neither statistics nor the libbpf's frame of the log. */
static bool is_reason(const char *line)
{
	static const char *const noise[] = {
		"processed ",  "verification time",
		"stack depth", "func#",
		"-- END",      "from ",
		"max_states",  "mark_precise",
	};
	char *end;
	size_t i;

	strtoul(line, &end, 10);
	if (!*line || line[0] == ';' || (end != line && *end == ':'))
		return false;
	for (i = 0; i < ARRAY_SIZE(noise); i++)
		if (!strncmp(line, noise[i], strlen(noise[i])))
			return false;
	return true;
}

/*
 * The log ends with what was wrong. So: the last line of source, the last
 * instruction, and what follows it.
 */
static void explain_verifier(void)
{
	const char *source = NULL, *insn = NULL, *reasons[LINES_MAX];
	unsigned int n = 0, i;
	char *line, *rest = verifier_log;

	while ((line = strsep(&rest, "\n"))) {
		if (line[0] == ';') {
			source = line;
			n = 0;
		} else if (is_instruction(line)) {
			insn = line;
			n = 0;
		} else if (is_reason(line) && n < LINES_MAX) {
			reasons[n++] = line;
		}
	}
	fprintf(stderr, "  The verifier refuses program %s:\n", program);
	if (source)
		fprintf(stderr, "    %s\n", source);
	if (insn)
		fprintf(stderr, "    %s\n", insn);
	for (i = 0; i < n; i++)
		fprintf(stderr, "    %s\n", reasons[i]);
	fputs("  The whole log: memviewctl --debug ...\n", stderr);
}

/**
 * log_explain - show what matters of what was kept
 */
void log_explain(void)
{
	unsigned int i;

	if (verifier_log) {
		explain_verifier();
		return;
	}
	for (i = 0; i < nr_warnings; i++)
		fprintf(stderr, "  libbpf: %s", warnings[i]);
}

/**
 * error_text - what an error means
 * @err: Negative errno, or one of libbpf's own.
 */
const char *error_text(int err)
{
	static char text[128];

	libbpf_strerror(err, text, sizeof(text));
	return text;
}

/**
 * load_failed - say that something could not be loaded, and why
 * @err: Negative errno.
 * @what: What it is.
 *
 * Return: The exit status.
 */
int load_failed(int err, const char *what)
{
	ctl_error(CTL_FAILED, NULL, "cannot load %s: %s", what,
		  error_text(err));
	log_explain();
	if (err == -EPERM)
		fputs("  If you are root: is the kernel locked down? memviewctl doctor tells.\n",
		      stderr);
	return CTL_FAILED;
}
