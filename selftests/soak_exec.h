/* SPDX-License-Identifier: GPL-2.0 */
/*
 * soak_exec.h - call code in a page that may turn out to hold none
 */
#ifndef SOAK_EXEC_H
#define SOAK_EXEC_H

#include <stdint.h>

/*
 * As probe_exec(), but a page of zeroes raises SIGSEGV: what it has is an
 * instruction that writes where %rax points to, and that is nowhere.
 */
int probe_code(const void *addr, uint64_t *value);

#endif /* SOAK_EXEC_H */
