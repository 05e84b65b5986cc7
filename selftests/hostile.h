/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hostile.h - a client that tries everything to get more than it was lent, or
 * to keep it
 *
 * An *attack* is a function that runs in a client, a process of its own. Its
 * view has a page of each kind; then the controller takes back, in each way
 * there is, and writes words to what it took back that the client must never
 * see. After each attack the same is checked: the client can read, write and
 * execute what it may and nothing else, wherever in its address space the view
 * is mapped by then; no word that it must not see is in its memory; the files
 * are as they should be, byte by byte; another client of the view sees what it
 * should.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "memview_test.h"

/* Pages of the view, and of the file behind it. What comes of each later: */
enum {
	PAGE_RW,	/* readable and writable, stays */
	PAGE_RO,	/* stays */
	PAGE_RX,	/* stays */
	PAGE_UNMAPPED,	/* RW, then unmapped */
	PAGE_HOLE,	/* nothing, ever */
	PAGE_NARROWED,	/* RW, then read-only */
	PAGE_REPLACED,	/* RW, then a read-only page of another file */
	PAGE_CUT,	/* RW, then beyond the end of the view */
	VIEW_PAGES,
	PAGE_SECRET = VIEW_PAGES, /* of the file: never in the view */
	FILE_PAGES,
};

#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define FILE_SIZE	(FILE_PAGES * PAGE)

/* Each word of a page has one of these in its upper half. */
#define LENT_ID		0x1e47
#define OTHER_ID	0x07e4
#define SECRET_ID	0x5ec4e7 /* what the client must never see */

/* Where in a page an attack may write, and where there is code. */
#define WRITE_AT	1024
#define CODE_AT		256
#define CODE_ANSWER	0x600df00d
#define STOLEN		0xbadbadbadULL /* what attacks write */

static inline bool is_secret(uint64_t word)
{
	return word >> 32 == SECRET_ID;
}

/* Is a word that must not be seen in these bytes? */
bool has_secret(const void *buf, size_t len);

/* What a client has to attack with. */
extern struct prey {
	char *mem; /* the whole view, PROT_READ | PROT_WRITE */
	int viewfd;
	bool root;
} prey;

/* What is expected of an attack besides a negative errno. */
enum want {
	SAME,		/* (root only) as for nobody */
	WORKS,		/* it is in the client's rights, and gets it nothing */
	REFUSED,	/* with one errno or another */
	EITHER,		/* as the kernel or the machine has it */
	KILLED,		/* by a signal */
};

struct attack {
	const char *name;
	/* While all is lent: 0 or more, or a negative errno. */
	long (*run)(long arg);
	long arg;
	int want; /* enum want or a negative errno */
	int root; /* the same for a client of user ID 0 */
	/* After the revoke; gets nothing any more: a negative errno. */
	long (*again)(long arg);
};

#define ATTACK(name_, want_)	{ .name = #name_, .run = name_, .want = want_ }
#define ATTACK_ARG(name_, arg_, want_) \
	{ .name = #name_ " " #arg_, .run = name_, .arg = arg_, .want = want_ }

static inline long err_or(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* For attacks that make a file descriptor: 0 or a negative errno. */
static inline long err_or_close(long fd)
{
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* For attacks that make a mapping and leave it. */
static inline long err_or_map(void *mem)
{
	return mem == MAP_FAILED ? -errno : 0;
}

static inline char *prey_page(unsigned int page)
{
	return prey.mem + page * PAGE;
}

/*
 * Whatever an attack has done, this process may access of the view what it may
 * and nothing else. How many times not; @why tells the first.
 */
struct inspection {
	unsigned int leaks;
	unsigned int reads, writes, execs; /* what it could do */
	char why[160];
};

void inspect(struct inspection *in);

/* ---- The test's side ---- */

struct scene {
	struct source lent;
	int other;
	int control, viewfd;
	char *mem; /* the test's own mapping: another client */
	struct model model;
	struct client client;
};

struct scene_kind {
	enum source_kind source;
	bool root;
	bool fresh; /* the client has touched nothing before the attack */
};

int scene_open(struct scene *s, const struct scene_kind *kind);
long scene_attack(struct scene *s, const struct attack *attack);
long scene_attack_again(struct scene *s, const struct attack *attack);
/* Take back, and fill what was taken back with secrets. 0 or an errno. */
int scene_take_back(struct scene *s);
/* Does the client hold what it should? Its inspection. */
int scene_inspect(struct scene *s, struct inspection *in);
/* Are the files and the view as they should be? Differences; @why. */
unsigned int scene_differs(struct scene *s, char *why, size_t len);
/* Ends the client, and closes all. Its wait status, if it still lived. */
int scene_close(struct scene *s);

#ifndef MEMVIEW_TEST_NO_HARNESS

FIXTURE(hostile)
{
	struct klog klog;
};

FIXTURE_VARIANT(hostile)
{
	struct scene_kind kind;
};

FIXTURE_VARIANT_ADD(hostile, nobody)
{
	.kind = { .source = SOURCE_MEMFD },
};

FIXTURE_VARIANT_ADD(hostile, nobody_fresh)
{
	.kind = { .source = SOURCE_MEMFD, .fresh = true },
};

FIXTURE_VARIANT_ADD(hostile, nobody_ext4)
{
	.kind = { .source = SOURCE_EXT4 },
};

FIXTURE_VARIANT_ADD(hostile, root)
{
	.kind = { .source = SOURCE_MEMFD, .root = true },
};

FIXTURE_SETUP(hostile)
{
	char missing[128];

	ASSERT_EQ(0, klog_start(&self->klog));
	if (variant->kind.source != SOURCE_MEMFD &&
	    !source_dir(variant->kind.source, missing, sizeof(missing)))
		SKIP(return, "missing: %s", missing);
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static inline bool is_wanted(long ret, int want)
{
	switch (want) {
	case WORKS:
		return ret >= 0;
	case REFUSED:
		return ret < 0;
	case EITHER:
		return true;
	case KILLED:
		return ret == -EPIPE;
	default:
		return ret == want;
	}
}

static inline void attack_one(struct __test_metadata *_metadata, const struct scene_kind *kind,
			      const struct attack *attack)
{
	int want = kind->root && attack->root != SAME ? attack->root : attack->want;
	struct inspection in = { 0 };
	char why[160] = "";
	struct scene scene;
	long ret;

	ASSERT_EQ(0, scene_open(&scene, kind));
	ret = scene_attack(&scene, attack);
	EXPECT_TRUE(is_wanted(ret, want)) {
		TH_LOG("%s: %ld, wanted %d", attack->name, ret, want);
	}
	if (want == EITHER)
		TH_LOG("%s: %ld here", attack->name, ret);
	ASSERT_EQ(0, scene_take_back(&scene)) {
		TH_LOG("after %s", attack->name);
	}
	if (attack->again) {
		ret = scene_attack_again(&scene, attack);
		EXPECT_GT(0, ret) {
			TH_LOG("%s survives the revoke: %ld", attack->name, ret);
		}
	}
	if (want != KILLED) {
		EXPECT_EQ(0, scene_inspect(&scene, &in)) {
			TH_LOG("%s: the client is dead", attack->name);
		}
		EXPECT_EQ(0, in.leaks) {
			TH_LOG("%s: %s", attack->name, in.why);
		}
	}
	EXPECT_EQ(0, scene_differs(&scene, why, sizeof(why))) {
		TH_LOG("%s: %s", attack->name, why);
	}
	scene_close(&scene);
}

static inline void attack_all(struct __test_metadata *_metadata, const struct scene_kind *kind,
			      const struct attack *attacks, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		attack_one(_metadata, kind, &attacks[i]);
}

#define ATTACK_ALL(attacks) \
	attack_all(_metadata, &variant->kind, attacks, ARRAY_SIZE(attacks))

#endif /* MEMVIEW_TEST_NO_HARNESS */

#endif /* HOSTILE_H */
