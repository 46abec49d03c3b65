// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Datagrams that were offered to a socket, and counted, but then refused for lack of receive buffer.
 * The tracepoint hands over the packet since 6.10 (e9669a00bba7); without it nothing can be told per flow.
 */
#include "udp_flow.h"

struct ipv4_addresses {
	__be32 source;
	__be32 dest;
};

struct udp_ports {
	__be16 source;
	__be16 dest;
};

static __always_inline bool parse_refused(struct udp_key *key, const struct sk_buff *skb)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	const unsigned char *network = head + BPF_CORE_READ(skb, network_header);
	struct udp_ports ports;

	if (BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IP)) {
		struct ipv4_addresses ipv4;

		if (bpf_probe_read_kernel(&ipv4, sizeof(ipv4), network + 12))
			return false;
		write_mapped_ipv4(key->raddr, ipv4.source);
		write_mapped_ipv4(key->laddr, ipv4.dest);
	} else {
		if (bpf_probe_read_kernel(key->raddr, ADDR_LEN, network + 8) ||
		    bpf_probe_read_kernel(key->laddr, ADDR_LEN, network + 24))
			return false;
	}
	if (bpf_probe_read_kernel(&ports, sizeof(ports),
				  head + BPF_CORE_READ(skb, transport_header)))
		return false;
	key->rport = bpf_ntohs(ports.source);
	key->lport = bpf_ntohs(ports.dest);
	return true;
}

SEC("raw_tp/udp_fail_queue_rcv_skb")
int udp_refused(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sk_buff *skb = (const void *)ctx->args[2];
	struct udp_key key = {.sk = ctx->args[1]};
	struct udp_flow *flow;

	if (!parse_refused(&key, skb))
		return 0;
	flow = bpf_map_lookup_elem(&udp_flows, &key);
	if (!flow)
		return 0;
	/* Behind the UDP header already: the length is the payload's. */
	__sync_fetch_and_add(&flow->conn.dropped_bytes, BPF_CORE_READ(skb, len));
	__sync_fetch_and_add(&flow->conn.dropped_packets, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
