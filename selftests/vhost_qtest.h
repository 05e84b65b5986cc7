/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_qtest.h - a guest without an operating system: the test is its CPU, and
 * loads and stores through QEMU's qtest protocol; vhost_qtest.c implements it
 *
 * The machine has one virtio device, on PCI.
 */
#ifndef MEMVIEW_VHOST_QTEST_H
#define MEMVIEW_VHOST_QTEST_H

#include "vhost.h"

/* Where the guest maps the device's windows. */
#define WINDOW_ADDRESS	(64 * GiB)

struct qtest {
	pid_t pid;
	int sock, monitor;
	uint64_t common; /* address of the device's registers */
	uint64_t notify; /* and of those that are kicks */
	uint32_t notify_step;
	uint64_t window[2]; /* addresses of shared memory regions, or 0 */
	uint64_t window_size[2];
};

/* How to run a QEMU that has vhost-user windows, 11 or later, or NULL. */
const char *qtest_qemu(void);
#define QTEST_MISSING "missing: QEMU 11 (qemu-system-x86 of trixie-backports), in /opt/backports or on PATH"

/*
 * Start it, with so much memory, and a device, as of its option -device, whose
 * backend listens at @path, and find that. Return 0 or a negative errno; -EPIPE if
 * QEMU has ended.
 */
int qtest_start(struct qtest *qtest, const char *qemu, unsigned int mib, const char *device,
		const char *path);
/* Kill it if it still runs, and wait: the status of waitpid(). */
int qtest_stop(struct qtest *qtest);

/* As the driver does: reset the device and negotiate; set up queues; and start it. */
int qtest_features_ok(struct qtest *qtest);
int qtest_queue(struct qtest *qtest, unsigned int index, unsigned int size, uint64_t desc,
		uint64_t avail, uint64_t used);
int qtest_driver_ok(struct qtest *qtest);
int qtest_kick(struct qtest *qtest, unsigned int index);

/* A load and a store of the guest. -EPIPE if QEMU died of it. */
int qtest_read(struct qtest *qtest, uint64_t address, uint64_t *value);
int qtest_write(struct qtest *qtest, uint64_t address, uint64_t value);
/* A command of QEMU's monitor. */
int qtest_monitor(struct qtest *qtest, const char *command);

#endif /* MEMVIEW_VHOST_QTEST_H */
