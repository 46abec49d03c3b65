// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Run by user space (BPF_PROG_TEST_RUN, raw tracepoints since 5.10) before it reads the maps: brings the
 * counters of every live connection up to date, and tells what should have been told but was not.
 * Needs bpf_for_each_map_elem (5.13).
 */
#include "config.h"
#include "tcp_conn.h"
#include "udp_flow.h"

/* From suspicion to certainty: long enough that a hook at work on the same entry has finished. */
#define SETTLED_NS (1000ull * 1000 * 1000)

/* The last four bytes of the remote address: all of an IPv4 one, the part that differs most of IPv6. */
static __always_inline __be32 remote_tail(const struct sock *sk)
{
	if (READ(struct sock, sk, __sk_common.skc_family) == AF_INET)
		return READ(struct sock, sk, __sk_common.skc_daddr);
	return READ(struct sock, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[3]);
}

/*
 * The memory behind the pointer is no longer this connection: freed, or another connection's. Ports and
 * four bytes of the address tell them apart; the whole tuple took a third of the refresh to read.
 */
static __always_inline bool is_gone(const struct conn *conn, const struct sock *sk)
{
	if (READ(struct sock, sk, __sk_common.skc_refcnt.refs.counter) <= 0)
		return true;
	if (conn->state ==
	    TCP_CLOSE) /* disconnect() clears the peer of a socket that is still open */
		return READ(struct sock, sk, __sk_common.skc_state) != TCP_CLOSE;
	if (READ(struct sock, sk, __sk_common.skc_dport) != bpf_htons(conn->rport) ||
	    remote_tail(sk) != *(const __be32 *)(conn->raddr + 12))
		return true;
	return conn->lport && READ(struct inet_sock, sk, inet_sport) != bpf_htons(conn->lport);
}

/* A hook on another processor may have moved `updated` past the time at which this pass began. */
static __always_inline bool is_older(const struct conn *conn, __u64 now, __u64 age_ns)
{
	return (__s64)(now - conn->updated) > (__s64)age_ns;
}

/*
 * Counters only grow, and a close hook on another processor may store the final ones at any moment, or
 * disconnect() clear the socket's. So a value is stored only if it is larger than what stood here before
 * the socket was read, and if that still stands here (compare and exchange: 5.12).
 */
#define GROW(conn, fresh, seen, field)                                                            \
	do {                                                                                      \
		if ((fresh).field > (seen).field)                                                 \
			__sync_val_compare_and_swap(&(conn)->field, (seen).field, (fresh).field); \
	} while (0)

/* Somebody is at work on the socket: a packet in softirq, or a process. */
static __always_inline bool is_locked(const struct sock *sk)
{
	return READ(struct sock, sk, sk_lock.owned) ||
	       READ(struct sock, sk, sk_lock.slock.rlock.raw_lock.val.counter);
}

static __always_inline void refresh_counters(struct conn *conn, const struct sock *sk, __u64 now)
{
	bool done = is_done(sk);
	struct conn seen = *conn, fresh;

	barrier();
	fresh.rtt = seen.rtt;
	fresh.rttvar = seen.rttvar;
	read_counters(&fresh, sk, now);
	barrier();
	/*
	 * The kernel counts a FIN before it notes that there was one, both under the lock. What may be a
	 * FIN is held back: a byte too few is made good by the next look, one too many was told for ever.
	 */
	if (!done && fresh.recv_bytes && (is_locked(sk) || is_done(sk)))
		fresh.recv_bytes--;
	if (conn->state == TCP_CLOSE || conn->cookie != seen.cookie)
		return;
	GROW(conn, fresh, seen, sent_bytes);
	GROW(conn, fresh, seen, recv_bytes);
	GROW(conn, fresh, seen, sent_packets);
	GROW(conn, fresh, seen, recv_packets);
	GROW(conn, fresh, seen, retransmits);
	GROW(conn, fresh, seen, rto_count);
	GROW(conn, fresh, seen, reord_seen);
	GROW(conn, fresh, seen, delivered_ce);
	conn->rtt = fresh.rtt;
	conn->rttvar = fresh.rttvar;
	conn->updated = now;
}

static long refresh_tcp(void *map, const void *key, void *value, __u64 *now)
{
	__u64 address = *(const __u64 *)key;
	const struct sock *sk = (const void *)address;
	struct conn *conn = value;

	if (conn->flags & CONN_UNSENT) {
		tell_closed(address, conn);
	} else if (is_gone(conn, sk)) {
		if (!(conn->flags & CONN_SUSPECT)) {
			conn->flags |= CONN_SUSPECT;
			conn->updated = *now;
		}
		if (!is_older(conn, *now, SETTLED_NS))
			return 0;
		if (conn->state != TCP_CLOSE)
			mark_lost(conn);
		tell_closed(address, conn);
	} else if (conn->state != TCP_CLOSE) {
		if (conn->flags & CONN_SUSPECT)
			conn->flags &= ~CONN_SUSPECT;
		if (!conn->lport)
			read_local(conn, sk);
		if (!is_unchanged(conn, sk))
			refresh_counters(conn, sk, *now);
		settle_direction(conn);
	}
	return 0;
}

/* What the release hook could not tell, and what has been silent for too long. */
static long sweep_udp(void *map, const void *key, void *value, __u64 *now)
{
	const struct udp_key *udp_key = key;
	struct udp_flow *flow = value;

	if (flow->conn.flags & CONN_UNSENT || is_older(&flow->conn, *now, config.udp_timeout_ns))
		udp_tell_closed(udp_key, flow, *now);
	return 0;
}

/* Both return how many entries they visited, so that user space knows how much room to read them takes. */
SEC("raw_tp")
int refresh(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return bpf_for_each_map_elem(&tcp_conns, refresh_tcp, &now, 0);
}

SEC("raw_tp")
int sweep(void *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return bpf_for_each_map_elem(&udp_flows, sweep_udp, &now, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
