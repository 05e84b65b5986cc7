/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_user_codec.h - messages of the vhost-user protocol, and whether they
 * are what they should be
 *
 * The frontend (a VMM) sends requests to the backend (a device), and gets
 * replies. Where they have agreed on it there is a second socket, on which the
 * backend requests and the frontend replies. Numbers are the machine's own.
 * What messages mean: QEMU's docs/interop/vhost-user.rst.
 */
#ifndef MEMVIEW_VHOST_USER_CODEC_H
#define MEMVIEW_VHOST_USER_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The protocol has no limit: this is twelve times what its messages need. */
#define VU_PAYLOAD_MAX 4096
#define VU_FDS_MAX 32
#define VU_REGIONS_MAX 32
#define VU_WHY_MAX 160

/* struct vu_header.flags */
#define VU_VERSION_MASK 0x3
#define VU_VERSION 0x1
#define VU_REPLY (1 << 2)
#define VU_NEED_REPLY (1 << 3)

/* Requests of the frontend that mean something to us. */
enum vu_frontend_request {
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_SET_VRING_KICK = 12,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_SHARED_OBJECT = 41,
	VU_GET_SHMEM_CONFIG = 44,
};

/* And of the backend. */
enum vu_backend_request {
	VU_BACKEND_SHARED_OBJECT_ADD = 6,
	VU_BACKEND_SHARED_OBJECT_REMOVE = 7,
	VU_BACKEND_SHARED_OBJECT_LOOKUP = 8,
	VU_BACKEND_SHMEM_MAP = 9,
	VU_BACKEND_SHMEM_UNMAP = 10,
};

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload, bytes */
};

/**
 * struct vu_region - a span of guest memory
 * @guest: Guest physical address.
 * @size: Bytes.
 * @user: Address in the frontend, by which it names rings.
 * @offset: Where it starts in the file that comes along.
 */
struct vu_region {
	uint64_t guest;
	uint64_t size;
	uint64_t user;
	uint64_t offset;
};

/**
 * struct vu_message - one message, with its file descriptors
 * @payload: Of header.size bytes.
 * @fds: Ours: close them.
 */
struct vu_message {
	struct vu_header header;
	union {
		uint8_t payload[VU_PAYLOAD_MAX];
		uint64_t u64;
		struct {
			uint32_t nr;
			uint32_t padding;
			struct vu_region region[VU_REGIONS_MAX];
		} table;
		struct {
			uint64_t padding;
			struct vu_region region;
		} single;
	};
	unsigned int nr_fds;
	int fds[VU_FDS_MAX];
};

/* Which way a message goes. */
enum vu_way {
	VU_TO_BACKEND, /* request of the frontend */
	VU_TO_FRONTEND, /* reply to that */
	VU_BACKEND_REQUEST, /* on the second socket */
	VU_BACKEND_REPLY,
	VU_WAYS,
};

/**
 * vu_check_header - may this be the start of a message?
 * @way: Which way it goes.
 * @header: The message's.
 * @why: If not, what is wrong.
 */
bool vu_check_header(enum vu_way way, const struct vu_header *header,
		     char why[VU_WHY_MAX]);

/**
 * vu_check_message - is the message what its kind should be?
 * @way: Which way it goes.
 * @message: All of it. Of kinds that are not known, anything is fine.
 * @why: If not, what is wrong.
 */
bool vu_check_message(enum vu_way way, const struct vu_message *message,
		      char why[VU_WHY_MAX]);

/* The name of a message: "SET_MEM_TABLE", "reply to GET_FEATURES"... */
const char *vu_name(enum vu_way way, uint32_t request);

/**
 * vu_protocol_features - protocol features, less those that are not safe here
 * @features: What one side offers, or asks for.
 */
uint64_t vu_protocol_features(uint64_t features);

#endif /* MEMVIEW_VHOST_USER_CODEC_H */
