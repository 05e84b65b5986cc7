// SPDX-License-Identifier: GPL-2.0
/*
 * soak_model.c - the model of the soak test: stamps, and what an access may
 * meet; soak.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <stdarg.h>

struct soak_world *world;
__thread struct soak_thread *self;

const char *const op_names[OPS] = {
	[OP_MAP] = "map",
	[OP_REMAP] = "remap",
	[OP_UNMAP] = "unmap",
	[OP_BATCH] = "batch",
	[OP_RESIZE] = "resize",
	[OP_VIEWFD] = "viewfd",
	[OP_PRIVATE] = "private-view",
	[OP_LEND] = "lend",
	[OP_BAD] = "bad-request",
	[OP_READ] = "read",
	[OP_WRITE] = "write",
	[OP_UPGRADE] = "upgrade",
	[OP_EXEC] = "exec",
	[OP_KREAD] = "kernel-read",
	[OP_KWRITE] = "kernel-write",
	[OP_GUP_READ] = "gup-read",
	[OP_GUP_WRITE] = "gup-write",
	[OP_MMAP] = "mmap",
	[OP_MUNMAP] = "munmap",
	[OP_MPROTECT] = "mprotect",
	[OP_MREMAP] = "mremap",
	[OP_MADVISE] = "madvise",
	[OP_FORK] = "fork",
	[OP_PUNCH] = "punch",
	[OP_TRUNCATE] = "truncate",
	[OP_EXTEND] = "extend",
	[OP_FILL] = "fill",
	[OP_SYNC] = "sync",
	[OP_COLLAPSE] = "collapse",
	[OP_PAGEOUT] = "pageout",
	[OP_PRESSURE] = "pressure",
	[OP_RECLAIM] = "reclaim",
	[OP_COMPACT] = "compact",
	[OP_SPLIT] = "split-thp",
	[OP_DROP_CACHES] = "drop-caches",
	[OP_POLICY] = "policy",
	[OP_DELAY] = "delay",
	[OP_KILL_CLIENT] = "kill-client",
	[OP_KILL_CONTROLLER] = "kill-controller",
	[OP_KILL_KEEPER] = "kill-keeper",
	[OP_COMPARE] = "compare",
};

void soak_fail(const char *format, ...)
{
	va_list args;
	int none = 0;

	if (atomic_compare_exchange_strong(&world->failed, &none, 1)) {
		va_start(args, format);
		vsnprintf(world->failure, sizeof(world->failure), format, args);
		va_end(args);
	}
	atomic_store(&world->stop, 1);
}

struct log_entry *log_begin(enum op op)
{
	struct log_entry *entry = &self->log[self->logged % LOG_SIZE];

	*entry = (struct log_entry){ .time = now_ns(), .op = op, .ret = LOG_RUNNING };
	atomic_fetch_add(&self->logged, 1);
	return entry;
}

void log_end(struct log_entry *entry, int ret)
{
	entry->ret = ret;
	atomic_fetch_add(&self->count[entry->op], 1);
}

void soak_mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

void soak_park(void)
{
	uint64_t pause = atomic_load(&world->pause);

	if (!(pause & 1))
		return;
	atomic_store(&self->parked, pause);
	while (atomic_load(&world->pause) == pause && !atomic_load(&world->stop))
		usleep(2000);
}

/* ---- Stamps ---- */

#define VERSION_SHIFT	40 /* above it the number of a state, below what it is */
#define STATE_MASK	((1ULL << VERSION_SHIFT) - 1)

static void stamp_begin(struct stamp *stamp, uint64_t state)
{
	uint64_t version = atomic_load(&stamp->hi) + 1;

	atomic_store(&stamp->state[version % RING], version << VERSION_SHIFT | state);
	atomic_store(&stamp->hi, version);
}

static void stamp_end(struct stamp *stamp)
{
	atomic_store(&stamp->lo, atomic_load(&stamp->hi));
}

/* False: it was too long ago. */
static bool stamp_state(const struct stamp *stamp, uint64_t version, uint64_t *state)
{
	uint64_t word = atomic_load(&stamp->state[version % RING]);

	*state = word & STATE_MASK;
	return !((word ^ version << VERSION_SHIFT) >> VERSION_SHIFT);
}

static uint64_t stamp_now(const struct stamp *stamp)
{
	return atomic_load(&stamp->state[atomic_load(&stamp->hi) % RING]) & STATE_MASK;
}

static uint64_t pack_shows(struct shows shows)
{
	return (uint64_t)shows.page << 8 | shows.file << 4 | shows.flags;
}

static struct shows unpack_shows(uint64_t state)
{
	return (struct shows){
		.file = state >> 4 & 15,
		.flags = state & 15,
		.page = state >> 8,
	};
}

static struct holds unpack_holds(uint64_t state)
{
	return (struct holds){ .content = state & 3, .generation = state >> 2 };
}

void view_begin(struct soak_view *view, unsigned int page, struct shows shows)
{
	stamp_begin(&view->stamp[page], pack_shows(shows));
}

void view_end(struct soak_view *view, unsigned int page)
{
	stamp_end(&view->stamp[page]);
}

struct shows view_now(const struct soak_view *view, unsigned int page)
{
	return unpack_shows(stamp_now(&view->stamp[page]));
}

void file_begin(struct soak_file *file, unsigned int page, struct holds holds)
{
	stamp_begin(&file->stamp[page], (uint64_t)holds.generation << 2 | holds.content);
}

void file_end(struct soak_file *file, unsigned int page)
{
	stamp_end(&file->stamp[page]);
}

struct holds file_now(const struct soak_file *file, unsigned int page)
{
	return unpack_holds(stamp_now(&file->stamp[page]));
}

uint64_t tag_of(unsigned int file, unsigned int page, uint32_t generation)
{
	return (uint64_t)file << 56 | (uint64_t)(generation & 0xffffff) << 32 | page;
}

uint32_t code_of(uint64_t tag)
{
	return tag * 0x9e3779b97f4a7c15ULL >> 32;
}

/* ---- What an access may meet ---- */

static bool is_write(enum op op)
{
	return op == OP_WRITE || op == OP_UPGRADE || op == OP_KWRITE || op == OP_GUP_WRITE;
}

static bool is_sig(const struct met *met, int sig)
{
	return met->sig == sig || met->sig == -1;
}

/* Each byte is zero or the tag's. */
static bool is_torn(uint64_t value, uint64_t tag)
{
	int i;

	for (i = 0; i < 64; i += 8)
		if ((value >> i & 255) && (value >> i & 255) != (tag >> i & 255))
			return false;
	return true;
}

/* @flux: The content changes meanwhile. */
static bool fits_content(struct holds holds, uint64_t tag, bool flux, const struct met *met)
{
	if (holds.content == ABSENT)
		return is_sig(met, SIGBUS);
	if (met->op == OP_EXEC && flux)
		return true; /* half of the code may be there */
	if (met->op == OP_EXEC && holds.content == ZEROED)
		return is_sig(met, SIGSEGV);
	if (met->sig)
		return false;
	if (is_write(met->op))
		return true;
	if (met->op == OP_EXEC)
		return met->value == code_of(tag);
	if (holds.content == ZEROED && !met->value)
		return true;
	return holds.content == TAGGED &&
	       (met->value == tag || (flux && is_torn(met->value, tag)));
}

/* Nothing happened to the content of the file during the access. */
static bool is_quiet(const struct sight *sight, unsigned int file)
{
	return atomic_load(&world->file[file].begun) == sight->ended[file];
}

static bool is_first(const struct sight *sight, struct shows shows)
{
	return pack_shows(shows) == pack_shows(sight->shows);
}

/* The page of the file that the view shows in that state. */
static bool fits_file(const struct sight *sight, struct shows shows, const struct met *met)
{
	const struct soak_file *file = &world->file[shows.file];
	const struct stamp *stamp = &file->stamp[shows.page];
	uint64_t state, version, lo, hi = atomic_load(&stamp->hi);
	struct holds holds;

	if (is_quiet(sight, shows.file))
		lo = hi;
	else if (is_first(sight, shows))
		lo = sight->file_lo;
	else
		return true;
	for (version = lo; version <= hi; version++) {
		if (!stamp_state(stamp, version, &state))
			return true;
		holds = unpack_holds(state);
		if (fits_content(holds, tag_of(shows.file, shows.page, holds.generation), lo != hi,
				 met))
			return true;
	}
	return false;
}

static bool fits(const struct sight *sight, struct shows shows, const struct met *met)
{
	if (!shows.file)
		return is_sig(met, SIGBUS);
	if (is_write(met->op) && !(shows.flags & MEMVIEW_MAP_WRITE))
		return is_sig(met, SIGSEGV);
	if (met->op == OP_EXEC && !(shows.flags & MEMVIEW_MAP_EXEC && met->prot & PROT_EXEC))
		return is_sig(met, SIGSEGV);
	return fits_file(sight, shows, met);
}

static bool prot_allows(const struct met *met)
{
	if (is_write(met->op))
		return met->prot & PROT_WRITE;
	if (met->op == OP_GUP_READ)
		return met->prot & PROT_READ;
	/* x86 looks up a page that is not there before it asks whether it may be executed. */
	return met->prot;
}

void sight_begin(struct sight *sight, struct soak_view *view, unsigned int page)
{
	uint64_t state;
	int i;

	sight->view = view;
	sight->page = page;
	for (i = 1; i <= SOAK_FILES; i++)
		sight->ended[i] = atomic_load(&world->file[i].ended);
	sight->lo = atomic_load(&view->stamp[page].lo);
	stamp_state(&view->stamp[page], sight->lo, &state);
	sight->shows = unpack_shows(state);
	sight->file_lo = 0;
	if (sight->shows.file)
		sight->file_lo =
			atomic_load(&world->file[sight->shows.file].stamp[sight->shows.page].lo);
}

static size_t describe_file(char *text, size_t len, struct shows shows)
{
	const struct soak_file *file = &world->file[shows.file];
	uint64_t hi = atomic_load(&file->stamp[shows.page].hi), state, word = 0;
	struct holds holds;
	size_t done;
	int sig;

	stamp_state(&file->stamp[shows.page], hi, &state);
	holds = unpack_holds(state);
	sig = probe_read(file->own + shows.page * PAGE, &word);
	done = snprintf(text, len, " #%ju, content %u, generation %u; itself: signal %d, %#jx;",
			(uintmax_t)hi, holds.content, holds.generation, sig, (uintmax_t)word);
	return done < len ? done : len - 1;
}

static void fail_access(const struct sight *sight, const struct met *met, const char *what)
{
	char may[300] = "";
	uint64_t version, state;
	struct shows shows;
	size_t len = 0;

	for (version = sight->lo; version <= sight->hi && len < sizeof(may); version++) {
		if (!stamp_state(&sight->view->stamp[sight->page], version, &state))
			continue;
		shows = unpack_shows(state);
		len += snprintf(may + len, sizeof(may) - len, " #%llu: file %u page %u flags %u;",
				(unsigned long long)version, shows.file, shows.page, shows.flags);
		if (shows.file && len < sizeof(may))
			len += describe_file(may + len, sizeof(may) - len, shows);
	}
	soak_fail("thread %u: %s of page %u of view %td with prot %u met signal %d, value %#llx (%s); in #%ju to #%ju it may show%s",
		  self->index, op_names[met->op], sight->page, sight->view - world->view, met->prot,
		  met->sig, (unsigned long long)met->value, what, (uintmax_t)sight->lo,
		  (uintmax_t)sight->hi, may);
}

static void record_write(const struct sight *sight, struct shows shows, const struct met *met)
{
	struct soak_file *file = &world->file[shows.file];
	struct written *written;

	if (met->slot != SLOT_OF(self->index))
		return;
	written = &file->written[shows.page][self->index];
	written->epoch = 0;
	if (!is_quiet(sight, shows.file))
		return;
	written->value = met->value;
	written->version = atomic_load(&file->stamp[shows.page].hi);
	written->epoch = self->epoch;
}

/* Where this thread's words are is not known any more. */
static void forget_writes(void)
{
	self->epoch++;
}

/* A write went through: it is in a file that was there to be written. */
static void find_write(const struct sight *sight, const struct met *met)
{
	uint64_t version, state, value;
	bool certain = true;
	struct shows shows;

	if (met->slot == SLOT_CHILD)
		return;
	for (version = sight->hi + 1; version-- > sight->lo;) {
		if (!stamp_state(&sight->view->stamp[sight->page], version, &state)) {
			certain = false;
			continue;
		}
		shows = unpack_shows(state);
		if (!shows.file || !(shows.flags & MEMVIEW_MAP_WRITE))
			continue;
		if (!probe_read(world->file[shows.file].own + shows.page * PAGE + met->slot * 8,
				&value) && value == met->value) {
			record_write(sight, shows, met);
			return;
		}
		certain &= is_quiet(sight, shows.file);
	}
	if (certain)
		fail_access(sight, met, "it went elsewhere");
	forget_writes();
}

enum verdict sight_judge(struct sight *sight, const struct met *met)
{
	const struct stamp *stamp = &sight->view->stamp[sight->page];
	uint64_t version, state;

	sight->hi = atomic_load(&stamp->hi);
	if (!prot_allows(met))
		return is_sig(met, SIGSEGV) ? FORBIDDEN : BAD;
	for (version = sight->lo; version <= sight->hi; version++) {
		if (!stamp_state(stamp, version, &state))
			return TOO_LATE;
		if (fits(sight, unpack_shows(state), met))
			return FITS;
	}
	return BAD;
}

void sight_end(struct sight *sight, const struct met *met)
{
	enum verdict verdict = sight_judge(sight, met);

	atomic_fetch_add(&self->count[met->op], 1);
	if (verdict == FORBIDDEN)
		return;
	if (verdict == TOO_LATE) {
		atomic_fetch_add(&self->checked[UNCHECKED], 1);
		forget_writes();
		return;
	}
	if (verdict == BAD)
		fail_access(sight, met,
			    prot_allows(met) ? "not what the model has" : "the mapping forbids it");
	else if (is_write(met->op) && !met->sig)
		find_write(sight, met);
	atomic_fetch_add(&self->checked[sight->lo == sight->hi ? EXACT : AMONG], 1);
}
