/* SPDX-License-Identifier: MIT */
/*
 * What the kernels of state.wasm share: the structs that they and TypeScript pass to each other in
 * one linear memory. Offsets are asserted here and mirrored by layout.ts.
 */
#ifndef PORTOLAN_STATE_H
#define PORTOLAN_STATE_H

#include <stddef.h>

#include "../../bpf/abi.h"

#define EXPORT(name) __attribute__((export_name(#name)))
#define INLINE static inline __attribute__((always_inline))

/*
 * The counters of a connection that a client is told, as totals or as the share since its last
 * fetch.
 */
struct counters {
	__u64 sent_bytes;
	__u64 recv_bytes; /* given to the application's socket: for UDP without what was dropped */
	__u64 sent_packets;
	__u64 recv_packets;
	__u64 dropped_packets;
	__u32 retransmits;
	__u32 rto_count;
	__u32 reord_seen;
	__u32 delivered_ce;
	__u32 established;
	__u32 closed;
};
_Static_assert(sizeof(struct counters) == 64, "mirrored by layout.ts");

#define EACH_COUNTER(apply)                                                                  \
	apply(sent_bytes) apply(recv_bytes) apply(sent_packets) apply(recv_packets)          \
		apply(dropped_packets) apply(retransmits) apply(rto_count) apply(reord_seen) \
			apply(delivered_ce) apply(established) apply(closed)

/* What one client was last told of one open connection. */
struct told {
	__u64 cookie;
	struct counters total;
};
_Static_assert(sizeof(struct told) == 72, "mirrored by layout.ts");

/* One connection of a document, for the encoders. */
struct row {
	__u64 cookie;
	const struct conn *record; /* what is not in `total` and `last` */
	__u32 process; /* index of the owner's description; 0: unknown */
	struct counters total;
	struct counters last; /* this client's share since its last fetch */
	__u32 closed; /* 1: it has ended, and nothing more will be told of it */
	__u32 pad;
};
_Static_assert(sizeof(struct row) == 152, "mirrored by layout.ts");
_Static_assert(offsetof(struct row, record) == 8, "mirrored by layout.ts");
_Static_assert(offsetof(struct row, process) == 12, "mirrored by layout.ts");
_Static_assert(offsetof(struct row, total) == 16, "mirrored by layout.ts");
_Static_assert(offsetof(struct row, last) == 80, "mirrored by layout.ts");
_Static_assert(offsetof(struct row, closed) == 144, "mirrored by layout.ts");

#endif
