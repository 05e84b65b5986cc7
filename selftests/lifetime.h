/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lifetime.h - how the tests of P9 see that a view is gone
 */
#ifndef LIFETIME_H
#define LIFETIME_H

#include "memview_test.h"

/*
 * A memfd with a writable range cannot be sealed against writing: so that it
 * can be tells that the last view of it is gone. Waits a little.
 */
static inline bool view_is_gone(int memfd)
{
	int try;

	for (try = 0; try < 500; try++) {
		if (!fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE))
			return true;
		if (errno != EBUSY)
			break;
		sleep_ms(10);
	}
	return false;
}

/* The opposite, for now. */
static inline bool view_is_there(int memfd)
{
	return fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE) && errno == EBUSY;
}

/* References of the module: open files and mappings of views. */
static inline long module_references(void)
{
	char text[32];

	if (read_file("/sys/module/memview/refcnt", text, sizeof(text)) < 0)
		return -1;
	return atol(text);
}

/* Wait until there are as few references as there were. */
static inline bool module_references_fall_to(long n)
{
	int try;

	for (try = 0; try < 500; try++) {
		if (module_references() <= n)
			return true;
		sleep_ms(10);
	}
	return false;
}

#endif /* LIFETIME_H */
