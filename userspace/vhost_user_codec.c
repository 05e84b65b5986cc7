// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_codec.c - what messages of vhost-user must look like
 *
 * Tables of sizes and file descriptors, and the few checks that a table cannot
 * do. It looks at what is given and at nothing else: selftests/vhost_fuzz.c
 * feeds it anything.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vhost_user_codec.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct kind - of a message
 * @min: Least bytes of payload.
 * @max: Most.
 * @fds_min: Fewest file descriptors.
 * @fds_max: Most.
 */
struct kind {
	const char *name;
	uint16_t min;
	uint16_t max;
	uint8_t fds_min;
	uint8_t fds_max;
};

/* Some frontends have an unused word in a message without payload. */
#define EMPTY(name) { name, 0, 8, 0, 0 }
#define U64(name) { name, 8, 8, 0, 0 }
#define U64_FD(name) { name, 8, 8, 0, 1 }
#define UUID(name) { name, 16, 16, 0, 0 }

static const struct kind frontend_requests[] = {
	[1] = EMPTY("GET_FEATURES"),
	[2] = U64("SET_FEATURES"),
	[3] = EMPTY("SET_OWNER"),
	[4] = EMPTY("RESET_OWNER"),
	[5] = { "SET_MEM_TABLE", 8, VU_PAYLOAD_MAX, 0, VU_REGIONS_MAX },
	[6] = { "SET_LOG_BASE", 8, 16, 0, 1 },
	[7] = { "SET_LOG_FD", 0, 8, 0, 1 },
	[8] = U64("SET_VRING_NUM"),
	[9] = { "SET_VRING_ADDR", 40, 40, 0, 0 },
	[10] = U64("SET_VRING_BASE"),
	[11] = U64("GET_VRING_BASE"),
	[12] = U64_FD("SET_VRING_KICK"),
	[13] = U64_FD("SET_VRING_CALL"),
	[14] = U64_FD("SET_VRING_ERR"),
	[15] = EMPTY("GET_PROTOCOL_FEATURES"),
	[16] = U64("SET_PROTOCOL_FEATURES"),
	[17] = EMPTY("GET_QUEUE_NUM"),
	[18] = U64("SET_VRING_ENABLE"),
	[19] = U64("SEND_RARP"),
	[20] = U64("NET_SET_MTU"),
	[21] = { "SET_BACKEND_REQ_FD", 0, 8, 1, 1 },
	[22] = { "IOTLB_MSG", 26, 32, 0, 0 },
	[23] = U64("SET_VRING_ENDIAN"),
	[24] = { "GET_CONFIG", 12, VU_PAYLOAD_MAX, 0, 0 },
	[25] = { "SET_CONFIG", 12, VU_PAYLOAD_MAX, 0, 0 },
	[26] = { "CREATE_CRYPTO_SESSION", 0, VU_PAYLOAD_MAX, 0, 0 },
	[27] = U64("CLOSE_CRYPTO_SESSION"),
	[28] = EMPTY("POSTCOPY_ADVISE"),
	[29] = EMPTY("POSTCOPY_LISTEN"),
	[30] = EMPTY("POSTCOPY_END"),
	[31] = { "GET_INFLIGHT_FD", 20, 24, 0, 0 },
	[32] = { "SET_INFLIGHT_FD", 20, 24, 1, 1 },
	[33] = { "GPU_SET_SOCKET", 0, 8, 1, 1 },
	[34] = EMPTY("RESET_DEVICE"),
	[35] = U64("VRING_KICK"),
	[36] = EMPTY("GET_MAX_MEM_SLOTS"),
	[37] = { "ADD_MEM_REG", 40, 40, 1, 1 },
	[38] = { "REM_MEM_REG", 40, 40, 0, 1 },
	[39] = U64("SET_STATUS"),
	[40] = EMPTY("GET_STATUS"),
	[41] = UUID("GET_SHARED_OBJECT"),
	[42] = { "SET_DEVICE_STATE_FD", 8, 8, 1, 1 },
	[43] = EMPTY("CHECK_DEVICE_STATE"),
	[44] = EMPTY("GET_SHMEM_CONFIG"),
};

static const struct kind backend_requests[] = {
	[1] = { "BACKEND_IOTLB_MSG", 26, 32, 0, 0 },
	[2] = EMPTY("BACKEND_CONFIG_CHANGE_MSG"),
	[3] = { "BACKEND_VRING_HOST_NOTIFIER_MSG", 24, 24, 0, 1 },
	[4] = U64("BACKEND_VRING_CALL"),
	[5] = U64("BACKEND_VRING_ERR"),
	[6] = UUID("BACKEND_SHARED_OBJECT_ADD"),
	[7] = UUID("BACKEND_SHARED_OBJECT_REMOVE"),
	[8] = UUID("BACKEND_SHARED_OBJECT_LOOKUP"),
	[9] = { "BACKEND_SHMEM_MAP", 40, 40, 1, 1 },
	[10] = { "BACKEND_SHMEM_UNMAP", 40, 40, 0, 0 },
};

/*
 * Protocol features that leave guest memory where it is. Left out, because
 * their messages would hand it to the backend in a form that cannot be taken
 * back: PAGEFAULT (8: postcopy, a userfaultfd of it), XEN_MMAP (17: grants)
 * and SHARED_OBJECT (18: dma-bufs, which may be made of it); SHMEM (22), since
 * QEMU announces what is in a DAX window as guest memory, by the backend's own
 * file, which may be one that cannot be shown in a view, such as a view; and all
 * that is not known yet.
 */
#define SAFE_FEATURES                            \
	(1ULL << 0 | /* MQ */                    \
	 1ULL << 1 | /* LOG_SHMFD */             \
	 1ULL << 2 | /* RARP */                  \
	 1ULL << 3 | /* REPLY_ACK */             \
	 1ULL << 4 | /* MTU */                   \
	 1ULL << 5 | /* BACKEND_REQ */           \
	 1ULL << 6 | /* CROSS_ENDIAN */          \
	 1ULL << 7 | /* CRYPTO_SESSION */        \
	 1ULL << 9 | /* CONFIG */                \
	 1ULL << 10 | /* BACKEND_SEND_FD */      \
	 1ULL << 11 | /* HOST_NOTIFIER */        \
	 1ULL << 12 | /* INFLIGHT_SHMFD */       \
	 1ULL << 13 | /* RESET_DEVICE */         \
	 1ULL << 14 | /* INBAND_NOTIFICATIONS */ \
	 1ULL << 15 | /* CONFIGURE_MEM_SLOTS */  \
	 1ULL << 16 | /* STATUS */               \
	 1ULL << 19 /* DEVICE_STATE */)

static const struct {
	const char *sender;
	const struct kind *kinds;
	uint32_t nr;
	bool is_reply;
} ways[] = {
	[VU_TO_BACKEND] = { "frontend", frontend_requests,
			    ARRAY_SIZE(frontend_requests), false },
	[VU_TO_FRONTEND] = { "backend", frontend_requests,
			     ARRAY_SIZE(frontend_requests), true },
	[VU_BACKEND_REQUEST] = { "backend", backend_requests,
				 ARRAY_SIZE(backend_requests), false },
	[VU_BACKEND_REPLY] = { "frontend", backend_requests,
			       ARRAY_SIZE(backend_requests), true },
};

uint64_t vu_protocol_features(uint64_t features)
{
	return features & SAFE_FEATURES;
}

static const struct kind *find_kind(enum vu_way way, uint32_t request)
{
	if (request >= ways[way].nr || !ways[way].kinds[request].name)
		return NULL;
	return &ways[way].kinds[request];
}

const char *vu_name(enum vu_way way, uint32_t request)
{
	const struct kind *kind = find_kind(way, request);
	static char text[64];

	const char *prefix = ways[way].is_reply ? "reply to " : "";

	if (kind)
		snprintf(text, sizeof(text), "%s%s", prefix, kind->name);
	else
		snprintf(text, sizeof(text), "%srequest %" PRIu32, prefix,
			 request);
	return text;
}

#define WRONG(why, format, ...) \
	(snprintf(why, VU_WHY_MAX, format, ##__VA_ARGS__), false)

bool vu_check_header(enum vu_way way, const struct vu_header *header,
		     char why[VU_WHY_MAX])
{
	const char *name = vu_name(way, header->request);

	if ((header->flags & VU_VERSION_MASK) != VU_VERSION)
		return WRONG(why,
			     "the %s sent a %s of protocol version %" PRIu32,
			     ways[way].sender, name,
			     header->flags & VU_VERSION_MASK);
	if (!(header->flags & VU_REPLY) == ways[way].is_reply)
		return WRONG(why, "the %s sent a %s %s", ways[way].sender, name,
			     ways[way].is_reply ? "that is no reply" :
						  "marked as a reply");
	if (header->size > VU_PAYLOAD_MAX)
		return WRONG(why,
			     "the %s sent a %s of %" PRIu32
			     " bytes, the limit is %d",
			     ways[way].sender, name, header->size,
			     VU_PAYLOAD_MAX);
	return true;
}

static bool overflows(uint64_t at, uint64_t size)
{
	return at + size < at;
}

static bool check_region(const struct vu_region *region, char why[VU_WHY_MAX])
{
	if (!region->size)
		return WRONG(why, "a region at %#" PRIx64 " of no bytes",
			     region->guest);
	if (overflows(region->guest, region->size) ||
	    overflows(region->user, region->size) ||
	    overflows(region->offset, region->size))
		return WRONG(why,
			     "a region at %#" PRIx64 " of %#" PRIx64
			     " bytes at %#" PRIx64
			     " of its file: it wraps around",
			     region->guest, region->size, region->offset);
	return true;
}

static bool check_table(const struct vu_message *message, char why[VU_WHY_MAX])
{
	uint32_t nr = message->table.nr, i;

	if (nr > VU_REGIONS_MAX)
		return WRONG(why,
			     "SET_MEM_TABLE of %" PRIu32
			     " regions, the limit is %d",
			     nr, VU_REGIONS_MAX);
	if (message->header.size <
	    offsetof(struct vu_message, table.region[nr]) -
		    offsetof(struct vu_message, table))
		return WRONG(why,
			     "SET_MEM_TABLE of %" PRIu32 " regions in %" PRIu32
			     " bytes",
			     nr, message->header.size);
	if (message->nr_fds != nr)
		return WRONG(why,
			     "SET_MEM_TABLE of %" PRIu32
			     " regions with %u file descriptors",
			     nr, message->nr_fds);
	for (i = 0; i < nr; i++)
		if (!check_region(&message->table.region[i], why))
			return false;
	return true;
}

/* Does it belong to a feature that is left out? */
static bool is_unoffered(enum vu_way way, uint32_t request)
{
	switch (request) {
	case VU_POSTCOPY_ADVISE:
	case VU_POSTCOPY_LISTEN:
	case VU_POSTCOPY_END:
	case VU_GET_SHARED_OBJECT:
	case VU_GET_SHMEM_CONFIG:
		return way == VU_TO_BACKEND;
	case VU_BACKEND_SHARED_OBJECT_ADD:
	case VU_BACKEND_SHARED_OBJECT_REMOVE:
	case VU_BACKEND_SHARED_OBJECT_LOOKUP:
	case VU_BACKEND_SHMEM_MAP:
	case VU_BACKEND_SHMEM_UNMAP:
		return way == VU_BACKEND_REQUEST;
	default:
		return false;
	}
}

bool vu_check_message(enum vu_way way, const struct vu_message *message,
		      char why[VU_WHY_MAX])
{
	const struct vu_header *header = &message->header;
	const struct kind *kind = find_kind(way, header->request);

	if (!vu_check_header(way, header, why))
		return false;
	if (way == VU_TO_FRONTEND &&
	    (header->request == VU_GET_PROTOCOL_FEATURES ||
	     header->request == VU_ADD_MEM_REG) &&
	    header->size != 8)
		return WRONG(why, "%s of %" PRIu32 " bytes",
			     vu_name(way, header->request), header->size);
	/* One would be a dma-buf, which may be made of guest memory. */
	if (way == VU_BACKEND_REPLY && message->nr_fds)
		return WRONG(why, "%s with %u file descriptors",
			     vu_name(way, header->request), message->nr_fds);
	/* Replies are the receiver's to judge. */
	if (!kind || ways[way].is_reply)
		return true;
	if (header->size < kind->min || header->size > kind->max)
		return WRONG(why, "%s of %" PRIu32 " bytes", kind->name,
			     header->size);
	if (message->nr_fds < kind->fds_min || message->nr_fds > kind->fds_max)
		return WRONG(why, "%s with %u file descriptors", kind->name,
			     message->nr_fds);
	if (is_unoffered(way, header->request))
		return WRONG(why, "%s, which was not offered", kind->name);
	if (way != VU_TO_BACKEND)
		return true;
	switch (header->request) {
	case VU_SET_MEM_TABLE:
		return check_table(message, why);
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		return check_region(&message->single.region, why);
	default:
		return true;
	}
}
