// SPDX-License-Identifier: GPL-2.0
/*
 * demo_output.c - how the demo looks: a timeline for people, or one JSON
 * object a line, from the same outcomes.
 */
#include <json-c/json.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "demo.h"

#define TITLE_WIDTH 36
#define SAW_WIDTH 19
/* Columns that the table needs: whole, without "expected", and at least. */
#define FULL_WIDTH 116
#define NARROW_WIDTH 95
#define REDRAW_NS 100000000ULL

#define BOLD "1"
#define DIM "2"
#define RED "1;31"
#define GREEN "32"
#define YELLOW "33"
#define MAGENTA "35"
#define BLUE "36"

/**
 * struct output - where the report goes, and what it adds up
 * @json: JSON instead of text.
 * @color: Escape sequences are welcome: colours and a line that moves.
 * @utf8: So are characters beyond ASCII.
 * @narrow: No room for the expected text where it equals what was seen.
 * @tiny: Nor for the time; then the table is 80 columns wide.
 * @drawn: When progress was drawn last.
 * @took: Duration of each step that was run, nanoseconds.
 * @skip_reason: Of the first step that was skipped.
 */
struct output {
	bool json;
	bool color;
	bool utf8;
	bool narrow;
	bool tiny;
	const char *chapter;
	uint64_t drawn;
	uint64_t took[128];
	unsigned int steps;
	unsigned int good;
	unsigned int skipped;
	const char *skip_reason;
	struct json_object *samples;
	struct json_object *hists;
};

static const char *const actors[] = {
	[CONTROLLER] = "controller",
	[CLIENT] = "client",
	[BOTH] = "both",
	[OPERATOR] = "operator",
};

static const char *const actor_colors[] = {
	[CONTROLLER] = BLUE,
	[CLIENT] = YELLOW,
	[BOTH] = BOLD,
	[OPERATOR] = MAGENTA,
};

static unsigned int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size = {};
	uint64_t width;

	if (columns && !parse_integer(columns, UINT16_MAX, &width) && width)
		return width;
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return size.ws_col ?: FULL_WIDTH;
}

struct output *output_open(bool json, const char *color)
{
	static struct output out;

	out.json = json;
	out.color = !strcmp(color, "always");
	if (!strcmp(color, "auto"))
		out.color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	out.color &= !json;
	out.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	out.narrow = terminal_width() < FULL_WIDTH;
	out.tiny = terminal_width() < NARROW_WIDTH;
	return &out;
}

/* Prints text in a colour, padded to width on the right. */
static void put(struct output *out, const char *color, int width,
		const char *text)
{
	if (out->color)
		printf("\033[%sm%-*s\033[0m", color, width, text);
	else
		printf("%-*s", width, text);
}

static const char *micro(struct output *out)
{
	return out->utf8 ? "µs" : "us";
}

static const char *gap(struct output *out)
{
	return out->tiny ? " " : "  ";
}

static int title_column(struct output *out)
{
	return out->tiny ? 11 : 23;
}

static void print_head(struct output *out)
{
	struct utsname name = {};
	struct sysinfo info = {};

	uname(&name);
	sysinfo(&info);
	put(out, BOLD, 0, "memview-demo");
	printf(" on Linux %s, %d CPUs, %s of memory\n", name.release,
	       get_nprocs(),
	       size_text((uint64_t)info.totalram * info.mem_unit));
	printf("The controller (A) owns a view, the client (B) has only a view "
	       "fd;\nthe operator has memviewctl, and asks neither.\n\n");
	if (out->color)
		printf("\033[%sm", DIM);
	if (!out->tiny)
		printf("%9s%s", "seconds", gap(out));
	printf("%-10s%s%-*s%s%-*s%s", "who", gap(out), TITLE_WIDTH, "does what",
	       gap(out), SAW_WIDTH, "and sees", gap(out));
	if (!out->narrow)
		printf("%-*s%s", SAW_WIDTH, "expected", gap(out));
	printf("%7s %s%s\n", "took", micro(out), out->color ? "\033[0m" : "");
}

static void print_start(struct output *out, const struct step *step,
			uint64_t time)
{
	if (!out->tiny)
		printf("%9.3f%s", time / 1e9, gap(out));
	put(out, actor_colors[step->actor], 10, actors[step->actor]);
	printf("%s%-*s%s", gap(out), TITLE_WIDTH, step->title, gap(out));
}

static void open_chapter(struct output *out, const char *chapter)
{
	if (!chapter)
		return;
	if (!out->json && !out->chapter)
		print_head(out);
	if (!out->json) {
		printf("\n");
		put(out, BOLD, 0, chapter);
		printf("\n");
	}
	out->chapter = chapter;
}

/* On a terminal, shows the step while it runs. */
void output_begin(struct output *out, const struct step *step, uint64_t time)
{
	open_chapter(out, step->chapter);
	out->drawn = 0;
	if (!out->color)
		return;
	print_start(out, step, time);
	fflush(stdout);
}

void output_progress(struct output *out, uint64_t done, uint64_t total)
{
	uint64_t now = now_ns();

	if (!out->color || now - out->drawn < REDRAW_NS || !total)
		return;
	/* Save the cursor, draw, put it back. */
	printf("\0337\033[%sm%3u %%\033[0m\033[K\0338", DIM,
	       (unsigned int)(done * 100 / total));
	fflush(stdout);
	out->drawn = now;
}

/* Text in a column of the table: what does not fit is cut. */
static void print_column(struct output *out, const char *color,
			 const char *text)
{
	char cell[SAW_WIDTH + 1];

	snprintf(cell, sizeof(cell), "%s", text);
	if (strlen(text) > SAW_WIDTH)
		memcpy(cell + SAW_WIDTH - 2, "..", 2);
	put(out, color, SAW_WIDTH, cell);
	printf("%s", gap(out));
}

/* Figures that are names: no commas. */
static bool is_name(const char *label)
{
	return !strcmp(label, "id") || !strcmp(label, "view") ||
	       !strcmp(label, "pid");
}

/* "cached_bytes": 4096 becomes "cached 4.0 KiB". */
static int format_figure(struct output *out, char *text, size_t size,
			 const char *name, struct json_object *value)
{
	char label[40];
	size_t length = snprintf(label, sizeof(label), "%s", name);
	bool number = json_object_is_type(value, json_type_int);
	const char *unit = "";
	const char *shown = json_object_get_string(value);

	if (number && !is_name(label) && json_object_get_int64(value) > 0)
		shown = grouped(json_object_get_uint64(value));
	if (number && (!strcmp(label, "size") || !strcmp(label, "bytes"))) {
		shown = size_text(json_object_get_uint64(value));
	} else if (number && length > 6 &&
		   !strcmp(label + length - 6, "_bytes")) {
		shown = size_text(json_object_get_uint64(value));
		label[length - 6] = '\0';
	} else if (length > 3 && !strcmp(label + length - 3, "_us")) {
		unit = micro(out);
		label[length - 3] = '\0';
	}
	for (char *c = label; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	return snprintf(text, size, "%s %s%s%s", label, shown, *unit ? " " : "",
			unit);
}

/* What was typed, on a line of its own under the title of the step. */
static void print_command(struct output *out, struct json_object *figures)
{
	struct json_object *command;

	if (json_object_object_get_ex(figures, "command", &command))
		printf("%*s# %s\n", title_column(out), "",
		       json_object_get_string(command));
}

/* The other figures, as many lines as they need. */
static void print_figures(struct output *out, struct json_object *figures)
{
	const int indent = title_column(out), room = out->narrow ? 66 : 80;
	int used = 0;

	if (out->color)
		printf("\033[%sm", DIM);
	print_command(out, figures);
	json_object_object_foreach(figures, name, value)
	{
		char text[200];
		int length =
			format_figure(out, text, sizeof(text), name, value);

		if (!strcmp(name, "command"))
			continue;
		if (used && used + 2 + length > room) {
			printf(",\n");
			used = 0;
		}
		if (!used)
			printf("%*s", indent, "");
		used += printf("%s%s", used ? ", " : "", text);
	}
	printf("%s%s", used ? "\n" : "", out->color ? "\033[0m" : "");
}

static void print_step(struct output *out, const struct step *step,
		       const struct outcome *outcome, uint64_t time,
		       uint64_t took, bool ok)
{
	const char *mark = ok ? "ok" : "BAD";

	if (out->utf8)
		mark = ok ? "✓" : "✗";
	if (out->color)
		printf("\r\033[K");
	print_start(out, step, time);
	print_column(out, ok ? GREEN : RED, outcome->saw);
	if (!out->narrow)
		print_column(out, DIM, outcome->expected);
	printf("%10s%s", grouped((took + 500) / 1000), gap(out));
	put(out, ok ? GREEN : RED, 0, mark);
	printf("\n");
	if (!ok && (out->narrow || strlen(outcome->saw) > SAW_WIDTH ||
		    strlen(outcome->expected) > SAW_WIDTH)) {
		printf("%*ssaw:      %s\n", title_column(out), "",
		       outcome->saw);
		printf("%*sexpected: %s\n", title_column(out), "",
		       outcome->expected);
	}
	print_figures(out, outcome->figures);
}

static void print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(
		object,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void add_text(struct json_object *object, const char *name,
		     const char *text)
{
	json_object_object_add(object, name, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *name,
		       uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

/* What is in each line about a step. */
static struct json_object *make_step(struct output *out,
				     const struct step *step, uint64_t time)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "step", out->steps);
	add_number(object, "time_us", time / 1000);
	add_text(object, "chapter", out->chapter);
	add_text(object, "actor", actors[step->actor]);
	add_text(object, "title", step->title);
	return object;
}

static void print_step_json(struct output *out, const struct step *step,
			    const struct outcome *outcome, uint64_t time,
			    uint64_t took, bool ok)
{
	struct json_object *object = make_step(out, step, time);

	add_text(object, "saw", outcome->saw);
	add_text(object, "expected", outcome->expected);
	add_number(object, "took_us", (took + 500) / 1000);
	json_object_object_add(object, "ok", json_object_new_boolean(ok));
	json_object_object_add(object, "figures",
			       json_object_get(outcome->figures));
	print_json(object);
}

/* Returns whether the step went as expected. */
bool output_end(struct output *out, const struct step *step,
		struct outcome *outcome, uint64_t time, uint64_t took)
{
	bool ok = outcome->saw[0] && !strcmp(outcome->saw, outcome->expected);

	if (out->steps - out->skipped < ARRAY_SIZE(out->took))
		out->took[out->steps - out->skipped] = took;
	out->steps++;
	out->good += ok;
	if (out->json)
		print_step_json(out, step, outcome, time, took, ok);
	else
		print_step(out, step, outcome, time, took, ok);
	fflush(stdout);
	return ok;
}

/* A step that this machine cannot run, and why: in words, once. */
void output_skip(struct output *out, const struct step *step, uint64_t time,
		 const char *reason)
{
	open_chapter(out, step->chapter);
	out->steps++;
	if (out->json) {
		struct json_object *object = make_step(out, step, time);

		add_text(object, "skipped", reason);
		print_json(object);
	} else {
		print_start(out, step, time);
		put(out, YELLOW, 0, "skipped");
		printf("\n");
		if (!out->skip_reason)
			printf("%*s%s\n", title_column(out), "", reason);
	}
	out->skip_reason = reason;
	out->skipped++;
	fflush(stdout);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static uint64_t percentile(const uint64_t *sorted, unsigned int nr,
			   unsigned int percent)
{
	uint64_t rank = ((uint64_t)nr * percent + 99) / 100;

	return (sorted[rank - 1] + 500) / 1000;
}

/* How long the replacements under the reader took. Sorts the samples. */
void output_samples(struct output *out, uint64_t *samples, unsigned int nr)
{
	static const unsigned int percents[] = { 50, 90, 99, 100 };
	static const unsigned int fine[] = { 1, 2, 5 };

	if (!nr)
		return;
	qsort(samples, nr, sizeof(*samples), compare);
	if (out->json) {
		out->samples = json_object_new_object();
		for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
			char name[8];

			snprintf(name, sizeof(name), "p%u", percents[i]);
			add_number(out->samples, name,
				   percentile(samples, nr, percents[i]));
		}
		return;
	}
	printf("\n");
	put(out, BOLD, 0, "Replacements by duration");
	printf(": half within %s", grouped(percentile(samples, nr, 50)));
	printf(", 99 %% within %s", grouped(percentile(samples, nr, 99)));
	printf(", all within %s %s\n", grouped(percentile(samples, nr, 100)),
	       micro(out));
	print_histogram(out->color, out->utf8, samples, nr, fine,
			ARRAY_SIZE(fine));
}

/* What memviewctl hist has measured, if it has. */
void output_hists(struct output *out, struct json_object *hists)
{
	size_t nr = hists ? json_object_array_length(hists) : 0;

	out->hists = hists;
	for (size_t i = 0; i < nr && !out->json; i++)
		print_measured(out->color, out->utf8,
			       json_object_array_get_idx(hists, i));
}

static void print_summary_json(struct output *out, unsigned int total)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "steps", total);
	add_number(object, "as_expected", out->good);
	add_number(object, "skipped", out->skipped);
	add_number(object, "not_run", total - out->steps);
	if (out->samples)
		json_object_object_add(object, "replacement_us", out->samples);
	if (out->hists)
		json_object_object_add(object, "histograms", out->hists);
	print_json(object);
}

/* Returns whether all of the steps that could be run went as expected. */
bool output_summary(struct output *out, unsigned int total)
{
	static const unsigned int coarse[] = { 1, 3 };
	unsigned int run = out->steps - out->skipped;
	bool ok = out->good + out->skipped == total;

	if (out->json) {
		print_summary_json(out, total);
		return ok;
	}
	printf("\n");
	put(out, BOLD, 0, "Steps by duration");
	printf("\n");
	print_histogram(out->color, out->utf8, out->took, run, coarse,
			ARRAY_SIZE(coarse));
	printf("\ndemo: %u steps, ", total);
	if (out->color)
		printf("\033[%sm", ok ? GREEN : RED);
	printf("%u as expected", out->good);
	if (out->good < run)
		printf(", %u not", run - out->good);
	if (out->skipped)
		printf(", %u skipped (%s)", out->skipped, out->skip_reason);
	if (out->steps < total)
		printf(", %u not run", total - out->steps);
	printf("%s\n", out->color ? "\033[0m" : "");
	return ok;
}
