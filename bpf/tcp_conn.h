/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* One TCP connection's record: reading it from the kernel's socket, and telling its end once. */
#ifndef PORTOLAN_TCP_CONN_H
#define PORTOLAN_TCP_CONN_H

#include "closed.h"

#define ECANCELED 125

/* The peer's FIN has arrived. */
static __always_inline bool is_done(const struct sock *sk)
{
	return READ(struct sock, sk, __sk_common.skc_flags) >> SOCK_DONE_BIT & 1;
}

/* Payload that arrived in order; the kernel counts the peer's FIN as one byte more. */
static __always_inline __u64 received_bytes(const struct sock *sk)
{
	__u64 received = READ(struct tcp_sock, sk, bytes_received);

	if (received)
		received -= is_done(sk);
	return received;
}

/*
 * The kernel's own counters, so nothing has to run on the byte path. Payload sent is bytes_sent less
 * what was sent again; bytes_acked was rejected: it counts SYN and FIN and misses what was never
 * acknowledged.
 */
static __always_inline void read_counters(struct conn *conn, const struct sock *sk, __u64 now)
{
	const struct tcp_sock *tp = (const void *)sk;
	__u32 srtt = READ(struct tcp_sock, tp, srtt_us);
	__u64 sent;

	/* Segments before bytes, so that bytes are never older than what is_unchanged() goes by. */
	conn->sent_packets = READ(struct tcp_sock, tp, segs_out);
	conn->recv_packets = READ(struct tcp_sock, tp, segs_in);
	barrier();
	/* A retransmission is counted as such before it is counted as sent: read the other way round. */
	sent = READ(struct tcp_sock, tp, bytes_sent);
	barrier();
	conn->sent_bytes = sent - READ(struct tcp_sock, tp, bytes_retrans);
	conn->recv_bytes = received_bytes(sk);
	conn->retransmits = READ(struct tcp_sock, tp, total_retrans);
	conn->rto_count = tcp_rto_count(tp);
	conn->reord_seen = READ(struct tcp_sock, tp, reord_seen);
	conn->delivered_ce = READ(struct tcp_sock, tp, delivered_ce);
	if (srtt) { /* 0: no sample yet, and mdev_us is then a guess */
		conn->rtt = srtt >> 3;
		conn->rttvar = READ(struct tcp_sock, tp, mdev_us) >> 2;
	}
	conn->updated = now;
}

/*
 * No segment came or went since the counters were read, so nothing else has moved: the kernel counts a
 * sent segment after its bytes, and a received one before, which is why those are compared as well.
 */
static __always_inline bool is_unchanged(const struct conn *conn, const struct sock *sk)
{
	return READ(struct tcp_sock, sk, segs_out) == conn->sent_packets &&
	       READ(struct tcp_sock, sk, segs_in) == conn->recv_packets &&
	       received_bytes(sk) == conn->recv_bytes;
}

static __always_inline void take_owner(struct conn *conn, __u32 pid, enum owner owner)
{
	if (pid && owner >= conn->owner) {
		conn->pid = pid;
		conn->owner = owner;
	}
}

static __always_inline struct listener_key listener_key(const struct sock *sk)
{
	return (struct listener_key){
		.netns = sock_netns(sk),
		.port = bpf_ntohs(READ(struct inet_sock, sk, inet_sport)),
	};
}

static __always_inline __u32 listener_pid(const struct conn *conn)
{
	struct listener_key key = {.netns = conn->netns, .port = conn->lport};
	struct listener *listener = bpf_map_lookup_elem(&listeners, &key);

	return listener ? listener->pid : 0;
}

/* A connection whose birth we missed came in if somebody listens on its local port. */
static __always_inline void settle_direction(struct conn *conn)
{
	if (conn->direction == DIRECTION_UNSPECIFIED)
		conn->direction = listener_pid(conn) ? DIRECTION_INCOMING : DIRECTION_OUTGOING;
}

/* A record of what the socket says now; the caller knows direction and owner. False: no inet socket. */
static __always_inline bool init_conn(struct conn *conn, const struct sock *sk, __u64 now)
{
	__builtin_memset(conn, 0, sizeof(*conn));
	if (!read_tuple(conn, sk))
		return false;
	conn->cookie = make_cookie((__u64)sk, now);
	conn->protocol = IPPROTO_TCP;
	conn->state = READ(struct sock, sk, __sk_common.skc_state);
	conn->uid = READ(struct sock, sk, sk_uid.val);
	conn->updated = now;
	return true;
}

/* The socket reached TCP_CLOSE, or was found dead: its last counters and why it ended. */
static __always_inline void finish_conn(struct conn *conn, const struct sock *sk, int oldstate,
					__u64 now)
{
	int error = READ(struct sock, sk, sk_err);

	read_counters(conn, sk, now);
	if (!conn->lport) /* the source is chosen after SYN_SENT was announced */
		read_local(conn, sk);
	if (!error && oldstate == TCP_SYN_SENT)
		error = ECANCELED; /* given up by its own process */
	conn->error = error;
	conn->state = TCP_CLOSE;
	conn->closed = 1;
	conn->closed_at = now;
}

/* Its close never reached us: it ended some time after it was last seen. */
static __always_inline void mark_lost(struct conn *conn)
{
	conn->flags |= CONN_CLOSE_LOST;
	conn->closed = 1;
	conn->closed_at = conn->updated;
	count(COUNTER_CLOSE_LOST);
}

/*
 * Sends the record and deletes its map entry; the deletion decides who told it, so that a close and a
 * refresh on two processors tell it once. With a full ring the entry stays for the next refresh.
 */
static __always_inline bool tell_closed(__u64 key, struct conn *conn)
{
	struct closed_event *event;

	settle_direction(conn);
	event = prepare_closed(conn);
	if (!event) {
		conn->flags |= CONN_UNSENT;
		count(COUNTER_RING_FULL_CLOSED);
		return false;
	}
	if (bpf_map_delete_elem(&tcp_conns, &key))
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return true;
}

/* The same for a connection that never was in the map. */
static __always_inline void tell_untracked(const struct conn *conn)
{
	struct closed_event *event = prepare_closed(conn);

	if (event)
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	else
		count(COUNTER_CLOSE_UNTOLD);
}

#endif
