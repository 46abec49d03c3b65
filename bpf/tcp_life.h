/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The life of a TCP connection, from the two events that every kernel announces. */
#ifndef PORTOLAN_TCP_LIFE_H
#define PORTOLAN_TCP_LIFE_H

#include "tcp_conn.h"

static __always_inline void listener_opened(const struct sock *sk)
{
	struct listener_key key = listener_key(sk);
	struct listener first = {.pid = bpf_get_current_pid_tgid() >> 32, .sockets = 1};
	struct listener *listener = bpf_map_lookup_elem(&listeners, &key);

	if (listener) {
		__sync_fetch_and_add(&listener->sockets, 1);
		listener->pid = first.pid;
	} else if (bpf_map_update_elem(&listeners, &key, &first, BPF_NOEXIST)) {
		count(COUNTER_LISTENER_MAP_FULL);
	}
}

static __always_inline void listener_closed(const struct sock *sk)
{
	struct listener_key key = listener_key(sk);
	struct listener *listener = bpf_map_lookup_elem(&listeners, &key);

	if (!listener)
		return;
	if (listener->sockets > 1)
		__sync_fetch_and_add(&listener->sockets, -1);
	else
		bpf_map_delete_elem(&listeners, &key);
}

/* A struct sock is reused: the one before was told nowhere, unless its descriptor was still open. */
static __always_inline void tell_predecessor(__u64 key, struct conn *conn)
{
	if (conn->state != TCP_CLOSE)
		mark_lost(conn);
	if (!tell_closed(key, conn)) {
		bpf_map_delete_elem(&tcp_conns, &key);
		count(COUNTER_CLOSE_UNTOLD);
	}
}

static __always_inline void track(const struct sock *sk, struct conn *conn)
{
	__u64 key = (__u64)sk;

	if (bpf_map_update_elem(&tcp_conns, &key, conn, BPF_NOEXIST))
		count(COUNTER_TCP_MAP_FULL);
}

/* CLOSE -> SYN_SENT, in the context of connect(), sendto() with Fast Open, or io_uring. */
static __always_inline void connect_started(const struct sock *sk)
{
	__u64 now = bpf_ktime_get_ns();
	struct conn conn;

	if (!init_conn(&conn, sk, now))
		return;
	conn.created = now;
	conn.state = TCP_SYN_SENT;
	conn.direction = DIRECTION_OUTGOING;
	take_owner(&conn, pid_at_work(sk), OWNER_USER);
	track(sk, &conn);
}

/*
 * SYN_RECV -> ESTABLISHED, in softirq: `current` is whoever was interrupted (on loopback the client),
 * so the listener's process stands in until somebody is seen at work. The step before, LISTEN ->
 * SYN_RECV, is not used: the clone has no peer yet.
 */
static __always_inline void accept_ready(const struct sock *sk)
{
	__u64 now = bpf_ktime_get_ns();
	struct conn conn;

	if (!init_conn(&conn, sk, now))
		return;
	conn.created = now;
	conn.state = TCP_ESTABLISHED;
	conn.established = 1;
	conn.direction = DIRECTION_INCOMING;
	take_owner(&conn, listener_pid(&conn), OWNER_LISTENER);
	track(sk, &conn);
	count(COUNTER_ACCEPTED);
}

/* An event of a connection whose birth we missed: born before the start, or the hook was skipped. */
static __always_inline void adopt(const struct sock *sk, int oldstate, int newstate)
{
	__u64 now = bpf_ktime_get_ns();
	struct conn conn;

	if (!init_conn(&conn, sk, now) || !conn.rport)
		return;
	conn.flags = CONN_ADOPTED;
	if (oldstate == TCP_SYN_RECV)
		conn.direction =
			DIRECTION_INCOMING; /* Fast Open: closed before the handshake ended */
	else if (oldstate == TCP_SYN_SENT)
		conn.direction = DIRECTION_OUTGOING;
	conn.state = newstate;
	take_owner(&conn, listener_pid(&conn), OWNER_LISTENER);
	take_owner(&conn, pid_at_work(sk), OWNER_USER);
	if (newstate == TCP_CLOSE)
		finish_conn(&conn, sk, oldstate, now);
	else
		read_counters(&conn, sk, now);
	track(sk, &conn);
	count(COUNTER_ADOPTED);
}

static __always_inline void on_set_state(const struct sock *sk, int oldstate, int newstate)
{
	__u64 key = (__u64)sk;
	struct conn *conn;

	/* SCTP and MPTCP's parent sockets come through the same tracepoint. */
	if (READ(struct sock, sk, sk_protocol) != IPPROTO_TCP)
		return;
	if (newstate == TCP_LISTEN)
		return listener_opened(sk);
	if (oldstate == TCP_LISTEN) { /* otherwise: the clone for a new connection */
		if (newstate == TCP_CLOSE)
			listener_closed(sk);
		return;
	}
	conn = bpf_map_lookup_elem(&tcp_conns, &key);
	if (newstate == TCP_SYN_SENT) {
		if (conn)
			tell_predecessor(key, conn);
		return connect_started(sk);
	}
	/* With an entry in SYN_RECV both ends called connect() at once (RFC 9293, figure 7). */
	if (oldstate == TCP_SYN_RECV && newstate == TCP_ESTABLISHED &&
	    !(conn && conn->state == TCP_SYN_RECV)) {
		if (conn)
			tell_predecessor(key, conn);
		return accept_ready(sk);
	}
	if (!conn)
		return adopt(sk, oldstate, newstate);
	take_owner(conn, pid_at_work(sk), OWNER_USER);
	if (newstate == TCP_CLOSE)
		return finish_conn(conn, sk, oldstate, bpf_ktime_get_ns());
	if (newstate == TCP_ESTABLISHED) {
		read_tuple(conn, sk);
		conn->established = 1;
	}
	conn->state = newstate;
}

/*
 * The one place where a close is told. TCP_CLOSE comes earlier, but a descriptor may still be open
 * then, and who closes it is the last chance to learn the owner.
 */
static __always_inline void on_destroy(const struct sock *sk)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_ns();
	struct conn *conn, unknown;

	conn = bpf_map_lookup_elem(&tcp_conns, &key);
	if (conn) {
		take_owner(conn, pid_at_work(sk), OWNER_USER);
		if (conn->state != TCP_CLOSE)
			finish_conn(conn, sk, 0, now);
		tell_closed(key, conn);
		return;
	}
	/* Not tracked: never connected (no peer), or the map was full, or every hook was skipped. */
	if (READ(struct sock, sk, sk_protocol) != IPPROTO_TCP || !init_conn(&unknown, sk, now))
		return;
	if (!unknown.rport || !unknown.lport)
		return;
	finish_conn(&unknown, sk, 0, now);
	unknown.flags = CONN_ADOPTED;
	settle_direction(&unknown);
	take_owner(&unknown, listener_pid(&unknown), OWNER_LISTENER);
	take_owner(&unknown, pid_at_work(sk), OWNER_USER);
	tell_untracked(&unknown);
	count(COUNTER_RECOVERED);
}

#endif
