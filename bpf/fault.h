/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fault.h - the kernel's bits of a fault in the terms of events.h
 */
#ifndef MEMVIEW_FAULT_H
#define MEMVIEW_FAULT_H

#include "kfuncs.h"

#include "events.h"

_Static_assert((int)CAUSE_MAP == (int)MEMVIEW_CAUSE_MAP, "causes differ");
_Static_assert((int)CAUSE_BATCH == (int)MEMVIEW_CAUSE_BATCH, "causes differ");

static __always_inline enum event_access access_of(unsigned int flags)
{
	if (flags & FAULT_FLAG_INSTRUCTION)
		return ACCESS_EXEC;
	if (flags & FAULT_FLAG_MKWRITE)
		return ACCESS_UPGRADE;
	return flags & FAULT_FLAG_WRITE ? ACCESS_WRITE : ACCESS_READ;
}

static __always_inline enum event_result result_of(unsigned int result)
{
	if (result & VM_FAULT_SIGBUS)
		return RESULT_SIGBUS;
	if (result & VM_FAULT_SIGSEGV)
		return RESULT_SIGSEGV;
	if (result & VM_FAULT_OOM)
		return RESULT_OOM;
	if (result & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE))
		return RESULT_HWPOISON;
	return RESULT_OK;
}

#endif /* MEMVIEW_FAULT_H */
