// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_var.c - the global variables of a BPF object, by its BTF: whole
 * numbers, booleans and strings
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "output.h"

static const struct btf_type *strip(const struct btf *btf, uint32_t id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	return type;
}

static bool is_string(const struct btf *btf, const struct btf_type *type)
{
	const struct btf_type *element;

	if (!btf_is_array(type))
		return false;
	element = strip(btf, btf_array(type)->type);
	return btf_is_int(element) && element->size == 1;
}

/**
 * visit_vars - call a function with each variable of a section
 * @btf: Of the object.
 * @section: Type ID of the section.
 * @data: Contents of the section.
 * @visit: Called until it returns other than 0. Variables of other types
 *	are passed over.
 * @arg: For @visit.
 *
 * Return: What @visit has returned last.
 */
int visit_vars(const struct btf *btf, uint32_t section, void *data,
	       visit_var visit, void *arg)
{
	const struct btf_type *type = btf__type_by_id(btf, section);
	const struct btf_var_secinfo *info;
	const struct btf_type *var_type;
	struct var var;
	int i, err = 0;

	if (!type || !btf_is_datasec(type))
		return 0;
	info = btf_var_secinfos(type);
	for (i = 0; i < btf_vlen(type) && !err; i++) {
		var_type = btf__type_by_id(btf, info[i].type);
		var.name = btf__name_by_offset(btf, var_type->name_off);
		var.type = strip(btf, var_type->type);
		var.data = (char *)data + info[i].offset;
		if (btf_is_int(var.type) || is_string(btf, var.type))
			err = visit(&var, arg);
	}
	return err;
}

/**
 * visit_map_vars - visit_vars() for a section that is in the kernel
 * @map: Its map.
 * @visit: As for visit_vars().
 * @arg: For @visit.
 *
 * Return: What @visit has returned last, or a negative errno.
 */
int visit_map_vars(int map, visit_var visit, void *arg)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	struct btf *btf;
	void *data;
	int err;

	err = bpf_map_get_info_by_fd(map, &info, &size);
	if (err)
		return err;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	data = calloc(1, info.value_size);
	if (btf && data)
		err = bpf_map_lookup_elem(map, &zero, data);
	else
		err = -errno;
	if (!err)
		err = visit_vars(btf, info.btf_value_type_id, data, visit, arg);
	free(data);
	btf__free(btf);
	return err;
}

static bool is_bool(const struct btf_type *type)
{
	return btf_is_int(type) && btf_int_encoding(type) & BTF_INT_BOOL;
}

static bool is_signed(const struct btf_type *type)
{
	return btf_int_encoding(type) & BTF_INT_SIGNED;
}

static int set_bool(void *data, const char *text)
{
	static const char *const yes[] = { "1", "true", "yes", "on" };
	static const char *const no[] = { "0", "false", "no", "off" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
			*(bool *)data = !strcmp(text, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int set_int(const struct btf_type *type, void *data, const char *text)
{
	bool negative = *text == '-';
	unsigned int bits = type->size * 8;
	uint64_t value, max = bits >= 64 ? UINT64_MAX : (1ULL << bits) - 1;

	/* __int128 is not to be set. */
	if (bits > 64 || parse_number(text + negative, &value))
		return -EINVAL;
	if (is_signed(type))
		max = (max >> 1) + negative;
	else if (negative)
		return -ERANGE;
	if (value > max)
		return -ERANGE;
	if (negative)
		value = -value;
	/* Little endian, as all of memview is. */
	memcpy(data, &value, type->size);
	return 0;
}

/**
 * set_var - give a variable a value
 * @var: The variable.
 * @text: The value, as typed.
 *
 * Return: 0; -EINVAL not a value of its type; -ERANGE it does not fit.
 */
int set_var(const struct var *var, const char *text)
{
	size_t room;

	if (is_bool(var->type))
		return set_bool(var->data, text);
	if (btf_is_int(var->type))
		return set_int(var->type, var->data, text);
	room = btf_array(var->type)->nelems;
	if (strlen(text) >= room)
		return -ERANGE;
	memset(var->data, 0, room);
	memcpy(var->data, text, strlen(text));
	return 0;
}

/**
 * get_var - the value of a variable
 * @var: The variable.
 */
struct json_object *get_var(const struct var *var)
{
	const struct btf_type *type = var->type;
	uint64_t value = 0;
	struct json_object *string;
	char *text;

	if (!btf_is_int(type)) {
		text = strndup(var->data, btf_array(type)->nelems);
		string = text ? out_string(text) : NULL;
		free(text);
		return string;
	}
	if (type->size > sizeof(value))
		return NULL;
	memcpy(&value, var->data, type->size);
	if (is_bool(type))
		return json_object_new_boolean(value);
	if (is_signed(type)) {
		int shift = 64 - 8 * type->size;

		return json_object_new_int64((int64_t)(value << shift) >>
					     shift);
	}
	return json_object_new_uint64(value);
}

/**
 * describe_var - what a variable takes
 * @var: The variable.
 * @text: Where to put it.
 * @size: Of @text.
 */
void describe_var(const struct var *var, char *text, size_t size)
{
	if (is_bool(var->type))
		snprintf(text, size, "true or false");
	else if (btf_is_int(var->type))
		snprintf(text, size, "a %snumber of %u bits",
			 is_signed(var->type) ? "signed " : "",
			 var->type->size * 8);
	else
		snprintf(text, size, "a string of up to %u bytes",
			 btf_array(var->type)->nelems - 1);
}
