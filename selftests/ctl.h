/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ctl.h - what the tests of memviewctl share; ctl_lib.c implements it
 *
 * They run memviewctl as people and programs do: by a command line, looking at
 * its output and exit status. Commands are the shell's. Memory is not given
 * back: a test is a process.
 */
#ifndef MEMVIEW_CTL_TEST_H
#define MEMVIEW_CTL_TEST_H

#include "memview_test.h"

#include <json-c/json.h>

/* Exit status, as the man page has it. */
#define CTL_OK		0
#define CTL_FAILED	1
#define CTL_USAGE	2
#define CTL_ENV		3

/* What a command has said, and its exit status (128 + the signal, if killed). */
struct said {
	int status;
	char *out;
	char *err;
};

/* Return: the status. */
int run(struct said *said, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What "memviewctl --json ..." says; NULL, and a line of diagnosis, if it fails. */
struct json_object *ctl_json(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A command in the background. */
struct job {
	pid_t pid;
	int out;
	int err;
};

/* Returns when the command has said @ready; -ECHILD if it ends before. */
int job_start(struct job *job, const char *ready, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Wait until it has said @text: 0 or -ETIMEDOUT. */
int job_says(struct job *job, const char *text);
/* Send it a signal, 0 for none, and wait for its end. Return: the status. */
int job_end(struct job *job, int sig, struct said *said);

/* Of lines that are each an object. */
struct json_object *json_lines(const char *text);

/* The value at a JSON pointer such as "/ranges/0/size"; ~0 or "" if there is none. */
uint64_t get_u64(struct json_object *json, const char *pointer);
const char *get_str(struct json_object *json, const char *pointer);
size_t get_len(struct json_object *json, const char *pointer);
/* How many objects of the array have this string member. */
unsigned int count_of(struct json_object *array, const char *member, const char *value);
/* The n-th of them, or NULL. */
struct json_object *pick_nth(struct json_object *array, const char *member, const char *value,
			     unsigned int n);

/*
 * Does the text tell all that the JSON tells, but for the members that are
 * listed? Return: NULL, or the first that it does not.
 */
const char *text_lacks(const char *text, struct json_object *json, const char *except);

/*
 * Are the lines there, in their order, but for numbers, times and the length of
 * bars? Return: NULL, or the first that is not.
 */
const char *lacks_line(const char *out, char *const *lines, int n);

/* build/KREL, where this test lies: for objects of BPF and the module. */
const char *build_dir(void);
/* The checkout. */
const char *top_dir(void);

/* For a view fd or a control fd of ours. */
uint64_t ctl_view_id(int fd);

int module_unload(void);
int module_load(void);

/* A link of a policy is gone some time after its last user. Return: how many there are. */
int policies_left(void);

#define EXPECT_SAYS(text, part)						\
	EXPECT_NE(NULL, strstr(text, part)) TH_LOG("no '%s' in: %s", part, text)

#define EXPECT_RUN(expected, said, ...)					\
	EXPECT_EQ(expected, run(said, __VA_ARGS__)) TH_LOG("%s%s", (said)->out, (said)->err)

#define ASSERT_RUN(expected, said, ...)					\
	ASSERT_EQ(expected, run(said, __VA_ARGS__)) TH_LOG("%s%s", (said)->out, (said)->err)

#endif /* MEMVIEW_CTL_TEST_H */
