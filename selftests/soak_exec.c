// SPDX-License-Identifier: GPL-2.0
/*
 * soak_exec.c - call code in a page that may turn out to hold none
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

#include "soak_exec.h"

static __thread const void *target;

static uint32_t call_target(void)
{
	const void *code = target;
	uint64_t ret = 1;

	/* The red zone is the compiler's. */
	__asm__ __volatile__("sub $128, %%rsp; call *%1; add $128, %%rsp"
			     : "+a"(ret) : "r"(code) : "memory", "cc");
	return ret;
}

int probe_code(const void *addr, uint64_t *value)
{
	uint32_t code = 0;
	int sig;

	target = addr;
	sig = probe_exec(call_target, &code);
	*value = code;
	return sig;
}
