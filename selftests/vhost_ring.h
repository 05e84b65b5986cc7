/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_ring.h - memory of a guest, and rings in it, for tests that are the
 * driver of a vhost-user device; vhost_ring.c implements it
 */
#ifndef MEMVIEW_VHOST_RING_H
#define MEMVIEW_VHOST_RING_H

#include "vhost.h"
#include "vhost_qtest.h"

#include <linux/virtio_ring.h>

#define RING_SLOTS	8
#define SLOT_PARTS	16 /* descriptors of a slot */

/* Two regions of one memfd: @low bytes of it from address 0, the rest from @high on. */
struct guest {
	int memfd;
	char *mem;
	uint64_t size, low, high;
	struct qtest *qtest; /* of the QEMU whose guest it is, or NULL: the test is the frontend */
};

struct ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick, call; /* eventfds, or -1 */
	unsigned int index;
	uint16_t seen; /* of what is used */
};

/* A piece of a request, in the guest's memory. */
struct part {
	void *at;
	uint32_t size;
};

/* Each returns 0 or a negative errno. */
int guest_open(struct guest *guest);
/* That of a QEMU which has just been started with so much, from 4 GiB on. */
int guest_of_qemu(struct guest *guest, struct qtest *qtest, uint64_t size);
void guest_close(struct guest *guest);

/*
 * Begin a session at a socket: negotiate what vhost-user needs, announce the
 * memory, and start @nr rings. All but the last is QEMU's part if there is one.
 */
int rings_start(int sock, struct guest *guest, struct ring *rings, unsigned int nr);
void rings_close(struct ring *rings, unsigned int nr);

/* Parts that the device reads, and after them those that it writes; seen at the next kick. */
void ring_post(struct guest *guest, struct ring *ring, unsigned int slot, const struct part *parts,
	       unsigned int nr_out, unsigned int nr_in);
int ring_kick(struct guest *guest, struct ring *ring);
/* Wait until the device has answered @nr more requests, or -ETIMEDOUT. */
int ring_wait(struct ring *ring, unsigned int nr);

#endif /* MEMVIEW_VHOST_RING_H */
