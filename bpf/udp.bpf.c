// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "udp.h"

/* All return 1: let it pass. */
SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *skb)
{
	on_datagram(skb, true);
	return 1;
}

SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *skb)
{
	on_datagram(skb, false);
	return 1;
}

SEC("cgroup/sock_create")
int udp_sock_create(struct bpf_sock *sk)
{
	on_udp_created(sk);
	return 1;
}

SEC("cgroup/sock_release")
int udp_sock_release(struct bpf_sock *sk)
{
	on_udp_released(sk);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
