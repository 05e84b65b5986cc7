// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_policy.c - is a policy attached? memviewctl knows.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost_user.h"

static const char *member(struct json_object *object, const char *key)
{
	struct json_object *value = json_object_object_get(object, key);

	return value ? json_object_get_string(value) : "";
}

/* What "memviewctl --json policy list" prints, or NULL. */
static struct json_object *list_policies(void)
{
	static char text[65536];
	FILE *pipe = popen("memviewctl --json policy list", "re");
	size_t size;

	if (!pipe)
		return NULL;
	size = fread(text, 1, sizeof(text) - 1, pipe);
	text[size] = '\0';
	return pclose(pipe) ? NULL : json_tokener_parse(text);
}

/**
 * policy_holds - does a policy hold for all that is mapped from now on?
 * @name: Its name, as memviewctl(8) lists it.
 * @why: If not, why.
 */
bool policy_holds(const char *name, char why[VU_WHY_MAX])
{
	struct json_object *list = list_policies(), *row;
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
