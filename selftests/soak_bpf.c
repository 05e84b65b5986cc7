// SPDX-License-Identifier: GPL-2.0
/*
 * soak_bpf.c - BPF programs that are there for a while: a policy that refuses
 * every MAP_FD, and delays in places where a race would be
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <bpf/libbpf.h>

#include "small.skel.h"
#include "soak_delay.skel.h"

static void set_mode(enum policy_mode mode)
{
	uint64_t word = atomic_load(&world->policy);

	atomic_store(&world->policy, ((word >> 2) + 1) << 2 | mode);
}

static struct small *policy_load(void)
{
	static struct small *policy;

	if (policy)
		return policy;
	policy = small__open_and_load();
	if (policy)
		policy->bss->answer = POLICY_ERR;
	return policy;
}

int policy_round(unsigned int ms)
{
	struct small *policy = policy_load();
	struct bpf_link *link;

	if (!policy)
		return -errno;
	set_mode(POLICY_CHANGING);
	link = bpf_map__attach_struct_ops(policy->maps.policy);
	if (!link) {
		set_mode(POLICY_NONE);
		return -errno;
	}
	set_mode(POLICY_REFUSES);
	sleep_ms(ms);
	set_mode(POLICY_CHANGING);
	bpf_link__detach(link);
	bpf_link__destroy(link);
	set_mode(POLICY_NONE);
	return 0;
}

int delay_round(unsigned int ms)
{
	static struct soak_delay *delay;
	int err;

	if (!delay)
		delay = soak_delay__open_and_load();
	if (!delay)
		return -errno;
	delay->bss->delayed = 0;
	err = soak_delay__attach(delay);
	if (!err)
		sleep_ms(ms);
	soak_delay__detach(delay);
	return err;
}
