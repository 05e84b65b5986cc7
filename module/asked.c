// SPDX-License-Identifier: GPL-2.0
/*
 * Whether what the policies have allowed still holds where it is committed.
 *
 * A request is asked about, and then may wait: for the server of its file, for
 * fanotify, for the view's change_lock. Meanwhile a policy can be attached, or
 * the view revoked. So two counts are read before the programs run, and again
 * where the request commits: of the changes to the policies, and of the view's
 * revokes. If one has moved, the policies are asked again.
 *
 * A policy is on the list, and the static key on, before its change is counted.
 * A commit reads the count in an SRCU read section that lasts until faults find the
 * change, and attaching waits for those: when it returns, no request enters a view
 * that the policy was not asked about. A revoke is counted under change_lock, under
 * which maps commit.
 *
 * A policy that adds up what views show needs the requests in flight, too. So
 * the pages by which a map would enlarge its view are booked before it is asked
 * about, and until they are in the layout. Of two requests at a time, the one
 * that is booked later sees the other. If the layout has shrunk before the
 * commit, the map enlarges it by more than was booked: it is asked about again.
 */
#include <linux/sched/signal.h>
#include <linux/srcu.h>

#include "memview.h"
#include "policy.h"

atomic64_t memview_policy_changes = ATOMIC64_INIT(0);
DEFINE_STATIC_SRCU(commits_srcu);

/* The tasks that run programs of policies. */
static LIST_HEAD(runs);
static DEFINE_SPINLOCK(runs_lock);

/**
 * memview_policies_changed - a policy was attached, replaced or detached
 *
 * When this returns, a request that commits was asked about after the change.
 *
 * Context: May sleep. Waits for commits, which may hold a view's change_lock.
 */
void memview_policies_changed(void)
{
	/* After the list: an asker reads the count and then walks the list. */
	smp_mb__before_atomic();
	atomic64_inc(&memview_policy_changes);
	synchronize_srcu(&commits_srcu);
}

/**
 * memview_run_begin - the current task is about to run programs
 * @run: On its stack.
 * @asked: What they are asked about; NULL: they are told of an unmap.
 *
 * Context: Process context.
 */
void memview_run_begin(struct memview_run *run, struct memview_asked *asked)
{
	run->task = current;
	run->asked = asked;
	spin_lock(&runs_lock);
	list_add(&run->list, &runs);
	spin_unlock(&runs_lock);
}

/**
 * memview_run_end - it has run them
 * @run: The same.
 *
 * Context: Process context.
 */
void memview_run_end(struct memview_run *run)
{
	spin_lock(&runs_lock);
	list_del(&run->list);
	spin_unlock(&runs_lock);
}

/**
 * memview_in_tell_unmap - is the current task told that a span was taken away?
 *
 * If so, it must not take another one away: the programs would call themselves
 * until the stack is used up.
 *
 * Context: Process context.
 */
bool memview_in_tell_unmap(void)
{
	struct memview_run *run;
	bool is = false;

	spin_lock(&runs_lock);
	list_for_each_entry(run, &runs, list) {
		if (run->task == current && !run->asked) {
			is = true;
			break;
		}
	}
	spin_unlock(&runs_lock);
	return is;
}

/**
 * memview_count_revoke - the view is revoked, in part or as a whole
 * @view: View. The caller holds its change_lock.
 *
 * A program that revokes the view that it is asked about knows of it: its own
 * request is not asked about again for that, others are.
 *
 * Context: May sleep.
 */
void memview_count_revoke(struct memview_view *view)
{
	struct memview_run *run;

	lockdep_assert_held(&view->change_lock);
	/* A task that reads the new count sees all that led to the revoke. */
	smp_store_release(&view->revokes, view->revokes + 1);
	spin_lock(&runs_lock);
	list_for_each_entry(run, &runs, list)
		if (run->task == current && run->asked &&
		    run->asked->view == view)
			run->asked->revokes++;
	spin_unlock(&runs_lock);
}

/**
 * memview_asked_begin - the policies are about to be asked about a request
 * @asked: All zero but for @view the first time.
 *
 * Context: Any.
 * Return: 0; -EINTR; -EBUSY, what they had allowed has lapsed too often.
 */
int memview_asked_begin(struct memview_asked *asked)
{
	memview_asked_end(asked);
	if (asked->times++ == MEMVIEW_ASK_MAX)
		return -EBUSY;
	if (asked->times > 1 && fatal_signal_pending(current))
		return -EINTR;
	asked->policies = atomic64_read_acquire(&memview_policy_changes);
	/* Both before the list is walked, and before what the programs read. */
	asked->revokes = smp_load_acquire(&asked->view->revokes);
	return 0;
}

/* By how many pages a span would enlarge the view. */
static unsigned long growth(struct memview_view *view, pgoff_t first,
			    pgoff_t last)
{
	return last - first + 1 -
	       memview_layout_pages(&view->layout, first, last);
}

/**
 * memview_asked_book - book a map before the policies are asked about it
 * @asked: The request, or the batch, that it belongs to.
 * @info: The map, checked.
 *
 * Context: May sleep. Takes the layout's lock.
 */
void memview_asked_book(struct memview_asked *asked,
			const struct memview_map_fd_info *info)
{
	pgoff_t first = info->mem_offset >> PAGE_SHIFT;
	pgoff_t last = first + (info->size >> PAGE_SHIFT) - 1;
	unsigned long pages = growth(asked->view, first, last);

	asked->growing += pages;
	atomic_long_add(pages, &asked->view->growing);
	/* Before the programs read what others have booked. */
	smp_mb__after_atomic();
}

/**
 * memview_asked_end - nothing of a request is in flight any more
 * @asked: The request.
 *
 * Context: Any.
 */
void memview_asked_end(struct memview_asked *asked)
{
	if (!asked->growing)
		return;
	/* What has come into the layout is seen there first. */
	smp_mb__before_atomic();
	atomic_long_sub(asked->growing, &asked->view->growing);
	asked->growing = 0;
}

/* Was all booked by which the pieces enlarge the view? */
static bool is_booked(const struct memview_asked *asked,
		      const struct memview_piece *pieces, unsigned int nr)
{
	const struct memview_piece *piece;
	unsigned long pages = 0;

	if (!static_branch_unlikely(&memview_policies))
		return true;
	for (piece = pieces; piece < pieces + nr; piece++) {
		if (piece->range)
			pages += growth(asked->view, piece->first, piece->last);
		cond_resched();
	}
	return pages <= asked->growing;
}

/**
 * memview_commit_begin - a request commits what was allowed
 * @asked: The request.
 *
 * Context: May sleep until memview_commit_end().
 * Return: What that is to be given; or -ESTALE, the policies must be asked
 *	again.
 */
int memview_commit_begin(const struct memview_asked *asked)
{
	int idx = srcu_read_lock(&commits_srcu);

	if (likely(memview_asked_holds(asked))) {
		/* For sparse: the section goes on in the caller. */
		__release(&commits_srcu);
		return idx;
	}
	srcu_read_unlock(&commits_srcu, idx);
	return -ESTALE;
}

/**
 * memview_commit_end - it is done
 * @idx: From memview_commit_begin().
 *
 * Context: As there.
 */
void memview_commit_end(int idx)
{
	__acquire(&commits_srcu);
	srcu_read_unlock(&commits_srcu, idx);
}

/**
 * memview_commit - memview_change() for what the policies have allowed
 * @asked: The request. The caller holds its view's change_lock.
 * @pieces: As memview_change() has them.
 * @nr: How many pieces.
 * @cause: For the tracepoint.
 *
 * Context: May sleep.
 * Return: As memview_change(); or -ESTALE, nothing has changed, and the policies
 *	must be asked again, without the lock.
 */
int memview_commit(struct memview_asked *asked, struct memview_piece *pieces,
		   unsigned int nr, enum memview_cause cause)
{
	int err = -ESTALE;

	if (is_booked(asked, pieces, nr))
		err = memview_change(asked->view, pieces, nr, asked, cause);
	if (!err)
		memview_asked_end(asked);
	return err;
}
