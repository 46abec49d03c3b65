/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* UDP datagrams by cgroup hooks: every socket of every namespace passes the root cgroup's programs. */
#ifndef PORTOLAN_UDP_H
#define PORTOLAN_UDP_H

#include "udp_flow.h"

#define ETH_P_IPV6 0x86dd
#define UDP_HEADER_LEN 8
#define MAX_IPV6_EXTENSIONS 4

struct udp_header {
	__be16 source;
	__be16 dest;
};

struct datagram {
	struct udp_key key; /* as the socket sees it: local is ours */
	__u32 payload;
};

/* Offset of the UDP header behind IPv6 extension headers (RFC 8200 section 4), or 0. */
static __always_inline __u32 ipv6_udp_offset(struct __sk_buff *skb, __u8 next)
{
	__u32 offset = 40;

	for (int i = 0; i <= MAX_IPV6_EXTENSIONS; i++) {
		__u8 extension[2];

		if (next == IPPROTO_UDP)
			return offset;
		/* hop-by-hop, routing, destination options: all carry their length in 8-byte units */
		if (next != 0 && next != 43 && next != 60)
			return 0;
		if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
			return 0;
		next = extension[0];
		offset += (extension[1] + 1) * 8;
	}
	return 0;
}

/*
 * Headers of a datagram that begins with its network header, as both cgroup hooks get it: before
 * fragmentation, after reassembly. The length is the packet's own, not the header's: with
 * segmentation offload one packet is many datagrams.
 */
static __always_inline bool parse_datagram(struct __sk_buff *skb, struct datagram *d, bool outgoing)
{
	__u8 *source = outgoing ? d->key.laddr : d->key.raddr;
	__u8 *dest = outgoing ? d->key.raddr : d->key.laddr;
	struct udp_header udp;
	__u32 offset;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__u8 version_length;
		__be32 addr[2];

		if (bpf_skb_load_bytes(skb, 0, &version_length, 1) ||
		    bpf_skb_load_bytes(skb, 12, addr, sizeof(addr)))
			return false;
		offset = (version_length & 0xf) * 4;
		write_mapped_ipv4(source, addr[0]);
		write_mapped_ipv4(dest, addr[1]);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		__u8 next;

		if (bpf_skb_load_bytes(skb, 6, &next, 1) ||
		    bpf_skb_load_bytes(skb, 8, source, ADDR_LEN) ||
		    bpf_skb_load_bytes(skb, 24, dest, ADDR_LEN))
			return false;
		offset = ipv6_udp_offset(skb, next);
		if (!offset)
			return false;
	} else {
		return false;
	}
	if (bpf_skb_load_bytes(skb, offset, &udp, sizeof(udp)))
		return false;
	d->key.lport = bpf_ntohs(outgoing ? udp.source : udp.dest);
	d->key.rport = bpf_ntohs(outgoing ? udp.dest : udp.source);
	d->payload = skb->len - offset - UDP_HEADER_LEN;
	return true;
}

/* Whoever sends on a socket owns it: a worker may use what its parent created. */
static __always_inline void udp_take_owner(const struct udp_key *key, struct udp_flow *flow,
					   __u32 pid)
{
	struct udp_sock_state *owner = bpf_map_lookup_elem(&udp_socks, &key->sk);

	flow->conn.pid = pid;
	flow->conn.owner = OWNER_USER;
	if (owner)
		owner->pid = pid;
}

/* The verifier forbids arithmetic on a struct sock pointer; copied through memory it is a number. */
static __always_inline const struct sock *as_address(struct bpf_sock *sk)
{
	const struct sock *address = NULL;

	bpf_probe_read_kernel(&address, sizeof(address), &sk);
	return address;
}

static __always_inline void on_datagram(struct __sk_buff *skb, bool outgoing)
{
	struct bpf_sock *sk = skb->sk;
	struct datagram d = {};
	struct udp_flow *flow;
	__u32 segments, pid = 0;
	__u64 now;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_UDP || !parse_datagram(skb, &d, outgoing))
		return;
	d.key.sk = (__u64)sk;
	now = bpf_ktime_get_ns();
	if (outgoing)
		pid = bpf_get_current_pid_tgid() >> 32;
	flow = bpf_map_lookup_elem(&udp_flows, &d.key);
	if (!flow)
		/* The first datagram tells who began. */
		flow = udp_flow_create(&d.key, outgoing ? DIRECTION_OUTGOING : DIRECTION_INCOMING,
				       pid, sock_netns(as_address(sk)), now);
	if (!flow) {
		count(COUNTER_UDP_MAP_FULL);
		return;
	}
	if (pid && flow->conn.pid != pid)
		udp_take_owner(&d.key, flow, pid);
	segments = skb->gso_segs ?: 1;
	/* Several processors may send on one socket at once. */
	if (outgoing) {
		__sync_fetch_and_add(&flow->conn.sent_bytes, d.payload);
		__sync_fetch_and_add(&flow->conn.sent_packets, segments);
	} else {
		__sync_fetch_and_add(&flow->conn.recv_bytes, d.payload);
		__sync_fetch_and_add(&flow->conn.recv_packets, segments);
	}
	flow->conn.updated = now;
}

static __always_inline void on_udp_created(struct bpf_sock *sk)
{
	struct udp_sock_state state = {
		.pid = bpf_get_current_pid_tgid() >> 32,
		.uid = bpf_get_current_uid_gid(),
	};
	__u64 key = (__u64)sk;

	if (sk->protocol != IPPROTO_UDP)
		return;
	if (bpf_map_update_elem(&udp_socks, &key, &state, BPF_ANY))
		count(COUNTER_UDP_SOCK_MAP_FULL);
}

struct release {
	struct udp_key key;
	__u64 now;
};

static long release_flow(__u32 index, struct release *release)
{
	struct udp_flow *flow = bpf_map_lookup_elem(&udp_flows, &release->key);
	struct udp_key next;

	/* Unsent: been here; a flow that was told for its silence and came back may close a circle. */
	if (!flow || flow->conn.flags & CONN_UNSENT)
		return 1;
	next = flow->next;
	udp_tell_closed(&release->key, flow, release->now);
	release->key = next;
	return next.sk == 0;
}

#define MAX_FLOWS_PER_RELEASE 65536
#define MAX_FLOWS_WITHOUT_LOOP 64

/* bpf_loop exists since 5.17; before, what is left over is told by the sweep. */
static __always_inline void on_udp_released(struct bpf_sock *sk)
{
	__u64 sock_key = (__u64)sk;
	struct udp_sock_state *state;
	struct release release;

	if (sk->protocol != IPPROTO_UDP)
		return;
	state = bpf_map_lookup_elem(&udp_socks, &sock_key);
	if (!state)
		return;
	release.key = state->newest;
	release.now = bpf_ktime_get_ns();
	if (!release.key.sk) {
		/* never sent nor received */
	} else if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		bpf_loop(MAX_FLOWS_PER_RELEASE, release_flow, &release, 0);
	} else {
		for (int i = 0; i < MAX_FLOWS_WITHOUT_LOOP; i++)
			if (release_flow(i, &release))
				break;
	}
	bpf_map_delete_elem(&udp_socks, &sock_key);
}

#endif
