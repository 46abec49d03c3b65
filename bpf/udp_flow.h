/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* One UDP flow's record: finding or making it, and telling its end once. */
#ifndef PORTOLAN_UDP_FLOW_H
#define PORTOLAN_UDP_FLOW_H

#include "closed.h"

/*
 * Makes the flow and puts it at the head of its socket's chain. Two threads that begin flows of one
 * socket at once may lose a link of the chain; such a flow is told by the sweep instead of the release.
 */
static __always_inline struct udp_flow *udp_flow_create(const struct udp_key *key,
							enum direction direction, __u32 pid,
							__u32 netns, __u64 now)
{
	struct udp_sock_state *owner = bpf_map_lookup_elem(&udp_socks, &key->sk);
	struct udp_flow flow = {};

	flow.conn.cookie = make_cookie((__u64)bpf_get_prandom_u32() << 32 | key->rport, now);
	flow.conn.created = now;
	flow.conn.updated = now;
	__builtin_memcpy(flow.conn.laddr, key->laddr, ADDR_LEN);
	__builtin_memcpy(flow.conn.raddr, key->raddr, ADDR_LEN);
	flow.conn.lport = key->lport;
	flow.conn.rport = key->rport;
	flow.conn.protocol = IPPROTO_UDP;
	flow.conn.direction = direction;
	flow.conn.netns = netns;
	flow.conn.pid = pid;
	if (owner) {
		flow.conn.pid = owner->pid;
		flow.conn.uid = owner->uid;
		flow.next = owner->newest;
	}
	flow.conn.owner = flow.conn.pid ? OWNER_USER : OWNER_UNKNOWN;
	if (bpf_map_update_elem(&udp_flows, key, &flow, BPF_NOEXIST) == 0 && owner)
		owner->newest = *key;
	/* NULL also when the map is full; another processor may have been first. */
	return bpf_map_lookup_elem(&udp_flows, key);
}

/* Sends the record and deletes its entry; see tell_closed() in tcp_conn.h for the order. */
static __always_inline void udp_tell_closed(const struct udp_key *key, struct udp_flow *flow,
					    __u64 now)
{
	struct closed_event *event = prepare_closed(&flow->conn);

	if (!event) {
		flow->conn.flags |= CONN_UNSENT;
		count(COUNTER_RING_FULL_CLOSED);
		return;
	}
	event->conn.closed_at = now;
	if (bpf_map_delete_elem(&udp_flows, key))
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

#endif
