// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_policy.c - is a policy attached? memviewctl knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhost_user.h"

static const char *member(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return value ? json_object_get_string(value) : "";
}

/**
 * policy_ask - begin to ask memviewctl which policies are attached
 * @query: The answer is collected there.
 *
 * It looks at all processes of the machine, and may take its time.
 *
 * Return: 0, or a negative errno.
 */
int policy_ask(struct policy_query *query)
{
	const pid_t parent = getpid();
	int fds[2];

	*query = (struct policy_query){ .output = -1 };
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	query->pid = fork();
	if (!query->pid) {
		/* It ends with the session, whatever it waits for. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent && dup2(fds[1], STDOUT_FILENO) >= 0)
			execlp("memviewctl", "memviewctl", "--json", "policy",
			       "list", NULL);
		_exit(127);
	}
	close(fds[1]);
	query->output = fds[0];
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	return query->pid < 0 ? -EAGAIN : 0;
}

/**
 * policy_answered - take what memviewctl has said since
 * @query: Which policy_ask() has begun.
 *
 * Return: whether that is all.
 */
bool policy_answered(struct policy_query *query)
{
	size_t room = sizeof(query->text) - 1 - query->size;
	ssize_t got = read(query->output, query->text + query->size, room);

	if (got > 0)
		query->size += got;
	return !got || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static struct json_object *parse_answer(const struct policy_query *query)
{
	int status;

	if (waitpid(query->pid, &status, 0) != query->pid || status)
		return NULL;
	return json_tokener_parse(query->text);
}

/**
 * policy_holds - does a policy hold for all that is mapped from now on?
 * @query: That is answered.
 * @name: Its name, as memviewctl(8) lists it.
 * @why: If not, why.
 */
bool policy_holds(const struct policy_query *query, const char *name,
		  char why[VU_WHY_MAX])
{
	struct json_object *list = parse_answer(query), *row;
	size_t i;

	if (!json_object_is_type(list, json_type_array)) {
		snprintf(
			why, VU_WHY_MAX,
			"cannot tell whether the policy '%.40s' is attached: 'memviewctl policy list' fails",
			name);
		return false;
	}
	snprintf(why, VU_WHY_MAX, "the policy '%.60s' is not attached", name);
	for (i = 0; i < json_object_array_length(list); i++) {
		row = json_object_array_get_idx(list, i);
		if (strcmp(member(row, "name"), name))
			continue;
		if (!strcmp(member(row, "mode"), "enforce"))
			return true;
		snprintf(why, VU_WHY_MAX,
			 "the policy '%.60s' does not enforce: it audits",
			 name);
	}
	return false;
}
