// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_lib.c - the scene of an attack; hostile.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "hostile.h"

#include <grp.h>
#include <sys/prctl.h>

#define NOBODY	65534

struct prey prey;

bool has_secret(const void *buf, size_t len)
{
	const char *bytes = buf;
	uint64_t word;
	size_t i;

	for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		if (is_secret(word))
			return true;
	}
	return false;
}

/* ---- The client's side ---- */

static long become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	/* What is in /proc/self is its own again. */
	return prctl(PR_SET_DUMPABLE, 1) ? -errno : 0;
}

static void touch_all(void)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < VIEW_PAGES; page++) {
		probe_read(prey_page(page), &word);
		probe_write(prey_page(page) + WRITE_AT, 1);
	}
}

static long client_begin(void *arg)
{
	const struct scene_kind *kind = arg;
	long err = kind->root ? 0 : become_nobody();

	if (err)
		return err;
	prey.root = kind->root;
	prey.viewfd = client_viewfd;
	prey.mem = view_mmap(client_viewfd, VIEW_SIZE, PROT_RW, 0);
	if (prey.mem == MAP_FAILED)
		return -errno;
	if (!kind->fresh)
		touch_all();
	return 0;
}

static long client_run(void *arg)
{
	const struct attack *attack = *(const struct attack **)arg;

	return attack->run(attack->arg);
}

static long client_again(void *arg)
{
	const struct attack *attack = *(const struct attack **)arg;

	return attack->again(attack->arg);
}

static void leak(struct inspection *in, const char *what, unsigned long page, uint64_t word)
{
	if (!in->leaks++)
		snprintf(in->why, sizeof(in->why), "%s page %lu (%#llx)", what, page,
			 (unsigned long long)word);
}

/* What the client finds at a page after the revoke; 0: nothing. */
static uint64_t tag_of(unsigned long page)
{
	switch (page) {
	case PAGE_RW:
	case PAGE_RO:
	case PAGE_RX:
	case PAGE_NARROWED:
		return page_tag(LENT_ID, page);
	case PAGE_REPLACED:
		return page_tag(OTHER_ID, 0);
	default:
		return 0;
	}
}

static void inspect_view_page(struct inspection *in, char *addr, unsigned long page)
{
	uint32_t answer = 0;
	uint64_t word = 0;

	if (!probe_read(addr, &word)) {
		in->reads++;
		if (word != tag_of(page))
			leak(in, "reads", page, word);
	}
	if (!probe_write(addr + WRITE_AT, STOLEN)) {
		in->writes++;
		if (page != PAGE_RW)
			leak(in, "writes", page, word);
	}
	/* Other memory than the view may have any code. */
	if (!probe_exec(addr + CODE_AT, &answer) && answer == CODE_ANSWER) {
		in->execs++;
		if (page != PAGE_RX)
			leak(in, "executes", page, answer);
	}
}

static void inspect_page(struct inspection *in, char *addr)
{
	uint64_t word = 0;

	if (!probe_read(addr, &word) && is_secret(word))
		leak(in, "has a secret in", (unsigned long)addr / PAGE, word);
}

struct area {
	unsigned long start, end, offset;
	bool is_view, skip;
};

static unsigned int read_maps(struct area *areas, unsigned int max)
{
	char line[512], perms[8];
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int n = 0;

	if (!maps)
		return 0;
	while (n < max && fgets(line, sizeof(line), maps)) {
		struct area *area = &areas[n];

		if (sscanf(line, "%lx-%lx %7s %lx", &area->start, &area->end, perms,
			   &area->offset) != 4)
			continue;
		area->is_view = strstr(line, "memory-view:view");
		/* The kernel's own pages, and what is too large to look at. */
		area->skip = strstr(line, "[v") || (!area->is_view && perms[0] != 'r') ||
			     area->end - area->start > 64 * MiB;
		n++;
	}
	fclose(maps);
	return n;
}

void inspect(struct inspection *in)
{
	static struct area areas[512];
	unsigned int i, n = read_maps(areas, ARRAY_SIZE(areas));
	unsigned long addr;

	if (!n)
		leak(in, "cannot look at", 0, 0);
	for (i = 0; i < n; i++) {
		for (addr = areas[i].start; addr < areas[i].end && !areas[i].skip; addr += PAGE) {
			if (areas[i].is_view)
				inspect_view_page(in, (char *)addr,
						  (addr - areas[i].start + areas[i].offset) / PAGE);
			else
				inspect_page(in, (char *)addr);
		}
	}
}

static long client_inspect(void *arg)
{
	inspect(arg);
	return 0;
}

/* ---- The test's side ---- */

static void make_image(char *image, uint32_t id, unsigned int page)
{
	uint64_t *words = (uint64_t *)image;
	unsigned int i;

	for (i = 0; i < PAGE / sizeof(*words); i++)
		words[i] = page_tag(id, page + i * 0x1000);
	put_code(image + CODE_AT, CODE_ANSWER);
}

static int put_image(int fd, unsigned int at, uint32_t id, unsigned int page)
{
	char image[PAGE];
	ssize_t n;

	make_image(image, id, page);
	n = pwrite(fd, image, PAGE, at * PAGE);
	/* A client that is forked from here must not find it on its stack. */
	explicit_bzero(image, PAGE);
	return n == PAGE ? 0 : -EIO;
}

static bool has_image(int fd, unsigned int at, uint32_t id, unsigned int page)
{
	char want[PAGE], is[PAGE];

	make_image(want, id, page);
	return pread(fd, is, PAGE, at * PAGE) == PAGE && !memcmp(want, is, PAGE);
}

static int fill_files(struct scene *s)
{
	unsigned int page;
	int err = 0;

	for (page = 0; page < FILE_PAGES && !err; page++)
		err = put_image(s->lent.fd, page, page == PAGE_SECRET ? SECRET_ID : LENT_ID, page);
	return err ?: put_image(s->other, 0, OTHER_ID, 0);
}

static int lend(struct scene *s, unsigned int page, uint32_t flags)
{
	model_map(&s->model, page, 1, LENT_ID, page, flags);
	return view_map(s->control, s->lent.fd, page * PAGE, PAGE, page * PAGE, flags);
}

static int open_view(struct scene *s)
{
	int err;

	s->control = view_create(VIEW_SIZE);
	if (s->control < 0)
		return s->control;
	err = model_init(&s->model, VIEW_PAGES) ?:
	      lend(s, PAGE_RW, MAP_RW) ?: lend(s, PAGE_RO, MAP_R) ?: lend(s, PAGE_RX, MAP_RX) ?:
	      lend(s, PAGE_UNMAPPED, MAP_RW) ?: lend(s, PAGE_NARROWED, MAP_RW) ?:
	      lend(s, PAGE_REPLACED, MAP_RW) ?: lend(s, PAGE_CUT, MAP_RW);
	if (err)
		return err;
	s->viewfd = view_get_fd(s->control);
	return s->viewfd < 0 ? s->viewfd : 0;
}

int scene_open(struct scene *s, const struct scene_kind *kind)
{
	struct scene_kind begin;
	int err;

	*s = (struct scene){ .other = -1, .control = -1, .viewfd = -1, .mem = MAP_FAILED };
	err = source_open(&s->lent, kind->source, FILE_SIZE);
	if (err)
		return err;
	s->other = memfd_filled(PAGE, OTHER_ID);
	if (s->other < 0)
		return s->other;
	err = fill_files(s) ?: open_view(s) ?: client_start(&s->client, s->viewfd);
	if (err)
		return err;
	begin = *kind; /* a call copies its argument back */
	err = client_call(&s->client, client_begin, &begin, sizeof(begin));
	if (err)
		return err;
	s->mem = view_mmap(s->viewfd, VIEW_SIZE, PROT_RW, 0);
	return s->mem == MAP_FAILED ? -errno : 0;
}

long scene_attack(struct scene *s, const struct attack *attack)
{
	return client_call(&s->client, client_run, &attack, sizeof(attack));
}

long scene_attack_again(struct scene *s, const struct attack *attack)
{
	return client_call(&s->client, client_again, &attack, sizeof(attack));
}

int scene_take_back(struct scene *s)
{
	int err;

	err = view_unmap(s->control, PAGE_UNMAPPED * PAGE, PAGE) ?:
	      lend(s, PAGE_NARROWED, MAP_R) ?:
	      view_map(s->control, s->other, 0, PAGE, PAGE_REPLACED * PAGE, MAP_R) ?:
	      view_resize(s->control, PAGE_CUT * PAGE);
	if (err)
		return err;
	model_unmap(&s->model, PAGE_UNMAPPED, 1);
	model_map(&s->model, PAGE_REPLACED, 1, OTHER_ID, 0, MAP_R);
	model_unmap(&s->model, PAGE_CUT, 1);
	/* What it wrote while it could is gone; nothing more may come. */
	return put_image(s->lent.fd, PAGE_NARROWED, LENT_ID, PAGE_NARROWED) ?:
	       put_image(s->lent.fd, PAGE_UNMAPPED, SECRET_ID, PAGE_UNMAPPED) ?:
	       put_image(s->lent.fd, PAGE_REPLACED, SECRET_ID, PAGE_REPLACED) ?:
	       put_image(s->lent.fd, PAGE_CUT, SECRET_ID, PAGE_CUT);
}

int scene_inspect(struct scene *s, struct inspection *in)
{
	return client_call(&s->client, client_inspect, in, sizeof(*in));
}

static const struct {
	const char *name;
	unsigned int page;
	uint32_t id;
} images[] = {
	{ "the read-only page", PAGE_RO, LENT_ID },
	{ "the executable page", PAGE_RX, LENT_ID },
	{ "the unmapped page", PAGE_UNMAPPED, SECRET_ID },
	{ "the page in no range", PAGE_HOLE, LENT_ID },
	{ "the narrowed page", PAGE_NARROWED, LENT_ID },
	{ "the replaced page", PAGE_REPLACED, SECRET_ID },
	{ "the page cut off", PAGE_CUT, SECRET_ID },
	{ "the page never lent", PAGE_SECRET, SECRET_ID },
};

static unsigned int files_differ(struct scene *s, char *why, size_t len)
{
	unsigned int i, n = 0;
	struct stat st;

	for (i = 0; i < ARRAY_SIZE(images); i++)
		if (!has_image(s->lent.fd, images[i].page, images[i].id, images[i].page) && !n++)
			snprintf(why, len, "%s was written to", images[i].name);
	if (!has_image(s->other, 0, OTHER_ID, 0) && !n++)
		snprintf(why, len, "the page put in another's place was written to");
	if ((fstat(s->lent.fd, &st) || st.st_size != FILE_SIZE) && !n++)
		snprintf(why, len, "the file has another size");
	return n;
}

static unsigned int view_differs(struct scene *s, char *why, size_t len)
{
	struct view_info info;

	if (view_info(s->viewfd, &info) || info.size != PAGE_CUT * PAGE || info.mappings < 1) {
		snprintf(why, len, "fdinfo: size or mappings");
		return 1;
	}
	return model_differs(&s->model, s->control, s->mem, why, len);
}

unsigned int scene_differs(struct scene *s, char *why, size_t len)
{
	return files_differ(s, why, len) ?: view_differs(s, why, len);
}

int scene_close(struct scene *s)
{
	int status = s->client.pid > 0 ? client_kill(&s->client) : -1;

	if (s->mem != MAP_FAILED)
		munmap(s->mem, VIEW_SIZE);
	close(s->viewfd);
	close(s->control);
	close(s->other);
	source_close(&s->lent);
	model_free(&s->model);
	return status;
}
