// SPDX-License-Identifier: GPL-2.0
/*
 * demo_take.c - take everything back, lose the client, lend to a new one.
 */
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define FILE_PROBES 256
#define VIEW_PROBES 1024

/* Take back */

static void shrink_view(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, resize_view(demo, FILE_AT));
}

static void probe_file(struct demo *demo, struct outcome *outcome)
{
	probe(demo, outcome, FILE_AT, demo->file_size, FILE_PROBES);
}

static void grow_view(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, resize_view(demo, demo->view_size));
}

static void hash_memfd(struct demo *demo, unsigned char *digest)
{
	EVP_Digest(demo->shared, MEMFD_SIZE, digest, NULL, EVP_sha256(), NULL);
}

static void take_all(struct demo *demo, struct outcome *outcome)
{
	uint64_t start;

	hash_memfd(demo, demo->digest);
	figure(outcome, "ranges", view_counter(demo, "ranges"));
	figure(outcome, "bytes", view_counter(demo, "bytes"));
	start = now_ns();
	see_errno(outcome, unmap_range(demo, 0, demo->view_size));
	outcome->took = now_ns() - start;
}

static void probe_view(struct demo *demo, struct outcome *outcome)
{
	probe(demo, outcome, 0, demo->view_size, VIEW_PROBES);
}

static void hash_own(struct demo *demo, struct outcome *outcome)
{
	unsigned char digest[DIGEST_SIZE];
	char text[2 * DIGEST_SIZE + 1];

	digest_text(text, demo->digest);
	expect(outcome, "%s", text);
	hash_memfd(demo, digest);
	digest_text(text, digest);
	see(outcome, "%s", text);
}

/* A new client */

static void lend_again(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, map_range(demo, demo->memfd, MEMFD_AT, MEMFD_SIZE,
				     READ_WRITE));
}

static void kill_reading(struct demo *demo, struct outcome *outcome)
{
	if (!start_watch(demo, outcome))
		return;
	client_kill(&demo->client);
	see(outcome, "%s", demo->client.lost);
}

static void count_mappings(struct demo *demo, struct outcome *outcome)
{
	see(outcome, "%jd", (intmax_t)view_counter(demo, "mappings"));
}

static void attach_another(struct demo *demo, struct outcome *outcome)
{
	client_kill(&demo->client);
	if (attach(demo, outcome))
		access_word(demo, outcome, OP_READ, MEMFD_AT, 0);
	expect(outcome, "%s", word_text(word("B: again")));
}

static const struct step steps[] = {
	{
		.chapter = "Take back",
		.actor = CONTROLLER,
		.title = "shrinks the view, the file drops out",
		.run = shrink_view,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads all over the file",
		.run = probe_file,
	},
	{
		.actor = CONTROLLER,
		.title = "lets the view grow again",
		.run = grow_view,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads all over the file",
		.run = probe_file,
	},
	{
		.actor = CONTROLLER,
		.title = "takes everything away",
		.run = take_all,
		.expected = "done",
	},
	{
		.actor = CLIENT,
		.title = "reads all over the view",
		.run = probe_view,
	},
	{
		.actor = CONTROLLER,
		.title = "finds its memfd as before (SHA-256)",
		.run = hash_own,
	},
	{
		.chapter = "A new client",
		.actor = CONTROLLER,
		.title = "maps the memfd again",
		.run = lend_again,
		.expected = "done",
	},
	{
		.actor = CONTROLLER,
		.title = "kills the client while it reads",
		.run = kill_reading,
		.expected = "killed by SIGKILL",
	},
	{
		.actor = CONTROLLER,
		.title = "counts the mappings that are left",
		.run = count_mappings,
		.expected = "0",
	},
	{
		.actor = CLIENT,
		.title = "a new one attaches and reads",
		.run = attach_another,
		.vital = true,
	},
};

const struct step_table take_steps = { steps, ARRAY_SIZE(steps) };
