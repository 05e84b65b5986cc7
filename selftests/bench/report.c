// SPDX-License-Identifier: GPL-2.0
/*
 * bench-report - make a table of what memview-bench has measured
 *
 * Reads its output, of one run or of several, and prints a table; on demand,
 * writes the same as JSON and as a picture, and holds it against a baseline.
 */
#include "report.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>

const char *const peers[PEERS] = {
	/* clang-format off */
	"mmap", "socket", "uffd", "copy",
	"1 range", "no policy", "tracepoint off", "one by one", "one range",
	"direct", "bounce",
	/* clang-format on */
};

static const struct target targets[] = {
	{ "sequential read touch", "memfd", true, "mmap", 0.7, false },
	{ "sequential write touch", "memfd", true, "mmap", 0.25, false },
	{ "sequential write touch", "ext4", true, "mmap", 1.05, false },
	{ "random read, no neighbours", "memfd", true, "mmap", 1.1, false },
	{ "random write, no neighbours", "memfd", true, "mmap", 1.1, false },
	{ "zap, pages read", "memfd", true, "mmap", 1.0, false },
	{ "zap, pages written", "memfd", true, "mmap", 1.0, false },
	{ "MAP+UNMAP 2 MiB, untouched", "memfd", true, "socket", 0.1, false },
	{ "fault, 1000000 ranges", "memfd", true, "1 range", 1.25, false },
	{ "memory per range", "memfd", true, NULL, 160, false },
	{ "read 4 KiB, one at a time", "vhost-user-blk", true, "direct", 1.03, false },
	{ "read 4 KiB, 16 at a time", "vhost-user-blk", true, "direct", 1.03, false },
	{ "read 64 KiB, 16 at a time", "vhost-user-blk", true, "direct", 1.03, false },
	{ "speed-up by the second thread", "memfd", false, "mmap", 0.95, true },
};

bool figure_is_exact(const struct figure *figure)
{
	return !strncmp(figure->unit, "instructions", strlen("instructions")) ||
	       !strcmp(figure->unit, "bytes");
}

bool figure_is_view(const struct figure *figure)
{
	return !strcmp(figure->way, "view");
}

const struct figure *figure_peer(const struct figures *f,
				 const struct figure *figure, const char *way)
{
	const struct figure *peer;

	for (peer = f->list; peer < f->list + f->n; peer++)
		if (!strcmp(peer->row, figure->row) &&
		    !strcmp(peer->source, figure->source) &&
		    !strcmp(peer->unit, figure->unit) &&
		    !strcmp(peer->way, way))
			return peer;
	return NULL;
}

static const struct target *target_find(const struct figure *view,
					const char *peer)
{
	const struct target *t;

	for (t = targets; t < targets + sizeof(targets) / sizeof(*targets); t++)
		if (!strcmp(t->row, view->row) &&
		    !strcmp(t->source, view->source) &&
		    t->exact == figure_is_exact(view) &&
		    !strcmp(t->peer ? t->peer : "", peer ? peer : ""))
			return t;
	return NULL;
}

/* To the two digits that the table shows. */
static bool is_met(const struct target *t, double reached)
{
	return t->at_least ? reached >= t->bound - 0.005 :
			     reached <= t->bound + 0.005;
}

bool compare(const struct figures *f, const struct figure *view,
	     const char *peer, struct comparison *c)
{
	*c = (struct comparison){ .view = view,
				  .target = target_find(view, peer) };
	if (peer) {
		c->peer = figure_peer(f, view, peer);
		if (!c->peer)
			return false;
		c->ratio = view->value / c->peer->value;
	} else if (!c->target) {
		return false;
	}
	c->met = c->target &&
		 is_met(c->target, c->peer ? c->ratio : view->value);
	return true;
}

bool compare_next(const struct figures *f, const struct figure *view,
		  unsigned int *at, struct comparison *c)
{
	while (*at <= PEERS) {
		const char *peer = *at < PEERS ? peers[*at] : NULL;

		++*at;
		if (compare(f, view, peer, c))
			return true;
	}
	return false;
}

static const char *text(struct json_object *line, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(line, key, &value))
		errx(2, "a figure lacks \"%s\"", key);
	return json_object_get_string(value);
}

static void read_figures(struct figures *f, const char *path)
{
	FILE *file = fopen(path, "r");
	struct json_object *line;
	char buf[1024];

	if (!file)
		err(2, "%s", path);
	while (fgets(buf, sizeof(buf), file)) {
		line = json_tokener_parse(buf);
		if (!line)
			errx(2, "%s: no figure: %s", path, buf);
		if (f->n == FIGURES_MAX)
			errx(2, "%s: too many figures", path);
		/* The objects stay: the figures point into them. */
		f->list[f->n++] = (struct figure){
			.row = text(line, "row"),
			.source = text(line, "source"),
			.way = text(line, "way"),
			.unit = text(line, "unit"),
			.value = strtod(text(line, "value"), NULL),
		};
	}
	fclose(file);
}

static const char usage[] =
	"Usage: bench-report [OPTION...] FIGURES...\n"
	"\n"
	"  --json FILE      write the comparisons as a list of JSON objects\n"
	"  --svg FILE       draw cost against the number of ranges\n"
	"  --check FILE     fail if a view's row counts over 5 % more instructions than in\n"
	"                   this baseline\n"
	"  --update FILE    write the baseline\n"
	"  --help           this text\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "svg", required_argument, NULL, 's' },
		{ "check", required_argument, NULL, 'c' },
		{ "update", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *json = NULL, *svg = NULL, *check = NULL, *update = NULL;
	static struct figures figures;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = optarg;
			break;
		case 's':
			svg = optarg;
			break;
		case 'c':
			check = optarg;
			break;
		case 'u':
			update = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind == argc)
		errx(2, "no figures given; see --help");
	while (optind < argc)
		read_figures(&figures, argv[optind++]);
	table_print(&figures);
	plot_print(&figures);
	if (svg && plot_write(&figures, svg))
		return 1;
	if (json && json_write(&figures, json))
		return 1;
	if (update && baseline_write(&figures, update))
		return 1;
	if (check && baseline_check(&figures, check))
		return 1;
	return 0;
}
