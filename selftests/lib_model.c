// SPDX-License-Identifier: GPL-2.0
/*
 * lib_model.c - a model of a layout, to compare a view with; memview_test.h
 * describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

int model_init(struct model *model, unsigned int pages)
{
	*model = (struct model){
		.pages = pages,
		.page = calloc(pages, sizeof(model->page[0])),
	};
	return model->page ? 0 : -ENOMEM;
}

void model_free(struct model *model)
{
	free(model->page);
	model->page = NULL;
}

void model_map(struct model *model, unsigned int page, unsigned int n,
	       uint32_t file, unsigned int file_page, uint32_t flags)
{
	unsigned int i;

	model->ids++;
	for (i = 0; i < n; i++)
		model->page[page + i] = (struct model_page){
			.id = model->ids,
			.file = file,
			.file_page = file_page + i,
			.flags = flags,
		};
}

void model_unmap(struct model *model, unsigned int page, unsigned int n)
{
	memset(&model->page[page], 0, n * sizeof(model->page[0]));
}

unsigned int model_ranges(const struct model *model)
{
	uint32_t id, last = 0;
	unsigned int i, n = 0;

	for (i = 0; i < model->pages; i++) {
		id = model->page[i].id;
		n += id && id != last;
		last = id;
	}
	return n;
}

unsigned int model_mapped(const struct model *model)
{
	unsigned int i, n = 0;

	for (i = 0; i < model->pages; i++)
		n += !!model->page[i].id;
	return n;
}

struct report {
	unsigned int count;
	char *why;
	size_t len;
};

static void differ(struct report *report, const char *what, unsigned int page,
		   uint64_t want, uint64_t seen)
{
	if (!report->count++)
		snprintf(report->why, report->len,
			 "page %u: %s should be %#llx, is %#llx", page, what,
			 (unsigned long long)want, (unsigned long long)seen);
}

static void check_page(const struct model_page *page, unsigned int n,
		       char *mem, struct report *report)
{
	uint64_t tag = page_tag(page->file, page->file_page), seen = 0;
	int want = page->id ? 0 : SIGBUS;
	int sig = probe_read(mem, &seen);

	if (sig != want)
		differ(report, "signal of a read", n, want, sig);
	else if (!sig && seen != tag)
		differ(report, "tag", n, tag, seen);

	if (page->id && !(page->flags & MEMVIEW_MAP_WRITE))
		want = SIGSEGV;
	/* What is there already: a write that should not be is harmless. */
	sig = probe_write(mem, seen);
	if (sig != want)
		differ(report, "signal of a write", n, want, sig);
}

unsigned int model_differs(const struct model *model, int control, char *mem,
			   char *why, size_t len)
{
	struct report report = { .why = why, .len = len };
	struct view_info info;
	unsigned int i;
	int err = view_info(control, &info);

	if (err)
		differ(&report, "fdinfo error", 0, 0, err);
	else if (info.ranges != model_ranges(model))
		differ(&report, "number of ranges", 0, model_ranges(model),
		       info.ranges);
	else if (info.bytes != model_mapped(model) * PAGE)
		differ(&report, "bytes", 0, model_mapped(model) * PAGE,
		       info.bytes);
	for (i = 0; i < model->pages; i++)
		check_page(&model->page[i], i, mem + i * PAGE, &report);
	return report.count;
}
