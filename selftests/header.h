/* SPDX-License-Identifier: GPL-2.0 */
/*
 * header.h - the numbers of the ABI as one compiler sees them
 */
#ifndef MEMVIEW_TEST_HEADER_H
#define MEMVIEW_TEST_HEADER_H

#ifdef __cplusplus
extern "C" {
#endif

struct header_numbers {
	long language;
	unsigned long ioctls[4];
	unsigned long sizes[4];
	unsigned long map_offsets[5];
	unsigned long unmap_offsets[4];
	unsigned long batch_op_offsets[7];
	unsigned long batch_offsets[5];
	unsigned long flags[3];
	unsigned long batch_ops[3];
	unsigned long max_file_offset[2]; /* high, low half */
};

extern const struct header_numbers header_c90, header_c11, header_cxx17;

#ifdef __cplusplus
}
#endif

#endif /* MEMVIEW_TEST_HEADER_H */
