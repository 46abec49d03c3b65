/* SPDX-License-Identifier: MIT */
/*
 * Finds elements of an array by the cookie that is their first field: open addressing, at most half
 * full.
 */
#ifndef PORTOLAN_INDEX_H
#define PORTOLAN_INDEX_H

#include "state.h"

struct index {
	__u32 *slots; /* position + 1 of an element; 0: free */
	__u32 mask; /* slots - 1; a power of two minus one */
};

INLINE __u32 index_hash(__u64 cookie)
{
	/* 2^64 / golden ratio: consecutive cookies spread over all slots. */
	return (__u32)((cookie * 0x9e3779b97f4a7c15ull) >> 32);
}

/* The slot of the element with this cookie, or the free one where it belongs. */
INLINE __u32 *index_slot(const struct index *index, const void *elements, __u32 size, __u64 cookie)
{
	__u32 at = index_hash(cookie) & index->mask;

	while (index->slots[at]) {
		const char *element = (const char *)elements + (index->slots[at] - 1) * size;

		if (*(const __u64 *)element == cookie)
			break;
		at = (at + 1) & index->mask;
	}
	return &index->slots[at];
}

#endif
