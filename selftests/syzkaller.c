// SPDX-License-Identifier: GPL-2.0
/*
 * syzkaller.c - does the description for syzkaller, in syzkaller/, say what the
 * ABI is? Its tools are not here; this compares numbers, names and structures.
 */
#include "memview_test.h"

#include <ctype.h>

#define DESCRIPTION	"selftests/syzkaller/dev_memory_view.txt"
#define CONSTANTS	DESCRIPTION ".const"

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
#define CONSTANT(name) { #name, (uint64_t)(name) }
	CONSTANT(AT_FDCWD),
	CONSTANT(MAP_FIXED),
	CONSTANT(MAP_POPULATE),
	CONSTANT(MAP_SHARED),
	CONSTANT(MEMVIEW_BATCH),
	CONSTANT(MEMVIEW_BATCH_MAP),
	CONSTANT(MEMVIEW_BATCH_UNMAP),
	CONSTANT(MEMVIEW_GET_VIEWFD),
	CONSTANT(MEMVIEW_MAP_EXEC),
	CONSTANT(MEMVIEW_MAP_FD),
	CONSTANT(MEMVIEW_MAP_READ),
	CONSTANT(MEMVIEW_MAP_WRITE),
	CONSTANT(MEMVIEW_MAX_FILE_OFFSET),
	CONSTANT(MEMVIEW_REVOKE_ON_CLOSE),
	CONSTANT(MEMVIEW_SET_FLAGS),
	CONSTANT(MEMVIEW_UNMAP_FD),
	CONSTANT(O_RDWR),
	CONSTANT(__NR_ftruncate),
	CONSTANT(__NR_ioctl),
	CONSTANT(__NR_mmap),
	CONSTANT(__NR_openat),
#undef CONSTANT
};

static int find_constant(const char *name, size_t len)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++)
		if (strlen(constants[i].name) == len && !strncmp(constants[i].name, name, len))
			return i;
	return -1;
}

TEST(constants_are_the_abis)
{
	bool seen[ARRAY_SIZE(constants)] = { 0 };
	char text[4096], *line, name[64];
	uint64_t value;
	unsigned int i;
	int n;

	ASSERT_LT(0, read_file(CONSTANTS, text, sizeof(text)));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (*line == '#' || !strncmp(line, "arches", 6))
			continue;
		ASSERT_EQ(2, sscanf(line, "%63s = %ju", name, &value)) TH_LOG("%s", line);
		n = find_constant(name, strlen(name));
		ASSERT_LE(0, n) TH_LOG("%s", line);
		EXPECT_EQ(constants[n].value, value) TH_LOG("%s", line);
		seen[n] = true;
	}
	for (i = 0; i < ARRAY_SIZE(constants); i++)
		EXPECT_TRUE(seen[i]) TH_LOG("%s is not there", constants[i].name);
}

/* The description without its comments. */
static int read_description(char *text, size_t len)
{
	int n = read_file(DESCRIPTION, text, len);
	char *p = text;

	while (n > 0 && (p = strchr(p, '#')))
		memset(p, ' ', strcspn(p, "\n"));
	return n;
}

TEST(names_have_a_number)
{
	char text[8192], *p;
	unsigned int names = 0;
	size_t len;

	ASSERT_LT(0, read_description(text, sizeof(text)));
	for (p = text; *p; p += len) {
		len = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789abcdefghijklmnopqrstuvwxyz");
		if (len > 4 && isupper(p[0]) && isupper(p[1])) {
			EXPECT_LE(0, find_constant(p, len)) TH_LOG("%.*s", (int)len, p);
			names++;
		}
		len += !len;
	}
	EXPECT_LT(10, names);
}

struct field {
	const char *name;
	size_t offset, size;
};

#define FIELD(type, name) { #name, offsetof(struct type, name), sizeof(((struct type *)0)->name) }

/* Of the type in the description: a resource of fds, or with its size in its name. */
static size_t type_size(const char *type)
{
	const char *size = strstr(type, "int");

	if (!strcmp(type, "fd"))
		return sizeof(int);
	if (!strncmp(type, "ptr64", 5))
		return sizeof(uint64_t);
	return size ? strtoul(size + 3, NULL, 10) / 8 : 0;
}

static void check_struct(struct __test_metadata *_metadata, const char *name,
			 const struct field *fields, size_t n, size_t size)
{
	char text[8192], *line, *state, field[64], type[64], begin[80];
	size_t i, offset = 0;

	ASSERT_LT(0, read_description(text, sizeof(text)));
	snprintf(begin, sizeof(begin), "\n%s {\n", name);
	line = strstr(text, begin);
	ASSERT_NE(NULL, line);
	line = strtok_r(line + strlen(begin), "\n", &state);
	for (i = 0; line && *line != '}'; line = strtok_r(NULL, "\n", &state), i++) {
		ASSERT_EQ(2, sscanf(line, " %63s %63[^\n]", field, type)) TH_LOG("%s", line);
		ASSERT_GT(n, i);
		EXPECT_STREQ(fields[i].name, field);
		EXPECT_EQ(fields[i].offset, offset) TH_LOG("%s.%s", name, field);
		EXPECT_EQ(fields[i].size, type_size(type)) TH_LOG("%s.%s", name, field);
		offset += type_size(type);
	}
	EXPECT_EQ(n, i);
	EXPECT_EQ(size, offset);
}

TEST(structures_are_the_abis)
{
	static const struct field map[] = {
		FIELD(memview_map_fd_info, fd),
		FIELD(memview_map_fd_info, flags),
		FIELD(memview_map_fd_info, fd_offset),
		FIELD(memview_map_fd_info, size),
		FIELD(memview_map_fd_info, mem_offset),
	};
	static const struct field unmap[] = {
		FIELD(memview_unmap_fd_info, mem_offset),
		FIELD(memview_unmap_fd_info, size),
		FIELD(memview_unmap_fd_info, flags),
		FIELD(memview_unmap_fd_info, reserved),
	};
	static const struct field entry[] = {
		FIELD(memview_batch_op, op),
		FIELD(memview_batch_op, flags),
		FIELD(memview_batch_op, fd),
		FIELD(memview_batch_op, reserved),
		FIELD(memview_batch_op, fd_offset),
		FIELD(memview_batch_op, size),
		FIELD(memview_batch_op, mem_offset),
	};
	static const struct field batch[] = {
		FIELD(memview_batch, ops),
		FIELD(memview_batch, nr_ops),
		FIELD(memview_batch, op_size),
		FIELD(memview_batch, flags),
		FIELD(memview_batch, failed),
	};
	static const struct field set_flags[] = {
		FIELD(memview_set_flags, flags),
		FIELD(memview_set_flags, reserved),
	};

	check_struct(_metadata, "memview_map_fd_info", map, ARRAY_SIZE(map),
		     sizeof(struct memview_map_fd_info));
	check_struct(_metadata, "memview_unmap_fd_info", unmap, ARRAY_SIZE(unmap),
		     sizeof(struct memview_unmap_fd_info));
	check_struct(_metadata, "memview_batch_map", entry, ARRAY_SIZE(entry),
		     sizeof(struct memview_batch_op));
	check_struct(_metadata, "memview_batch_unmap", entry, ARRAY_SIZE(entry),
		     sizeof(struct memview_batch_op));
	check_struct(_metadata, "memview_batch", batch, ARRAY_SIZE(batch),
		     sizeof(struct memview_batch));
	check_struct(_metadata, "memview_set_flags", set_flags, ARRAY_SIZE(set_flags),
		     sizeof(struct memview_set_flags));
}

TEST(entries_have_their_size)
{
	char text[8192], *line;
	unsigned int size = 0;

	ASSERT_LT(0, read_description(text, sizeof(text)));
	line = strstr(text, "op_size");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(1, sscanf(line, "op_size const[%u, int32]", &size));
	EXPECT_EQ(sizeof(struct memview_batch_op), size);
}

TEST_HARNESS_MAIN
