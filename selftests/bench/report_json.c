// SPDX-License-Identifier: GPL-2.0
/*
 * report_json.c - the figures for programs, and the baseline
 */
#include "report.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <json-c/json.h>

/* What a row may grow by before it counts: layout and inlining move it a little. */
#define GROWTH 1.05

static struct json_object *rounded(double value, const char *format)
{
	char buf[32];

	snprintf(buf, sizeof(buf), format, value);
	return json_object_new_double_s(value, buf);
}

static struct json_object *json_row(const struct comparison *c)
{
	struct json_object *o = json_object_new_object();
	const struct target *t = c->target;

	json_object_object_add(o, "row", json_object_new_string(c->view->row));
	json_object_object_add(o, "source",
			       json_object_new_string(c->view->source));
	json_object_object_add(o, "unit",
			       json_object_new_string(c->view->unit));
	json_object_object_add(o, "view", rounded(c->view->value, "%.3f"));
	json_object_object_add(o, "against",
			       c->peer ? json_object_new_string(c->peer->way) :
					 NULL);
	json_object_object_add(
		o, "peer", c->peer ? rounded(c->peer->value, "%.3f") : NULL);
	json_object_object_add(o, "ratio",
			       c->peer ? rounded(c->ratio, "%.4f") : NULL);
	json_object_object_add(o, "target", t ? rounded(t->bound, "%g") : NULL);
	if (t) {
		json_object_object_add(
			o, "bound",
			json_object_new_string(t->at_least ? "at least" :
							     "at most"));
		json_object_object_add(o, "met",
				       json_object_new_boolean(c->met));
	}
	return o;
}

static int write_object(const char *path, struct json_object *o)
{
	int ret = json_object_to_file_ext(
		path, o,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			JSON_C_TO_STRING_NOSLASHESCAPE);

	if (ret)
		warnx("cannot write %s: %s", path, json_util_get_last_err());
	json_object_put(o);
	return ret ? -1 : 0;
}

int json_write(const struct figures *f, const char *path)
{
	struct json_object *list = json_object_new_array();
	const struct figure *view;
	struct comparison c;
	unsigned int at;
	bool any;

	for (view = f->list; view < f->list + f->n; view++) {
		if (!figure_is_view(view))
			continue;
		at = 0;
		any = false;
		while (compare_next(f, view, &at, &c)) {
			json_object_array_add(list, json_row(&c));
			any = true;
		}
		if (!any) {
			c = (struct comparison){ .view = view };
			json_object_array_add(list, json_row(&c));
		}
	}
	return write_object(path, list);
}

/* ---- The baseline: what each row of a view counts ---- */

static void key(const struct figure *view, char *buf, size_t len)
{
	snprintf(buf, len, "%s: %s", view->source, view->row);
}

int baseline_write(const struct figures *f, const char *path)
{
	struct json_object *o = json_object_new_object();
	const struct figure *view;
	char name[256];

	for (view = f->list; view < f->list + f->n; view++) {
		if (!figure_is_view(view) || !figure_is_exact(view))
			continue;
		key(view, name, sizeof(name));
		json_object_object_add(o, name, rounded(view->value, "%.1f"));
	}
	return write_object(path, o);
}

int baseline_check(const struct figures *f, const char *path)
{
	struct json_object *base = json_object_from_file(path);
	unsigned int checked = 0, dearer = 0, unknown = 0;
	const struct figure *view;
	struct json_object *value;
	char name[256];
	double was;

	if (!base) {
		warnx("cannot read the baseline %s: %s", path,
		      json_util_get_last_err());
		return -1;
	}
	printf("\n");
	for (view = f->list; view < f->list + f->n; view++) {
		if (!figure_is_view(view) || !figure_is_exact(view))
			continue;
		key(view, name, sizeof(name));
		if (!json_object_object_get_ex(base, name, &value)) {
			printf("%s: not in the baseline\n", name);
			unknown++;
			continue;
		}
		checked++;
		was = json_object_get_double(value);
		if (view->value > was * GROWTH) {
			printf("%s: %.0f %s, %.1f %% more than the %.0f of the baseline\n",
			       name, view->value, view->unit,
			       (view->value / was - 1) * 100, was);
			dearer++;
		}
	}
	printf("%u rows checked, %u dearer than the baseline by over 5 %%, %u not in it\n",
	       checked, dearer, unknown);
	if (checked < json_object_object_length(base))
		printf("%u rows of the baseline were not measured\n",
		       json_object_object_length(base) - checked);
	json_object_put(base);
	return dearer || unknown || !checked ? -1 : 0;
}
